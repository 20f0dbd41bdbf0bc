//! `….job.json`: the record of a job. Audit trail, crash journal and catalogue entry in one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT_VERSION, Manifest, require_format};
use super::names::RECORD;
use crate::clock::Stamp;
use crate::error::{Error, Result, is_something_else};
use crate::fault::{self, Point};
use crate::storage;

const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// What a job does to the database; decides what its recovery may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// One transaction: SQLite itself undoes it after a crash.
    Transactional,
    /// Has statements outside a transaction: after a crash the snapshot is put back.
    NonTransactional,
    /// Puts a backup back, in one transaction.
    Restore,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// A word of the JSON document's `outcome`.
    pub outcome: String,
    /// The process's exit code.
    pub exit_code: u8,
    /// The message, when it failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl Outcome {
    /// An end that comes now.
    #[must_use]
    pub fn now(outcome: &str, error: Option<&Error>) -> Self {
        Self {
            finished_at: Stamp::now().rfc3339(),
            outcome: outcome.to_owned(),
            exit_code: error.map_or(0, Error::exit_code),
            error: error.map(ToString::to_string),
        }
    }
}

/// The record of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// As in the file names.
    pub id: String,
    /// What the names of its files begin with.
    pub stem: String,
    /// What it does.
    pub kind: JobKind,
    /// The process that ran it.
    pub pid: u32,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The snapshot that it took, also of the database and the revisions.
    pub manifest: Manifest,
    /// The name of an earlier backup with the same content, where the snapshot was not kept a second time.
    #[serde(default)]
    pub same_as: Option<String>,
    /// Missing while the job runs, and for ever if it was cut short.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

impl JobRecord {
    pub(super) fn new(id: String, stem: String, kind: JobKind, manifest: Manifest) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            id,
            stem,
            kind,
            pid: std::process::id(),
            started_at: Stamp::now().rfc3339(),
            manifest,
            same_as: None,
            outcome: None,
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let unusable = |reason: String| Error::RecordUnusable {
            record: path.to_path_buf(),
            reason,
        };
        let bytes = storage::read_bounded(path, LIMIT_BYTES).map_err(|error| match error {
            Error::Io { source, .. } if is_something_else(&source) => unusable(source.to_string()),
            other => other,
        })?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
        require_format(&value).map_err(unusable)?;
        let record: Self =
            serde_json::from_value(value).map_err(|error| unusable(error.to_string()))?;
        record.check(path).map_err(unusable)?;
        Ok(record)
    }

    /// The names of its files are made of it: they must be those beside it.
    fn check(&self, path: &Path) -> std::result::Result<(), String> {
        if storage::name_of(path) != format!("{}{RECORD}", self.stem) {
            return Err(format!("it is the record of '{}'", self.stem));
        }
        self.manifest.check()
    }

    /// Writes it durably: after a crash it is wholly there or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        storage::replace_durably(path, &text)
    }

    /// Writes how the job ended.
    pub fn close(mut self, path: &Path, outcome: Outcome) -> Result<Self> {
        self.outcome = Some(outcome);
        self.write(path)?;
        fault::reach(Point::OutcomeWritten);
        Ok(self)
    }
}
