//! How the verbs that only look open the database.

use crate::error::{Error, Result};
use crate::job::Context;
use crate::sqlite::{self, Access, Connection, FileFacts};

/// Opens it read-only, in a read transaction: everything that is read belongs to one state.
pub(super) async fn open(context: &Context<'_>) -> Result<Connection> {
    context.require_content()?;
    let path = &context.settings.database;
    let mut connection = Connection::open(path, Access::ReadOnly, context.interrupt).await?;
    sqlite::begin_reading(&mut connection, context.deadline(), context.interrupt).await?;
    FileFacts::read(&mut connection).await?;
    Ok(connection)
}

/// As [`open`]; `None` where there is no database yet.
pub(super) async fn open_if_there(context: &Context<'_>) -> Result<Option<Connection>> {
    match open(context).await {
        Ok(connection) => Ok(Some(connection)),
        Err(Error::DatabaseMissing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
