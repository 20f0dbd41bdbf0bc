//! The clock of a job: its phases, and how long writers are kept out.

use super::report::{Phase, Report};
use crate::clock::Stopwatch;
use crate::monitor::Monitor;

const US_PER_MS: u64 = 1000;
const US_PER_SECOND: u64 = 1_000_000;
/// The phase that copies the database.
const COPYING: &str = "snapshot";

/// What is being measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    job: Option<Stopwatch>,
    phase: Option<(&'static str, Stopwatch)>,
    locked: Option<Stopwatch>,
    blocked_us: u64,
}

impl Report {
    /// A phase begins, and the one before ends. The first one starts the job's clock.
    pub(super) fn begin(&mut self, monitor: &dyn Monitor, name: &'static str) {
        self.end_phase();
        self.clock.job.get_or_insert_with(Stopwatch::start);
        monitor.phase(name);
        self.clock.phase = Some((name, Stopwatch::start()));
    }

    /// The phase that is going on.
    pub(super) fn running(&self) -> Option<&'static str> {
        self.clock.phase.map(|(name, _)| name)
    }

    /// Writers are kept out from here on.
    pub(super) fn locked(&mut self) {
        self.end_phase();
        self.clock.locked.get_or_insert_with(Stopwatch::start);
    }

    /// Writers are let in again, where they were kept out.
    pub(super) fn unlocked(&mut self) {
        if self.clock.locked.is_none() {
            return;
        }
        self.end_phase();
        if let Some(watch) = self.clock.locked.take() {
            self.clock.blocked_us += watch.elapsed_us();
            self.blocked_ms = self.clock.blocked_us / US_PER_MS;
        }
    }

    /// The end of the job.
    pub(super) fn finish(&mut self) {
        self.unlocked();
        self.end_phase();
        if let Some(watch) = self.clock.job.take() {
            self.elapsed_ms = watch.elapsed_ms();
        }
        // The last one: a copy that was made before the lock may have been thrown away.
        let copying = self.phases.iter().rfind(|phase| phase.name == COPYING);
        let copying_us = copying.map_or(0, |phase| phase.us);
        self.snapshot_bytes_per_second = self
            .database_bytes
            .and_then(|bytes| bytes.saturating_mul(US_PER_SECOND).checked_div(copying_us));
    }

    fn end_phase(&mut self) {
        if let Some((name, watch)) = self.clock.phase.take() {
            let us = watch.elapsed_us();
            self.phases.push(Phase {
                name,
                ms: us / US_PER_MS,
                us,
                blocking: self.clock.locked.is_some(),
            });
        }
    }
}
