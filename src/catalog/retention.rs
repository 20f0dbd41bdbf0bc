//! What goes, and what must stay.

use std::path::{Path, PathBuf};

use super::names::{DAMAGED_DRAFT, DRAFTS, RECORD, RECORD_DRAFT, SNAPSHOT, UNPACKED, stem_of};
use super::{Backup, Catalog, JobRecord, Purpose, discard_database};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::storage;

impl Catalog {
    /// Removes what jobs that were cut short before their first change have left: drafts, unpacked copies, and raw
    /// snapshots without a record.
    pub fn sweep(&self) -> Result<()> {
        for suffix in DRAFTS.into_iter().chain([RECORD_DRAFT]) {
            for path in self.leftovers(suffix)? {
                storage::remove(&path)?;
            }
        }
        for path in self.leftovers(UNPACKED)? {
            discard_database(&path)?;
        }
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

    /// Removes the oldest backups of this database beyond `keep`, with their records. The newest good one always stays,
    /// and so do `spared`, which the caller has just used, and what a job that was cut short still needs. Copies of what
    /// restores replaced are counted by themselves: however many there are, they push out no other backup.
    pub fn prune(&self, keep: usize, spared: Option<&Path>) -> Result<Vec<PathBuf>> {
        let needed: Vec<PathBuf> = self
            .own_records()?
            .iter()
            .filter(|record| record.outcome.is_none())
            .map(|record| self.slot_of(record).archive())
            .collect();
        let (mut ours, _) = self.backups()?;
        ours.retain(|backup| Path::new(&backup.manifest.source) == self.database);
        let (replaced, good): (Vec<Backup>, Vec<Backup>) = ours
            .into_iter()
            .partition(|backup| backup.manifest.purpose == Purpose::BeforeRestore);
        let mut removed = Vec::new();
        for group in [good, replaced] {
            let surplus = group.len().saturating_sub(keep.max(1));
            for backup in group.into_iter().take(surplus) {
                if spared != Some(&backup.path) && !needed.contains(&backup.path) {
                    self.remove_backup(&backup)?;
                    removed.push(backup.path);
                }
            }
        }
        self.prune_records(keep)?;
        fault::reach(Point::PruneDone);
        Ok(removed)
    }

    fn remove_backup(&self, backup: &Backup) -> Result<()> {
        let stem = stem_of(&backup.path);
        storage::remove(&backup.path)?;
        fault::reach(Point::PruneArchive);
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
