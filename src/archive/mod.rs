//! The archive of a snapshot: a tar of `manifest.json` and the database file, in this order, compressed or not.
//!
//! Plain `tar` and `sqlite3` read it without this tool. Reading is bounded: exactly these two regular files, in this
//! order, of the sizes that were promised; anything else is refused. Encrypted, the whole of it is one file of age.

mod block;
mod compression;
mod entries;
mod gzip;
mod pack;
mod pipeline;
mod source;
mod unpack;
mod zst;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

pub use compression::{Compression, Packing, SUFFIXES, print_command};
pub use pipeline::at_low_priority;
pub use source::is_encrypted;

use crate::encryption::{Encrypted, Encryption, Keys};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{Interrupt, hex};
use crate::storage;
use entries::{MANIFEST, database_entry, entries_of, manifest_entry};
use pack::Cutter;
use pipeline::Drain;
use source::Seal;

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

/// What becomes of the contents on their way into the file.
#[derive(Debug, Clone, Copy)]
pub struct Wrapping<'a> {
    /// Compressed so.
    pub compression: Compression,
    /// And then encrypted, to these.
    pub encryption: Option<&'a Encryption>,
}

/// Writes an archive to a new file and makes it durable. Gives up when interrupted. `monitor` hears of the bytes of the
/// database that are done. Returns what the archive can be read back with.
pub fn write(
    path: &Path,
    contents: Contents<'_>,
    wrapping: Wrapping<'_>,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Keys> {
    let file = storage::create_new(path)?;
    let database = storage::open(contents.database)?;
    let written = write_to(&file, contents, database, wrapping, interrupt, monitor);
    interrupt.check()?;
    written.map_err(Error::io("write the archive", path))
}

fn write_to(
    file: &File,
    contents: Contents<'_>,
    database: File,
    wrapping: Wrapping<'_>,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> io::Result<Keys> {
    let length = database.metadata()?.len();
    let build = |to: &mut Cutter<'_>| build(to, contents, database, length);
    let (mut target, keys) = Target::start(file, wrapping.encryption)?;
    let compression = wrapping.compression;
    let to = &mut target;
    pack::packed(compression, length, build, |blocks| {
        write_blocks(to, pack::preface(compression), blocks, interrupt, |done| {
            monitor.progress(done.min(length), length);
        })
    })?;
    target.finish()?;
    fault::reach(Point::ArchiveWritten);
    file.sync_all()?;
    fault::reach(Point::ArchiveSynced);
    Ok(keys)
}

/// Where the pieces of the file go.
enum Target<'f> {
    Plain(&'f File),
    Encrypted(Encrypted<&'f File>),
}

impl<'f> Target<'f> {
    fn start(file: &'f File, encryption: Option<&Encryption>) -> io::Result<(Self, Keys)> {
        let Some(encryption) = encryption else {
            return Ok((Self::Plain(file), Keys::default()));
        };
        let (encrypted, keys) = encryption.start(file)?;
        Ok((Self::Encrypted(encrypted), keys))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Encrypted(encrypted) => encrypted.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(encrypted) => encrypted.finish(),
        }
    }
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
    to: &mut Target<'_>,
    preface: &[u8],
    mut blocks: Drain,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    to.write_all(preface)?;
    let mut done = 0;
    while let Some(block) = blocks.next()? {
        if interrupt.is_raised() {
            return Err(interrupted());
        }
        to.write_all(&block.packed)?;
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
pub fn read_manifest(path: &Path, keys: &Keys) -> Result<Vec<u8>> {
    let mut tar = open_front(path, keys)?;
    let mut entries = entries_of(&mut tar, path)?;
    manifest_entry(&mut entries, path)
}

/// The manifest's text, where the database behind it is of the name and size that were promised; it is not unpacked.
pub fn require_promised(
    path: &Path,
    keys: &Keys,
    expected_name: &str,
    expected_bytes: u64,
) -> Result<Vec<u8>> {
    let mut tar = open_front(path, keys)?;
    let mut entries = entries_of(&mut tar, path)?;
    let (manifest, _) = database_entry(&mut entries, path, expected_name, expected_bytes)?;
    Ok(manifest)
}

/// What is to be unpacked, and who hears of it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of the database in the archive.
    pub name: &'a str,
    /// Its size.
    pub bytes: u64,
    /// What opens the archive.
    pub keys: &'a Keys,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// Hears of the bytes of the database that are done.
    pub monitor: &'a dyn Monitor,
}

/// What an archive was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The text of its manifest.
    pub manifest: Vec<u8>,
    /// SHA-256 of its database.
    pub sha256: String,
    /// SHA-256 of the archive itself, where it is encrypted.
    pub archive_sha256: Option<String>,
}

/// Unpacks the database into `target`.
///
/// # Errors
/// [`Error::BackupUnusable`] when the archive is damaged or does not hold what is wanted, [`Error::KeyNeeded`] where the keys do
/// not open it.
pub fn extract(path: &Path, target: &mut impl Write, wanted: Wanted<'_>) -> Result<Extracted> {
    let source = source::open(path, wanted.keys)?;
    let seal = source.seal();
    let drain = |tar: &mut dyn Read| extract_from(tar, path, target, wanted);
    let drained = unpack::whole(source, CHUNK_BYTES, drain);
    let (manifest, sha256) = drained.map_err(|error| not_begun(path, error))??;
    let archive_sha256 = match seal {
        None => None,
        Some(seal) => {
            Some(Seal::digest(&seal).ok_or_else(|| refuse(path, "there is data after its end"))?)
        }
    };
    Ok(Extracted {
        manifest,
        sha256,
        archive_sha256,
    })
}

fn extract_from(
    from: &mut dyn Read,
    path: &Path,
    target: &mut impl Write,
    wanted: Wanted<'_>,
) -> Result<(Vec<u8>, String)> {
    let mut tar = tar::Archive::new(Counted {
        inner: from,
        bytes: 0,
    });
    let mut entries = entries_of(&mut tar, path)?;
    let (manifest, entry) = database_entry(&mut entries, path, wanted.name, wanted.bytes)?;
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
    Ok((manifest, digest))
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

/// For what stands at the beginning.
fn open_front(path: &Path, keys: &Keys) -> Result<tar::Archive<Box<dyn Read>>> {
    let tar = unpack::stream(source::open(path, keys)?, MANIFEST_CHUNK_BYTES);
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
