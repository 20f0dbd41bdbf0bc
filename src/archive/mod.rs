//! The archive of a snapshot: a tar of `manifest.json` and the database file, in this order, compressed or not.
//!
//! Plain `tar` and `sqlite3` read it without this tool. Reading is bounded: exactly these two regular files, in this
//! order, of the sizes that were promised; anything else is refused.

mod block;
mod compression;
mod entries;
mod gzip;
mod pack;
mod pipeline;
mod unpack;
mod zst;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

pub use compression::{Compression, tar_command};
pub use pipeline::at_low_priority;

use crate::error::{Error, Result, is_something_else};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{Interrupt, hex};
use crate::storage;
use entries::{MANIFEST, database_entry, entries_of, manifest_entry};
use pack::Cutter;
use pipeline::Drain;

/// tar fills its last record up with zeros: 10 KiB, or as much as it was told to.
const PADDING_LIMIT_BYTES: u64 = 1024 * 1024;
/// Two records of zeros stand at the end of a tar: what lacks them was cut off.
const END_MARK_BYTES: u64 = 1024;
const RECORD_BYTES: u64 = 512;
const CHUNK_BYTES: usize = 256 * 1024;
/// The manifest stands at the beginning.
const MANIFEST_CHUNK_BYTES: usize = 16 * 1024;

/// What goes into an archive.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The text of `manifest.json`.
    pub manifest: &'a [u8],
    /// The database file on disk.
    pub database: &'a Path,
    /// Its name in the archive.
    pub name: &'a str,
    /// Seconds since 1970, for both entries.
    pub modified: u64,
}

