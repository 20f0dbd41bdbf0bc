//! SQLite's online backup, from one connection into another.

use std::path::PathBuf;
use std::time::Duration;

use super::connection::Connection;
use super::ffi::{Backup, Step};
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
    let page_bytes = page_bytes(source).await;
    let pace = Pace {
        busy_path: destination.path().to_path_buf(),
        deadline,
        interrupt,
        monitor,
        page_bytes,
    };
    run(source, destination, pace, |_| Ok(())).await.map(|_| ())
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
    let pace = Pace {
        busy_path: destination.path().to_path_buf(),
        deadline,
        interrupt,
        monitor,
        page_bytes: u64::from(page_size),
    };
    let tell = |backup: &mut Backup<'_>| {
        backup
            .flush()
            .map_err(Error::sqlite("write the copied pages"))?;
        let (done, _) = backup.progress();
        if backup.pages_written() + 1 == data_pages(done, page_size) {
            settled(u32::try_from(done).unwrap_or(u32::MAX));
        }
        Ok(())
    };
    let (total, written) = run(source, destination, pace, tell).await?;
    Ok(written == data_pages(total, page_size))
}

/// Copies, with `after_each` step but the last. Pages in all, and how often one was written.
async fn run(
    source: &mut Connection,
    destination: &mut Connection,
    pace: Pace<'_>,
    mut after_each: impl FnMut(&mut Backup<'_>) -> Result<()>,
) -> Result<(u64, u64)> {
    Connection::raw_pair(destination, source, |destination, source| {
        let mut backup =
            Backup::start(destination, source).map_err(Error::sqlite("start the backup"))?;
        while pace.step(&mut backup)? {
            after_each(&mut backup)?;
        }
        Ok((backup.progress().1, backup.pages_written()))
    })
    .await?
}

/// Pages among the first `count` that hold data.
fn data_pages(count: u64, page_size: u32) -> u64 {
    count - u64::from(count >= u64::from(lock_page(page_size)))
}

/// What a copy looks at between two steps.
struct Pace<'p> {
    busy_path: PathBuf,
    deadline: Deadline,
    interrupt: &'p Interrupt,
    monitor: &'p dyn Monitor,
    /// 0 where it is not known.
    page_bytes: u64,
}

impl Pace<'_> {
    /// Copies a batch of pages. Whether there are more.
    fn step(&self, backup: &mut Backup<'_>) -> Result<bool> {
        self.interrupt.check()?;
        let step = backup
            .step(PAGES_PER_STEP)
            .map_err(Error::sqlite("copy the database"))?;
        fault::reach(Point::CopyStepped);
        match step {
            Step::Done => return Ok(false),
            Step::More => {
                let (done, total) = backup.progress();
                self.monitor
                    .progress(done * self.page_bytes, total * self.page_bytes);
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

/// 0, which measures nothing, where the schema is damaged: even the page size is not told without it, and the copy goes on.
async fn page_bytes(source: &mut Connection) -> u64 {
    let size: Result<i64> = source
        .scalar("ask for the page size", "PRAGMA page_size")
        .await;
    size.map_or(0, i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::time::Duration;

    use super::*;
    use crate::monitor::Silent;
    use crate::sqlite::{Access, FileFacts};

    /// What was told of a copy, and the bytes that were in the file when it was told.
    async fn follow(folder: &std::path::Path, page_size: u32, mode: &str) -> (bool, Vec<Vec<u8>>) {
        let interrupt = Interrupt::default();
        let (from, to) = (folder.join("from.db"), folder.join("to.db"));
        drop(storage::create_new(&from).expect("a file"));
        drop(storage::create_new(&to).expect("a file"));
        let open = async |path: &std::path::Path, access| {
            Connection::open(path, access, &interrupt)
                .await
                .expect("it opens")
        };
        let mut source = open(&from, Access::ReadWrite).await;
        let fill = format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = {mode}; CREATE TABLE t (a); \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) \
             INSERT INTO t SELECT randomblob({page_size} - 100) FROM n"
        );
        source.run("fill", &fill).await.expect("it fills");
        let facts = FileFacts::read(&mut source).await.expect("facts");
        assert_eq!(facts.page_size, page_size);
        let mut target = open(&to, Access::Scratch).await;
        let mut seen = Vec::new();
        let copied = to.clone();
        let held = copy_followed(
            &mut source,
            &mut target,
            page_size,
            Deadline::after(Duration::from_secs(30)),
            &interrupt,
            &Silent,
            &mut |pages| {
                let bytes = (pages - 1) as usize * page_size as usize;
                let mut part = vec![0; bytes];
                storage::open(&copied)
                    .expect("it opens")
                    .read_exact_at(&mut part, u64::from(page_size))
                    .expect("they are there");
                seen.push(part);
            },
        )
        .await
        .expect("it copies");
        target.close().await.expect("it closes");
        let whole = std::fs::read(&to).expect("the copy");
        assert_eq!(whole.len() as u64, facts.size_bytes());
        for part in &seen {
            let end = page_size as usize + part.len();
            assert!(whole[page_size as usize..end] == part[..], "{page_size}");
        }
        (held, seen)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pages_that_are_told_to_be_in_the_file_for_good_stay_as_they_are() {
        for page_size in [512, 4096, 16_384] {
            for mode in ["wal", "delete"] {
                let folder = tempfile::tempdir().expect("a folder");
                let (held, seen) = follow(folder.path(), page_size, mode).await;
                assert!(held, "{page_size} {mode}");
                assert!(seen.len() >= 3, "{page_size} {mode}: {}", seen.len());
            }
        }
    }
}
