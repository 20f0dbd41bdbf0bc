//! Copies of the backups somewhere else.
//!
//! A job that made a backup gives up its locks first: a slow network keeps no other job waiting. Then every backup of the
//! database goes that is not there yet, the newest first, under a lock of its own. What fails is a warning; the next job makes
//! up for it. Only where the copy is [required](required) does the migration wait for it.

mod fetch;
mod lost;
mod prune;
mod required;
mod shelf;
mod upload;
mod verify;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::report::Report;
use crate::catalog::{Catalog, OFFSITE_LOCK};
use crate::clock::Deadline;
use crate::error::{Error, OffsiteCause, OffsiteFailure, Problem, Result};
use crate::offsite::{Offsite, Patience, Remote};
use crate::sqlite::Interrupt;
use crate::storage::JobLock;

pub use fetch::{Fetching, fetch};
pub use prune::prune_remote;
pub use shelf::{At, Shelf, open_shelf};
pub use upload::{Upload, upload};
pub use verify::verify_remote;

pub(super) use required::protect;

/// Whoever only asks whether a store answers does not wait for long.
const SHORTEST_LOOK: Duration = Duration::from_secs(10);
/// To look at what is there, a store has so long.
const LONGEST_LOOK: Duration = Duration::from_mins(2);
/// The exit code of what another attempt may do better.
const NOT_NOW: u8 = 75;
/// What is fetched may be large, and the network slow: a connection that stands still ends by itself.
const LONGEST_FETCH: Duration = Duration::from_hours(24 * 7);

/// What became of the copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// The folder of the database there, as a URL.
    pub place: String,
    /// Ids of the backups that are there since this job.
    pub uploaded: Vec<String>,
    /// Ids of those that it removed there.
    pub removed: Vec<String>,
    /// How many backups are not there yet; null where that could not be seen.
    pub pending: Option<usize>,
    /// Why not.
    pub error: Option<String>,
}

impl Context<'_> {
    fn offsite(&self) -> Option<&Offsite> {
        self.settings.offsite.as_ref()
    }

    /// The folder of the database in a store.
    fn remote(&self, offsite: &Offsite) -> Result<Remote> {
        Ok(Remote::open(&offsite.place)?.folder(&self.settings.shelf_name()))
    }
}

/// Whether the place answers, within a few seconds; and how many backups were sent there and ought to be there still, and are not.
///
/// # Errors
/// Why not.
pub async fn reach(context: &Context<'_>) -> Result<usize> {
    let Some(offsite) = context.offsite() else {
        return Ok(0);
    };
    let patience = patience(SHORTEST_LOOK, context.interrupt);
    let remote = context.remote(offsite)?;
    let listing = remote.list(&patience).await?;
    Ok(lost::find(context, &context.catalog(), &listing)?.len())
}

fn patience(limit: Duration, interrupt: &Interrupt) -> Patience<'_> {
    Patience {
        deadline: Deadline::after(limit),
        interrupt,
    }
}

/// After a job: what it has made, and what earlier ones could not copy. Its outcome stands, whatever comes of this.
pub(super) async fn copy_after(context: &Context<'_>, report: &mut Report) {
    if let Err(error) = copy_made(context, report).await {
        warn(context, report, &error);
    }
}

/// After a backup and nothing else: where a copy is required, one that could not be made is its failure.
pub(super) async fn copy_backup(context: &Context<'_>, report: &mut Report) -> Result<()> {
    let is_required = context.offsite().is_some_and(|offsite| offsite.required);
    match copy_made(context, report).await {
        Err(error) if !is_required => {
            warn(context, report, &error);
            Ok(())
        }
        copied => copied,
    }
}

async fn copy_made(context: &Context<'_>, report: &mut Report) -> Result<()> {
    let Some(offsite) = context.offsite() else {
        return Ok(());
    };
    let has_made = report.backup.is_some() || !report.recovered.is_empty();
    if !has_made || context.interrupt.signal().is_some() {
        return Ok(());
    }
    // What kept the job from beginning was that it could not be copied.
    if let Some(failed) = report
        .offsite
        .as_mut()
        .filter(|copies| copies.error.is_some())
    {
        failed.pending = pending(context, &failed.place);
        return Ok(());
    }
    report.begin(context.monitor, "off site");
    let mut copies = report.offsite.take().unwrap_or_default();
    let done = if offsite.given_up.load(Ordering::Relaxed) {
        let place = context.settings.shelf();
        copies.place = place.map(|place| place.to_string()).unwrap_or_default();
        Err(not_again(&copies.place))
    } else {
        let (sent, pruned) = copy(context, offsite, &mut copies).await;
        report
            .warnings
            .extend(pruned.as_ref().err().map(not_removed));
        sent
    };
    if let Err(error) = &done {
        if matches!(error, Error::Offsite(_)) && error.exit_code() == NOT_NOW {
            offsite.given_up.store(true, Ordering::Relaxed);
        }
        copies.error = Some(error.to_string());
    }
    copies.pending = pending(context, &copies.place);
    report.offsite = Some(copies);
    done
}

