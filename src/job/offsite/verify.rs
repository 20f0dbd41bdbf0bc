//! `safestep backups verify` of what lies off site: each is fetched, and verified as one of the folder is.

use tracing::Instrument;

use super::super::Context;
use super::super::verify::{self, Checked, Chosen, Verification};
use super::{Fetching, Shelf, fetch};
use crate::archive;
use crate::catalog::{Label, Verified};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};

/// Fetches each backup, compares it with its label and its manifest, has SQLite check it, and removes it again.
///
/// # Errors
/// [`Error::BackupsUnusable`] where there are bad ones, after all have been looked at.
pub async fn verify_remote(
    context: Context<'_>,
    shelf: &Shelf,
    chosen: &Chosen,
    report: &mut Verification,
) -> Result<()> {
    let watch = Stopwatch::start();
    let span = context.span(&report.job);
    let result = go(&context, shelf, chosen, report)
        .instrument(span)
        .await
        .map_err(|error| context.interrupt.explain(error));
    report.elapsed_ms = watch.elapsed_ms();
    report.outcome = if result.is_ok() { "verified" } else { "failed" };
    result
}

async fn go(
    context: &Context<'_>,
    shelf: &Shelf,
    chosen: &Chosen,
    report: &mut Verification,
) -> Result<()> {
    report.folder = shelf.place();
    let labels = match chosen {
        Chosen::One(wanted) => vec![shelf.choose(context, wanted)?],
        Chosen::All => {
            for unusable in &shelf.listing.unusable {
                report
                    .checked
                    .push(Checked::unreadable(&report.folder, &unusable.error));
            }
            shelf.listing.labels.iter().collect()
        }
    };
    let mut locked = None;
    for label in labels {
        match check(context, shelf, label, report).await {
            Err(error @ Error::KeyNeeded { .. }) => locked = locked.or(Some(error)),
            checked => checked?,
        }
    }
    verify::conclude(report, locked)
}

async fn check(
    context: &Context<'_>,
    shelf: &Shelf,
    label: &Label,
    report: &mut Verification,
) -> Result<()> {
    context.interrupt.check()?;
    let watch = Stopwatch::start();
    let wanted = Fetching {
        shelf,
        label,
        job: &report.job,
    };
    let (how, finding) = match fetch(context, wanted).await {
        Ok(fetched) => {
            context.monitor.phase("verify");
            let catalog = context.catalog();
            let looked = verify::look_into(context, &catalog, &fetched.backup, report).await;
            fetched.discard()?;
            looked?
        }
        Err(error) if error.exit_code() == 7 => {
            (context.settings.verify.pragma(), Some(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    note(context, label, how, finding.as_ref())?;
    report.checked.push(Checked {
        id: Some(label.manifest.id.clone()),
        path: format!("{}/{}", shelf.place(), label.archive),
        check: Some(how),
        finding,
        ms: watch.elapsed_ms(),
    });
    Ok(())
}

/// Where the same bytes are here and the copy is sound, so are they. That the copy is bad says nothing of them, and that the label
/// here is the label there says nothing of the bytes.
fn note(
    context: &Context<'_>,
    label: &Label,
    how: &'static str,
    finding: Option<&String>,
) -> Result<()> {
    let catalog = context.catalog();
    let (backups, _) = catalog.backups()?;
    let is_it = |path: &std::path::Path| crate::storage::name_of(path) == label.archive;
    match (backups.iter().find(|backup| is_it(&backup.path)), finding) {
        (Some(backup), None)
            if archive::sha256_of(&backup.path)
                .is_ok_and(|sha256| sha256 == label.archive_sha256) =>
        {
            catalog.mark_verified(backup, &Verified::now(backup, how, None))
        }
        _ => Ok(()),
    }
}
