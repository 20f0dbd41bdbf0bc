//! What goes off site: by the same rules as here, with the policy for off site. Nothing goes unless the list was read whole.

use std::path::Path;

use tracing::Instrument;

use super::super::Context;
use super::super::prune::{Judged, Pruning};
use super::{Copies, LONGEST_LOOK, Shelf, patience};
use crate::catalog::{Catalog, Label, Verified};
use crate::clock::Stamp;
use crate::error::{Problem, Result};
use crate::fault::{self, Point};
use crate::offsite::{Listing, Patience, Remote, Removed};
use crate::retention::{self, Candidate, Reason, Verdict};

/// Removes what the rules for off site do not keep; with `dry_run` only tells.
pub async fn prune_remote(
    context: Context<'_>,
    shelf: &Shelf,
    dry_run: bool,
    report: &mut Pruning,
) -> Result<()> {
    let span = context.span(&report.job);
    let result = go(&context, shelf, dry_run, report).instrument(span).await;
    report.conclude(&result);
    result
}

async fn go(
    context: &Context<'_>,
    shelf: &Shelf,
    dry_run: bool,
    report: &mut Pruning,
) -> Result<()> {
    context.monitor.phase("prune");
    report.folder = shelf.place();
    report.dry_run = dry_run;
    report.unusable = shelf.unusable();
    report.max_total_bytes = context.settings.offsite_retention.max_total;
    let patience = patience(LONGEST_LOOK, context.interrupt);
    let catalog = context.catalog();
    for (label, verdict) in judge(context, &catalog, &shelf.listing)? {
        let path = format!("{}/{}", report.folder, label.archive);
        let mut judged = Judged::of_label(label, path, verdict);
        if judged.goes.is_some() && !dry_run {
            match shelf.remote.remove(label, &patience).await? {
                Removed::Gone => fault::reach(Point::OffsiteRemoved),
                Removed::Locked(words) => {
                    judged.goes = None;
                    report.locked.push(Problem::new(&judged.id, words));
                }
            }
        }
        match judged.goes {
            None => {
                report.folder_bytes += judged.archive_bytes;
                report.kept.push(judged);
            }
            Some(_) => report.removed.push(judged),
        }
    }
    if dry_run {
        return Ok(());
    }
    clear(&catalog, &shelf.remote, &patience).await
}

/// After uploads of a job.
pub(super) async fn after_upload(
    context: &Context<'_>,
    remote: &Remote,
    listing: &Listing,
    patience: &Patience<'_>,
    copies: &mut Copies,
) -> Result<()> {
    context.monitor.step("what need not be kept");
    let catalog = context.catalog();
    for (label, verdict) in judge(context, &catalog, listing)? {
        if !verdict.stays() && matches!(remote.remove(label, patience).await?, Removed::Gone) {
            fault::reach(Point::OffsiteRemoved);
            copies.removed.push(label.manifest.id.clone());
        }
    }
    clear(&catalog, remote, patience).await
}

/// Throws away what killed processes have left half sent.
pub(super) async fn clear(
    catalog: &Catalog,
    remote: &Remote,
    patience: &Patience<'_>,
) -> Result<()> {
    let (backups, _) = catalog.backups()?;
    let own: Vec<String> = backups
        .iter()
        .map(|backup| crate::storage::name_of(&backup.path))
        .collect();
    remote.clear_abandoned(&own, patience).await.map(drop)
}

fn judge<'l>(
    context: &Context<'_>,
    catalog: &Catalog,
    listing: &'l Listing,
) -> Result<Vec<(&'l Label, Verdict)>> {
    let candidates = candidates(context, catalog, listing)?;
    let policy = &context.settings.offsite_retention;
    let verdicts = retention::judge(policy, &candidates, Stamp::now(), 0);
    Ok(listing.labels.iter().zip(verdicts).collect())
}

/// Backups of another database of the same name stay, as in a folder.
pub(super) fn candidates(
    context: &Context<'_>,
    catalog: &Catalog,
    listing: &Listing,
) -> Result<Vec<Candidate>> {
    let needed = needed(catalog)?;
    let (here, _) = catalog.backups()?;
    let good = |label: &Label| {
        let is_it = |path: &Path| crate::storage::name_of(path) == label.archive;
        let backup = here.iter().find(|backup| is_it(&backup.path));
        let verified: Option<Verified> = backup.and_then(|backup| catalog.verified(backup));
        verified.is_none_or(|verified| verified.finding.is_none())
    };
    let judged = listing.labels.iter().map(|label| {
        let (name, bytes) = (label.archive.clone(), label.archive_bytes);
        let mut candidate = label.manifest.candidate(name, bytes, good(label));
        if Path::new(&label.manifest.source) != context.database() {
            candidate.held.push(Reason::AnotherDatabase);
        }
        if needed.contains(&label.manifest.id) {
            candidate.held.push(Reason::Needed);
        }
        candidate
    });
    Ok(judged.collect())
}

/// Ids of what an unfinished job may want: its own, and the earlier one that holds the same.
fn needed(catalog: &Catalog) -> Result<Vec<String>> {
    let records = catalog.legible_records()?;
    let open = records
        .into_iter()
        .filter(|record| record.outcome.is_none());
    Ok(open
        .flat_map(|record| [Some(record.id), record.same_as])
        .flatten()
        .collect())
}
