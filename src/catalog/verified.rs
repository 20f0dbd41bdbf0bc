//! `….verified.json`: when a backup was last verified, and what came of it. The archive itself stays as it is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::FORMAT_VERSION;
use super::names::{SCRATCH, VERIFIED, stem_of};
use super::{Backup, Catalog, discard_database};
use crate::clock::Stamp;
use crate::error::Result;
use crate::storage::{self, JobLock};

const LIMIT_BYTES: u64 = 1024 * 1024;
/// What it is called until it is durable.
const DRAFT: &str = ".verified.json.tmp";
/// Held in the backups folder while backups are verified: one verification at a time, and no job waits for it.
pub const VERIFY_LOCK: &str = ".safestep-verify-lock";

/// What [`Verified::check`] says where the content was not looked at.
pub const DIGEST: &str = "digest";

/// What the last verification of a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// RFC 3339, UTC.
    pub at: String,
    /// `quick_check` or `integrity_check`; `digest` where it is encrypted and there was no key: then only its bytes were compared
    /// with its label.
    pub check: String,
    /// Of the archive that was verified: another one of the same name is another backup.
    pub archive_bytes: u64,
    /// What makes it unusable; null where it is sound.
    pub finding: Option<String>,
}

impl Verified {
    /// A verification that has just ended.
    #[must_use]
    pub fn now(backup: &Backup, check: &str, finding: Option<String>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            at: Stamp::now().rfc3339(),
            check: check.to_owned(),
            archive_bytes: backup.archive_bytes,
            finding,
        }
    }
}

impl Catalog {
    /// What the last verification found; `None` where there was none, or where what it left cannot be read: then the backup
    /// counts as never verified.
    #[must_use]
    pub fn verified(&self, backup: &Backup) -> Option<Verified> {
        let text = storage::read_bounded(&mark_of(&backup.path), LIMIT_BYTES).ok()?;
        let verified: Verified = serde_json::from_slice(&text).ok()?;
        let is_of_this = verified.format_version == FORMAT_VERSION
            && verified.archive_bytes == backup.archive_bytes;
        is_of_this.then_some(verified)
    }

    /// Leaves it beside the archive, durably. Nothing is written where the archive lies elsewhere.
    pub fn mark_verified(&self, backup: &Backup, verified: &Verified) -> Result<()> {
        if storage::folder_of(&backup.path) != self.folder {
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(verified).unwrap_or_default();
        text.push(b'\n');
        let mark = mark_of(&backup.path);
        storage::replace_durably(&mark, &text)?;
        // A job prunes without waiting for a verification.
        if storage::is_absent(&backup.path) {
            storage::remove(&mark)?;
        }
        Ok(())
    }

    /// Removes what verifications that were killed have left, unless one is under way.
    pub fn sweep_scratch(&self) -> Result<()> {
        // Listed first: what a verification makes that begins now is not in the list.
        let mut left = self.leftovers(SCRATCH)?;
        left.extend(self.leftovers(DRAFT)?);
        if left.is_empty() || JobLock::holder_named(&self.folder, VERIFY_LOCK)?.is_some() {
            return Ok(());
        }
        left.iter().try_for_each(|path| discard_database(path))
    }
}

fn mark_of(archive: &Path) -> PathBuf {
    archive.with_file_name(format!("{}{VERIFIED}", stem_of(archive)))
}
