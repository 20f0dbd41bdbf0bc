//! `….label.json`: what an archive is, for whoever cannot or does not want to open it. It lies beside every encrypted archive,
//! and off site beside every archive, where it is written last: an archive without one is no backup there yet.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT_VERSION, Manifest, require_format};
use crate::encryption;
use crate::error::{Error, Result};

const SHA256_LENGTH: usize = 64;

/// What an archive is, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The name of the archive.
    pub archive: String,
    /// Its size.
    pub archive_bytes: u64,
    /// SHA-256 of it, as `sha256sum` prints it.
    pub archive_sha256: String,
    /// Of an archive that is encrypted to recipients: SHA-256 of their names, so that it is seen when they are others now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<String>,
    /// As in the archive, but for the rows: the names of tables are nobody's to read.
    pub manifest: Manifest,
}

impl Label {
    /// The label of an archive.
    #[must_use]
    pub fn new(archive: String, archive_bytes: u64, sha256: String, manifest: &Manifest) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            archive,
            archive_bytes,
            archive_sha256: sha256,
            recipients: None,
            manifest: manifest.without_rows(),
        }
    }

    /// Whether a key opens the archive.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.archive.ends_with(encryption::SUFFIX)
    }

    /// As it stands in the file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads it; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::BackupUnusable`]
    pub fn parse(text: &[u8], path: &Path) -> Result<Self> {
        let refuse = |reason: String| Error::BackupUnusable {
            backup: path.to_path_buf(),
            reason: format!("its label cannot be used: {reason}"),
        };
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
        require_format(&value).map_err(refuse)?;
        let label: Self =
            serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
        label.check().map_err(refuse)?;
        Ok(label)
    }

    /// What of it becomes part of a name, or is compared.
    fn check(&self) -> std::result::Result<(), String> {
        let id = format!("_{}.", self.manifest.id);
        if self.archive.contains('/') || !self.archive.contains(&id) {
            return Err(format!(
                "'{}' is no name of the backup {}",
                self.archive, self.manifest.id
            ));
        }
        let is_digest = self.archive_sha256.len() == SHA256_LENGTH
            && self
                .archive_sha256
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return Err(format!("{:?} is no SHA-256", self.archive_sha256));
        }
        self.manifest.check()
    }

    /// Whether the manifest of the archive is the one that the label was made of.
    #[must_use]
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        self.manifest.is_alike(manifest)
    }
}
