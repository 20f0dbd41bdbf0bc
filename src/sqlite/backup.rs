//! SQLite's online backup, from one connection into another.

use std::time::Duration;

use super::connection::Connection;
use super::ffi::{Backup, Step};
use super::interrupt::Interrupt;
use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::storage;

/// Pages a step: large enough to be fast, small enough to answer a signal at once.
const PAGES_PER_STEP: i32 = 2048;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Copies all of `source` into `destination`.
///
/// The source must be protected from writers for the time of the copy: each commit of another process
/// between two steps starts the copy over (<https://www.sqlite.org/backup.html>).
pub async fn copy(
    source: &mut Connection,
    destination: &mut Connection,
    deadline: Deadline,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<()> {
    let busy_path = destination.path().to_path_buf();
    let page_bytes = page_bytes(source).await;
    Connection::raw_pair(destination, source, |destination, source| {
        let mut backup =
            Backup::start(destination, source).map_err(Error::sqlite("start the backup"))?;
        loop {
            interrupt.check()?;
            let step = backup
                .step(PAGES_PER_STEP)
                .map_err(Error::sqlite("copy the database"))?;
            fault::reach(Point::CopyStepped);
            match step {
                Step::Done => return Ok(()),
                Step::More => {
                    let (done, total) = backup.progress();
                    monitor.progress(done * page_bytes, total * page_bytes);
                }
                Step::Busy if deadline.remaining().is_none() => {
                    return Err(Error::Locked {
                        holders: storage::holders_of(&busy_path),
                        path: busy_path,
                        waited_ms: deadline.waited_ms(),
                    });
                }
                Step::Busy => std::thread::sleep(BUSY_PAUSE),
            }
        }
    })
    .await?
}

/// 0, which measures nothing, where the schema is damaged: even the page size is not told without it, and the copy goes on.
async fn page_bytes(source: &mut Connection) -> u64 {
    let size: Result<i64> = source
        .scalar("ask for the page size", "PRAGMA page_size")
        .await;
    size.map_or(0, i64::unsigned_abs)
}
