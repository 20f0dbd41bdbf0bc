//! Turning the raw snapshot into a backup while the job goes on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Context;
use super::report::{BackupSummary, Report};
use crate::archive;
use crate::beside::Beside;
use crate::catalog::{self, Backup, Catalog, Manifest, Slot};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::monitor::{Gauge, Monitor};
use crate::snapshot::Snapshot;
use crate::sqlite::Interrupt;

/// How often a finished archive that has no name yet looks whether it is given up.
const LOOK: Duration = Duration::from_millis(50);

/// A snapshot that is being archived on another thread. After a signal it is given up: the raw snapshot stays and the next
/// job archives it.
pub(super) enum Keeping {
    /// It goes on.
    Going(Going),
    /// It was waited for.
    Done(Box<Kept>),
}

/// The thread at work.
pub(super) struct Going {
    work: Beside<Kept>,
    gauge: Arc<Gauge>,
    allow: Sender<()>,
}

/// The work that is done on another thread.
type Keep<'k> = Box<dyn FnOnce() -> Result<Kept> + Send + 'k>;

/// Where the content of a snapshot is kept.
pub(super) struct Kept {
    pub(super) backup: Backup,
    /// It is an earlier backup of the same content.
    pub(super) reused: bool,
}

impl Keeping {
    /// Starts beside a migration, which goes first. The archive has no name before it is [allowed](Self::allow).
    pub(super) fn start(catalog: &Catalog, snapshot: &Snapshot) -> Self {
        Self::spawn(catalog, snapshot, |snapshot, keep| {
            archive::at_low_priority(keep)
                .map_err(Error::io("start a thread to archive", &snapshot.path()))?
        })
    }

    /// As [`Self::start`], where there is nothing beside it.
    pub(super) fn start_alone(catalog: &Catalog, snapshot: &Snapshot) -> Self {
        Self::spawn(catalog, snapshot, |_, keep| keep()).allow()
    }

    fn spawn(
        catalog: &Catalog,
        snapshot: &Snapshot,
        how: fn(&Snapshot, Keep<'_>) -> Result<Kept>,
    ) -> Self {
        let gauge = Arc::new(Gauge::default());
        let (allow, allowed) = channel();
        let (catalog, snapshot, heard) = (catalog.clone(), snapshot.clone(), gauge.clone());
        let work = Beside::start_blocking(move |stop| {
            let (catalog, heard) = (&catalog, heard.as_ref());
            let (slot, manifest) = (&snapshot.slot, &snapshot.manifest);
            let allowed = move || wait_for(&allowed, stop);
            how(
                &snapshot,
                Box::new(move || keep(catalog, slot, manifest, stop, heard, allowed)),
            )
        });
        Self::Going(Going { work, gauge, allow })
    }

    /// The snapshot is one that may be kept.
    pub(super) fn allow(self) -> Self {
        if let Self::Going(going) = &self {
            // Where nobody listens any more, the work has ended already.
            let _ = going.allow.send(());
        }
        self
    }

    /// Stops, and waits until nothing of it is left. What is done already stays.
    pub(super) async fn give_up(self) {
        let Self::Going(Going { work, allow, .. }) = self else {
            return;
        };
        drop(allow);
        let stopped = Interrupt::default();
        stopped.raise(rustix::process::Signal::TERM.as_raw());
        let _ = work.finish(&stopped).await;
    }

    /// Waits for it.
    pub(super) async fn finish(self, signal: &Interrupt, monitor: &dyn Monitor) -> Result<Kept> {
        let Going { work, gauge, .. } = match self {
            Self::Going(going) => going,
            Self::Done(kept) => return Ok(*kept),
        };
        work.finish_watched(signal, || gauge.tell(monitor)).await
    }
}

fn wait_for(allowed: &Receiver<()>, stop: &Interrupt) -> Result<()> {
    loop {
        match allowed.recv_timeout(LOOK) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => stop.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Interrupted {
                    signal: rustix::process::Signal::TERM.as_raw(),
                });
            }
        }
    }
}

/// Archives the raw snapshot of `slot`, where no backup of the same content is there and readable: a job that fails again and
/// again on the same state finds its first one and makes no second.
pub(super) fn keep(
    catalog: &Catalog,
    slot: &Slot,
    manifest: &Manifest,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
    allowed: impl FnOnce() -> Result<()>,
) -> Result<Kept> {
    if let Some(twin) = catalog.sound_twin(manifest, interrupt, monitor)? {
        fault::reach(Point::ArchiveReused);
        return Ok(Kept {
            backup: twin,
            reused: true,
        });
    }
    let backup = catalog.archive(slot, manifest, interrupt, monitor, allowed)?;
    Ok(Kept {
        backup,
        reused: false,
    })
}

/// Waits for the archive and reports it. The id of an earlier backup that holds the same, if there is one.
pub(super) async fn archived(
    context: &Context<'_>,
    keeping: Keeping,
    report: &mut Report,
) -> Result<Option<String>> {
    let kept = keeping.finish(context.interrupt, context.monitor).await?;
    report.backup = Some(BackupSummary::of(&kept.backup, kept.reused));
    Ok(kept.reused.then_some(kept.backup.manifest.id))
}

/// As [`archived`]; then the raw snapshot may go, unless the job's record is still `open`: its recovery would need it. An
/// archive that fails is a warning: the job's own outcome stands, and the raw snapshot stays.
pub(super) async fn settle(
    context: &Context<'_>,
    keeping: Keeping,
    snapshot: &Snapshot,
    open: bool,
    report: &mut Report,
) -> Option<String> {
    match archived(context, keeping, report).await {
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
