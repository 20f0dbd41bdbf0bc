//! Writing an archive: the tar is compressed in blocks, which are encrypted or not, into a new file.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::CHUNK_BYTES;
use super::compression::Compression;
use super::entries::MANIFEST;
use super::pack::{self, Cutter};
use super::pipeline::Drain;
use crate::encryption::{Encrypted, Encryption, Keys};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::Interrupt;
use crate::storage;

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
