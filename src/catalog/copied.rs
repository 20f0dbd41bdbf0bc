//! `….offsite.json`: that a copy of a backup lies off site, where, and since when. A note: whoever loses it asks the store once.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::FORMAT_VERSION;
use super::names::{COPIED, stem_of};
use super::{Backup, Catalog, Label};
use crate::archive;
use crate::clock::Stamp;
use crate::error::Result;
use crate::fault::{self, Point};
use crate::storage;

const LIMIT_BYTES: u64 = 1024 * 1024;
/// Held in the backups folder while backups are copied off site: no job waits for it.
pub const OFFSITE_LOCK: &str = ".safestep-offsite-lock";

/// That there is a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// When it was sent, or found there: RFC 3339, UTC.
    pub at: String,
    /// The folder that it lies in, as a URL.
    pub place: String,
    /// Of the archive: another one of the same name is another backup.
    pub archive_bytes: u64,
}

impl Catalog {
    /// What is known of a copy of this backup in `place`.
    #[must_use]
    pub fn copied(&self, backup: &Backup, place: &str) -> Option<Copied> {
        let text = storage::read_bounded(&note_of(&backup.path), LIMIT_BYTES).ok()?;
        let copied: Copied = serde_json::from_slice(&text).ok()?;
        let is_of_this = copied.format_version == FORMAT_VERSION
            && copied.archive_bytes == backup.archive_bytes
            && copied.place == place;
        is_of_this.then_some(copied)
    }

    /// Notes that a copy lies in `place`, durably. Nothing is written where the archive lies elsewhere.
    pub fn mark_copied(&self, backup: &Backup, place: &str) -> Result<()> {
        if storage::folder_of(&backup.path) != self.folder {
            return Ok(());
        }
        let copied = Copied {
            format_version: FORMAT_VERSION,
            at: Stamp::now().rfc3339(),
            place: place.to_owned(),
            archive_bytes: backup.archive_bytes,
        };
        let mut text = serde_json::to_vec_pretty(&copied).unwrap_or_default();
        text.push(b'\n');
        let note = note_of(&backup.path);
        storage::replace_durably(&note, &text)?;
        fault::reach(Point::OffsiteNoted);
        // A job prunes without waiting for an upload.
        if storage::is_absent(&backup.path) {
            storage::remove(&note)?;
        }
        Ok(())
    }

    /// Forgets that there is a copy: the store has it no more, and the next upload sends it again.
    pub fn forget_copied(&self, backup: &Backup) -> Result<()> {
        storage::remove(&note_of(&backup.path))
    }

    /// The backups of this database of which no copy is known in `place`, oldest first.
    pub fn not_copied(&self, place: &str) -> Result<Vec<Backup>> {
        let (mut backups, _) = self.backups()?;
        backups.retain(|backup| {
            Path::new(&backup.manifest.source) == self.database
                && self.copied(backup, place).is_none()
        });
        Ok(backups)
    }

    /// What goes with a copy of the archive. An encrypted one has it already.
    pub fn label_for(&self, backup: &Backup) -> Result<Label> {
        if let Some(label) = &backup.label {
            return Ok(label.clone());
        }
        Ok(Label::new(
            storage::name_of(&backup.path),
            backup.archive_bytes,
            archive::sha256_of(&backup.path)?,
            &backup.manifest,
        ))
    }
}

fn note_of(archive: &Path) -> PathBuf {
    archive.with_file_name(format!("{}{COPIED}", stem_of(archive)))
}
