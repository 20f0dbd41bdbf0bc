//! `safestep backups upload`, and how a backup gets there.

use serde::Serialize;
use tracing::Instrument;

use super::super::Context;
use super::super::verify::Chosen;
use super::{lost, patience, prune};
use crate::catalog::{Backup, Catalog, JobId};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::offsite::{Offsite, Patience, Remote, Uploaded};
use crate::storage;

/// What was uploaded by hand.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Upload {
    /// `uploaded`, `nothing_to_do` or `failed`.
    pub outcome: &'static str,
    /// The job's name; also in each of its log lines.
    pub job: JobId,
    /// The folder of the database there, as a URL.
    pub place: String,
    /// Ids of the backups that are there since.
    pub uploaded: Vec<String>,
    /// Ids of those that were there already.
    pub already_there: Vec<String>,
    /// How many are not there yet.
    pub pending: usize,
    /// Things to know that are no failure.
    pub warnings: Vec<Problem>,
}

/// Uploads a backup, or all that are not there yet.
pub async fn upload(context: Context<'_>, chosen: &Chosen, report: &mut Upload) -> Result<()> {
    let span = context.span(&report.job);
    let result = go(&context, chosen, report).instrument(span).await;
    report.outcome = match &result {
        Err(_) => "failed",
        Ok(()) if report.uploaded.is_empty() => "nothing_to_do",
        Ok(()) => "uploaded",
    };
    result
}

async fn go(context: &Context<'_>, chosen: &Chosen, report: &mut Upload) -> Result<()> {
    let offsite = required(context)?;
    let catalog = context.catalog();
    context.monitor.phase("off site");
    let remote = context.remote(offsite)?;
    report.place = remote.place().to_string();
    let patience = patience(offsite.timeout, context.interrupt);
    let backups = match chosen {
        Chosen::All => {
            lost::forget(context, &catalog, &remote.list(&patience).await?)?;
            catalog.not_copied(&report.place)?
        }
        Chosen::One(wanted) => vec![catalog.select(wanted)?],
    };
    let sent = send_each(context, &remote, &patience, &backups, report).await;
    report.pending = catalog.not_copied(&report.place)?.len();
    sent
}

async fn send_each(
    context: &Context<'_>,
    remote: &Remote,
    patience: &Patience<'_>,
    backups: &[Backup],
    report: &mut Upload,
) -> Result<()> {
    let catalog = context.catalog();
    for backup in backups.iter().rev() {
        context.monitor.step(&backup.manifest.id);
        let label = catalog.label_for(backup)?;
        let monitor = context.monitor;
        let sent = remote
            .upload(&backup.path, &label, patience, monitor)
            .await?;
        catalog.mark_copied(backup, &report.place)?;
        let list = match sent {
            Uploaded::New => &mut report.uploaded,
            Uploaded::AlreadyThere => &mut report.already_there,
        };
        list.push(backup.manifest.id.clone());
    }
    if let Err(error) = prune::clear(&catalog, remote, patience).await {
        let message = format!("what was left half sent could not be thrown away: {error}");
        report.warnings.push(Problem::new("off site", message));
    }
    Ok(())
}

/// Sends a backup, and notes that. It may be there already.
pub(super) async fn send(
    context: &Context<'_>,
    catalog: &Catalog,
    remote: &Remote,
    patience: &Patience<'_>,
    backup: &Backup,
) -> Result<()> {
    let label = match catalog.label_for(backup) {
        // A job prunes without waiting for an upload.
        Err(_) if storage::is_absent(&backup.path) => return Ok(()),
        label => label?,
    };
    let sent = remote
        .upload(&backup.path, &label, patience, context.monitor)
        .await;
    match sent {
        Err(_) if storage::is_absent(&backup.path) => return Ok(()),
        sent => sent?,
    };
    fault::reach(Point::OffsiteUploaded);
    catalog.mark_copied(backup, &remote.place().to_string())
}

/// The place that is configured.
pub(super) fn required<'a>(context: &'a Context<'_>) -> Result<&'a Offsite> {
    context.offsite().ok_or_else(|| Error::Usage {
        message: "no place off site is configured".into(),
        hint: "Set --offsite, SAFESTEP_OFFSITE or [offsite] url in safestep.toml, for example to s3://bucket/prefix.".into(),
    })
}
