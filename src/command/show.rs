//! `heads` and `show`: revisions as the files have them.

use serde_json::json;

use super::current::{when, whence};
use super::open::open_if_there;
use crate::error::{Error, Result};
use crate::history::{AppliedRow, History, applied_rows};
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

/// What the database says of one revision.
struct Standing {
    applied: bool,
    row: Option<AppliedRow>,
}

pub(super) async fn show(context: Context<'_>, revision: &str, down: bool) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let (current, rows) = match open_if_there(&context).await? {
        Some(mut connection) => {
            let history = History::read(&mut connection, &migrations).await;
            let rows = applied_rows(&mut connection).await;
            connection.close().await?;
            (Some(history?.current), rows?)
        }
        None => (None, Vec::new()),
    };
    let migration = find(&migrations, revision, current.flatten())?;
    let standing = current.map(|current| Standing {
        applied: Some(migration.version) <= current,
        row: rows
            .into_iter()
            .find(|row| row.version == migration.version),
    });
    let script = if down { &migration.down } else { &migration.up };
    let text = text(migration, script, standing.as_ref());
    let row = standing.as_ref().and_then(|standing| standing.row.as_ref());
    let declared = &script.declared;
    let facts = json!({
        "version": migration.version.to_string(),
        "alembic": migration.alembic,
        "description": migration.description,
        "up": migration.up.path,
        "down": migration.down.path,
        "applied": standing.as_ref().map(|standing| standing.applied),
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

fn text(migration: &Migration, script: &Script, standing: Option<&Standing>) -> String {
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
    row(
        "applied",
        match standing {
            None => "there is no database".into(),
            Some(Standing { applied: false, .. }) => "no".into(),
            Some(Standing { row: None, .. }) => format!("yes, {}", whence(None)),
            Some(Standing { row: Some(row), .. }) => format!("yes, {}", when(row)),
        },
    );
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
