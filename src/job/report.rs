//! What a job did: the facts behind the human output and the JSON document.

use serde::Serialize;

use super::clock::Clock;
use super::offsite::Copies;
use crate::catalog::{Backup, JobId};
use crate::enums::Normalised;
use crate::error::{Problem, Result};
use crate::migrator::Direction;
use crate::restore::Proof;

/// Filled in as the job goes, so that it tells of a failed job, too.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The job's name; also that of its record and its backup, and in each of its log lines.
    pub job: JobId,
    /// `migrated`, `normalised`, `adopted`, `created`, `stamped`, `repaired`, `nothing_to_do`, `restored`,
    /// `backed_up`, `failed`.
    pub outcome: &'static str,
    /// The database's path.
    pub database: String,
    /// What a command must be followed by to mean this database.
    #[serde(skip)]
    pub flags: String,
    /// The revision before; `none` when nothing was applied.
    pub from: Option<String>,
    /// The revision after; on failure, where it was going.
    pub to: Option<String>,
    /// The migrations that were run.
    pub applied: Vec<Applied>,
    /// The enum values that were put right.
    pub normalised: Vec<Normalised>,
    /// Where there was nothing to do: tables too large to look at their enum columns for that.
    pub not_surveyed: Vec<String>,
    /// Of a repair: the files that were changed after they were applied.
    pub changed: Vec<Problem>,
    /// Things to know that are no failure.
    pub warnings: Vec<Problem>,
    /// The backup that was made, or that already held this state.
    pub backup: Option<BackupSummary>,
    /// What became of the copies off site; null where there is no place for them, or nothing was to be copied.
    pub offsite: Option<Copies>,
    /// Of a restore: the id of the backup that is put back.
    pub restored: Option<String>,
    /// After a failure or a restore: that the database equals the snapshot.
    pub proof: Option<Proof>,
    /// What was found of earlier jobs that were cut short, and what was done about it.
    pub recovered: Vec<String>,
    /// On failure: an earlier job that was cut short halfway and could not be put right yet.
    pub cut_short: Option<String>,
    /// How long each phase took, one after another.
    pub phases: Vec<Phase>,
    /// How long writers were kept out, in milliseconds: from having the write lock to having given it up.
    pub blocked_ms: u64,
    /// How long the job took, in milliseconds.
    pub elapsed_ms: u64,
    /// Bytes of the database when the job began; `None` where it did not come to look.
    pub database_bytes: Option<u64>,
    /// How fast the snapshot of it was taken.
    pub snapshot_bytes_per_second: Option<u64>,
    #[serde(skip)]
    pub(crate) clock: Clock,
}

/// Of the highest level: it is to be there with every line that is.
pub(super) fn span(job: &JobId, database: &str) -> tracing::Span {
    tracing::error_span!("job", job = %job, database)
}

impl Report {
    /// What the log lines of the job say that they belong to. `database` has to be set.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        span(&self.job, &self.database)
    }

    /// Takes down what failed beside the job's own work, when that was already done or had already failed. The next job
    /// makes up for it.
    pub(super) fn note<T>(&mut self, what: &str, done: Result<T>) -> Option<T> {
        done.map_err(|error| {
            let message =
                format!("{error}; the job's own outcome stands, and the next job makes up for it");
            self.warnings.push(Problem::new(what, message));
        })
        .ok()
    }
}

/// A migration that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Its number.
    pub version: String,
    /// What its file name says.
    pub description: String,
    /// Up or down.
    pub direction: Direction,
    /// Milliseconds.
    pub ms: u64,
}

/// A phase and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Milliseconds.
    pub ms: u64,
    /// The same in microseconds.
    pub us: u64,
    /// Whether writers were kept out meanwhile.
    pub blocking: bool,
}

/// Where a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// The short name that `restore` takes.
    pub id: String,
    /// The archive.
    pub path: String,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the database in it.
    pub database_bytes: u64,
    /// Whether it is an earlier backup of the same content, kept instead of a second copy.
    pub reused: bool,
}

impl BackupSummary {
    pub(super) fn of(backup: &Backup, reused: bool) -> Self {
        Self {
            id: backup.manifest.id.clone(),
            path: backup.path.display().to_string(),
            archive_bytes: backup.archive_bytes,
            database_bytes: backup.manifest.size_bytes,
            reused,
        }
    }
}
