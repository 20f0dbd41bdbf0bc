//! The `.tar.gz` of a snapshot: `manifest.json` first, then the database file.
//!
//! Plain `tar` and `sqlite3` read it without this tool. Reading is bounded: exactly these two regular files, in this
//! order, of the sizes that were promised; anything else is refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, is_something_else};
use crate::fault::{self, Point};
use crate::sqlite::{Interrupt, hex};
use crate::storage;

const MANIFEST: &str = "manifest.json";
const MANIFEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// A path of a tar is no longer than this.
const NAME_LIMIT_BYTES: u64 = 4096;
/// tar fills its last record up with zeros: 10 KiB, or as much as it was told to.
const PADDING_LIMIT_BYTES: u64 = 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
/// gzip's own default; the levels are compared in `docs/design.md`.
const LEVEL: u32 = 6;

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

/// Writes an archive to a new file and makes it durable. Gives up when interrupted.
pub fn write(path: &Path, contents: Contents<'_>, interrupt: &Interrupt) -> Result<()> {
    let file = storage::create_new(path)?;
    let database = storage::open(contents.database)?;
    let written = write_to(
        BufWriter::with_capacity(CHUNK_BYTES, file),
        contents,
        database,
        interrupt,
    );
    interrupt.check()?;
    written.map_err(Error::io("write the archive", path))
}

fn write_to(
    file: BufWriter<File>,
    contents: Contents<'_>,
    database: File,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::new(LEVEL)));
    let manifest_bytes = contents.manifest.len() as u64;
    append(
        &mut tar,
        MANIFEST,
        manifest_bytes,
        contents.modified,
        contents.manifest,
    )?;
    fault::reach(Point::ArchiveBegun);
    let length = database.metadata()?.len();
    let inner = BufReader::with_capacity(CHUNK_BYTES, database);
    let watched = Watched {
        inner: fault::at_half(Point::ArchiveHalf, length, inner),
        interrupt,
    };
    append(&mut tar, contents.name, length, contents.modified, watched)?;
    let file = tar.into_inner()?.finish()?.into_inner()?;
    fault::reach(Point::ArchiveWritten);
    file.sync_all()?;
    fault::reach(Point::ArchiveSynced);
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

/// Ends the stream with an error as soon as the work should stop.
struct Watched<'i, R> {
    inner: R,
    interrupt: &'i Interrupt,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_raised() {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(buffer)
    }
}

/// The manifest's text, without reading the rest.
pub fn read_manifest(path: &Path) -> Result<Vec<u8>> {
    let mut tar = open(path)?;
    let mut entries = entries(&mut tar, path)?;
    manifest_entry(&mut entries, path)
}

/// Refuses an archive whose database is not of the name and size that its manifest promises, without unpacking it.
pub fn require_promised(path: &Path, expected_name: &str, expected_bytes: u64) -> Result<()> {
    let mut tar = open(path)?;
    let mut entries = entries(&mut tar, path)?;
    database_entry(&mut entries, path, expected_name, expected_bytes).map(|_| ())
}

/// Unpacks the database into `target` and returns the SHA-256 of what was written.
///
/// # Errors
/// [`Error::BackupUnusable`] when the archive is damaged or not as `expected_name` and `expected_bytes` promise.
pub fn extract(
    path: &Path,
    target: &mut impl Write,
    expected_name: &str,
    expected_bytes: u64,
    interrupt: &Interrupt,
) -> Result<String> {
    let mut tar = open(path)?;
    let mut entries = entries(&mut tar, path)?;
    let entry = database_entry(&mut entries, path, expected_name, expected_bytes)?;
    let mut watched = Watched {
        inner: fault::at_half(Point::ArchiveReadHalf, expected_bytes, entry),
        interrupt,
    };
    let digest = copy_hashed(&mut watched, target, path);
    drop(watched);
    interrupt.check()?;
    let digest = digest?;
    match entries.next() {
        None => {}
        Some(Ok(_)) => return Err(refuse(path, "it holds more than a manifest and a database")),
        Some(Err(error)) => return Err(unusable(path)(error)),
    }
    expect_end(tar, path)?;
    Ok(digest)
}

