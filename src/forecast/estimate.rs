//! How long a plan would take, roughly, from the bytes that it has to move.

use std::time::Duration;

use serde::Serialize;

/// The snapshot under the lock with its hash, checks and the survey of enum columns. Measured with the release build on a
/// database of 1 GB (two cores): 1.2 to 2.5 s.
const SNAPSHOT_BYTES_PER_SECOND: u64 = 400_000_000;
/// Writing tables with their indexes anew inside SQLite. In the same measurement: 7.0 s for a rebuild that copies 200 MB
/// there and back (005 of Fast-Flow), 4.0 s for two columns dropped (006), 1.1 s for an index on a million rows (004).
const COPY_BYTES_PER_SECOND: u64 = 50_000_000;

/// An estimate.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Estimate {
    /// Of the database: all of it goes into the snapshot.
    pub database_bytes: u64,
    /// Of tables that are written anew.
    pub copied_bytes: u64,
    /// How long writers would wait, in milliseconds, if none of them commits while the snapshot is taken.
    pub ms: u64,
    /// And if one does, or the snapshot cannot be taken before the lock.
    pub busy_ms: u64,
}

impl Estimate {
    /// Whether all of it would be done in that time, from the snapshot to the commit.
    #[must_use]
    pub fn fits(&self, left: Duration) -> bool {
        Duration::from_millis(self.busy_ms) <= left
    }

    /// `early` where the snapshot can be taken before the lock.
    pub(super) fn of(database_bytes: u64, copied_bytes: u64, early: bool) -> Self {
        let change_ms = copied_bytes * 1000 / COPY_BYTES_PER_SECOND;
        let busy_ms = database_bytes * 1000 / SNAPSHOT_BYTES_PER_SECOND + change_ms;
        Self {
            database_bytes,
            copied_bytes,
            ms: if early { change_ms } else { busy_ms },
            busy_ms,
        }
    }
}
