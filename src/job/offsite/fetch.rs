//! A backup from off site, in a file of its own for as long as it is needed.

use super::super::Context;
use super::{LONGEST_FETCH, Shelf, patience};
use crate::archive;
use crate::catalog::{Fetched, JobId, Label};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::storage;

/// Which of them.
#[derive(Debug, Clone, Copy)]
pub struct Fetching<'a> {
    /// The folder that it lies in.
    pub shelf: &'a Shelf,
    /// What it is.
    pub label: &'a Label,
    /// Who wants it.
    pub job: &'a JobId,
}

/// Fetches an archive beside the local ones, compared with its label. Nothing else knows of it; whoever asked for it discards it.
///
/// # Errors
/// Exit code 7 where it is not what the label promises; nothing is left behind then.
pub async fn fetch(context: &Context<'_>, wanted: Fetching<'_>) -> Result<Fetched> {
    context.monitor.phase("download");
    let catalog = context.catalog();
    let fetched = catalog.new_fetched(wanted.label, wanted.job)?;
    storage::require_free(catalog.folder(), wanted.label.archive_bytes)?;
    let patience = patience(LONGEST_FETCH, context.interrupt);
    let path = &fetched.backup.path;
    wanted
        .shelf
        .remote
        .download(wanted.label, path, &patience, context.monitor)
        .await?;
    fault::reach(Point::OffsiteFetched);
    match require_kind(&fetched, &wanted) {
        Ok(()) => Ok(fetched),
        Err(error) => fetched.discard().and(Err(error)),
    }
}

/// One that is called as encrypted and is not was put there by somebody who has no key.
fn require_kind(fetched: &Fetched, wanted: &Fetching<'_>) -> Result<()> {
    let backup = &fetched.backup;
    if archive::is_encrypted(&backup.path)? == backup.encrypted {
        return Ok(());
    }
    Err(Error::BackupUnusable {
        backup: format!("{}/{}", wanted.shelf.place(), wanted.label.archive).into(),
        reason: "by its name it is encrypted or not, and its content is the other: somebody has put another file in its place"
            .into(),
    })
}
