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
mod write;
mod zst;

use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

pub use compression::{Compression, Packing, SUFFIXES, print_command};
pub use pipeline::at_low_priority;
pub use source::is_encrypted;
pub use write::{Contents, Wrapping, write};

use crate::encryption::Keys;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{Interrupt, hex};
use crate::storage;
use entries::{database_entry, entries_of, manifest_entry};
use source::Seal;

/// tar fills its last record up with zeros: 10 KiB, or as much as it was told to.
const PADDING_LIMIT_BYTES: u64 = 1024 * 1024;
/// Two records of zeros stand at the end of a tar: what lacks them was cut off.
const END_MARK_BYTES: u64 = 1024;
const RECORD_BYTES: u64 = 512;
const CHUNK_BYTES: usize = 256 * 1024;
/// The manifest stands at the beginning.
const MANIFEST_CHUNK_BYTES: usize = 16 * 1024;

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
