//! What goes, and what must stay.

use std::path::{Path, PathBuf};

use super::names::{
    COPIED, DAMAGED_DRAFT, DOWNLOAD, DRAFTS, LABEL, LABEL_DRAFT, RECORD, RECORD_DRAFT, SCRATCH,
    SNAPSHOT, UNPACKED, VERIFIED, stem_of,
};
use super::{Backup, Catalog, JobRecord, discard_database};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::retention::{self, Candidate, Policy, Reason, Verdict};
use crate::storage::{self, PathKind};

/// How many records of jobs stay whose snapshot was a copy of an earlier backup.
const LOOSE_RECORDS: usize = 10;
/// What is unpacked only to be looked at, with what SQLite puts beside it.
const PASSING: [&str; 3] = [SCRATCH, UNPACKED, DOWNLOAD];

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
        for path in self.lone_notes()? {
            storage::remove(&path)?;
        }
        self.sweep_scratch()?;
        self.sweep_fetched()?;
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

    /// Removes what [`Self::retention`] judges to go, with its records.
    pub fn prune(&self, policy: &Policy, spared: Option<&Path>) -> Result<Vec<PathBuf>> {
        let removed = self.remove_judged(self.judge(policy, spared)?)?;
        self.prune_records()?;
        fault::reach(Point::PruneDone);
        Ok(removed)
    }

    /// What [`Self::prune`] would do. A ceiling that cannot be met takes nothing away: it would cost backups and gain nothing,
    /// and most often a unit was forgotten.
    pub fn judge(&self, policy: &Policy, spared: Option<&Path>) -> Result<Vec<(Backup, Verdict)>> {
        let verdicts = self.retention(policy, spared, 0)?;
        match self.require_within(policy, &verdicts, 0) {
            Err(Error::OverMaxTotal { .. }) => {
                let rules = Policy {
                    max_total: None,
                    ..policy.clone()
                };
                self.retention(&rules, spared, 0)
            }
            within => within.map(|()| verdicts),
        }
    }

    /// Makes room below the ceiling for `bytes` that are about to be written. `spared` has just been used. The caller holds
    /// the folder's lock.
    ///
    /// # Errors
    /// [`Error::OverMaxTotal`] where it would not be enough; then nothing is removed.
    pub fn make_room(
        &self,
        policy: &Policy,
        spared: Option<&Path>,
        bytes: u64,
    ) -> Result<Vec<PathBuf>> {
        if policy.max_total.is_none() {
            return Ok(Vec::new());
        }
        let verdicts = self.retention(policy, spared, bytes)?;
        self.require_within(policy, &verdicts, bytes)?;
        self.remove_judged(verdicts)
    }

    /// Whether [`Self::make_room`] would be enough for `bytes`. Removes nothing.
    ///
    /// # Errors
    /// [`Error::OverMaxTotal`]
    pub fn require_room(&self, policy: &Policy, bytes: u64) -> Result<()> {
        if policy.max_total.is_none() {
            return Ok(());
        }
        let verdicts = self.retention(policy, None, bytes)?;
        self.require_within(policy, &verdicts, bytes)
    }

    fn require_within(
        &self,
        policy: &Policy,
        verdicts: &[(Backup, Verdict)],
        bytes: u64,
    ) -> Result<()> {
        let gone = verdicts.iter().filter(|(_, verdict)| !verdict.stays());
        let freed: u64 = gone.map(|(backup, _)| backup.archive_bytes).sum();
        let stay_bytes = self.bytes()?.saturating_sub(freed);
        match policy.max_total {
            Some(max_bytes) if stay_bytes.saturating_add(bytes) > max_bytes => {
                Err(Error::OverMaxTotal {
                    folder: self.folder.clone(),
                    needed_bytes: bytes,
                    stay_bytes,
                    max_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    /// What the folder takes. What is unpacked only to be looked at does not count.
    pub fn bytes(&self) -> Result<u64> {
        let mut bytes: u64 = 0;
        for path in storage::list(&self.folder)? {
            let name = storage::name_of(&path);
            if PASSING.iter().any(|word| name.contains(word)) {
                continue;
            }
            bytes += match storage::kind(&path) {
                Ok(PathKind::File(bytes)) => bytes,
                Ok(PathKind::Folder) => storage::bytes_below(&path)?,
                // It has vanished meanwhile, or takes nothing.
                _ => 0,
            };
        }
        Ok(bytes)
    }

    /// Judges every backup that can be read, oldest first. The newest good one always stays, and so do `spared`, which the
    /// caller has just used or made, and what a job that was cut short still needs. `bytes` are about to be written beside
    /// them.
    pub fn retention(
        &self,
        policy: &Policy,
        spared: Option<&Path>,
        bytes: u64,
    ) -> Result<Vec<(Backup, Verdict)>> {
        let needed: Vec<PathBuf> = self
            .own_records()?
            .iter()
            .filter(|record| record.outcome.is_none())
            .map(|record| self.slot_of(record).archive())
            .collect();
        let (backups, _) = self.backups()?;
        let is_own = |backup: &Backup| Path::new(&backup.manifest.source) == self.database;
        let candidates: Vec<Candidate> = backups
            .iter()
            .filter(|backup| is_own(backup))
            .map(|backup| {
                let mut candidate = self.candidate(backup);
                if spared == Some(&backup.path) {
                    candidate.held.push(Reason::Used);
                }
                if needed.contains(&backup.path) {
                    candidate.held.push(Reason::Needed);
                }
                candidate
            })
            .collect();
        let beside = match policy.max_total {
            // All that is there counts, but for what is judged.
            Some(_) => {
                let judged = candidates.iter().map(|candidate| candidate.bytes).sum();
                self.bytes()?.saturating_sub(judged).saturating_add(bytes)
            }
            None => 0,
        };
        let verdicts = retention::judge(policy, &candidates, Stamp::now(), beside);
        let mut verdicts = verdicts.into_iter();
        let others = || Verdict::Stays(vec![Reason::AnotherDatabase]);
        let judged = backups.into_iter().map(|backup| {
            let own = is_own(&backup).then(|| verdicts.next()).flatten();
            (backup, own.unwrap_or_else(others))
        });
        Ok(judged.collect())
    }

    fn candidate(&self, backup: &Backup) -> Candidate {
        let is_good = self
            .verified(backup)
            .is_none_or(|verified| verified.finding.is_none());
        let name = storage::name_of(&backup.path);
        backup
            .manifest
            .candidate(name, backup.archive_bytes, is_good)
    }

    fn remove_judged(&self, verdicts: Vec<(Backup, Verdict)>) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for (backup, verdict) in verdicts {
            if !verdict.stays() {
                self.remove_backup(&backup)?;
                removed.push(backup.path);
            }
        }
        Ok(removed)
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
        storage::remove(&self.folder.join(format!("{stem}{COPIED}")))?;
        storage::remove(&self.folder.join(format!("{stem}{RECORD}")))?;
        fault::reach(Point::PruneRecord);
        Ok(())
    }

    /// Records of jobs whose snapshot was a copy of an earlier backup have no archive of their own.
    fn prune_records(&self) -> Result<()> {
        let loose: Vec<JobRecord> = self
            .own_records()?
            .into_iter()
            .filter(|record| record.outcome.is_some() && !self.slot_of(record).archive().exists())
            .collect();
        let surplus = loose.len().saturating_sub(LOOSE_RECORDS);
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
