//! The files that were changed after they were applied, read without a lock, to be shown.

use super::Context;
use crate::error::{Problem, Result};
use crate::history::History;
use crate::migration::Migrations;
use crate::sqlite::{self, Access, Connection, FileFacts};

/// Which they are, each with what was changed in it.
///
/// # Errors
/// As [`History::read`], but for the changes themselves.
pub async fn changed_files(context: &Context<'_>) -> Result<Vec<Problem>> {
    let files = Migrations::read(&context.settings.migrations)?;
    context.require_content()?;
    context.require_whole()?;
    let mut connection =
        Connection::open(context.database(), Access::ReadOnly, context.interrupt).await?;
    let found = async {
        sqlite::begin_reading(
            &mut connection,
            context.deadline(),
            context.interrupt,
            context.wait_notice(),
        )
        .await?;
        FileFacts::read(&mut connection).await?;
        History::read_with_changes(&mut connection, &files).await
    }
    .await;
    connection.close().await?;
    found.map(|(_, changed)| changed)
}
