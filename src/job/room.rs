//! Room below the ceiling of the backups folder, made before a job writes its copies. The caller holds the folder's lock.

use std::path::Path;

use super::Context;
use super::report::Report;
use crate::error::{Error, Problem, Result};
use crate::snapshot;
use crate::sqlite::FileFacts;
use crate::storage::{self, PathKind};

impl Context<'_> {
    /// # Errors
    /// [`Error::OverMaxTotal`] where the copies of the database would not fit; then nothing was removed.
    pub(super) fn make_room(&self, facts: &FileFacts) -> Result<()> {
        self.remove_for(None, facts.size_bytes())
    }

    /// As [`Self::make_room`], before a restore. The way back is not refused for a ceiling: only warned of.
    pub(super) fn make_room_for_restore(
        &self,
        spared: Option<&Path>,
        report: &mut Report,
    ) -> Result<()> {
        let Ok(PathKind::File(database_bytes)) = storage::kind(self.database()) else {
            return Ok(());
        };
        match self.remove_for(spared, database_bytes) {
            Err(error @ Error::OverMaxTotal { .. }) => {
                let warning = Problem::new("backups", format!("{error}; restored all the same"));
                report.warnings.push(warning);
                Ok(())
            }
            done => done,
        }
    }

    fn remove_for(&self, spared: Option<&Path>, database_bytes: u64) -> Result<()> {
        let policy = &self.settings.retention;
        let copies = snapshot::copies_bytes(database_bytes);
        let removed = self.catalog().make_room(policy, spared, copies)?;
        if let (false, Some(most)) = (removed.is_empty(), policy.max_total) {
            self.monitor.notice(&format!(
                "{} removed to stay below {most} bytes (--max-total)",
                removed.len()
            ));
        }
        Ok(())
    }
}
