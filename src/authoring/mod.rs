//! Writing migrations: what the migrations lead to, what they should lead to, and the files of a new one.

mod files;
mod models;
mod source;

pub use files::{Written, schema_text, write_pair, write_schema_file};
pub use models::with_unmentioned;
pub use source::Source;

use crate::autogenerate::Blueprint;
use crate::error::{Error, Problem, Result};
use crate::migration::{Migrations, Script};
use crate::sqlite::{Connection, Interrupt, Scope, ScriptFailure, run_script};
use crate::storage;

/// What the migrations make of an empty database.
///
/// # Errors
/// [`Error::Migrations`] where a file fails on it.
pub async fn head(migrations: &Migrations, interrupt: &Interrupt) -> Result<Blueprint> {
    let mut connection = Connection::in_memory(interrupt).await?;
    for migration in migrations.all() {
        let script = &migration.up;
        if let Err(failed) =
            run_script(&mut connection, &script.sql, Scope::NonTransactional).await?
        {
            interrupt.check()?;
            return Err(Error::Migrations {
                folder: migrations.folder().to_path_buf(),
                problems: vec![not_buildable(script, &failed)],
            });
        }
    }
    let blueprint = Blueprint::read(&mut connection).await?;
    connection.close().await?;
    Ok(blueprint)
}

fn not_buildable(script: &Script, failed: &ScriptFailure) -> Problem {
    Problem::new(
        storage::name_of(&script.path),
        format!(
            "fails on an empty database at line {}: {}; so it is not known what the migrations lead to",
            failed.line, failed.failure.message
        ),
    )
}
