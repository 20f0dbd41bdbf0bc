//! How long a plan would take, roughly, from the bytes that it has to move.

use serde::Serialize;

/// Snapshot, reading it back, counting and `quick_check` of the whole database. Measured with the release build on a
/// database of 210 MB (a million users; two shared cores, both busy): 2.4 to 4.0 s.
const JOB_BYTES_PER_SECOND: u64 = 60_000_000;
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
    /// For all of it, in milliseconds.
    pub ms: u64,
}

impl Estimate {
    pub(super) fn of(database_bytes: u64, copied_bytes: u64) -> Self {
        let ms = database_bytes * 1000 / JOB_BYTES_PER_SECOND
            + copied_bytes * 1000 / COPY_BYTES_PER_SECOND;
        Self {
            database_bytes,
            copied_bytes,
            ms,
        }
    }
}
