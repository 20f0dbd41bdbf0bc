//! `history`: all revisions, and which are applied.

use serde::Serialize;
use serde_json::json;

use super::standing::{Standing, standing};
use crate::error::{Error, NewerRevision, Result};
use crate::job::Context;
use crate::migration::{Migration, Migrations, Version, version_name};
use crate::report::Answer;

pub(super) async fn history(context: Context<'_>) -> Result<Answer> {
    let files = Migrations::read(&context.settings.migrations)?;
    let database = &context.settings.database;
    let standing = match standing(&context, &files).await {
        Ok(standing) => Some(standing),
        Err(Error::DatabaseMissing { .. }) => None,
        Err(error) => return Err(error),
    };
    let intro = match &standing {
        None => format!("There is no database at {} yet.\n", database.display()),
        Some(_) => String::new(),
    };
    let (current, entries) = match standing {
        None => (version_name(None), entries(&files, &files, None)),
        Some(Standing::Known(history, known)) => (
            version_name(history.current),
            entries(&files, &known, history.current),
        ),
        Some(Standing::Newer(newer)) => (newest(&newer), entries_below(&files, &newer)),
    };
    let text: String = entries.iter().map(Entry::line).collect();
    let facts = json!({
        "database": database,
        "revision": current,
        "head": version_name(files.head()),
        "revisions": entries,
    });
    Ok(Answer::new("shown", &facts, format!("{intro}{text}")))
}

/// A line of the list.
#[derive(Serialize)]
struct Entry {
    version: String,
    alembic: Option<String>,
    description: String,
    /// Missing where only a revision above is known.
    applied: Option<bool>,
    /// Only known of a script that can be read.
    no_transaction: Option<bool>,
    /// Whether the folder has it.
    in_files: bool,
    #[serde(skip)]
    notes: String,
}

impl Entry {
    fn new(migration: &Migration, files: &Migrations, applied: Option<bool>) -> Self {
        let is_head = Some(migration.version) == files.head();
        Self {
            version: migration.version.to_string(),
            alembic: migration.alembic.clone(),
            description: migration.description.clone(),
            applied,
            no_transaction: Some(migration.up.no_transaction),
            in_files: !migration.up.stored,
            notes: if is_head { " (head)" } else { "" }.into(),
        }
    }

    fn line(&self) -> String {
        let mark = match self.applied {
            Some(true) => "applied",
            Some(false) => "pending",
            None => "unknown",
        };
        let name = self.alembic.as_deref().unwrap_or(&self.description);
        let origin = if self.in_files {
            ""
        } else {
            " (not among the files)"
        };
        format!("{mark}  {} {name}{}{origin}\n", self.version, self.notes)
    }
}

fn entries(files: &Migrations, known: &Migrations, current: Option<Version>) -> Vec<Entry> {
    let entry = |migration: &Migration| {
        let applied = Some(migration.version) <= current;
        let mut entry = Entry::new(migration, files, Some(applied));
        if Some(migration.version) == current {
            entry.notes.insert_str(0, " (current)");
        }
        entry
    };
    known.all().iter().map(entry).collect()
}

/// All files are applied where rows of sqlx go on above them; where only Alembic names an unknown revision, nobody knows.
fn entries_below(files: &Migrations, newer: &NewerRevision) -> Vec<Entry> {
    let applied = (!newer.revisions.is_empty()).then_some(true);
    let below = files
        .all()
        .iter()
        .map(|migration| Entry::new(migration, files, applied));
    let above = newer.revisions.iter().map(|revision| Entry {
        version: revision.version.clone(),
        alembic: revision.alembic.clone(),
        description: revision.description.clone(),
        applied: Some(true),
        no_transaction: None,
        in_files: false,
        notes: if newest(newer) == revision.version {
            " (current)".into()
        } else {
            String::new()
        },
    });
    let by_alembic = newer
        .alembic
        .iter()
        .filter(|_| newer.revisions.is_empty())
        .map(|id| Entry {
            version: "unknown".into(),
            alembic: Some(id.clone()),
            description: String::new(),
            applied: Some(true),
            no_transaction: None,
            in_files: false,
            notes: " (current)".into(),
        });
    below.chain(above).chain(by_alembic).collect()
}

fn newest(newer: &NewerRevision) -> String {
    newer
        .revisions
        .last()
        .map_or_else(|| "unknown".into(), |last| last.version.clone())
}
