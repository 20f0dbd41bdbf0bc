//! `history`: all revisions, and which are applied.

use serde_json::{Value, json};

use super::current::{label, origin, short, whence};
use super::open::open_if_there;
use crate::error::{Error, Result};
use crate::history::{AppliedRow, History, applied_rows};
use crate::job::Context;
use crate::migration::{Migration, Migrations, Target, Version, version_name};
use crate::report::Answer;

pub(super) async fn history(
    context: Context<'_>,
    range: Option<&str>,
    verbose: bool,
) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let (history, rows) = match open_if_there(&context).await? {
        Some(mut connection) => {
            let history = History::read(&mut connection, &migrations).await;
            let rows = applied_rows(&mut connection).await;
            connection.close().await?;
            (Some(history?), rows?)
        }
        None => (None, Vec::new()),
    };
    let current = history.as_ref().and_then(|history| history.current);
    let (first, last) = bounds(&migrations, range, current)?;
    let mut text = match &history {
        None => format!(
            "There is no database at {} yet.\n",
            context.settings.database.display()
        ),
        Some(history) if verbose => format!(
            "{} is at {}, known from {}\n\n",
            context.settings.database.display(),
            version_name(current),
            origin(history.origin)
        ),
        Some(_) => String::new(),
    };
    let mut list = Vec::new();
    let chosen = |migration: &&Migration| {
        Some(migration.version) >= first && Some(migration.version) <= last
    };
    for migration in migrations.all().iter().filter(chosen) {
        let applied = Some(migration.version) <= current;
        let row = rows
            .iter()
            .find(|row| row.version == migration.version && applied);
        text.push_str(&line(&migrations, migration, current));
        if verbose {
            text.push_str(&details(migration, applied, row));
        }
        list.push(facts(migration, applied, row));
    }
    let facts = json!({
        "database": context.settings.database,
        "revision": version_name(current),
        "head": version_name(migrations.head()),
        "origin": history.map(|history| history.origin),
        "revisions": list,
    });
    Ok(Answer::new("shown", &facts, text))
}

fn line(migrations: &Migrations, migration: &Migration, current: Option<Version>) -> String {
    let applied = Some(migration.version) <= current;
    let mark = if applied { "applied" } else { "pending" };
    let mut notes = String::new();
    if Some(migration.version) == current {
        notes.push_str(" (current)");
    }
    if Some(migration.version) == migrations.head() {
        notes.push_str(" (head)");
    }
    format!("{mark}  {}{notes}\n", label(migration))
}

fn details(migration: &Migration, applied: bool, row: Option<&AppliedRow>) -> String {
    let mut text = String::new();
    let mut add =
        |name: &str, value: &str| text.push_str(&format!("         {name:<12} {value}\n"));
    add("description", &migration.description);
    add("up", &migration.up.path.display().to_string());
    add("down", &migration.down.path.display().to_string());
    if applied {
        add("applied", &whence(row));
    }
    if let Some(row) = row {
        add("checksum", &short(&row.checksum));
    }
    if migration.up.no_transaction {
        add("runs", "outside a transaction");
    }
    text
}

fn facts(migration: &Migration, applied: bool, row: Option<&AppliedRow>) -> Value {
    json!({
        "version": migration.version.to_string(),
        "alembic": migration.alembic,
        "description": migration.description,
        "applied": applied,
        "no_transaction": migration.up.no_transaction,
        "up": migration.up.path,
        "down": migration.down.path,
        "installed_on": row.and_then(|row| row.installed_on.as_ref()),
        "elapsed_ns": row.and_then(|row| row.elapsed_ns),
        "checksum": row.map(|row| &row.checksum),
    })
}

/// The first and the last revision of a range; either side may be left out, and both belong to it, as in Alembic.
fn bounds(
    migrations: &Migrations,
    range: Option<&str>,
    current: Option<Version>,
) -> Result<(Option<Version>, Option<Version>)> {
    let Some(range) = range else {
        return Ok((None, migrations.head()));
    };
    let (first, last) = range.split_once(':').ok_or_else(|| Error::Usage {
        message: format!("'{range}' is no range of revisions"),
        hint: "Write <from>:<to>, for example 003:head, 003: or :current.".into(),
    })?;
    let find = |name: &str| match name {
        "current" => Ok(current),
        name => Target::parse(name).resolve(migrations, current),
    };
    let first = if first.is_empty() { None } else { find(first)? };
    let last = if last.is_empty() {
        migrations.head()
    } else {
        find(last)?
    };
    Ok((first, last))
}
