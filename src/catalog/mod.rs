//! The backups folder of one database: archives, job records, selection and retention.
//!
//! ```text
//! backups/fastflow/
//!   20261122T170000.123Z_003-008_1f2e3d4c.tar.gz       a finished backup (or .tar.zst, .tar; .age behind it if encrypted)
//!   20261122T170000.123Z_003-008_1f2e3d4c.label.json   what an encrypted one is
//!   20261122T170000.123Z_003-008_1f2e3d4c.job.json     the record of the job that made it
//!   20261122T170000.123Z_003-008_1f2e3d4c.snapshot.db  the raw snapshot, until it is archived
//!   20261122T170000.123Z_003-008_1f2e3d4c.verified.json  when it was last verified
//! ```
//!
//! A record is written before the first change and replaced by one with an outcome at the end. A record without an
//! outcome is a job that was cut short.

mod choice;
mod copied;
mod fetched;
mod label;
mod manifest;
mod names;
mod open;
mod record;
mod retention;
mod select;
mod sound;
mod verified;

use std::path::{Path, PathBuf};

pub use choice::{Bounds, Candidate, Choice, LATEST, Wanted, choose};
pub use copied::{Copied, OFFSITE_LOCK};
pub use fetched::Fetched;
pub use label::Label;
pub use manifest::{FORMAT_VERSION, Manifest, Purpose};
pub use names::{JobId, LABEL, Slot, label_name};
pub use record::{JobKind, JobRecord, Outcome};
pub use verified::{DIGEST, VERIFY_LOCK, Verified};

use crate::archive::{self, Compression, Packing};
use crate::clock::Stamp;
use crate::encryption::{Encryption, Keys};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::Interrupt;
use crate::storage::{self, PathKind};
use names::{DAMAGED, DAMAGED_DRAFT, LEFTOVERS, RECORD, is_archive};

/// SQLite makes these beside a database file.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A finished backup.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The archive.
    pub path: PathBuf,
    /// Its size.
    pub archive_bytes: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// What it says of itself; where there is a label, as that says it, without the rows.
    pub manifest: Manifest,
    /// What lies beside an encrypted one, where that can be used.
    pub label: Option<Label>,
}

impl Backup {
    /// The command with which its database is printed without this program.
    #[must_use]
    pub fn print_command(&self) -> String {
        let decrypt = match &self.label {
            _ if !self.encrypted => None,
            Some(label) if label.recipients.is_none() => Some("age -d"),
            _ => Some("age -d -i KEY"),
        };
        archive::print_command(&self.path, decrypt, &self.manifest.file)
    }
}

/// The backups folder of one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    folder: PathBuf,
    database: PathBuf,
    compression: Compression,
    encryption: Option<Encryption>,
    keys: Keys,
}

impl Catalog {
    /// The folder for `database` below `backups`. Creates nothing.
    #[must_use]
    pub fn new(backups: &Path, database: &Path) -> Self {
        let stem = database.file_stem().unwrap_or(database.as_os_str());
        Self {
            folder: backups.join(stem),
            database: database.to_path_buf(),
            compression: Compression::default(),
            encryption: None,
            keys: Keys::default(),
        }
    }

    /// The same folder, where new archives are compressed in this way.
    #[must_use]
    pub fn compressing(self, compression: Compression) -> Self {
        Self {
            compression,
            ..self
        }
    }

    /// The same folder, where new archives are encrypted in this way.
    #[must_use]
    pub fn encrypting(self, encryption: Option<Encryption>) -> Self {
        Self { encryption, ..self }
    }

