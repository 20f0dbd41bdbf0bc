//! The page-wise restore: only what differs is written, in the transaction that is open.

use std::path::Path;

use super::digest::{ContentDigest, digest};
use super::{FilePages, Layout, LivePages, Pages, VOLATILE, live_layout, prepare};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::ffi::{Raw, Statement};
use crate::sqlite::{Connection, Interrupt};
use crate::storage;

const PAGES_PER_LOOK: u32 = 4096;
/// What the page-wise restore did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagesWritten {
    /// Pages in the restored database.
    pub total: u32,
    /// Pages that differed and were written.
    pub written: u32,
    /// The content digest of the result, read before anybody else could write. `None` where the database grew: its new
    /// pages cannot be read before the commit.
    pub digest: Option<ContentDigest>,
}

/// Makes the live database equal to the snapshot by writing the pages that differ, inside the write transaction
/// that the connection has open. `None`, and nothing written, where the layouts do not fit.
pub async fn restore_pages(
    connection: &mut Connection,
    snapshot: &Path,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Option<PagesWritten>> {
    let (Some(from), Some(to)) = (Layout::of_file(snapshot)?, live_layout(connection).await?)
    else {
        return Ok(None);
    };
    if (from.page_size, from.reserved) != (to.page_size, to.reserved) {
        return Ok(None);
    }
    let source = FilePages {
        file: storage::open(snapshot)?,
        path: snapshot,
    };
    let done = connection
        .raw(|raw| PageRestore::new(raw, source, from, to)?.run(interrupt, monitor))
        .await??;
    if done.written > 0 {
        renew_schema_cookie(connection).await?;
    }
    Ok(Some(done))
}

/// Makes every open connection read the schema again, which may have become another one with the same cookie.
async fn renew_schema_cookie(connection: &mut Connection) -> Result<()> {
    let doing = "renew the schema cookie";
    let cookie: i64 = connection.scalar(doing, "PRAGMA schema_version").await?;
    let next = (cookie + 1) % i64::from(i32::MAX);
    connection
        .run(doing, &format!("PRAGMA schema_version = {next}"))
        .await
        .map(|_| ())
}

struct PageRestore<'h, 'p> {
    source: FilePages<'p>,
    live: LivePages<'h>,
    insert: Statement<'h>,
    from: Layout,
    to: Layout,
    written: u32,
}

impl<'h, 'p> PageRestore<'h, 'p> {
    fn new(raw: &'h Raw<'_>, source: FilePages<'p>, from: Layout, to: Layout) -> Result<Self> {
        Ok(Self {
            source,
            live: LivePages::new(raw)?,
            insert: prepare(
                raw,
                "INSERT INTO sqlite_dbpage (pgno, data, schema) VALUES (?1, ?2, 'main')",
            )?,
            from,
            to,
            written: 0,
        })
    }

    fn run(mut self, interrupt: &Interrupt, monitor: &dyn Monitor) -> Result<PagesWritten> {
        let mut page = vec![0; self.from.page_size as usize];
        let lock_page = self.from.lock_page();
        let half = self.from.page_count / 2;
        for number in (2..=self.from.page_count).filter(|number| *number != lock_page) {
            if number % PAGES_PER_LOOK == 0 {
                interrupt.check()?;
                let page_bytes = u64::from(self.from.page_size);
                monitor.progress(
                    u64::from(number) * page_bytes,
                    u64::from(self.from.page_count) * page_bytes,
                );
            }
            self.source.read(number, &mut page)?;
            if number > self.to.page_count || self.live.with(number, |live| live != page)? {
                self.write(number, Some(&page))?;
                if self.written == 1 {
                    fault::reach(Point::RestoreFirst);
                }
            }
            if number == half {
                fault::reach(Point::RestoreHalf);
            }
        }
        fault::reach(Point::RestoreLast);
        self.restore_first(&mut page)?;
        fault::reach(Point::RestorePageOne);
        if self.to.page_count > self.from.page_count {
            self.write(self.from.page_count + 1, None)?;
            fault::reach(Point::RestoreCut);
        }
        // Only the statements that exist by now can read: a new one would be compiled against pages parsed before.
        let readable = self.from.page_count <= self.to.page_count;
        monitor.step("the digest of the result");
        let digest = readable
            .then(|| digest(self.from, &mut self.live))
            .transpose()?;
        self.live.select.reset();
        Ok(PagesWritten {
            total: self.from.page_count,
            written: self.written,
            digest,
        })
    }

    /// Page 1 last: it keeps the live file's own counters, journal mode and, for now, schema cookie. With another
    /// cookie SQLite would compile our next statement anew, against pages that it has parsed before.
    fn restore_first(&mut self, page: &mut [u8]) -> Result<()> {
        let mut live = vec![0; page.len()];
        self.source.read(1, page)?;
        self.live.read(1, &mut live)?;
        for range in VOLATILE {
            page[range.clone()].copy_from_slice(&live[range]);
        }
        if self.written > 0 || self.to.page_count != self.from.page_count || page != live.as_slice()
        {
            self.write(1, Some(page))?;
        }
        Ok(())
    }

    fn write(&mut self, number: u32, page: Option<&[u8]>) -> Result<()> {
        let fail = |failure| Error::sqlite(format!("write page {number}"))(failure);
        self.live.select.reset();
        self.insert.reset();
        self.insert.bind_int(1, i64::from(number)).map_err(fail)?;
        match page {
            Some(bytes) => self.insert.bind_blob(2, bytes).map_err(fail)?,
            None => self.insert.bind_null(2).map_err(fail)?,
        }
        self.insert.step().map_err(fail)?;
        self.written += u32::from(page.is_some());
        Ok(())
    }
}
