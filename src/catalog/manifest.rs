//! `manifest.json`: what a backup says of itself. The format is described in `docs/formats.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::retention::{Candidate, Group};
use crate::storage::Ownership;

/// The version of the archive and record formats that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const ID_LENGTH: usize = 8;
/// Revisions are numbers or short words.
const WORD_LIMIT: usize = 64;

/// Refuses what another version of the format may mean otherwise.
pub(super) fn require_format(value: &serde_json::Value) -> std::result::Result<(), String> {
    let version = value.get("format_version");
    let number = version.and_then(serde_json::Value::as_u64);
    let known = Some(u64::from(FORMAT_VERSION));
    if number == known {
        return Ok(());
    }
    let newer = if number > known {
        "; a newer safestep made it, and can use it"
    } else {
        ""
    };
    Err(format!(
        "its format version is {}, this program reads {FORMAT_VERSION}{newer}",
        version.map_or_else(|| "missing".into(), ToString::to_string)
    ))
}

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Before a migration.
    Migration,
    /// Asked for with `safestep backup`.
    Manual,
    /// What a restore replaced.
    BeforeRestore,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Eight hexadecimal digits, as in the file name.
    pub id: String,
    /// Why it was made.
    pub purpose: Purpose,
    /// Name and version of the program.
    pub tool: String,
    /// SQLite that made the copy.
    pub sqlite_version: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// The same in seconds since 1970.
    pub created_unix: u64,
    /// Absolute path of the database.
    pub source: String,
    /// Name of the database file in the archive.
    pub file: String,
    /// Revision of the content, or `none`, or `unknown`.
    pub from: String,
    /// Where the job that made it was going.
    pub to: String,
    /// Bytes a page.
    pub page_size: u32,
    /// Pages.
    pub page_count: u32,
    /// Journal mode of the source; the copy is always in rollback-journal mode.
    pub journal_mode: String,
    /// Bytes of the database file.
    pub size_bytes: u64,
    /// SHA-256 of the database file.
    pub sha256: String,
    /// Mode and owner of the source.
    pub ownership: Ownership,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

impl Manifest {
    /// As it stands in the archive.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// How retention sees the archive of that name and size.
    #[must_use]
    pub fn candidate(&self, archive: String, bytes: u64, is_good: bool) -> Candidate {
        Candidate {
            name: archive,
            made: Stamp::at_unix(self.created_unix),
            bytes,
            group: Group {
                source: self.source.clone(),
                is_replaced: self.purpose == Purpose::BeforeRestore,
            },
            is_good,
            held: Vec::new(),
        }
    }

    /// Reads it; `archive` is named in errors.
    pub fn parse(text: &[u8], archive: &Path) -> Result<Self> {
        let refuse = |reason: String| Error::BackupUnusable {
            backup: archive.to_path_buf(),
            reason,
        };
        let value: serde_json::Value = serde_json::from_slice(text)
            .map_err(|error| refuse(format!("its manifest cannot be read: {error}")))?;
        require_format(&value).map_err(refuse)?;
        let manifest: Self = serde_json::from_value(value)
            .map_err(|error| refuse(format!("its manifest cannot be read: {error}")))?;
        manifest.check().map_err(refuse)?;
        Ok(manifest)
    }

    pub(super) fn without_rows(&self) -> Self {
        Self {
            rows: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Whether it is the same but for the rows, which a label leaves out.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.without_rows() == other.without_rows()
    }

    /// What of it becomes part of a name, or has to agree with itself.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let is_name = |text: &str| !text.is_empty() && !text.contains('/') && text != "..";
        let is_word = |text: &str| {
            is_name(text) && text.len() <= WORD_LIMIT && !text.contains(char::is_control)
        };
        if !is_name(&self.file) {
            return Err(format!("'{}' is not a file name", self.file));
        }
        if let Some(word) = [&self.from, &self.to]
            .into_iter()
            .find(|word| !is_word(word))
        {
            return Err(format!("{word:?} in its manifest is no name of a revision"));
        }
        if self.id.len() != ID_LENGTH || !self.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{:?} in its manifest is no id", self.id));
        }
        if u64::from(self.page_size) * u64::from(self.page_count) != self.size_bytes {
            return Err(format!(
                "its manifest contradicts itself: {} pages of {} bytes are not {} bytes",
                self.page_count, self.page_size, self.size_bytes
            ));
        }
        Ok(())
    }
}
