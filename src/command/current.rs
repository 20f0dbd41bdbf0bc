//! `current`: where the database stands.

use std::path::Path;

use serde_json::json;

use super::Outcome;
use super::standing::{Known, Standing, standing};
use crate::error::{Error, NewerRevision, Problem, Result};
use crate::history::{AppliedRow, History, Origin};
use crate::job::Context;
use crate::migration::{Migration, Migrations, version_name};
use crate::report::{Answer, table};

const NS_PER_MS: i64 = 1_000_000;
/// Of a checksum, for people.
const SHORT_CHECKSUM: usize = 16;

pub(super) async fn current(
    context: Context<'_>,
    all: bool,
    verbose: bool,
    check_heads: bool,
) -> Outcome {
    match look(&context, all, verbose).await {
        Ok((answer, behind)) if check_heads => (Some(answer), behind.map_or(Ok(()), Err)),
        Ok((answer, _)) => (Some(answer), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

async fn look(context: &Context<'_>, all: bool, verbose: bool) -> Result<(Answer, Option<Error>)> {
    let files = Migrations::read(&context.settings.migrations)?;
    Ok(match standing(context, &files).await? {
        Standing::Known(known) => known_revision(context, &files, &known, all, verbose),
        Standing::Newer(newer) => (newer_revision(context, &files, &newer), None),
    })
}

fn known_revision(
    context: &Context<'_>,
    files: &Migrations,
    known: &Known,
    all: bool,
    verbose: bool,
) -> (Answer, Option<Error>) {
    let history = &known.history;
    let migration = history
        .current
        .and_then(|version| known.migrations.get(version));
    let row = history.current.and_then(|version| known.row(version));
    let pending: Vec<&Migration> = files.between(history.current, files.head()).collect();
    let is_newer = history.current > files.head();
    let label = migration.map_or_else(|| "none".to_owned(), label);
    let mark = match (is_newer, pending.is_empty()) {
        (true, _) => newer_mark(files),
        (false, true) => " (head)".into(),
        (false, false) => String::new(),
    };
    let mut text = format!("{label}{mark}\n");
    if all && !verbose {
        text.push_str(&format!("known from: {}\n", origin(history.origin)));
    }
    if verbose {
        text.push_str(&details(context, history, migration, row));
    }
    if all || verbose {
        for migration in &pending {
            text.push_str(&format!("pending: {}\n", self::label(migration)));
        }
    }
    let path = |path: &Path, stored: bool| (!stored).then(|| path.to_path_buf());
    let facts = json!({
        "database": context.settings.database,
        "revision": version_name(history.current),
        "alembic": migration.and_then(|migration| migration.alembic.clone()),
        "head": version_name(files.head()),
        "is_head": pending.is_empty() && !is_newer,
        "newer_than_files": is_newer,
        "origin": history.origin,
        "history_in_step": history.in_step,
        "pending": pending.iter().map(|m| m.version.to_string()).collect::<Vec<_>>(),
        "description": migration.map(|migration| &migration.description),
        "up": migration.and_then(|m| path(&m.up.path, m.up.stored)),
        "down": migration.and_then(|m| path(&m.down.path, m.down.stored)),
        "installed_on": row.and_then(|row| row.installed_on.as_ref()),
        "elapsed_ns": row.and_then(|row| row.elapsed_ns),
        "checksum": row.map(|row| &row.checksum),
    });
    let behind = behind(history, files, &pending);
    (Answer::new("shown", &facts, text), behind)
}

/// The files do not have the revision, and the database does not keep it either.
fn newer_revision(context: &Context<'_>, files: &Migrations, newer: &NewerRevision) -> Answer {
    let last = newer.revisions.last();
    let facts = json!({
        "database": context.settings.database,
        "revision": last.map_or("unknown", |revision| revision.version.as_str()),
        "alembic": last.map_or(newer.alembic.as_ref(), |revision| revision.alembic.as_ref()),
        "head": version_name(files.head()),
        "is_head": false,
        "newer_than_files": true,
        "origin": if last.is_some() { Origin::Recorded } else { Origin::Alembic },
        "history_in_step": false,
        "pending": [],
    });
    let text = format!("{newer}{}\n", newer_mark(files));
    Answer::new("shown", &facts, text)
}

fn newer_mark(files: &Migrations) -> String {
    let head = files.all().last().map_or_else(String::new, label);
    format!(" (newer than the files, which end at {head})")
}

/// The failure of `--check-heads`.
fn behind(history: &History, migrations: &Migrations, pending: &[&Migration]) -> Option<Error> {
    (!pending.is_empty()).then(|| Error::NotAtHead {
        message: format!(
            "the database is at {}, the head is {}",
            version_name(history.current),
            version_name(migrations.head())
        ),
        problems: pending_problems(pending),
        next: "`safestep plan` shows what is pending, `safestep run` does it.".into(),
    })
}

pub(super) fn pending_problems(pending: &[&Migration]) -> Vec<Problem> {
    let problem = |migration: &&Migration| {
        Problem::new(
            migration.version.to_string(),
            format!("{} is pending", migration.description),
        )
    };
    pending.iter().map(problem).collect()
}

fn details(
    context: &Context<'_>,
    history: &History,
    migration: Option<&Migration>,
    row: Option<&AppliedRow>,
) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut add = |name: &str, value: String| rows.push([name.to_owned(), value]);
    add("database", context.settings.database.display().to_string());
    add("known from", origin(history.origin).to_owned());
    if let Some(migration) = migration {
        add("description", migration.description.clone());
        add("up", migration.up.path.display().to_string());
        add("down", migration.down.path.display().to_string());
        add("applied", whence(row));
    }
    if let Some(row) = row {
        add("checksum", short(&row.checksum));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    table(&rows)
}

/// `007 007_drop_password_hash`, or the description where Alembic does not know it.
pub(super) fn label(migration: &Migration) -> String {
    let name = migration
        .alembic
        .as_deref()
        .unwrap_or(&migration.description);
    format!("{} {name}", migration.version)
}

/// Of a revision that only the schema or Alembic speaks of.
pub(super) const UNRECORDED: &str = "not recorded in _sqlx_migrations; the next run records it";

/// When it was applied, and who says so.
pub(super) fn whence(row: Option<&AppliedRow>) -> String {
    let at = |row: &AppliedRow| row.installed_on.clone();
    match row.and_then(|row| Some((at(row)?, row.elapsed_ns))) {
        None => UNRECORDED.to_owned(),
        Some((at, elapsed_ns)) => when(&at, elapsed_ns),
    }
}

/// `2026-11-22 19:23:50 UTC (3 ms)`
pub(super) fn when(at: &str, elapsed_ns: Option<i64>) -> String {
    match elapsed_ns {
        Some(elapsed) => format!("{at} UTC ({} ms)", elapsed / NS_PER_MS),
        None => format!("{at} UTC (recorded, not run by this tool)"),
    }
}

/// The beginning of a checksum.
pub(super) fn short(checksum: &str) -> String {
    format!("{}…", &checksum[..SHORT_CHECKSUM.min(checksum.len())])
}

pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Fresh => "nothing was ever applied",
        Origin::Recorded => "its history tables",
        Origin::Alembic => "alembic_version, confirmed by the schema; the next run takes it over",
        Origin::Schema => "its schema alone; the next run takes it over",
    }
}
