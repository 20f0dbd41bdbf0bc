//! `current`: where the database stands.

use serde_json::json;

use super::open::open;
use crate::error::Result;
use crate::history::{History, Origin};
use crate::job::Context;
use crate::migration::{Migration, Migrations, version_name};
use crate::report::Answer;

pub(super) async fn current(context: Context<'_>, all: bool) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let mut connection = open(&context).await?;
    let history = History::read(&mut connection, &migrations).await;
    connection.close().await?;
    let history = history?;
    let migration = history.current.and_then(|version| migrations.get(version));
    let pending: Vec<&Migration> = migrations
        .between(history.current, migrations.head())
        .collect();
    let label = migration.map_or_else(|| "none".to_owned(), label);
    let head = if pending.is_empty() { " (head)" } else { "" };
    let mut text = format!("{label}{head}\n");
    if all {
        text.push_str(&format!("known from: {}\n", origin(history.origin)));
        for migration in &pending {
            text.push_str(&format!("pending: {}\n", self::label(migration)));
        }
    }
    let facts = json!({
        "database": context.settings.database,
        "revision": version_name(history.current),
        "alembic": migration.and_then(|migration| migration.alembic.clone()),
        "head": version_name(migrations.head()),
        "is_head": pending.is_empty(),
        "origin": history.origin,
        "history_in_step": history.in_step,
        "pending": pending.iter().map(|m| m.version.to_string()).collect::<Vec<_>>(),
    });
    Ok(Answer::new("shown", &facts, text))
}

/// `007 007_drop_password_hash`, or the description where Alembic does not know it.
pub(super) fn label(migration: &Migration) -> String {
    let name = migration
        .alembic
        .as_deref()
        .unwrap_or(&migration.description);
    format!("{} {name}", migration.version)
}

pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Fresh => "nothing was ever applied",
        Origin::Recorded => "its history tables",
        Origin::Alembic => "alembic_version, confirmed by the schema; the next run takes it over",
        Origin::Schema => "its schema alone; the next run takes it over",
    }
}
