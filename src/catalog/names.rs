//! What the files of a backups folder are called.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use crate::archive::{Packing, SUFFIXES};
use crate::storage;

/// Behind the name of an archive, until it is finished.
const DRAFT: &str = ".part";
/// Of all kinds of archives.
pub(super) const DRAFTS: [&str; 6] = [
    ".tar.gz.part",
    ".tar.zst.part",
    ".tar.part",
    ".tar.gz.age.part",
    ".tar.zst.age.part",
    ".tar.age.part",
];
/// What an archive is, for whoever has no key.
pub const LABEL: &str = ".label.json";
/// What a label is called until it is durable.
pub(super) const LABEL_DRAFT: &str = ".label.json.tmp";
pub(super) const RECORD: &str = ".job.json";
/// What a record is called until it is durable.
pub(super) const RECORD_DRAFT: &str = ".job.json.tmp";
pub(super) const SNAPSHOT: &str = ".snapshot.db";
pub(super) const UNPACKED: &str = ".unpacked.db";
/// A backup that is being verified, unpacked. No job needs it, and none has to put it right.
pub(super) const SCRATCH: &str = ".verify.db";
/// When a backup was last verified, and what came of it.
pub(super) const VERIFIED: &str = ".verified.json";
/// Where a copy of a backup lies.
pub(super) const COPIED: &str = ".offsite.json";
/// What that is called until it is durable.
pub(super) const COPIED_DRAFT: &str = ".offsite.json.tmp";
/// An archive that was fetched from off site.
pub(super) const DOWNLOAD: &str = ".download";
/// Shared by those that fetch.
pub(super) const DOWNLOAD_LOCK: &str = ".safestep-download-lock";
pub(super) const DAMAGED: &str = ".damaged";
pub(super) const DAMAGED_DRAFT: &str = ".damaged.part";
/// What only a job leaves that was cut short.
pub(super) const LEFTOVERS: [&str; 11] = [
    DRAFTS[0],
    DRAFTS[1],
    DRAFTS[2],
    DRAFTS[3],
    DRAFTS[4],
    DRAFTS[5],
    LABEL_DRAFT,
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
    /// What its archive is to be.
    packing: Packing,
    /// The short id at the end of the names.
    pub id: String,
}

impl Slot {
    pub(super) fn new(folder: PathBuf, stem: String, id: String, packing: Packing) -> Self {
        Self {
            folder,
            stem,
            archive: packing.suffix(),
            packing,
            id,
        }
    }

    /// As [`Self::new`], where the archive may be there, of any kind. The only place that looks for it.
    pub(super) fn found(folder: PathBuf, stem: String, id: String, packing: Packing) -> Self {
        let mut slot = Self::new(folder, stem, id, packing);
        let is_there = |suffix: &&str| !storage::is_absent(&slot.path(suffix));
        if let Some(suffix) = SUFFIXES.into_iter().find(is_there) {
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

    /// The label of its archive.
    #[must_use]
    pub fn label(&self) -> PathBuf {
        self.path(LABEL)
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

    /// A place to unpack a backup to, to look at it and throw it away.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.path(SCRATCH)
    }

    pub(super) fn draft(&self) -> PathBuf {
        self.path(&format!("{}{DRAFT}", self.packing.suffix()))
    }
}

/// Whether a file is called as a finished backup.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = storage::name_of(path);
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// The name of the label of the archive that is called so.
#[must_use]
pub fn label_name(archive: &str) -> String {
    format!("{}{LABEL}", stem_of(Path::new(archive)))
}

/// The name of an archive without what tells how it is compressed and encrypted.
pub(super) fn stem_of(path: &Path) -> String {
    let name = storage::name_of(path);
    let stem = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.unwrap_or(&name).to_owned()
}
