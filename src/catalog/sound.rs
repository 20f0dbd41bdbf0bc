//! Whether what a job has left is what its record says. A disk may have changed it since.

use std::path::{Path, PathBuf};

use super::{Backup, Catalog, JobRecord, Manifest, Slot};
use crate::archive;
use crate::encryption::Encryption;
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
            match self.unpack(&backup, &target, interrupt, monitor) {
                Err(Error::BackupUnusable { .. }) => {}
                Err(Error::KeyNeeded {
                    backup,
                    reason,
                    tried,
                }) => {
                    return Err(Error::KeyNeeded {
                        backup,
                        tried,
                        reason: format!(
                            "{reason}. It is needed now: the job {} was cut short halfway, its raw snapshot is gone or damaged, and what was there before is in this backup alone",
                            record.id
                        ),
                    });
                }
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

    /// An earlier backup of exactly this content that can stand for a new one: made for the same keys, and sound. The snapshot of
    /// a job that fails again and again is kept once.
    pub fn sound_twin(
        &self,
        manifest: &Manifest,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
    ) -> Result<Option<Backup>> {
        let Some(twin) = self.stand_in_for(manifest)? else {
            return Ok(None);
        };
        if !self.is_wrapped_alike(&twin) {
            return Ok(None);
        }
        let is_for_recipients = twin.label.as_ref().is_some_and(|l| l.recipients.is_some());
        let is_sound = match self.verify(&twin, interrupt, monitor) {
            Ok(()) => true,
            // The identities may be elsewhere. The label was made when the archive had been read back.
            Err(Error::KeyNeeded { .. } | Error::Usage { .. }) if is_for_recipients => {
                self.verify_sealed(&twin).is_ok()
            }
            Err(_) => false,
        };
        Ok(is_sound.then_some(twin))
    }

    /// Whether it can be opened by those for whom new archives are made, and by no others.
    fn is_wrapped_alike(&self, backup: &Backup) -> bool {
        let wanted = self.encryption.as_ref().map(Encryption::fingerprint);
        let label = backup.label.as_ref();
        let found = backup
            .encrypted
            .then(|| label.and_then(|label| label.recipients.clone()));
        wanted == found
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
