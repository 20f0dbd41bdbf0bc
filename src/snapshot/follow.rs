//! What follows a file that is still being written, as far as it is there for good: its SHA-256, and its way to the disk.
//! When the copy is done, so is nearly all of both.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use sha2::{Digest, Sha256};

use crate::archive;
use crate::beside::Beside;
use crate::error::{Error, Result};
use crate::sqlite::{Interrupt, hex};
use crate::storage;

const CHUNK_BYTES: usize = 256 * 1024;
/// The disk gets so much at a time.
const STRIDE_BYTES: u64 = 64 * 1024 * 1024;

/// Two threads behind the copy: one that reads it, and one that waits for the disk.
pub(super) struct Follower {
    path: PathBuf,
    tell: [Sender<u64>; 2],
    hashing: Beside<Option<String>>,
    syncing: Beside<()>,
}

impl Follower {
    /// Begins to read `path`. `first` is what its first page should be in the end; without it, all is read at the end.
    pub(super) fn start(path: &Path, first: Option<Vec<u8>>) -> Self {
        let (to_hash, hash_told) = channel();
        let (to_sync, sync_told) = channel();
        let (hashed, synced) = (path.to_path_buf(), path.to_path_buf());
        Self {
            path: path.to_path_buf(),
            tell: [to_hash, to_sync],
            hashing: Beside::start_blocking(move |stop| follow(&hashed, first, &hash_told, stop)),
            syncing: Beside::start_blocking(move |_| sync_behind(&synced, &sync_told)),
        }
    }

    /// The file is what it will be up to here, but for its first page.
    pub(super) fn settled(&self, bytes: u64) {
        for thread in &self.tell {
            // Where nobody listens any more, the failure is told at the end.
            let _ = thread.send(bytes);
        }
    }

    /// The SHA-256 of the file, which is complete now, and durable in the end. Where what was told did not hold, it is read
    /// anew.
    pub(super) async fn finish(self, held: bool, interrupt: &Interrupt) -> Result<String> {
        let Self {
            path,
            tell,
            hashing,
            syncing,
        } = self;
        drop(tell);
        syncing.finish(interrupt).await?;
        match hashing.finish(interrupt).await? {
            Some(sha256) if held => Ok(sha256),
            _ => archive::sha256_of(&path),
        }
    }
}

/// `None` where the first page has become another one than was expected.
fn follow(
    path: &Path,
    first: Option<Vec<u8>>,
    told: &Receiver<u64>,
    stop: &Interrupt,
) -> Result<Option<String>> {
    let mut reading = Reading::new(storage::open(path)?);
    let first = first.unwrap_or_default();
    let as_expected = reading
        .behind(&first, told, stop)
        .map_err(Error::io("read", path))?;
    stop.check()?;
    Ok(as_expected.then(|| hex(&reading.hash.finalize())))
}

/// Hands the file to the disk while it grows; the last part waits until it is complete.
fn sync_behind(path: &Path, told: &Receiver<u64>) -> Result<()> {
    let mut synced = 0;
    while let Ok(first) = told.recv() {
        let bytes = told.try_iter().last().unwrap_or(first);
        if bytes - synced >= STRIDE_BYTES {
            storage::sync_file(path)?;
            synced = bytes;
        }
    }
    storage::sync_file(path)?;
    storage::sync_folder_of(path)
}

struct Reading {
    file: File,
    hash: Sha256,
    at: u64,
    buffer: Vec<u8>,
}

impl Reading {
    fn new(file: File) -> Self {
        Self {
            file,
            hash: Sha256::new(),
            at: 0,
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    /// Reads the file until it is complete. Whether it begins with `first`, which is taken from there and not waited for.
    fn behind(&mut self, first: &[u8], told: &Receiver<u64>, stop: &Interrupt) -> io::Result<bool> {
        self.hash.update(first);
        self.at = first.len() as u64;
        while let Ok(bytes) = told.recv() {
            if !first.is_empty() {
                self.up_to(bytes, stop)?;
            }
        }
        let bytes = self.file.metadata()?.len();
        self.up_to(bytes, stop)?;
        let mut found = vec![0; first.len()];
        self.file.read_exact_at(&mut found, 0)?;
        Ok(found == first)
    }

    fn up_to(&mut self, end: u64, stop: &Interrupt) -> io::Result<()> {
        while self.at < end && !stop.is_raised() {
            let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            let part = &mut self.buffer[..left.min(CHUNK_BYTES)];
            self.file.read_exact_at(part, self.at)?;
            self.hash.update(&*part);
            self.at += part.len() as u64;
        }
        Ok(())
    }
}
