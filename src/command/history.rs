//! `history`: all revisions, and which are applied.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::current::{UNRECORDED, origin as name_of_origin, short, when};
use super::standing::{Known, Standing, standing};
use crate::error::{Error, NewerRevision, Result};
use crate::job::Context;
use crate::migration::{Migration, Migrations, Target, Version, version_name};
use crate::report::Answer;

pub(super) async fn history(
    context: Context<'_>,
    range: Option<&str>,
    verbose: bool,
) -> Result<Answer> {
    let files = Migrations::read(&context.settings.migrations)?;
    let database = &context.settings.database;
    let standing = match standing(&context, &files).await {
        Ok(standing) => Some(standing),
        Err(Error::DatabaseMissing { .. }) => None,
        Err(error) => return Err(error),
    };
    let origin = match &standing {
        Some(Standing::Known(known)) => Some(known.history.origin),
        _ => None,
    };
    let (current, entries) = match standing {
        None => (version_name(None), entries(&files, None, range)?),
        Some(Standing::Known(known)) => (
            version_name(known.history.current),
            entries(&files, Some(&known), range)?,
        ),
        Some(Standing::Newer(newer)) => (newest(&newer), entries_below(&files, &newer)),
    };
    let intro = match origin {
        None if current == version_name(None) => {
            format!("There is no database at {} yet.\n", database.display())
        }
        Some(origin) if verbose => format!(
            "{} is at {current}, known from {}\n\n",
            database.display(),
            name_of_origin(origin)
        ),
        _ => String::new(),
    };
    let text: String = entries.iter().map(|entry| entry.text(verbose)).collect();
    let facts = json!({
        "database": database,
        "revision": current,
        "head": version_name(files.head()),
        "origin": origin,
        "revisions": entries,
    });
    Ok(Answer::new("shown", &facts, format!("{intro}{text}")))
}

/// A line of the list.
#[derive(Default, Serialize)]
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
    up: Option<PathBuf>,
    down: Option<PathBuf>,
    /// In UTC.
    installed_on: Option<String>,
    elapsed_ns: Option<i64>,
    checksum: Option<String>,
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
            up: (!migration.up.stored).then(|| migration.up.path.clone()),
            down: (!migration.down.stored).then(|| migration.down.path.clone()),
            notes: if is_head { " (head)" } else { "" }.into(),
            ..Self::default()
        }
    }

    fn text(&self, verbose: bool) -> String {
        let mut text = self.line();
        if verbose {
            text.push_str(&self.details());
        }
        text
    }

    fn details(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let rows = [
            ("description", Some(self.description.clone())),
            ("up", path(&self.up)),
            ("down", path(&self.down)),
            ("applied", self.whence()),
            ("checksum", self.checksum.as_deref().map(short)),
            (
                "runs",
                (self.no_transaction == Some(true)).then(|| "outside a transaction".into()),
            ),
        ];
        rows.into_iter()
            .filter_map(|(name, value)| Some(format!("         {name:<12} {}\n", value?)))
            .collect()
    }

    fn whence(&self) -> Option<String> {
        (self.applied == Some(true)).then(|| match &self.installed_on {
            None => UNRECORDED.to_owned(),
            Some(at) => when(at, self.elapsed_ns),
        })
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

fn entries(files: &Migrations, known: Option<&Known>, range: Option<&str>) -> Result<Vec<Entry>> {
    let current = known.and_then(|known| known.history.current);
    let all = known.map_or(files, |known| &known.migrations);
    let (first, last) = bounds(all, range, current)?;
    let entry = |migration: &Migration| {
        let applied = Some(migration.version) <= current;
        let row = known.and_then(|known| known.row(migration.version));
        let mut entry = Entry::new(migration, files, Some(applied));
        entry.installed_on = row.and_then(|row| row.installed_on.clone());
        entry.elapsed_ns = row.and_then(|row| row.elapsed_ns);
        entry.checksum = row.map(|row| row.checksum.clone());
        if Some(migration.version) == current {
            entry.notes.insert_str(0, " (current)");
        }
        entry
    };
    let chosen = all
        .all()
        .iter()
        .filter(|migration| Some(migration.version) >= first && Some(migration.version) <= last);
    Ok(chosen.map(entry).collect())
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
        ..Entry::default()
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
            ..Entry::default()
        });
    below.chain(above).chain(by_alembic).collect()
}

fn newest(newer: &NewerRevision) -> String {
    newer
        .revisions
        .last()
        .map_or_else(|| "unknown".into(), |last| last.version.clone())
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
