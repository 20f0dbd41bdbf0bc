//! What goes, and what must stay.

use std::fmt;
use std::path::{Path, PathBuf};

use super::names::{
    DAMAGED_DRAFT, DRAFTS, LABEL, LABEL_DRAFT, RECORD, RECORD_DRAFT, SNAPSHOT, UNPACKED, VERIFIED,
    stem_of,
};
use super::{Backup, Catalog, JobRecord, Purpose, discard_database};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::storage;

/// What becomes of a backup.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The backup.
    pub backup: Backup,
    /// Why it stays; without a reason it goes.
    pub stays: Option<Reason>,
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is one of the newest, as many as are kept.
    Newest,
    /// It is one of the newest copies of what restores replaced, as many as are kept.
    Replaced,
    /// It has just been used.
    Used,
    /// A job that was cut short needs it for its recovery.
    Needed,
    /// It was made of another database of the same name, which judges for itself.
    AnotherDatabase,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "one of the newest",
            Self::Replaced => "one of the newest that a restore replaced",
            Self::Used => "just used",
            Self::Needed => "a job that was cut short needs it",
            Self::AnotherDatabase => "of another database",
        })
    }
}

impl Catalog {
    /// Removes what jobs that were cut short before their first change have left: drafts, labels without an archive, unpacked
    /// copies, and raw snapshots without a record.
    pub fn sweep(&self) -> Result<()> {
        for suffix in DRAFTS.into_iter().chain([RECORD_DRAFT, LABEL_DRAFT]) {
            for path in self.leftovers(suffix)? {
                storage::remove(&path)?;
            }
        }
        for path in self.leftovers(UNPACKED)? {
            discard_database(&path)?;
        }
        for path in self.lone_labels()? {
            storage::remove(&path)?;
        }
        self.sweep_scratch()?;
        for path in self.with_suffix(DAMAGED_DRAFT)? {
            storage::remove_folder(&path)?;
        }
        // Where a record cannot be read, a snapshot may be that of its job.
        let records = match self.records() {
            Err(Error::RecordUnusable { .. }) => return Ok(()),
            records => records?,
        };
        let known: Vec<PathBuf> = records
            .iter()
            .map(|record| self.slot_of(record).snapshot())
            .collect();
        for path in self.leftovers(SNAPSHOT)? {
            if !known.contains(&path) {
                discard_database(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the oldest backups of this database beyond `keep`, with their records, as [`Self::retention`] judges them.
    pub fn prune(&self, keep: usize, spared: Option<&Path>) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for verdict in self.retention(keep, spared)? {
            if verdict.stays.is_none() {
                self.remove_backup(&verdict.backup)?;
                removed.push(verdict.backup.path);
            }
        }
        self.prune_records(keep)?;
        fault::reach(Point::PruneDone);
        Ok(removed)
    }

    /// Judges every backup that can be read, oldest first. The newest good one always stays, and so do `spared`, which the
    /// caller has just used, and what a job that was cut short still needs. Copies of what restores replaced are counted by
    /// themselves: however many there are, they push out no other backup.
    pub fn retention(&self, keep: usize, spared: Option<&Path>) -> Result<Vec<Verdict>> {
        let needed: Vec<PathBuf> = self
            .own_records()?
            .iter()
            .filter(|record| record.outcome.is_none())
            .map(|record| self.slot_of(record).archive())
            .collect();
        let (backups, _) = self.backups()?;
        let (mut newest, mut replaced) = (0, 0);
        let mut judge = |backup: &Backup| {
            if Path::new(&backup.manifest.source) != self.database {
                return Some(Reason::AnotherDatabase);
            }
            let (rank, reason) = match backup.manifest.purpose {
                Purpose::BeforeRestore => (&mut replaced, Reason::Replaced),
                Purpose::Migration | Purpose::Manual => (&mut newest, Reason::Newest),
            };
            *rank += 1;
            if *rank <= keep.max(1) {
                Some(reason)
            } else if spared == Some(&backup.path) {
                Some(Reason::Used)
            } else {
                needed.contains(&backup.path).then_some(Reason::Needed)
            }
        };
        // The newest first: they are the ones that are counted.
        let mut verdicts: Vec<Verdict> = backups
            .into_iter()
            .rev()
            .map(|backup| Verdict {
                stays: judge(&backup),
                backup,
            })
            .collect();
        verdicts.reverse();
        Ok(verdicts)
    }

    fn remove_backup(&self, backup: &Backup) -> Result<()> {
        let stem = stem_of(&backup.path);
        storage::remove(&backup.path)?;
        fault::reach(Point::PruneArchive);
        if backup.encrypted {
            // Behind its archive: an encrypted archive without its label would be taken for a bad one, and stay for ever.
            storage::remove(&self.folder.join(format!("{stem}{LABEL}")))?;
            fault::reach(Point::PruneLabel);
        }
        storage::remove(&self.folder.join(format!("{stem}{VERIFIED}")))?;
        storage::remove(&self.folder.join(format!("{stem}{RECORD}")))?;
        fault::reach(Point::PruneRecord);
        Ok(())
    }

    /// Records of jobs whose snapshot was a copy of an earlier backup have no archive of their own.
    fn prune_records(&self, keep: usize) -> Result<()> {
        let loose: Vec<JobRecord> = self
            .own_records()?
            .into_iter()
            .filter(|record| record.outcome.is_some() && !self.slot_of(record).archive().exists())
            .collect();
        let surplus = loose.len().saturating_sub(keep.max(1));
        for record in loose.iter().take(surplus) {
            let slot = self.slot_of(record);
            if !slot.snapshot().exists() {
                storage::remove(&slot.record())?;
                fault::reach(Point::PruneRecord);
            }
        }
        Ok(())
    }
}
