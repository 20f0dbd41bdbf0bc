//! The schema of every revision, built in memory from the files.

use super::{Schema, read};
use crate::error::{Error, Problem, Result};
use crate::migration::{Migration, Migrations, Version};
use crate::sqlite::{Connection, Scope, run_script};
use crate::storage;

/// What the files make of an empty database.
#[derive(Debug, Clone)]
pub struct RevisionSchema {
    /// The revision.
    pub version: Version,
    /// Its schema.
    pub schema: Schema,
}

/// The schemas of all revisions, in order.
///
/// # Errors
/// [`Error::Migrations`] when a file cannot be applied to an empty database.
pub async fn build_all(migrations: &Migrations) -> Result<Vec<RevisionSchema>> {
    let mut connection = Connection::in_memory().await?;
    let mut list = Vec::new();
    for migration in migrations.all() {
        apply(&mut connection, migration, migrations).await?;
        list.push(RevisionSchema {
            version: migration.version,
            schema: read(&mut connection).await?,
        });
    }
    Ok(list)
}

async fn apply(
    connection: &mut Connection,
    migration: &Migration,
    migrations: &Migrations,
) -> Result<()> {
    run_script(connection, &migration.up.sql, Scope::NonTransactional)
        .await?
        .map(|_| ())
        .map_err(|failed| Error::Migrations {
            folder: migrations.folder().to_path_buf(),
            problems: vec![Problem::new(
                storage::name_of(&migration.up.path),
                format!(
                    "cannot be applied to an empty database: line {}: {}",
                    failed.line, failed.failure
                ),
            )],
        })
}
