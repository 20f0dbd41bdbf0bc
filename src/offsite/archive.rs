//! A local archive that is read once, from its beginning to its end, and hashed on the way.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::catalog::Label;
use crate::error::{Error, Result};
use crate::sqlite::hex;
use crate::storage;

/// What is sent at a time: as small as multipart uploads allow, with some room, since several are in memory.
pub(super) const PART_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Source {
    path: PathBuf,
    file: File,
    hash: Sha256,
    read_bytes: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.into(),
            file: storage::open(path)?,
            hash: Sha256::new(),
            read_bytes: 0,
        })
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self, most: u64) -> Result<Option<Bytes>> {
        let mut piece = Vec::with_capacity(usize::try_from(most).unwrap_or(usize::MAX));
        (&mut self.file)
            .take(most)
            .read_to_end(&mut piece)
            .map_err(Error::io("read", &self.path))?;
        if piece.is_empty() {
            return Ok(None);
        }
        self.hash.update(&piece);
        self.read_bytes += piece.len() as u64;
        Ok(Some(piece.into()))
    }

    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Once all is read: fails unless it is what the label says. What a disk has changed is not copied anywhere.
    pub(super) fn require(&self, label: &Label) -> Result<()> {
        let sha256 = hex(&self.hash.clone().finalize());
        if self.read_bytes == label.archive_bytes
            && sha256.eq_ignore_ascii_case(&label.archive_sha256)
        {
            return Ok(());
        }
        Err(Error::BackupUnusable {
            backup: self.path.clone(),
            reason: "its bytes are not those that were written, so it is not copied off site"
                .into(),
        })
    }
}
