//! What goes, and what must stay.

use std::path::{Path, PathBuf};

use super::{
    ARCHIVE, Catalog, DRAFT, JobRecord, Purpose, RECORD, RECORD_DRAFT, SNAPSHOT, UNPACKED,
    discard_database,
};
use crate::error::Result;
use crate::storage;

impl Catalog {
    /// Removes what jobs that were cut short before their first change have left: drafts, unpacked copies, and raw
    /// snapshots without a record.
    pub fn sweep(&self) -> Result<()> {
        for suffix in [DRAFT, RECORD_DRAFT] {
            for path in self.leftovers(suffix)? {
                storage::remove(&path)?;
            }
        }
        for path in self.leftovers(UNPACKED)? {
            discard_database(&path)?;
        }
        let known: Vec<PathBuf> = self
            .records()?
            .iter()
            .map(|r| self.slot_of(r).snapshot())
            .collect();
        for path in self.leftovers(SNAPSHOT)? {
            if !known.contains(&path) {
                discard_database(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the oldest backups of this database beyond `keep`, with their records. The newest good one always stays,
    /// and so do `spared`, which the caller has just used, and what a job that was cut short still needs.
    pub fn prune(&self, keep: usize, spared: Option<&Path>) -> Result<Vec<PathBuf>> {
        let needed: Vec<PathBuf> = self
            .own_records()?
            .iter()
            .filter(|record| record.outcome.is_none())
            .map(|record| self.slot_of(record).archive())
            .collect();
        let (mut ours, _) = self.backups()?;
        ours.retain(|backup| Path::new(&backup.manifest.source) == self.database);
        // Copies that restores made of what they replaced may be of damaged databases, so they do not count as good.
        let newest_good = ours
            .iter()
            .rfind(|backup| backup.manifest.purpose != Purpose::BeforeRestore)
            .map(|backup| backup.path.clone());
        let surplus = ours.len().saturating_sub(keep.max(1));
        let mut removed = Vec::new();
        for backup in ours.into_iter().take(surplus) {
            let is_used = spared == Some(&backup.path) || needed.contains(&backup.path);
            if is_used || newest_good.as_ref() == Some(&backup.path) {
                continue;
            }
            let stem = storage::name_of(&backup.path);
            let stem = stem.trim_end_matches(ARCHIVE);
            storage::remove(&backup.path)?;
            storage::remove(&self.folder.join(format!("{stem}{RECORD}")))?;
            removed.push(backup.path);
        }
        self.prune_records(keep)?;
        Ok(removed)
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
            }
        }
        Ok(())
    }
}
