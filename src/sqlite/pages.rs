//! A database as its pages: the content digest, and the page-wise restore.
//!
//! Live pages are read and written through `sqlite_dbpage`
//! (<https://www.sqlite.org/dbpage.html>), that is through SQLite's own pager:
//! what is in the WAL is seen, writes are part of the open transaction, and
//! other connections see them as one commit.
//! The page layout is that of <https://www.sqlite.org/fileformat2.html>.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::connection::Connection;
use super::ffi::{Raw, Statement};
use super::interrupt::Interrupt;
use crate::error::{Error, Result, SqliteFailure};
use crate::monitor::Monitor;
use crate::storage;

/// SQLite's lock bytes lie at 1 GiB; their page holds no data and must not be touched.
const PENDING_BYTE: u64 = 0x4000_0000;
const PAGES_PER_LOOK: u32 = 4096;
/// Where page 1 holds what is not content: journal mode, file change counter, schema cookie, "version valid for" and
/// SQLite's version.
const VOLATILE: [std::ops::Range<usize>; 4] = [18..20, 24..28, 40..44, 92..100];

/// SHA-256 over what a database holds, so that two files of equal content have equal digests.
///
/// Left out: the counters and version stamps that SQLite changes on its own accord (file change counter, schema
/// cookie, "version valid for"), the journal mode, and free pages without content. An empty file equals a
/// database in which nothing was ever created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// In hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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

/// The parts of page 1 that say how a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes a page.
    pub page_size: u32,
    /// Pages in the file.
    pub page_count: u32,
    /// Bytes kept free at the end of each page.
    reserved: u8,
}

impl Layout {
    /// Reads it from the first 100 bytes of a file of `file_bytes`.
    fn parse(header: &[u8; 100], file_bytes: u64) -> Option<Self> {
        if !header.starts_with(b"SQLite format 3\0") {
            return None;
        }
        let page_size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size if size >= 512 && size.is_power_of_two() => u32::from(size),
            _ => return None,
        };
        Some(Self {
            page_size,
            page_count: u32::try_from(file_bytes / u64::from(page_size)).ok()?,
            reserved: header[20],
        })
    }

    /// The layout of a database file in rollback-journal mode that nobody writes; `None` for an empty file.
    pub fn of_file(path: &Path) -> Result<Option<Self>> {
        let file = storage::open(path)?;
        let length = file.metadata().map_err(Error::io("look at", path))?.len();
        if length == 0 {
            return Ok(None);
        }
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0)
            .map_err(Error::io("read", path))?;
        Self::parse(&header, length)
            .map(Some)
            .ok_or_else(|| Error::NotADatabase {
                path: path.to_path_buf(),
                detail: "its header is not that of a SQLite database".into(),
            })
    }

    fn lock_page(self) -> u32 {
        u32::try_from(PENDING_BYTE / u64::from(self.page_size)).unwrap_or(u32::MAX) + 1
    }
}

/// Something that hands out pages by number, from 1.
trait Pages {
    fn read(&mut self, number: u32, page: &mut [u8]) -> Result<()>;
}

struct FilePages<'p> {
    file: File,
    path: &'p Path,
}

impl Pages for FilePages<'_> {
    fn read(&mut self, number: u32, page: &mut [u8]) -> Result<()> {
        let offset = u64::from(number - 1) * page.len() as u64;
        self.file
            .read_exact_at(page, offset)
            .map_err(Error::io("read", self.path))
    }
}

struct LivePages<'h> {
    select: Statement<'h>,
}

impl<'h> LivePages<'h> {
    fn new(raw: &'h Raw<'_>) -> Result<Self> {
        let sql = "SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?1";
        Ok(Self {
            select: prepare(raw, sql)?,
        })
    }

    fn with<T>(&mut self, number: u32, body: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let read = |failure| Error::sqlite(format!("read page {number}"))(failure);
        self.select.reset();
        self.select.bind_int(1, i64::from(number)).map_err(read)?;
        if !self.select.step().map_err(read)? {
            return Err(Error::sqlite(format!("read page {number}"))(
                SqliteFailure {
                    code: 0,
                    message: "the page is not there".into(),
                },
            ));
        }
        Ok(body(self.select.blob(0)))
    }
}

impl Pages for LivePages<'_> {
    fn read(&mut self, number: u32, page: &mut [u8]) -> Result<()> {
        self.with(number, |bytes| page.copy_from_slice(bytes))
    }
}

fn prepare<'h>(raw: &'h Raw<'_>, sql: &str) -> Result<Statement<'h>> {
    let (statement, _) = raw.prepare(sql).map_err(Error::sqlite("reach the pages"))?;
    statement.ok_or_else(|| {
        Error::sqlite("reach the pages")(SqliteFailure {
            code: 0,
            message: "nothing was compiled".into(),
        })
    })
}

