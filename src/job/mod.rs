//! The jobs: the only modules that know the order in which things happen.
//!
//! ```text
//! check files -> look -> [window] -> job lock -> recover -> [estimate] -> [WAL: snapshot, fsync, read back, [copy off site]]
//!   -> write lock -> history under the lock -> [where it is of another state: snapshot, fsync, read back, [copy off site]]
//!   -> job record -> migrate -> normalise -> verify -> history -> COMMIT -> verify again -> outcome -> archive -> prune
//!   -> locks given up -> [copies off site] -> report
//! ```

mod backup;
mod change;
mod changed;
mod clock;
mod draft;
mod early;
mod examine;
mod finish;
mod keep;
mod migrate;
mod offsite;
mod prune;
mod recover;
mod report;
mod restore;
mod room;
mod run;
mod settings;
mod standing;
mod task;
mod times;
mod verify;
mod work;

use std::path::Path;

use crate::catalog::{Catalog, JobId, JobKind, JobRecord};
use crate::clock::{Deadline, Stopwatch};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::snapshot::Surroundings;
use crate::sqlite::Interrupt;
use crate::storage::{self, JobLock, PathKind};

pub use backup::backup;
pub use changed::changed_files;
pub use migrate::{migrate, migrate_with, repair, stamp};
pub use offsite::{
    At, Copies, Fetching, Shelf, Upload, fetch, open_shelf, prune_remote, reach, upload,
    verify_remote,
};
pub use prune::{Judged, Pruning, prune};
pub use report::{Applied, BackupSummary, Phase, Report};
pub use restore::{gather, restore};
pub use run::Files;
pub use settings::Settings;
pub use standing::at_head;
pub use task::{Goal, Stamp};
pub use times::Times;
pub use verify::{Checked, Chosen, Verification, verify};

const SMALLEST_PAGE_BYTES: u64 = 512;
/// Between two looks at `/proc` for the holders of a database.
const LOOK_MS: u64 = 2_000;

/// A job's surroundings.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What it works on.
    pub settings: &'a Settings,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// Hears what is going on.
    pub monitor: &'a dyn Monitor,
}

impl Context<'_> {
    fn database(&self) -> &Path {
        &self.settings.database
    }

    /// What the log lines of a job without a [`Report`] say that they belong to.
    fn span(&self, job: &JobId) -> tracing::Span {
        report::span(job, &self.database().display().to_string())
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.settings.lock_timeout)
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            deadline: self.deadline(),
            interrupt: self.interrupt,
            monitor: self.monitor,
        }
    }

    fn catalog(&self) -> Catalog {
        self.settings.catalog()
    }

    async fn job_lock(&self) -> Result<JobLock> {
        JobLock::acquire(self.database(), self.deadline(), self.job_notice()).await
    }

    async fn catalog_lock(&self) -> Result<JobLock> {
        let catalog = self.catalog();
        catalog.prepare()?;
        JobLock::acquire_folder(catalog.folder(), self.deadline(), self.job_notice()).await
    }

    /// Says who works on it, once as a notice and then for as long as it lasts.
    fn job_notice(&self) -> impl FnMut(&str) -> Result<()> {
        let deadline = self.deadline();
        let mut told = false;
        move |holder| {
            if !told {
                self.monitor.notice(&format!(
                    "waiting for another safestep job to finish: {holder}"
                ));
                told = true;
            }
            self.monitor.step(&held_by(holder, deadline));
            let waited = || format!("while it waited for another safestep job: {holder}");
            self.interrupt.check().map_err(|error| error.during(waited))
        }
    }

    /// Says who is in the way, once as a notice and then for as long as it lasts; it may become somebody else.
    pub(crate) fn wait_notice(&self) -> impl FnMut() {
        let deadline = self.deadline();
        let mut seen: Option<(Stopwatch, String)> = None;
        move || {
            let is_fresh = |(looked, _): &(Stopwatch, String)| looked.elapsed_ms() < LOOK_MS;
            let first = seen.is_none();
            let (looked, who) = match seen.take() {
                Some(fresh) if is_fresh(&fresh) => fresh,
                _ => (Stopwatch::start(), self.holders()),
            };
            if first {
                self.monitor
                    .notice(&format!("waiting for the database, which is held by {who}"));
            }
            self.monitor.step(&held_by(&who, deadline));
            seen = Some((looked, who));
        }
    }

    fn holders(&self) -> String {
        let holders = storage::holders_of(self.database());
        if holders.is_empty() {
            return "a process that cannot be seen from here".to_owned();
        }
        let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    /// Refuses what is no regular file. Whether the database exists.
    fn look_at_database(&self) -> Result<bool> {
        let unusable = |detail: &str| Error::NotADatabase {
            path: self.database().to_path_buf(),
            detail: detail.to_owned(),
        };
        match storage::kind(self.database())? {
            PathKind::File(_) => Ok(true),
            PathKind::Missing => Ok(false),
            PathKind::Folder => Err(unusable("it is a folder")),
            PathKind::Special => Err(unusable("it is no regular file")),
        }
    }

    /// As [`Self::require_database`], and refuses a file that is empty, unless a new database is to be built in it, or too
    /// small: SQLite takes both for a database without a table.
    pub(crate) fn require_content(&self) -> Result<()> {
        self.require_database()?;
        let detail = match storage::kind(self.database())? {
            PathKind::File(0) if self.settings.create_if_missing => return Ok(()),
            PathKind::File(0) => {
                "the file is empty (--create-if-missing would build a new database in it)"
                    .to_owned()
            }
            PathKind::File(bytes @ ..SMALLEST_PAGE_BYTES) => {
                format!(
                    "it has {bytes} bytes, and no database has fewer than {SMALLEST_PAGE_BYTES}"
                )
            }
            _ => return Ok(()),
        };
        Err(Error::NotADatabase {
            path: self.database().to_path_buf(),
            detail,
        })
    }

    /// Refuses to look at a database that a job outside a transaction has left halfway. One that is still running has
    /// the file for itself, and whoever looks waits for it.
    pub(crate) fn require_whole(&self) -> Result<()> {
        let is_running = !matches!(JobLock::holder(self.database()), Ok(None));
        match self.halfway()? {
            Some(record) if !is_running => Err(Error::Halfway {
                job: record.id,
                from: record.manifest.from,
                to: record.manifest.to,
            }),
            _ => Ok(()),
        }
    }

    /// The record of a job outside a transaction that has no outcome.
    fn halfway(&self) -> Result<Option<JobRecord>> {
        let records = self.catalog().own_records()?;
        Ok(records
            .into_iter()
            .find(|record| record.outcome.is_none() && record.kind == JobKind::NonTransactional))
    }

    fn require_database(&self) -> Result<()> {
        if self.look_at_database()? {
            return Ok(());
        }
        Err(Error::DatabaseMissing {
            path: self.database().to_path_buf(),
        })
    }
}

/// How a wait stands; the time first, which has to be seen on a narrow terminal, too.
fn held_by(who: &str, deadline: Deadline) -> String {
    let left = deadline.remaining().unwrap_or_default();
    format!("{} s left, held by {who}", left.as_secs())
}
