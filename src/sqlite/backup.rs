//! SQLite's online backup, from one connection into another.

use std::path::PathBuf;
use std::time::Duration;

use super::connection::Connection;
use super::ffi::{Backup, Raw, Step};
use super::interrupt::Interrupt;
use super::pages::lock_page;
use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::storage;

/// Pages a step: large enough to be fast, small enough to answer a signal at once.
const PAGES_PER_STEP: i32 = 2048;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Hears how many pages, from the first on, are in the destination's file for good, but for page 1, which comes last.
pub type Settled<'s> = &'s mut (dyn FnMut(u32) + Send);

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
    Connection::raw_pair(destination, source, |destination, source| {
        let mut backup = start(destination, source)?;
        let mut pace = Pace {
            busy_path,
            deadline,
            interrupt,
            monitor,
        };
        while pace.step(&mut backup)? {}
        Ok(())
    })
    .await?
}

/// As [`copy`] into a new file, telling as it goes which pages are in it for good, so that they can be read meanwhile.
/// Whether all that was told held until the end: each page was written once.
pub async fn copy_followed(
    source: &mut Connection,
    destination: &mut Connection,
    page_size: u32,
    deadline: Deadline,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
    settled: Settled<'_>,
) -> Result<bool> {
    let busy_path = destination.path().to_path_buf();
    Connection::raw_pair(destination, source, |destination, source| {
        let mut backup = start(destination, source)?;
        let mut pace = Pace {
            busy_path,
            deadline,
            interrupt,
            monitor,
        };
        while pace.step(&mut backup)? {
            backup
                .flush()
                .map_err(Error::sqlite("write the copied pages"))?;
            let (done, _) = backup.progress();
            if backup.pages_written() + 1 == data_pages(done, page_size) {
                settled(u32::try_from(done).unwrap_or(u32::MAX));
            }
        }
        let (_, total) = backup.progress();
        Ok(backup.pages_written() == data_pages(total, page_size))
    })
    .await?
}

/// Pages among the first `count` that hold data.
fn data_pages(count: u64, page_size: u32) -> u64 {
    count - u64::from(count >= u64::from(lock_page(page_size)))
}

fn start<'b>(destination: &'b mut Raw<'_>, source: &'b mut Raw<'_>) -> Result<Backup<'b>> {
    Backup::start(destination, source).map_err(Error::sqlite("start the backup"))
}

/// What a copy looks at between two steps.
struct Pace<'p> {
    busy_path: PathBuf,
    deadline: Deadline,
    interrupt: &'p Interrupt,
    monitor: &'p dyn Monitor,
}

impl Pace<'_> {
    /// Copies a batch of pages. Whether there are more.
    fn step(&mut self, backup: &mut Backup<'_>) -> Result<bool> {
        self.interrupt.check()?;
        let step = backup
            .step(PAGES_PER_STEP)
            .map_err(Error::sqlite("copy the database"))?;
        fault::reach(Point::CopyStepped);
        match step {
            Step::Done => return Ok(false),
            Step::More => {
                let (done, total) = backup.progress();
                self.monitor.progress(done, total);
            }
            Step::Busy if self.deadline.remaining().is_none() => {
                return Err(Error::Locked {
                    holders: storage::holders_of(&self.busy_path),
                    path: self.busy_path.clone(),
                    waited_ms: self.deadline.waited_ms(),
                });
            }
            Step::Busy => std::thread::sleep(BUSY_PAUSE),
        }
        Ok(true)
    }
}
