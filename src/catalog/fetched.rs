//! `….download`: an archive that was fetched from off site, for as long as it is looked at or put back.

use std::path::PathBuf;

use super::names::{COPIED_DRAFT, DOWNLOAD, DOWNLOAD_LOCK, stem_of};
use super::{Backup, Catalog, JobId, Label};
use crate::error::Result;
use crate::storage::{self, SharedLock};

/// A place for an archive from elsewhere. The file goes with it.
#[derive(Debug)]
pub struct Fetched {
    /// What is fetched, with what its label promises.
    pub backup: Backup,
    /// As long as it is held, nobody sweeps.
    _lock: SharedLock,
}

impl Catalog {
    /// A place to fetch an archive to. Several commands may do so at once; a job that is killed leaves what it has.
    pub fn new_fetched(&self, label: &Label, job: &JobId) -> Result<Fetched> {
        self.prepare()?;
        // Whoever only ever restores from off site would fill the folder with what was killed.
        self.sweep_fetched()?;
        let lock = SharedLock::hold(&self.folder, DOWNLOAD_LOCK)?;
        let stem = stem_of(label.archive.as_ref());
        let path: PathBuf = self.folder.join(format!("{stem}_{job}{DOWNLOAD}"));
        Ok(Fetched {
            backup: Backup {
                path,
                archive_bytes: label.archive_bytes,
                encrypted: label.is_encrypted(),
                manifest: label.manifest.clone(),
                label: Some(label.clone()),
            },
            _lock: lock,
        })
    }

    /// Removes what commands that were killed have fetched, and notes of copies that never got their name.
    pub(super) fn sweep_fetched(&self) -> Result<()> {
        let mut left = self.leftovers(DOWNLOAD)?;
        left.extend(self.leftovers(COPIED_DRAFT)?);
        if left.is_empty() {
            return Ok(());
        }
        match SharedLock::alone(&self.folder, DOWNLOAD_LOCK)? {
            Some(_lock) => left.iter().try_for_each(|path| storage::remove(path)),
            None => Ok(()),
        }
    }
}

impl Fetched {
    /// Removes the file.
    pub fn discard(self) -> Result<()> {
        storage::remove(&self.backup.path)
    }
}