fn pending(context: &Context<'_>, place: &str) -> Option<usize> {
    let left = context.catalog().not_copied(place).ok()?;
    Some(left.len())
}

/// A thousand databases do not wait a thousand times for a store that is not there.
fn not_again(place: &str) -> Error {
    Error::Offsite(Box::new(OffsiteFailure {
        place: place.to_owned(),
        doing: "upload to".into(),
        cause: OffsiteCause::Unreachable,
        detail: "as the copies of another database have found in this run".into(),
    }))
}

fn warn(context: &Context<'_>, report: &mut Report, error: &Error) {
    let message = format!(
        "{error}; the backups are here, and the next job makes up for it. {}",
        error.hint()
    );
    context.monitor.notice(&format!("off site: {message}"));
    report.warnings.push(Problem::new("off site", message));
}

/// Credentials that may write and not remove are a good choice: then it is the store that throws away what is old.
fn not_removed(error: &Error) -> Problem {
    let message =
        format!("the copies are there, and what need not be kept could not be removed: {error}");
    Problem::new("off site", message)
}

/// What came of the uploads, and of the pruning behind them.
async fn copy(
    context: &Context<'_>,
    offsite: &Offsite,
    copies: &mut Copies,
) -> (Result<()>, Result<()>) {
    let interrupt = context.interrupt.for_signals_alone();
    let patience = patience(offsite.timeout, &interrupt);
    let remote = match context.remote(offsite) {
        Ok(remote) => remote,
        Err(error) => return (Err(error), Ok(())),
    };
    copies.place = remote.place().to_string();
    let catalog = context.catalog();
    let before = copies.uploaded.len();
    let mut sent = send_in_turn(context, &remote, &patience, copies).await;
    if sent.is_err() && copies.uploaded.len() == before {
        return (sent, Ok(()));
    }
    let mut listing = match remote.list(&patience).await {
        Ok(listing) => listing,
        Err(error) if copies.uploaded.len() == before => return (Err(error), Ok(())),
        Err(error) => return (sent, Err(error)),
    };
    // What was sent once and is not there any more goes again: a note here is no copy there.
    if sent.is_ok() && matches!(lost::forget(context, &catalog, &listing), Ok(true)) {
        sent = send_in_turn(context, &remote, &patience, copies).await;
        listing = match remote.list(&patience).await {
            Ok(listing) => listing,
            Err(error) => return (sent, Err(error)),
        };
    }
    if copies.uploaded.len() == before {
        return (sent, Ok(()));
    }
    let pruned = prune::after_upload(context, &remote, &listing, &patience, copies).await;
    (sent, pruned)
}

/// Until nothing is left. Another job that uploads takes along what this one has made: it looks once more when it has given up
/// the lock.
async fn send_in_turn(
    context: &Context<'_>,
    remote: &Remote,
    patience: &Patience<'_>,
    copies: &mut Copies,
) -> Result<()> {
    let catalog = context.catalog();
    loop {
        let Some(lock) = try_lock(catalog.folder()).await? else {
            return Ok(());
        };
        let before = copies.uploaded.len();
        let sent = send_all(context, &catalog, remote, patience, copies).await;
        drop(lock);
        sent?;
        let is_stuck = copies.uploaded.len() == before;
        if is_stuck || catalog.not_copied(&copies.place)?.is_empty() {
            return Ok(());
        }
    }
}

async fn try_lock(folder: &Path) -> Result<Option<JobLock>> {
    let at_once = Deadline::after(Duration::ZERO);
    match JobLock::acquire_named(folder, OFFSITE_LOCK, at_once, |_| Ok(())).await {
        Err(Error::JobRunning { .. }) => Ok(None),
        lock => lock.map(Some),
    }
}

/// The newest first. One that is damaged keeps back none of the others.
async fn send_all(
    context: &Context<'_>,
    catalog: &Catalog,
    remote: &Remote,
    patience: &Patience<'_>,
    copies: &mut Copies,
) -> Result<()> {
    let mut first = Ok(());
    for backup in catalog.not_copied(&copies.place)?.iter().rev() {
        context.monitor.step(&backup.manifest.id);
        match upload::send(context, catalog, remote, patience, backup).await {
            Ok(()) => copies.uploaded.push(backup.manifest.id.clone()),
            Err(error) if error.exit_code() == 7 => first = first.and(Err(error)),
            Err(error) => return Err(error),
        }
    }
    first
}
