//! Where a copy off site is required, the migration does not begin before that of exactly its snapshot is there.

use super::super::keep::Keeping;
use super::super::report::BackupSummary;
use super::super::run::Run;
use super::{patience, upload};
use crate::catalog::{Backup, Catalog};
use crate::error::Result;
use crate::fault::{self, Point};
use crate::snapshot::Snapshot;
use crate::storage;

/// The archive of a snapshot in the making. Where a copy is required, it is finished and uploaded first; nothing is changed
/// yet, whatever fails. Where the snapshot is a twin of an earlier backup, that one's copy counts, and the store is asked
/// whether it is there still.
pub(in crate::job) async fn protect(
    run: &mut Run<'_>,
    catalog: &Catalog,
    snapshot: &Snapshot,
    keeping: Option<Keeping>,
) -> Result<Keeping> {
    let context = run.context;
    let Some(offsite) = context.offsite().filter(|offsite| offsite.required) else {
        return Ok(keeping.unwrap_or_else(|| Keeping::start(catalog, snapshot)));
    };
    let keeping = match keeping {
        Some(done @ Keeping::Done(_)) => return Ok(done),
        Some(started) => started.allow(),
        None => Keeping::start_alone(catalog, snapshot),
    };
    run.phase("archive");
    let kept = keeping.finish(context.interrupt, context.monitor).await?;
    run.report.backup = Some(BackupSummary::of(&kept.backup, kept.reused));
    run.phase("off site");
    let remote = context.remote(offsite)?;
    let mut copies = run.report.offsite.take().unwrap_or_default();
    copies.place = remote.place().to_string();
    let patience = patience(offsite.timeout, context.interrupt);
    let sent = upload::send(&context, catalog, &remote, &patience, &kept.backup)
        .await
        .and_then(|()| require_kept(&kept.backup));
    match &sent {
        Ok(()) => copies.uploaded.push(kept.backup.manifest.id.clone()),
        Err(error) => copies.error = Some(error.to_string()),
    }
    run.report.offsite = Some(copies);
    sent?;
    fault::reach(Point::OffsiteProtected);
    Ok(Keeping::Done(Box::new(kept)))
}

/// What nobody has sent since it vanished is not there.
fn require_kept(backup: &Backup) -> Result<()> {
    storage::open(&backup.path).map(drop)
}
