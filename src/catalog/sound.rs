//! Whether what a job has left is what its record says. A disk may have changed it since.

use std::path::{Path, PathBuf};

use super::{Catalog, JobRecord, Slot, unpack};
use crate::archive;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::sqlite::Interrupt;
use crate::storage;

/// What a raw snapshot that is damaged is called: nothing looks for it any more, but a person may.
const SET_ASIDE: &str = ".snapshot.damaged";

impl Catalog {
    /// The database as it was before a job, proven against the manifest: the raw snapshot, or where that is gone or damaged,
    /// the backup that was made of it, unpacked.
    ///
    /// # Errors
    /// [`Error::RecordUnusable`] where neither is sound.
    pub fn proven_snapshot(
        &self,
        record: &JobRecord,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
    ) -> Result<PathBuf> {
        let slot = self.slot_of(record);
        if is_sound(record, &slot)? {
            return Ok(slot.snapshot());
        }
        if let Some(backup) = self.twin_of(&record.manifest)? {
            let target = slot.unpacked();
            storage::remove(&target)?;
            match unpack(&backup, &target, interrupt, monitor) {
                Err(Error::BackupUnusable { .. }) => {}
                unpacked => return unpacked.map(|()| target),
            }
        }
        Err(Error::RecordUnusable {
            record: slot.record(),
            reason: format!(
                "its job was cut short halfway, and its snapshot {} is gone or damaged, as is the backup of it",
                slot.snapshot().display()
            ),
        })
    }

    /// Takes the raw snapshot of a job that has ended out of the way if it is damaged. Returns its new name.
    pub fn set_aside_if_damaged(&self, record: &JobRecord) -> Result<Option<PathBuf>> {
        let slot = self.slot_of(record);
        if is_sound(record, &slot)? {
            return Ok(None);
        }
        let aside = slot.path(SET_ASIDE);
        storage::replace_with(&slot.snapshot(), &aside)?;
        Ok(Some(aside))
    }
}

fn is_sound(record: &JobRecord, slot: &Slot) -> Result<bool> {
    let raw: &Path = &slot.snapshot();
    Ok(raw.exists() && archive::sha256_of(raw)? == record.manifest.sha256)
}
