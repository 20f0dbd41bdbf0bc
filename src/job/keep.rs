//! Turning the raw snapshot into a backup while the job goes on.

use std::path::Path;

use tokio::task::JoinHandle;

use super::Context;
use super::report::{BackupSummary, Report};
use crate::catalog::{self, Backup, Catalog, JobRecord, Manifest, Outcome, Slot};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::snapshot::Snapshot;
use crate::sqlite::Interrupt;

/// A snapshot that is being archived on another thread.
pub(super) struct Keeping {
    task: JoinHandle<Result<Kept>>,
    interrupt: Interrupt,
}

/// Where the content of a snapshot is kept.
pub(super) struct Kept {
    pub(super) backup: Backup,
    /// It is an earlier backup of the same content.
    pub(super) reused: bool,
}

impl Keeping {
    /// Starts. A job that fails again and again on the same state finds its first snapshot and makes no second archive.
    pub(super) fn start(catalog: &Catalog, snapshot: &Snapshot) -> Self {
        let interrupt = Interrupt::default();
        let (catalog, snapshot, stop) = (catalog.clone(), snapshot.clone(), interrupt.clone());
        let task = tokio::task::spawn_blocking(move || {
            keep(&catalog, &snapshot.slot, &snapshot.manifest, &stop)
        });
        Self { task, interrupt }
    }

    /// Waits for the archive. After a signal it is given up: the raw snapshot stays and the next job archives it.
    pub(super) async fn finish(self, signal: &Interrupt) -> Result<Kept> {
        if let Some(number) = signal.signal() {
            self.interrupt.raise(number);
        }
        let mut task = self.task;
        loop {
            tokio::select! {
                done = &mut task => return done.unwrap_or_else(|panic| Err(Error::Usage {
                    message: format!("the archiving thread died: {panic}"),
                    hint: "This is a defect of safestep; please report it.".into(),
                })),
                () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {
                    if let Some(number) = signal.signal() {
                        self.interrupt.raise(number);
                    }
                }
            }
        }
    }
}

/// Archives the raw snapshot of `slot`, where no backup of the same content is there and readable.
pub(super) fn keep(
    catalog: &Catalog,
    slot: &Slot,
    manifest: &Manifest,
    interrupt: &Interrupt,
) -> Result<Kept> {
    if let Some(twin) = catalog.twin_of(manifest)?
        && catalog::verify(&twin.path, &twin.manifest, interrupt).is_ok()
    {
        fault::reach(Point::ArchiveReused);
        return Ok(Kept {
            backup: twin,
            reused: true,
        });
    }
    let backup = catalog.archive(slot, manifest, interrupt)?;
    Ok(Kept {
        backup,
        reused: false,
    })
}

/// What becomes of the raw snapshot when it is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    Goes,
    /// The next start needs it.
    Stays,
}

/// Waits for the archive and reports it. An archive that fails is a warning: the job's own outcome stands, and the raw
/// snapshot stays.
pub(super) async fn settle(
    keeping: Keeping,
    (snapshot, raw): (&Snapshot, Raw),
    signal: &Interrupt,
    report: &mut Report,
) -> Option<String> {
    match keeping.finish(signal).await {
        Ok(kept) => {
            if raw == Raw::Goes
                && let Err(error) = catalog::discard_database(&snapshot.path())
            {
                let message = format!("the raw snapshot stays until the next job: {error}");
                report.warnings.push(Problem::new("backup", message));
            }
            fault::reach(Point::ArchiveSettled);
            report.backup = Some(BackupSummary::of(&kept.backup, kept.reused));
            kept.reused.then_some(kept.backup.manifest.id)
        }
        Err(error) => {
            report.warnings.push(Problem::new(
                "backup",
                format!(
                    "the snapshot could not be archived ({error}); it stays uncompressed at {} and the next job archives it",
                    snapshot.path().display()
                ),
            ));
            None
        }
    }
}

/// Writes how a job ended. Where that fails, on a full disk for instance, it is a warning: what was done to the database
/// stands, and the next start finds out what it was.
pub(super) fn close(record: JobRecord, path: &Path, outcome: Outcome, report: &mut Report) {
    if let Err(error) = record.close(path, outcome) {
        report.warnings.push(Problem::new(
            "record",
            format!("the end of the job could not be recorded ({error}); the next job does it"),
        ));
    }
}

/// Removes the backups beyond those that are to be kept. Where that fails it is a warning, as above.
pub(super) fn prune(context: &Context<'_>, spared: Option<&Path>, report: &mut Report) {
    if let Err(error) = context.catalog().prune(context.settings.keep, spared) {
        let message = format!("old backups could not be removed: {error}");
        report.warnings.push(Problem::new("backups", message));
    }
}
