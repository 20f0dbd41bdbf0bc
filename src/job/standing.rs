//! Whether a database is where the files lead to, looked at without changing anything.

use super::Context;
use crate::error::{Error, Problem, Result};
use crate::history::{self, History};
use crate::migration::{Migrations, version_name};
use crate::sqlite::{self, Access, Connection, FileFacts};

/// The revision of a database that is at head.
///
/// # Errors
/// [`Error::NotAtHead`] where it is behind; else what keeps it from being told.
pub async fn at_head(context: Context<'_>) -> Result<String> {
    let files = Migrations::read(&context.settings.migrations)?;
    context.require_whole()?;
    context.require_content()?;
    let mut connection =
        Connection::open(context.database(), Access::ReadOnly, context.interrupt).await?;
    let looked = look(&context, &mut connection, &files).await;
    connection.close().await?;
    looked
}

async fn look(
    context: &Context<'_>,
    connection: &mut Connection,
    files: &Migrations,
) -> Result<String> {
    sqlite::begin_reading(connection, context.deadline(), context.interrupt, || ()).await?;
    FileFacts::read(connection).await?;
    let known = history::with_stored(connection, files).await?;
    let history = History::read(connection, &known).await?;
    let (current, head) = (version_name(history.current), version_name(files.head()));
    let pending = files.between(history.current, files.head());
    let problems: Vec<Problem> = pending
        .map(|file| Problem::new(file.version.to_string(), "is pending"))
        .collect();
    if problems.is_empty() {
        return Ok(current);
    }
    Err(Error::NotAtHead {
        message: format!("the database is at {current}, the head is {head}"),
        problems,
        next: "`safestep run` brings it there.".into(),
    })
}
