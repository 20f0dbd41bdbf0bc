//! The bytes of an archive as they come from its file: as they are, or decrypted.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::refuse;
use crate::encryption::{self, Keys};
use crate::error::{Error, Result, is_something_else};
use crate::sqlite::hex;
use crate::storage;

/// Enough to tell what a file is.
const HEAD_BYTES: u64 = 64;
/// age works in pieces of 64 KiB.
const ENCRYPTED_BUFFER_BYTES: usize = 64 * 1024;

/// An opened archive.
pub(super) struct Source {
    /// The tar, still compressed.
    pub(super) reader: Box<dyn Read + Send>,
    /// How long the file is.
    pub(super) bytes: u64,
    seal: Option<Arc<Mutex<Seal>>>,
}

impl Source {
    /// SHA-256 of a file that is encrypted, once it has been read to its end.
    pub(super) fn seal(&self) -> Option<Arc<Mutex<Seal>>> {
        self.seal.clone()
    }
}

/// What of an encrypted file has been read.
#[derive(Default)]
pub(super) struct Seal {
    hash: Sha256,
    ended: bool,
}

impl Seal {
    /// SHA-256 of the file; `None` where its end was not reached, which authenticates the rest.
    pub(super) fn digest(seal: &Mutex<Self>) -> Option<String> {
        let seal = seal.lock().unwrap_or_else(PoisonError::into_inner);
        seal.ended.then(|| hex(&seal.hash.clone().finalize()))
    }
}

/// Hears what is read.
struct Heard {
    file: File,
    seal: Arc<Mutex<Seal>>,
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let mut seal = self.seal.lock().unwrap_or_else(PoisonError::into_inner);
        seal.hash.update(&buffer[..count]);
        seal.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// Whether the archive is encrypted, as its first bytes tell.
pub fn is_encrypted(path: &Path) -> Result<bool> {
    let (head, _) = begin(path)?;
    Ok(encryption::is_encrypted(&head))
}

/// Opens an archive with what there is.
pub(super) fn open(path: &Path, keys: &Keys) -> Result<Source> {
    let (head, mut file) = begin(path)?;
    let bytes = file.metadata().map_err(Error::io("look at", path))?.len();
    if !encryption::is_encrypted(&head) {
        let reader = Box::new(Cursor::new(head).chain(file));
        return Ok(Source {
            reader,
            bytes,
            seal: None,
        });
    }
    io::Seek::rewind(&mut file).map_err(Error::io("read", path))?;
    let seal = Arc::new(Mutex::new(Seal::default()));
    let heard = Heard {
        file,
        seal: seal.clone(),
    };
    let from = BufReader::with_capacity(ENCRYPTED_BUFFER_BYTES, heard);
    Ok(Source {
        reader: Box::new(keys.open(from, path)?),
        bytes,
        seal: Some(seal),
    })
}

fn begin(path: &Path) -> Result<(Vec<u8>, File)> {
    let file = storage::open(path).map_err(|error| match error {
        Error::Io { source, .. } if is_something_else(&source) => {
            refuse(path, format!("it cannot be opened: {source}"))
        }
        other => other,
    })?;
    let mut head = Vec::new();
    (&file)
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(|error| refuse(path, format!("it is damaged: {error}")))?;
    if encryption::is_armored(&head) {
        let words = "it is encrypted and written in letters: decrypt it with `age -d`, and use what comes out";
        return Err(refuse(path, words));
    }
    Ok((head, file))
}
