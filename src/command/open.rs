//! How the verbs that only look open the database.

use crate::error::Result;
use crate::job::Context;
use crate::sqlite::{self, Access, Connection, FileFacts};

/// Opens it read-only, in a read transaction: everything that is read belongs to one state.
pub(super) async fn open(context: &Context<'_>) -> Result<Connection> {
    context.require_whole()?;
    open_as_it_is(context).await
}

/// As [`open`], also where a job has left it halfway.
pub(super) async fn open_as_it_is(context: &Context<'_>) -> Result<Connection> {
    context.require_content()?;
    let path = &context.settings.database;
    let mut connection = Connection::open(path, Access::ReadOnly, context.interrupt).await?;
    sqlite::begin_reading(
        &mut connection,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    FileFacts::read(&mut connection).await?;
    Ok(connection)
}
