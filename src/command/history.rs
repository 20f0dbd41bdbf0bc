//! `history`: all revisions, and which are applied.

use serde_json::json;

use super::current::label;
use super::open::open;
use crate::error::{Error, Result};
use crate::history::History;
use crate::job::Context;
use crate::migration::{Migrations, version_name};
use crate::report::Answer;

pub(super) async fn history(context: Context<'_>) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let current = match open(&context).await {
        Ok(mut connection) => {
            let history = History::read(&mut connection, &migrations).await;
            connection.close().await?;
            history?.current
        }
        Err(Error::DatabaseMissing { .. }) => None,
        Err(error) => return Err(error),
    };
    let database = &context.settings.database;
    let mut text = if database.exists() {
        String::new()
    } else {
        format!("There is no database at {} yet.\n", database.display())
    };
    let mut list = Vec::new();
    for migration in migrations.all() {
        let applied = Some(migration.version) <= current;
        let mark = if applied { "applied" } else { "pending" };
        let mut notes = String::new();
        if Some(migration.version) == current {
            notes.push_str(" (current)");
        }
        if Some(migration.version) == migrations.head() {
            notes.push_str(" (head)");
        }
        text.push_str(&format!("{mark}  {}{notes}\n", label(migration)));
        list.push(json!({
            "version": migration.version.to_string(),
            "alembic": migration.alembic,
            "description": migration.description,
            "applied": applied,
            "no_transaction": migration.up.no_transaction,
        }));
    }
    let facts = json!({
        "database": context.settings.database,
        "revision": version_name(current),
        "head": version_name(migrations.head()),
        "revisions": list,
    });
    Ok(Answer::new("shown", &facts, text))
}
