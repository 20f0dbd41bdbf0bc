//! `safestep backups verify`: proves that backups can be put back, without putting them back.

use std::path::Path;

use serde::Serialize;
use tracing::Instrument;

use super::{Context, examine};
use crate::catalog::{
    Backup, Catalog, DIGEST, JobId, VERIFY_LOCK, Verified, Wanted, discard_database,
};
use crate::clock::{Stamp, Stopwatch};
use crate::error::{Error, Problem, Result};
use crate::storage::{self, JobLock};

/// Which backups are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Every archive in the folder.
    All,
    /// This one.
    One(Wanted),
}

impl Checked {
    /// Of a label off site that cannot be used.
    pub(super) fn unreadable(place: &str, error: &Error) -> Self {
        Self {
            id: None,
            path: place.to_owned(),
            check: None,
            finding: Some(error.to_string()),
            ms: 0,
        }
    }
}

/// What a verification did. Filled in as it goes, so that it tells of one that was interrupted, too.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// `verified` or `failed`.
    pub outcome: &'static str,
    /// The job's name; also in each of its log lines.
    pub job: JobId,
    /// The backups folder of the database.
    pub folder: String,
    /// The backups that were looked at, oldest first.
    pub checked: Vec<Checked>,
    /// Things to know that are no failure.
    pub warnings: Vec<Problem>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// One backup.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The short name that `restore` takes; null where the archive does not tell.
    pub id: Option<String>,
    /// The archive.
    pub path: String,
    /// `quick_check` or `integrity_check`; `digest` where there was no key to look at the content with; null where the archive
    /// could not be read.
    pub check: Option<&'static str>,
    /// What makes it unusable; null where it is sound.
    pub finding: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// Unpacks each backup beside the archives, compares it with its manifest, has SQLite check it, and removes it again.
///
/// One that is encrypted, where no key of its kind is given, is compared with its label instead.
///
/// # Errors
/// [`Error::BackupsUnusable`] where there are bad ones, after all have been looked at; otherwise [`Error::KeyNeeded`] where keys were
/// given and do not open one.
pub async fn verify(
    context: Context<'_>,
    chosen: &Chosen,
    report: &mut Verification,
) -> Result<()> {
    let watch = Stopwatch::start();
    let span = context.span(&report.job);
    let result = go(&context, chosen, report)
        .instrument(span)
        .await
        .map_err(|error| context.interrupt.explain(error));
    report.elapsed_ms = watch.elapsed_ms();
    report.outcome = if result.is_ok() { "verified" } else { "failed" };
    result
}

async fn go(context: &Context<'_>, chosen: &Chosen, report: &mut Verification) -> Result<()> {
    let catalog = context.catalog();
    report.folder = catalog.folder().display().to_string();
    context.monitor.phase("look");
    let mut locked = None;
    let (backups, unreadable) = select(&catalog, chosen)?;
    for error in unreadable {
        report.checked.push(unreadable_archive(error)?);
    }
    if !backups.is_empty() {
        catalog.sweep_scratch()?;
        let _lock = lock(context, &catalog).await?;
        context.monitor.phase("verify");
        for backup in &backups {
            match check(context, &catalog, backup, report).await {
                Err(error @ Error::KeyNeeded { .. }) => locked = locked.or(Some(error)),
                checked => checked?,
            }
        }
    }
    conclude(report, locked)
}

/// What is to be said in the end.
pub(super) fn conclude(report: &mut Verification, locked: Option<Error>) -> Result<()> {
    remark_on_digests(report);
    let problems: Vec<Problem> = report
        .checked
        .iter()
        .filter_map(|checked| Some(Problem::new(&checked.path, checked.finding.clone()?)))
        .collect();
    if problems.is_empty() {
        return locked.map_or(Ok(()), Err);
    }
    Err(Error::BackupsUnusable {
        checked: report.checked.len(),
        problems,
    })
}

fn select(catalog: &Catalog, chosen: &Chosen) -> Result<(Vec<Backup>, Vec<Error>)> {
    match chosen {
        Chosen::All => catalog.backups(),
        Chosen::One(wanted) => Ok((vec![catalog.select(wanted)?], Vec::new())),
    }
}