/// Writes an archive to a new file and makes it durable. Gives up when interrupted. `monitor` hears of the bytes of the
/// database that are done.
pub fn write(
    path: &Path,
    contents: Contents<'_>,
    compression: Compression,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<()> {
    let file = storage::create_new(path)?;
    let database = storage::open(contents.database)?;
    let written = write_to(&file, contents, database, compression, interrupt, monitor);
    interrupt.check()?;
    written.map_err(Error::io("write the archive", path))
}

fn write_to(
    file: &File,
    contents: Contents<'_>,
    database: File,
    compression: Compression,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> io::Result<()> {
    let length = database.metadata()?.len();
    let build = |to: &mut Cutter<'_>| build(to, contents, database, length);
    pack::packed(compression, length, build, |blocks| {
        write_blocks(
            file,
            pack::preface(compression),
            blocks,
            interrupt,
            |done| {
                monitor.progress(done.min(length), length);
            },
        )
    })?;
    fault::reach(Point::ArchiveWritten);
    file.sync_all()?;
    fault::reach(Point::ArchiveSynced);
    Ok(())
}

fn build(
    to: &mut Cutter<'_>,
    contents: Contents<'_>,
    database: File,
    length: u64,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(to);
    let manifest_bytes = contents.manifest.len() as u64;
    append(
        &mut tar,
        MANIFEST,
        manifest_bytes,
        contents.modified,
        contents.manifest,
    )?;
    // In a block of its own: whoever lists the backups reads no more than that.
    tar.get_mut().flush()?;
    fault::reach(Point::ArchiveBegun);
    let inner = BufReader::with_capacity(CHUNK_BYTES, database);
    let database = fault::at_half(Point::ArchiveHalf, length, inner);
    append(&mut tar, contents.name, length, contents.modified, database)?;
    tar.finish()
}

fn write_blocks(
    mut file: &File,
    preface: &[u8],
    mut blocks: Drain,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    file.write_all(preface)?;
    let mut done = 0;
    while let Some(block) = blocks.next()? {
        if interrupt.is_raised() {
            return Err(interrupted());
        }
        file.write_all(&block.packed)?;
        done += block.plain.len() as u64;
        progress(done);
    }
    Ok(())
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    modified: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(size);
    header.set_mtime(modified);
    tar.append_data(&mut header, name, data)
}

fn interrupted() -> io::Error {
    io::Error::other("interrupted")
}

/// The manifest's text, without reading the rest.
pub fn read_manifest(path: &Path) -> Result<Vec<u8>> {
    let mut tar = open_front(path)?;
    let mut entries = entries_of(&mut tar, path)?;
    manifest_entry(&mut entries, path)
}

/// Refuses an archive whose database is not of the name and size that its manifest promises, without unpacking it.
pub fn require_promised(path: &Path, expected_name: &str, expected_bytes: u64) -> Result<()> {
    let mut tar = open_front(path)?;
    let mut entries = entries_of(&mut tar, path)?;
    database_entry(&mut entries, path, expected_name, expected_bytes).map(|_| ())
}

/// What is to be unpacked, and who hears of it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of the database in the archive.
    pub name: &'a str,
    /// Its size.
    pub bytes: u64,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// Hears of the bytes of the database that are done.
    pub monitor: &'a dyn Monitor,
}

/// Unpacks the database into `target` and returns the SHA-256 of what was written.
///
/// # Errors
/// [`Error::BackupUnusable`] when the archive is damaged or does not hold what is wanted.
pub fn extract(path: &Path, target: &mut impl Write, wanted: Wanted<'_>) -> Result<String> {
    let drain = |tar: &mut dyn Read| extract_from(tar, path, target, wanted);
    unpack::whole(open(path)?, CHUNK_BYTES, drain).map_err(|error| not_begun(path, error))?
}

fn extract_from(
    from: &mut dyn Read,
    path: &Path,
    target: &mut impl Write,
    wanted: Wanted<'_>,
) -> Result<String> {
    let mut tar = tar::Archive::new(Counted {
        inner: from,
        bytes: 0,
    });
    let mut entries = entries_of(&mut tar, path)?;
    let entry = database_entry(&mut entries, path, wanted.name, wanted.bytes)?;
    let end = entry.raw_file_position() + wanted.bytes.next_multiple_of(RECORD_BYTES);
    let mut database = fault::at_half(Point::ArchiveReadHalf, wanted.bytes, entry);
    let digest = copy_hashed(&mut database, target, path, wanted);
    drop(database);
    wanted.interrupt.check()?;
    let digest = digest?;
    match entries.next() {
        None => {}
        Some(Ok(_)) => return Err(refuse(path, "it holds more than a manifest and a database")),
        Some(Err(error)) => return Err(unusable(path)(error)),
    }
    expect_end(tar.into_inner(), end, path)?;
    Ok(digest)
}

/// The checksums stand at the end: read up to it. Behind the database there is nothing but tar's mark and its padding.
fn expect_end(mut rest: Counted<'_>, end: u64, path: &Path) -> Result<()> {
    let mut padding = Vec::new();
    rest.by_ref()
        .take(PADDING_LIMIT_BYTES + 1)
        .read_to_end(&mut padding)
        .map_err(unusable(path))?;
    if padding.len() as u64 > PADDING_LIMIT_BYTES || padding.iter().any(|byte| *byte != 0) {
        return Err(refuse(path, "there is data after its end"));
    }
    if rest.bytes < end + END_MARK_BYTES {
        return Err(refuse(path, "it is damaged: its end is missing"));
    }
    Ok(())
}

/// Knows how much has been read.
struct Counted<'r> {
    inner: &'r mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

fn copy_hashed(
    from: &mut impl Read,
    to: &mut impl Write,
    path: &Path,
    wanted: Wanted<'_>,
) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        wanted.interrupt.check()?;
        let n = from.read(&mut buffer).map_err(unusable(path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])
            .map_err(Error::io("unpack", path))?;
        done += n as u64;
        wanted.monitor.progress(done, wanted.bytes);
    }
}

/// SHA-256 of a file, as `sha256sum` prints it.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = storage::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

fn open(path: &Path) -> Result<File> {
    storage::open(path).map_err(|error| match error {
        Error::Io { source, .. } if is_something_else(&source) => {
            refuse(path, format!("it cannot be opened: {source}"))
        }
        other => other,
    })
}

/// For what stands at the beginning.
fn open_front(path: &Path) -> Result<tar::Archive<Box<dyn Read>>> {
    let tar = unpack::stream(open(path)?, MANIFEST_CHUNK_BYTES);
    tar.map(tar::Archive::new).map_err(unusable(path))
}

/// Nothing was unpacked: the file is none of ours, or the machine has no threads left.
fn not_begun(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Error::io("read", path)(error),
        _ => unusable(path)(error),
    }
}

fn refuse(path: &Path, reason: impl Into<String>) -> Error {
    Error::BackupUnusable {
        backup: path.to_path_buf(),
        reason: reason.into(),
    }
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| {
        let words = error.to_string();
        // What stands there instead is nobody's to read.
        if words.starts_with("numeric field") {
            return refuse(
                &path,
                "it is damaged: it holds something else than a tar archive",
            );
        }
        refuse(&path, format!("it is damaged: {words}"))
    }
}
