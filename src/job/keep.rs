//! Turning the raw snapshot into a backup while the job goes on.

use super::report::{BackupSummary, Report};
use crate::beside::Beside;
use crate::catalog::{self, Backup, Catalog, Manifest, Slot};
use crate::error::{Problem, Result};
use crate::fault::{self, Point};
use crate::snapshot::Snapshot;
use crate::sqlite::Interrupt;

/// Where the content of a snapshot is kept.
pub(super) struct Kept {
    pub(super) backup: Backup,
    /// It is an earlier backup of the same content.
    pub(super) reused: bool,
}

/// A snapshot that is being archived on another thread. After a signal it is given up: the raw snapshot stays and the next
/// job archives it.
pub(super) type Keeping = Beside<Kept>;

/// Starts. A job that fails again and again on the same state finds its first snapshot and makes no second archive.
pub(super) fn start(catalog: &Catalog, snapshot: &Snapshot) -> Keeping {
    let (catalog, snapshot) = (catalog.clone(), snapshot.clone());
    Beside::start_blocking(move |stop| keep(&catalog, &snapshot.slot, &snapshot.manifest, stop))
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

/// Waits for the archive and reports it. The id of an earlier backup that holds the same, if there is one.
pub(super) async fn archived(
    keeping: Keeping,
    signal: &Interrupt,
    report: &mut Report,
) -> Result<Option<String>> {
    let kept = keeping.finish(signal).await?;
    report.backup = Some(BackupSummary::of(&kept.backup, kept.reused));
    Ok(kept.reused.then_some(kept.backup.manifest.id))
}

/// As [`archived`]; then the raw snapshot may go, unless the job's record is still `open`: its recovery would need it. An
/// archive that fails is a warning: the job's own outcome stands, and the raw snapshot stays.
pub(super) async fn settle(
    keeping: Keeping,
    snapshot: &Snapshot,
    open: bool,
    signal: &Interrupt,
    report: &mut Report,
) -> Option<String> {
    match archived(keeping, signal, report).await {
        Ok(same_as) => {
            if !open {
                report.note("snapshot", catalog::discard_database(&snapshot.path()));
            }
            fault::reach(Point::ArchiveSettled);
            same_as
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
