//! `current`: where the database stands.

use serde_json::json;

use super::standing::{Standing, standing};
use crate::error::{NewerRevision, Result};
use crate::history::{History, Origin};
use crate::job::Context;
use crate::migration::{Migration, Migrations, version_name};
use crate::report::Answer;

pub(super) async fn current(context: Context<'_>, all: bool) -> Result<Answer> {
    let files = Migrations::read(&context.settings.migrations)?;
    Ok(match standing(&context, &files).await? {
        Standing::Known(history, known) => known_revision(&context, &files, &known, &history, all),
        Standing::Newer(newer) => newer_revision(&context, &files, &newer),
    })
}

fn known_revision(
    context: &Context<'_>,
    files: &Migrations,
    known: &Migrations,
    history: &History,
    all: bool,
) -> Answer {
    let migration = history.current.and_then(|version| known.get(version));
    let pending: Vec<&Migration> = files.between(history.current, files.head()).collect();
    let is_newer = history.current > files.head();
    let label = migration.map_or_else(|| "none".to_owned(), label);
    let mark = match (is_newer, pending.is_empty()) {
        (true, _) => newer_mark(files),
        (false, true) => " (head)".into(),
        (false, false) => String::new(),
    };
    let mut text = format!("{label}{mark}\n");
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
        "head": version_name(files.head()),
        "is_head": pending.is_empty() && !is_newer,
        "newer_than_files": is_newer,
        "origin": history.origin,
        "history_in_step": history.in_step,
        "pending": pending.iter().map(|m| m.version.to_string()).collect::<Vec<_>>(),
    });
    Answer::new("shown", &facts, text)
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