    /// The same folder, for whoever has these keys.
    #[must_use]
    pub fn opening(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    fn packing(&self) -> Packing {
        Packing {
            compression: self.compression,
            encrypted: self.encryption.is_some(),
        }
    }

    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder, private, where it is missing.
    pub fn prepare(&self) -> Result<()> {
        storage::make_folder(&storage::folder_of(&self.folder))?;
        storage::make_private_folder(&self.folder)
    }

    /// Fresh names for the files of a job. A job that makes two backups needs another id for the second.
    #[must_use]
    pub fn new_slot(&self, now: Stamp, job: &JobId, from: &str, to: &str) -> Slot {
        let id = job.to_string();
        let stem = format!("{}_{from}-{to}_{id}", now.compact());
        Slot::new(self.folder.clone(), stem, id, self.packing())
    }

    /// The names that belong to an existing record; also of the archive that was made, whatever its kind.
    #[must_use]
    pub fn slot_of(&self, record: &JobRecord) -> Slot {
        let (stem, id) = (record.stem.clone(), record.id.clone());
        Slot::found(self.folder.clone(), stem, id, self.packing())
    }

    /// A record for a job that is about to change the database.
    #[must_use]
    pub fn new_record(&self, slot: &Slot, kind: JobKind, manifest: &Manifest) -> JobRecord {
        JobRecord::new(slot.id.clone(), slot.stem.clone(), kind, manifest.clone())
    }

    /// Whether no job on this folder was cut short: every record has an outcome, and no raw snapshot, draft or label without its
    /// archive is left.
    pub fn is_settled(&self) -> Result<bool> {
        let paths = storage::list(&self.folder)?;
        let is_leftover = |path: &PathBuf| {
            LEFTOVERS.iter().any(|suffix| has_suffix(path, suffix)) && is_ours(path)
        };
        if paths.iter().any(is_leftover) || !self.lone_notes()?.is_empty() {
            return Ok(false);
        }
        for path in paths.iter().filter(|path| has_suffix(path, RECORD)) {
            if JobRecord::read(path)?.outcome.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Records of this very database. Another one of the same name may share the folder.
    pub fn own_records(&self) -> Result<Vec<JobRecord>> {
        Ok(self.only_own(self.records()?))
    }

    /// As [`Self::own_records`], passing over those that are no records: a restore may be the only way out.
    pub fn legible_records(&self) -> Result<Vec<JobRecord>> {
        let mut records = Vec::new();
        for path in self.with_suffix(RECORD)? {
            match JobRecord::read(&path) {
                Err(Error::RecordUnusable { .. }) => {}
                record => records.push(record?),
            }
        }
        Ok(self.only_own(records))
    }

    fn only_own(&self, mut records: Vec<JobRecord>) -> Vec<JobRecord> {
        records.retain(|record| Path::new(&record.manifest.source) == self.database);
        records
    }

    /// All records, oldest first. One that cannot be read is an error: it may be the trace of a job cut short.
    pub fn records(&self) -> Result<Vec<JobRecord>> {
        self.with_suffix(RECORD)?
            .iter()
            .map(|path| JobRecord::read(path))
            .collect()
    }

    /// The finished backups, oldest first, and the archives that cannot be read.
    pub fn backups(&self) -> Result<(Vec<Backup>, Vec<Error>)> {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        let mut paths = storage::list(&self.folder)?;
        paths.retain(|path| is_archive(path));
        for path in paths {
            match self.read_backup(&path) {
                Ok(backup) => good.push(backup),
                Err(error) => bad.push(error),
            }
        }
        Ok((good, bad))
    }

    /// Compresses a raw snapshot into its archive, reads the archive back and gives it its name. The raw file stays
    /// for whoever may still have to restore from it. The name is given when `allowed` says so.
    pub fn archive(
        &self,
        slot: &Slot,
        manifest: &Manifest,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
        allowed: impl FnOnce() -> Result<()>,
    ) -> Result<Backup> {
        let (draft, raw) = (slot.draft(), slot.snapshot());
        storage::remove(&draft)?;
        let text = manifest.to_json();
        let contents = archive::Contents {
            manifest: &text,
            database: &raw,
            name: &manifest.file,
            modified: manifest.created_unix,
        };
        let half = |before| Half { monitor, before };
        let wrapping = archive::Wrapping {
            compression: self.compression,
            encryption: self.encryption.as_ref(),
        };
        let written = archive::write(&draft, contents, wrapping, interrupt, &half(0))
            .and_then(|keys| open::read_back(&draft, manifest, &keys, interrupt, &half(1)))
            .and_then(|sha256| allowed().map(|()| sha256));
        let sha256 = match written {
            Ok(sha256) => sha256,
            Err(error) => {
                storage::remove(&draft)?;
                return Err(error);
            }
        };
        fault::reach(Point::ArchiveVerified);
        if let Some(sha256) = sha256 {
            self.write_label(slot, manifest, sha256)?;
        }
        storage::publish(&draft, &slot.archive())?;
        fault::reach(Point::ArchivePublished);
        self.read_backup(&slot.archive())
    }

    /// Copies the bytes of a file that is no usable database, with its WAL and journal, before it is replaced. Never
    /// pruned: a person has to look at it. The same bytes are kept once.
    pub fn keep_damaged(&self, slot: &Slot) -> Result<PathBuf> {
        let mut files = vec![self.database.clone()];
        files.extend(SIDECARS.map(|suffix| storage::sibling(&self.database, suffix)));
        let mut there = Vec::new();
        for path in files {
            if let PathKind::File(_) = storage::kind(&path)? {
                there.push(path);
            }
        }
        for kept in self.with_suffix(DAMAGED)? {
            if holds_copies(&kept, &there)? {
                return Ok(kept);
            }
        }
        let draft = slot.path(DAMAGED_DRAFT);
        storage::make_private_folder(&draft)?;
        for path in &there {
            storage::copy_durably(path, &draft.join(storage::name_of(path)))?;
            fault::reach(Point::DamagedFile);
        }
        let folder = slot.path(DAMAGED);
        storage::replace_with(&draft, &folder)?;
        fault::reach(Point::DamagedKept);
        Ok(folder)
    }

    /// Files of jobs that are not finished.
    fn leftovers(&self, suffix: &str) -> Result<Vec<PathBuf>> {
        let mut paths = self.with_suffix(suffix)?;
        paths.retain(|path| is_ours(path));
        Ok(paths)
    }

    fn with_suffix(&self, suffix: &str) -> Result<Vec<PathBuf>> {
        Ok(storage::list(&self.folder)?
            .into_iter()
            .filter(|path| has_suffix(path, suffix))
            .collect())
    }
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    storage::name_of(path).ends_with(suffix)
}

/// A folder of such a name is none of ours.
fn is_ours(leftover: &Path) -> bool {
    !leftover.is_dir() || leftover.is_symlink()
}

/// Whether a folder holds copies of these files and nothing else.
fn holds_copies(folder: &Path, files: &[PathBuf]) -> Result<bool> {
    let copies = storage::list(folder)?;
    if copies.len() != files.len() {
        return Ok(false);
    }
    for file in files {
        let copy = folder.join(storage::name_of(file));
        let same = storage::kind(&copy)? == storage::kind(file)?
            && archive::sha256_of(&copy)? == archive::sha256_of(file)?;
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One of two passes over the same bytes, as halves of one progress.
struct Half<'m> {
    monitor: &'m dyn Monitor,
    before: u64,
}

impl Monitor for Half<'_> {
    fn phase(&self, phase: &'static str) {
        self.monitor.phase(phase);
    }

    fn step(&self, words: &str) {
        self.monitor.step(words);
    }

    fn progress(&self, done: u64, total: u64) {
        let before = self.before * total;
        self.monitor
            .progress(before.saturating_add(done), total.saturating_mul(2));
    }

    fn notice(&self, line: &str) {
        self.monitor.notice(line);
    }
}

/// Removes a database file of ours with everything that SQLite put beside it.
pub fn discard_database(path: &Path) -> Result<()> {
    for sidecar in SIDECARS {
        storage::remove(&storage::sibling(path, sidecar))?;
    }
    storage::remove(path)
}
