//! Whether changed files may be recorded as the ones that were applied: only if the database looks as they would
//! have made it.

use super::stored;
use crate::error::{Problem, Result};
use crate::migration::{Migrations, Version};
use crate::schema::{self, Schema};
use crate::sqlite::{Connection, Interrupt};

/// In what the schema that the files build differs from the one that is there; `None` where nothing can be compared.
///
/// Where the database keeps the texts that were applied, a table that the change touches must be the same to the last
/// default; elsewhere declared types and defaults are left out, as they are when a database is placed.
pub async fn changed_schema(
    connection: &mut Connection,
    files: &Migrations,
    version: Option<Version>,
) -> Result<Option<Vec<Problem>>> {
    let Some(new) = at(files, version, connection.interrupt()).await? else {
        return Ok(None);
    };
    let found = schema::read(connection).await?;
    let mut problems: Vec<Problem> = schema::differences(&new, &found)
        .into_iter()
        .map(|difference| difference.problem)
        .collect();
    let applied = as_applied(connection, files).await?;
    if problems.is_empty()
        && let Some(old) = at(&applied, version, connection.interrupt()).await?
    {
        let touched = new.tables.iter().filter(|(name, table)| {
            old.tables.get(*name) != Some(table) && found.tables.get(*name) != Some(table)
        });
        problems.extend(touched.map(|(name, _)| {
            Problem::new(
                name.clone(),
                "the changed files build this table otherwise: a type, a default or a key",
            )
        }));
    }
    Ok(Some(problems))
}

async fn at(
    migrations: &Migrations,
    version: Option<Version>,
    interrupt: &Interrupt,
) -> Result<Option<Schema>> {
    let revisions = schema::build_all(migrations, interrupt).await?;
    let wanted = revisions
        .into_iter()
        .find(|revision| Some(revision.version) == version);
    Ok(wanted.map(|revision| revision.schema))
}

/// The files with the texts that were applied, where they are kept.
async fn as_applied(connection: &mut Connection, files: &Migrations) -> Result<Migrations> {
    let mut applied = files.clone();
    for text in stored::read_above(connection, None).await? {
        if let Ok(sql) = String::from_utf8(text.up) {
            applied = applied.with_up(text.version, sql);
        }
    }
    Ok(applied)
}
