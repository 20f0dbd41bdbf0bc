//! A database as its pages: the content digest, and the page-wise restore.
//!
//! Live pages are read and written through `sqlite_dbpage`
//! (<https://www.sqlite.org/dbpage.html>), that is through SQLite's own pager:
//! what is in the WAL is seen, writes are part of the open transaction, and
//! other connections see them as one commit.
//! The page layout is that of <https://www.sqlite.org/fileformat2.html>.

mod digest;
mod restore;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::connection::Connection;
use super::ffi::{Raw, Statement};
use crate::error::{Error, Result, SqliteFailure};
use crate::storage;

pub use digest::{ContentDigest, digest_file, digest_live};
pub use restore::{PagesWritten, restore_pages};

/// SQLite's lock bytes lie at 1 GiB; their page holds no data and must not be touched.
const PENDING_BYTE: u64 = 0x4000_0000;
/// Where page 1 holds what is not content: journal mode, file change counter, schema cookie, "version valid for" and
/// SQLite's version.
const VOLATILE: [std::ops::Range<usize>; 4] = [JOURNAL_MODE, 24..28, 40..44, 92..100];

/// Where the header says the journal mode, twice: 1 is a rollback journal, 2 is WAL
/// (<https://www.sqlite.org/fileformat2.html#file_format_version_numbers>).
const JOURNAL_MODE: std::ops::Range<usize> = 18..20;

/// Puts a database file that nobody has open into rollback-journal mode.
pub fn mark_rollback_journal(path: &Path) -> Result<()> {
    storage::patch(path, JOURNAL_MODE.start as u64, &[1, 1])
}

/// Puts a database file that nobody has open into WAL mode.
pub fn mark_wal(path: &Path) -> Result<()> {
    storage::patch(path, JOURNAL_MODE.start as u64, &[2, 2])
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
        let no_database = || Error::NotADatabase {
            path: path.to_path_buf(),
            detail: "its header is not that of a SQLite database".into(),
        };
        let mut header = [0; 100];
        if length < header.len() as u64 {
            return Err(no_database());
        }
        file.read_exact_at(&mut header, 0)
            .map_err(Error::io("read", path))?;
        Self::parse(&header, length)
            .map(Some)
            .ok_or_else(no_database)
    }

    fn lock_page(self) -> u32 {
        lock_page(self.page_size)
    }
}

/// The page of SQLite's lock bytes.
pub(super) fn lock_page(page_size: u32) -> u32 {
    u32::try_from(PENDING_BYTE / u64::from(page_size)).unwrap_or(u32::MAX - 1) + 1
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
    let (statement, _) = raw
        .prepare(sql.as_bytes())
        .map_err(Error::sqlite("reach the pages"))?;
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

/// Page 1 of a live database, as the connection sees it. Needs [`available`].
async fn first_page(connection: &mut Connection) -> Result<Vec<u8>> {
    connection
        .raw(|raw| LivePages::new(raw)?.with(1, <[u8]>::to_vec))
        .await?
}

/// What page 1 of a new copy of this database becomes, in rollback-journal mode: SQLite begins its counters anew, so that
/// two copies of one content are the same. `None` where it cannot be known beforehand: there is no page yet, or SQLite was
/// built without `sqlite_dbpage`.
pub async fn first_page_of_copy(connection: &mut Connection) -> Result<Option<Vec<u8>>> {
    let pages: u32 = connection
        .scalar("read the page count", "PRAGMA page_count")
        .await?;
    if pages == 0 || !available(connection).await? {
        return Ok(None);
    }
    let mut page = first_page(connection).await?;
    let [journal_mode, changes, cookie, valid_for] = VOLATILE;
    page[journal_mode].fill(1);
    for counter in [changes, cookie] {
        page[counter].copy_from_slice(&1_u32.to_be_bytes());
    }
    let writer = libsqlite3_sys::SQLITE_VERSION_NUMBER.to_be_bytes();
    page[valid_for].copy_from_slice(&[1_u32.to_be_bytes(), writer].concat());
    Ok(Some(page))
}

/// The layout of a live database, as the connection's transaction sees it; `None` when it has no page.
pub async fn live_layout(connection: &mut Connection) -> Result<Option<Layout>> {
    let doing = "read the page count";
    let page_count: u32 = connection.scalar(doing, "PRAGMA page_count").await?;
    if page_count == 0 {
        return Ok(None);
    }
    let page_size: u32 = connection.scalar(doing, "PRAGMA page_size").await?;
    let first = first_page(connection).await?;
    Ok(Some(Layout {
        page_size,
        page_count,
        reserved: first[20],
    }))
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
