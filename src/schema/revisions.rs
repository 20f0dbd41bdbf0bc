//! The schema of every revision, built in memory from the files.

use super::{Schema, read};
use crate::error::Result;
use crate::migration::{Migrations, Version};
use crate::sqlite::{Connection, Interrupt, Scope, run_script};

/// What the files make of an empty database.
#[derive(Debug, Clone)]
pub struct RevisionSchema {
    /// The revision.
    pub version: Version,
    /// Its schema.
    pub schema: Schema,
}

/// The schemas of the revisions, in order, up to the first file that cannot be applied to an empty database: a database
/// behind it can still be recognised, and the job that runs the file says what is wrong with it.
pub async fn build_all(
    migrations: &Migrations,
    interrupt: &Interrupt,
) -> Result<Vec<RevisionSchema>> {
    let mut connection = Connection::in_memory(interrupt).await?;
    let mut list = Vec::new();
    for migration in migrations.all() {
        let script = &migration.up.sql;
        if run_script(&mut connection, script, Scope::NonTransactional)
            .await?
            .is_err()
        {
            interrupt.check()?;
            break;
        }
        list.push(RevisionSchema {
            version: migration.version,
            schema: read(&mut connection).await?,
        });
    }
    Ok(list)
}