/// An archive that cannot be read cannot be put back.
fn unreadable_archive(error: Error) -> Result<Checked> {
    let (path, finding) = match error {
        Error::BackupUnusable { backup, reason } | Error::KeyNeeded { backup, reason, .. } => {
            (backup, reason)
        }
        Error::Io { path, source, .. } => (path, source.to_string()),
        other => return Err(other),
    };
    Ok(Checked {
        id: None,
        path: path.display().to_string(),
        check: None,
        finding: Some(finding),
        ms: 0,
    })
}

async fn lock(context: &Context<'_>, catalog: &Catalog) -> Result<JobLock> {
    let (deadline, notice) = (context.deadline(), context.job_notice());
    JobLock::acquire_named(catalog.folder(), VERIFY_LOCK, deadline, notice).await
}

async fn check(
    context: &Context<'_>,
    catalog: &Catalog,
    backup: &Backup,
    report: &mut Verification,
) -> Result<()> {
    context.interrupt.check()?;
    context.monitor.step(&backup.manifest.id);
    let watch = Stopwatch::start();
    let (how, finding) = match look_into(context, catalog, backup, report).await {
        // A job prunes without waiting for a verification.
        Err(_) if storage::is_absent(&backup.path) => {
            let message = "was removed while backups were verified";
            report
                .warnings
                .push(Problem::new(&backup.manifest.id, message));
            return Ok(());
        }
        looked => looked?,
    };
    let verified = Verified::now(backup, how, finding.clone());
    catalog.mark_verified(backup, &verified)?;
    report.checked.push(Checked {
        id: Some(backup.manifest.id.clone()),
        path: backup.path.display().to_string(),
        check: Some(how),
        finding,
        ms: watch.elapsed_ms(),
    });
    Ok(())
}

/// How it was checked, and what makes it unusable.
pub(super) async fn look_into(
    context: &Context<'_>,
    catalog: &Catalog,
    backup: &Backup,
    report: &mut Verification,
) -> Result<(&'static str, Option<String>)> {
    let how = context.settings.verify.pragma();
    match unpack_and_examine(context, catalog, &report.job, backup).await {
        Ok(damage) => {
            report.warnings.extend(damage);
            Ok((how, None))
        }
        Err(Error::KeyNeeded { tried: false, .. }) if backup.label.is_some() => {
            match catalog.verify_sealed(backup) {
                Ok(()) => Ok((DIGEST, None)),
                Err(Error::BackupUnusable { reason, .. }) => Ok((DIGEST, Some(reason))),
                Err(other) => Err(other),
            }
        }
        Err(Error::BackupUnusable { reason, .. }) if !storage::is_absent(&backup.path) => {
            Ok((how, Some(reason)))
        }
        Err(other) => Err(other),
    }
}

/// That nobody takes the one for the other.
fn remark_on_digests(report: &mut Verification) {
    let by_digest = |checked: &&Checked| checked.check == Some(DIGEST);
    let count = report.checked.iter().filter(by_digest).count();
    if count > 0 {
        report.warnings.push(Problem::new(
            "key",
            format!(
                "without one, {count} of {} could only be compared with their labels: what is in them was not looked at",
                report.checked.len()
            ),
        ));
    }
}

async fn unpack_and_examine(
    context: &Context<'_>,
    catalog: &Catalog,
    job: &JobId,
    backup: &Backup,
) -> Result<Option<Problem>> {
    catalog.require_promised(backup)?;
    storage::require_free(catalog.folder(), backup.manifest.size_bytes)?;
    let slot = catalog.new_slot(Stamp::now(), job, "verify", &backup.manifest.from);
    let scratch = slot.scratch();
    let examined = examine_in(context, backup, &scratch).await;
    discard_database(&scratch)?;
    examined
}

async fn examine_in(
    context: &Context<'_>,
    backup: &Backup,
    scratch: &Path,
) -> Result<Option<Problem>> {
    let catalog = context.catalog();
    catalog.unpack(backup, scratch, context.interrupt, context.monitor)?;
    examine::require_layout(backup, scratch)?;
    examine::require_sound(context, backup, scratch).await
}
