//! `history`: all revisions, and which are applied.

use serde_json::json;

use super::current::{label, open};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::history::History;
use crate::migration::{Migrations, version_name};
use crate::report::Answer;

pub(super) async fn history(config: &Config) -> Result<Answer> {
    let migrations = Migrations::read(&config.settings.migrations)?;
    let current = match open(config).await {
        Ok(mut connection) => {
            let history = History::read(&mut connection, &migrations).await;
            connection.close().await?;
            history?.current
        }
        Err(Error::DatabaseMissing { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut text = String::new();
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
        "database": config.settings.database,
        "revision": version_name(current),
        "head": version_name(migrations.head()),
        "revisions": list,
    });
    Ok(Answer::new("shown", &facts, text))
}
