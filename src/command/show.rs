//! `heads` and `show`: revisions as the files have them.

use serde_json::json;

use super::current::whence;
use super::standing::{Standing, standing};
use crate::authoring;
use crate::error::{Error, Result};
use crate::job::Context;
use crate::migration::{Migration, Migrations, Script, Target, Version};
use crate::report::{Answer, table};

pub(super) fn heads(context: Context<'_>) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let mut text = String::new();
    let mut heads = Vec::new();
    if let Some(head) = migrations.all().last() {
        let id = head.alembic.as_deref().unwrap_or("-");
        text.push_str(&format!("{} {id} {}\n", head.version, head.description));
        heads.push(json!({
            "version": head.version.to_string(),
            "alembic": head.alembic,
            "description": head.description,
        }));
    }
    Ok(Answer::new("shown", &json!({ "heads": heads }), text))
}

pub(super) async fn schema(context: Context<'_>) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let head = authoring::head(&migrations, context.interrupt).await?;
    let text = authoring::schema_text(&head);
    Ok(Answer::new("shown", &json!({ "sql": text }), text.clone()))
}

pub(super) async fn show(context: Context<'_>, revision: &str, down: bool) -> Result<Answer> {
    let files = Migrations::read(&context.settings.migrations)?;
    let (known, unknown) = match standing(&context, &files).await {
        Ok(Standing::Known(known)) => (Some(known), ""),
        Ok(Standing::Newer(_)) => (None, "not known: the database is newer than the files"),
        Err(Error::DatabaseMissing { .. }) => (None, "there is no database"),
        Err(error) => return Err(error),
    };
    let migrations = known.as_ref().map_or(&files, |known| &known.migrations);
    let current = known.as_ref().and_then(|known| known.history.current);
    let migration = find(migrations, revision, current)?;
    let row = known
        .as_ref()
        .and_then(|known| known.row(migration.version));
    let applied = known.as_ref().map(|_| Some(migration.version) <= current);
    let script = if down { &migration.down } else { &migration.up };
    let words = match applied {
        None => unknown.to_owned(),
        Some(false) => "no".to_owned(),
        Some(true) => format!("yes, {}", whence(row)),
    };
    let text = text(migration, script, words);
    let declared = &script.declared;
    let facts = json!({
        "version": migration.version.to_string(),
        "alembic": migration.alembic,
        "description": migration.description,
        "up": migration.up.path,
        "down": migration.down.path,
        "applied": applied,
        "installed_on": row.and_then(|row| row.installed_on.clone()),
        "elapsed_ns": row.and_then(|row| row.elapsed_ns),
        "checksum": crate::sqlite::hex(migration.up.checksum.as_bytes()),
        "no_transaction": script.no_transaction,
        "drops": declared.drops.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "deletes": declared.deletes,
        "direction": if down { "down" } else { "up" },
        "sql": script.sql,
    });
    Ok(Answer::new("shown", &facts, text))
}

fn find<'m>(
    migrations: &'m Migrations,
    revision: &str,
    current: Option<Version>,
) -> Result<&'m Migration> {
    let version = match revision {
        "current" => current,
        name => Target::parse(name).resolve(migrations, current)?,
    };
    version
        .and_then(|version| migrations.get(version))
        .ok_or_else(|| Error::NoSuchRevision {
            given: revision.to_owned(),
            candidates: Vec::new(),
        })
}

fn text(migration: &Migration, script: &Script, applied: String) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row(
        "revision",
        format!("{} {}", migration.version, migration.description),
    );
    row(
        "alembic",
        migration.alembic.clone().unwrap_or_else(|| "-".into()),
    );
    row("up", migration.up.path.display().to_string());
    row("down", migration.down.path.display().to_string());
    row("applied", applied);
    let drops: Vec<String> = script
        .declared
        .drops
        .iter()
        .map(ToString::to_string)
        .collect();
    if !drops.is_empty() {
        row("drops", drops.join(", "));
    }
    if !script.declared.deletes.is_empty() {
        let tables: Vec<&str> = script.declared.deletes.iter().map(String::as_str).collect();
        row("deletes", format!("rows of {}", tables.join(", ")));
    }
    if script.no_transaction {
        row("runs", "outside a transaction".into());
    }
    format!("{}\n{}\n", table(&rows), script.sql.trim_end())
}