/// Whether the linked SQLite can read and write pages (`SQLITE_ENABLE_DBPAGE_VTAB`).
pub async fn available(connection: &mut Connection) -> Result<bool> {
    connection
        .scalar::<i64>(
            "ask SQLite for its options",
            "SELECT count(*) FROM pragma_module_list WHERE name = 'sqlite_dbpage'",
        )
        .await
        .map(|count| count > 0)
}

/// The layout of a live database, as the connection's transaction sees it; `None` when it has no page.
pub async fn live_layout(connection: &mut Connection) -> Result<Option<Layout>> {
    let doing = "read the page count";
    let page_count: u32 = connection.scalar(doing, "PRAGMA page_count").await?;
    if page_count == 0 {
        return Ok(None);
    }
    let page_size: u32 = connection.scalar(doing, "PRAGMA page_size").await?;
    let first = connection
        .raw(|raw| LivePages::new(raw)?.with(1, <[u8]>::to_vec))
        .await??;
    Ok(Some(Layout {
        page_size,
        page_count,
        reserved: first[20],
    }))
}

/// The content digest of a database file that nobody writes.
pub fn digest_file(path: &Path) -> Result<ContentDigest> {
    let Some(layout) = Layout::of_file(path)? else {
        return Ok(blank());
    };
    let file = storage::open(path)?;
    digest(layout, &mut FilePages { file, path })
}

/// The content digest of a live database, as the connection's transaction sees it.
/// Needs [`available`] and an open transaction, or else a commit in between would give a mixture.
pub async fn digest_live(connection: &mut Connection) -> Result<ContentDigest> {
    let Some(layout) = live_layout(connection).await? else {
        return Ok(blank());
    };
    connection
        .raw(|raw| digest(layout, &mut LivePages::new(raw)?))
        .await?
}

fn blank() -> ContentDigest {
    ContentDigest(Sha256::digest(b"blank").into())
}

fn digest(layout: Layout, pages: &mut dyn Pages) -> Result<ContentDigest> {
    let mut page = vec![0; layout.page_size as usize];
    let free = free_pages(layout, pages, &mut page)?;
    let mut hash = Sha256::new();
    hash.update(layout.page_size.to_be_bytes());
    hash.update(layout.page_count.to_be_bytes());
    for number in 1..=layout.page_count {
        if number == layout.lock_page() || free.holds(number) {
            continue;
        }
        pages.read(number, &mut page)?;
        if number == 1 {
            neutralise(&mut page);
            if layout.page_count == 1 && is_blank(&page) {
                return Ok(blank());
            }
        }
        hash.update(&page[..]);
    }
    Ok(ContentDigest(hash.finalize().into()))
}

/// Zeroes what SQLite changes in page 1 although the content stays.
fn neutralise(first: &mut [u8]) {
    for range in VOLATILE {
        first[range].fill(0);
    }
}

/// A first page with an empty schema, no `user_version` and no `application_id`.
fn is_blank(first: &[u8]) -> bool {
    let is_zero = |range: std::ops::Range<usize>| first[range].iter().all(|byte| *byte == 0);
    first[100] == 13 && is_zero(103..105) && is_zero(60..64) && is_zero(68..72)
}

/// The leaves of the free list: pages that belong to nobody.
struct FreePages(Vec<u64>);

impl FreePages {
    fn none(page_count: u32) -> Self {
        Self(vec![0; page_count as usize / 64 + 1])
    }

    fn add(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn holds(&self, number: u32) -> bool {
        self.0
            .get(number as usize / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

fn free_pages(layout: Layout, pages: &mut dyn Pages, page: &mut [u8]) -> Result<FreePages> {
    let mut free = FreePages::none(layout.page_count);
    pages.read(1, page)?;
    let mut trunk = big_endian(page, 32);
    let mut seen = 0;
    while trunk != 0 && trunk <= layout.page_count && seen < layout.page_count {
        pages.read(trunk, page)?;
        let leaves = (big_endian(page, 4) as usize).min(page.len() / 4 - 2);
        for leaf in 0..leaves {
            free.add(big_endian(page, 8 + 4 * leaf));
        }
        trunk = big_endian(page, 0);
        seen += 1;
    }
    Ok(free)
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
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
        for number in (2..=self.from.page_count).filter(|number| *number != lock_page) {
            if number % PAGES_PER_LOOK == 0 {
                interrupt.check()?;
                monitor.progress(u64::from(number), u64::from(self.from.page_count));
            }
            self.source.read(number, &mut page)?;
            if number > self.to.page_count || self.live.with(number, |live| live != page)? {
                self.write(number, Some(&page))?;
            }
        }
        self.restore_first(&mut page)?;
        if self.to.page_count > self.from.page_count {
            self.write(self.from.page_count + 1, None)?;
        }
        // Only the statements that exist by now can read: a new one would be compiled against pages parsed before.
        let readable = self.from.page_count <= self.to.page_count;
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