/// The gzip checksum stands at the end: read up to it. Behind the last member there is nothing but tar's padding.
fn expect_end(tar: tar::Archive<Gz>, path: &Path) -> Result<()> {
    let mut gz = tar.into_inner();
    let mut padding = Vec::new();
    gz.by_ref()
        .take(PADDING_LIMIT_BYTES + 1)
        .read_to_end(&mut padding)
        .map_err(unusable(path))?;
    let is_padding =
        padding.len() as u64 <= PADDING_LIMIT_BYTES && padding.iter().all(|byte| *byte == 0);
    let mut behind = gz.into_inner();
    if !is_padding || !behind.fill_buf().map_err(unusable(path))?.is_empty() {
        return Err(refuse(path, "there is data after its end"));
    }
    Ok(())
}

fn copy_hashed(from: &mut impl Read, to: &mut impl Write, path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = from.read(&mut buffer).map_err(unusable(path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])
            .map_err(Error::io("unpack", path))?;
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

type Gz = GzDecoder<BufReader<File>>;

fn open(path: &Path) -> Result<tar::Archive<Gz>> {
    let file = storage::open(path).map_err(|error| match error {
        Error::Io { source, .. } if is_something_else(&source) => {
            refuse(path, format!("it cannot be opened: {source}"))
        }
        other => other,
    })?;
    Ok(tar::Archive::new(GzDecoder::new(BufReader::with_capacity(
        CHUNK_BYTES,
        file,
    ))))
}

fn manifest_entry(entries: &mut tar::Entries<'_, Gz>, path: &Path) -> Result<Vec<u8>> {
    let entry = next_entry(entries, path, MANIFEST)?;
    if entry.size() > MANIFEST_LIMIT_BYTES {
        return Err(refuse(path, "its manifest is too large"));
    }
    let mut text = Vec::new();
    entry
        .take(MANIFEST_LIMIT_BYTES)
        .read_to_end(&mut text)
        .map_err(unusable(path))?;
    Ok(text)
}

/// The members as they stand there: what pax headers and the like would make of them is nothing that we write, and reading
/// them would not be bounded.
fn entries<'a>(tar: &'a mut tar::Archive<Gz>, path: &Path) -> Result<tar::Entries<'a, Gz>> {
    let entries = tar.entries().map_err(unusable(path))?;
    Ok(entries.raw(true))
}

fn database_entry<'a>(
    entries: &mut tar::Entries<'a, Gz>,
    path: &Path,
    name: &str,
    bytes: u64,
) -> Result<tar::Entry<'a, Gz>> {
    manifest_entry(entries, path)?;
    let entry = next_entry(entries, path, name)?;
    if entry.size() == bytes {
        return Ok(entry);
    }
    Err(refuse(
        path,
        format!(
            "the manifest promises {bytes} bytes, the archive holds {}",
            entry.size()
        ),
    ))
}

fn next_entry<'a>(
    entries: &mut tar::Entries<'a, Gz>,
    path: &Path,
    name: &str,
) -> Result<tar::Entry<'a, Gz>> {
    let mut member = || {
        entries
            .next()
            .ok_or_else(|| refuse(path, format!("it has no '{name}'")))?
            .map_err(unusable(path))
    };
    let mut entry = member()?;
    let mut found = entry.path_bytes().into_owned();
    // A name that does not fit into the header stands before it.
    if entry.header().entry_type() == tar::EntryType::GNULongName
        && entry.size() <= NAME_LIMIT_BYTES
    {
        found = long_name(entry).map_err(unusable(path))?;
        entry = member()?;
    }
    if found != name.as_bytes() {
        let found = String::from_utf8_lossy(&found);
        return Err(refuse(
            path,
            format!("where '{name}' should be there is '{found}'"),
        ));
    }
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Err(refuse(
            path,
            format!("'{name}' is not a regular file in it"),
        ));
    }
    Ok(entry)
}

/// A name that does not fit into a header stands in an entry of its own before it, with a NUL at its end.
fn long_name(mut entry: impl Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.read_to_end(&mut name)?;
    name.truncate(
        name.iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len()),
    );
    Ok(name)
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
