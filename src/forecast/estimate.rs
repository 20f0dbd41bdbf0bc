//! How long a plan would take, roughly, from the bytes that it has to move.

use serde::Serialize;

/// Snapshot, reading it back, digest, quick_check and counting, of the whole database.
const JOB_BYTES_PER_SECOND: u64 = 1;
/// Copying a table with its indexes inside SQLite.
const COPY_BYTES_PER_SECOND: u64 = 1;

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
