//! What the files of a backups folder are called.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use crate::archive::Compression;
use crate::storage;

/// Behind the name of an archive, until it is finished.
const DRAFT: &str = ".part";
/// Of all kinds of archives.
pub(super) const DRAFTS: [&str; 3] = [".tar.gz.part", ".tar.zst.part", ".tar.part"];
pub(super) const RECORD: &str = ".job.json";
/// What a record is called until it is durable.
pub(super) const RECORD_DRAFT: &str = ".job.json.tmp";
pub(super) const SNAPSHOT: &str = ".snapshot.db";
pub(super) const UNPACKED: &str = ".unpacked.db";
pub(super) const DAMAGED: &str = ".damaged";
pub(super) const DAMAGED_DRAFT: &str = ".damaged.part";
/// What only a job leaves that was cut short.
pub(super) const LEFTOVERS: [&str; 7] = [
    DRAFTS[0],
    DRAFTS[1],
    DRAFTS[2],
    UNPACKED,
    SNAPSHOT,
    RECORD_DRAFT,
    DAMAGED_DRAFT,
];

/// The name of a job, which its record, its backup, its report and its log lines share: eight hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct JobId(String);

impl Default for JobId {
    /// A new one.
    fn default() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(format!("{:08x}", random & 0xffff_ffff))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of one job's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    folder: PathBuf,
    pub(super) stem: String,
    archive: &'static str,
    /// How its archive is to be compressed.
    pub(super) compression: Compression,
    /// The short id at the end of the names.
    pub id: String,
}

impl Slot {
    pub(super) fn new(folder: PathBuf, stem: String, id: String, compression: Compression) -> Self {
        Self {
            folder,
            stem,
            archive: compression.suffix(),
            compression,
            id,
        }
    }

    /// As [`Self::new`], where the archive may be there, of any kind. The only place that looks for it.
    pub(super) fn found(
        folder: PathBuf,
        stem: String,
        id: String,
        compression: Compression,
    ) -> Self {
        let mut slot = Self::new(folder, stem, id, compression);
        let is_there = |suffix: &&str| !storage::is_absent(&slot.path(suffix));
        if let Some(suffix) = Compression::SUFFIXES.into_iter().find(is_there) {
            slot.archive = suffix;
        }
        slot
    }

    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}{suffix}", self.stem))
    }

    /// The finished archive, where it is or where it will be.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.path(self.archive)
    }

    /// The raw snapshot.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.path(SNAPSHOT)
    }

    /// The job record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.path(RECORD)
    }

    /// A place to unpack a backup to.
    #[must_use]
    pub fn unpacked(&self) -> PathBuf {
        self.path(UNPACKED)
    }

    pub(super) fn draft(&self) -> PathBuf {
        self.path(&format!("{}{DRAFT}", self.compression.suffix()))
    }
}

/// Whether a file is called as a finished backup.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = storage::name_of(path);
    Compression::SUFFIXES
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// The name of an archive without what tells how it is compressed.
pub(super) fn stem_of(path: &Path) -> String {
    let name = storage::name_of(path);
    let stem = Compression::SUFFIXES
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    stem.unwrap_or(&name).to_owned()
}
