//! `safestep backups prune`: what retention takes away, and why the rest stays.

use serde::Serialize;
use tracing::Instrument;

use super::Context;
use crate::catalog::{Backup, JobId, Label, Purpose};
use crate::error::{Problem, Result};
use crate::retention::{Cause, Reason, Verdict};

/// What pruning did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pruning {
    /// `pruned`, `would_prune`, `nothing_to_do` or `failed`.
    pub outcome: &'static str,
    /// The job's name; also in each of its log lines.
    pub job: JobId,
    /// The backups folder of the database.
    pub folder: String,
    /// Nothing was removed, since only a look was asked for.
    pub dry_run: bool,
    /// What the folder takes, afterwards where something was removed.
    pub folder_bytes: u64,
    /// What it may take.
    pub max_total_bytes: Option<u64>,
    /// What went, or would go, oldest first.
    pub removed: Vec<Judged>,
    /// What stays, oldest first.
    pub kept: Vec<Judged>,
    /// Archives that cannot be read: they stay, too.
    pub unusable: Vec<String>,
    /// Ids of those that would go, if a lock of the store off site did not keep them; in its words.
    pub locked: Vec<Problem>,
}

/// One backup.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The short name that `restore` takes.
    pub id: String,
    /// The archive.
    pub path: String,
    /// Its size.
    pub archive_bytes: u64,
    /// When it was made: RFC 3339, UTC.
    pub created_at: String,
    /// Why it was made.
    pub purpose: Purpose,
    /// Why it stays: all reasons.
    pub stays: Vec<Reason>,
    /// Why it goes; null where it stays.
    pub goes: Option<Cause>,
}

/// Removes what the rules of retention do not keep; with `dry_run` only tells.
pub async fn prune(context: Context<'_>, dry_run: bool, report: &mut Pruning) -> Result<()> {
    let span = context.span(&report.job);
    let result = go(&context, dry_run, report).instrument(span).await;
    report.conclude(&result);
    result
}

async fn go(context: &Context<'_>, dry_run: bool, report: &mut Pruning) -> Result<()> {
    let catalog = context.catalog();
    let policy = &context.settings.retention;
    report.folder = catalog.folder().display().to_string();
    report.dry_run = dry_run;
    report.max_total_bytes = policy.max_total;
    context.monitor.phase("prune");
    // A job that runs would prune at its end as well.
    let _lock = if dry_run {
        None
    } else {
        Some(context.catalog_lock().await?)
    };
    let verdicts = catalog.judge(policy, None)?;
    let (_, unreadable) = catalog.backups()?;
    report.unusable = unreadable.iter().map(ToString::to_string).collect();
    if !dry_run {
        catalog.prune(policy, None)?;
    }
    report.folder_bytes = catalog.bytes()?;
    for (backup, verdict) in verdicts {
        let judged = Judged::of(backup, verdict);
        match judged.goes {
            None => report.kept.push(judged),
            Some(_) => report.removed.push(judged),
        }
    }
    Ok(())
}

impl Pruning {
    /// In a word.
    pub(super) fn conclude(&mut self, result: &Result<()>) {
        self.outcome = match result {
            Err(_) => "failed",
            Ok(()) if self.removed.is_empty() => "nothing_to_do",
            Ok(()) if self.dry_run => "would_prune",
            Ok(()) => "pruned",
        };
    }
}

impl Judged {
    fn of(backup: Backup, verdict: Verdict) -> Self {
        let (stays, goes) = parts(verdict);
        Self {
            id: backup.manifest.id,
            path: backup.path.display().to_string(),
            archive_bytes: backup.archive_bytes,
            purpose: backup.manifest.purpose,
            created_at: backup.manifest.created_at,
            stays,
            goes,
        }
    }

    /// Of a copy off site, at this URL.
    pub(super) fn of_label(label: &Label, path: String, verdict: Verdict) -> Self {
        let (stays, goes) = parts(verdict);
        Self {
            id: label.manifest.id.clone(),
            path,
            archive_bytes: label.archive_bytes,
            created_at: label.manifest.created_at.clone(),
            purpose: label.manifest.purpose,
            stays,
            goes,
        }
    }
}

fn parts(verdict: Verdict) -> (Vec<Reason>, Option<Cause>) {
    match verdict {
        Verdict::Stays(reasons) => (reasons, None),
        Verdict::Goes(cause) => (Vec::new(), Some(cause)),
    }
}
