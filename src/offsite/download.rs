//! An archive is fetched, and is what its label promises.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStoreExt};
use sha2::{Digest, Sha256};

use super::Remote;
use super::failure::Act;
use super::patience::Patience;
use crate::catalog::Label;
use crate::error::{Error, OffsiteCause, Result};
use crate::monitor::Monitor;
use crate::sqlite::hex;
use crate::storage;

/// So often in a row a connection may bring nothing before it is given up.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// What has come so far.
struct Arrived<'p> {
    file: Option<(File, &'p Path)>,
    hash: Sha256,
    bytes: u64,
}

impl Remote {
    /// Fetches an archive into a new private file. What is not the bytes that the label promises is removed again.
    ///
    /// # Errors
    /// [`Error::Offsite`], with exit code 7 where they are other bytes.
    pub async fn download(
        &self,
        label: &Label,
        to: &Path,
        patience: &Patience<'_>,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let act = self.act(format!("download {} from", label.archive));
        let file = storage::create_new(to)?;
        let read = self
            .read(label, Some((file, to)), (&act, patience), monitor)
            .await
            .and_then(|sha256| require(&sha256, label, &act))
            .and_then(|()| storage::sync_file(to));
        if read.is_err() {
            storage::remove(to)?;
        }
        read
    }

    /// SHA-256 of the object that lies where the archive belongs; it has the size that the label says.
    pub(super) async fn digest(
        &self,
        label: &Label,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<String> {
        self.read(label, None, (act, patience), &crate::monitor::Silent)
            .await
    }

    /// Reads as many bytes as the label promises, going on where a connection was cut.
    async fn read(
        &self,
        label: &Label,
        file: Option<(File, &Path)>,
        (act, patience): (&Act, &Patience<'_>),
        monitor: &dyn Monitor,
    ) -> Result<String> {
        let key = self.archive_key(label);
        let mut arrived = Arrived {
            file,
            hash: Sha256::new(),
            bytes: 0,
        };
        self.require_size(&key, label, act, patience).await?;
        let mut failed = 0;
        while arrived.bytes < label.archive_bytes {
            let before = arrived.bytes;
            let some = self.read_some(&key, label, &mut arrived, act, monitor);
            match patience.within(act, some).await? {
                Ok(()) => {}
                Err(error) if may_go_on(&error) => {
                    failed = if arrived.bytes > before {
                        1
                    } else {
                        failed + 1
                    };
                    if failed == ATTEMPTS {
                        return Err(error);
                    }
                    patience.pause(act, PAUSE * failed).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(hex(&arrived.hash.finalize()))
    }

    /// Asked before anything is read: a piece of an object that is too short cannot be had.
    async fn require_size(
        &self,
        key: &Key,
        label: &Label,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<()> {
        let asked = patience.within(act, self.store.objects().head(key)).await?;
        let found = asked.map_err(|error| act.explain(&error))?.size;
        if found == label.archive_bytes {
            return Ok(());
        }
        Err(act.damaged(format!(
            "it has {found} bytes instead of {}",
            label.archive_bytes
        )))
    }

    /// One request, from where the last one has ended.
    async fn read_some(
        &self,
        key: &Key,
        label: &Label,
        arrived: &mut Arrived<'_>,
        act: &Act,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(arrived.bytes..label.archive_bytes)),
            ..GetOptions::default()
        };
        let explain = |error| act.explain(&error);
        let answer = self.store.objects().get_opts(key, options).await;
        let answer = answer.map_err(explain)?;
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(explain)?;
            if arrived.bytes + piece.len() as u64 > label.archive_bytes {
                return Err(act.damaged("more came than the label promises"));
            }
            arrived.take(&piece)?;
            monitor.progress(arrived.bytes, label.archive_bytes);
        }
        Ok(())
    }
}

impl Arrived<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<()> {
        if let Some((file, path)) = &mut self.file {
            file.write_all(piece).map_err(Error::io("write", path))?;
        }
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }
}

fn require(sha256: &str, label: &Label, act: &Act) -> Result<()> {
    if sha256.eq_ignore_ascii_case(&label.archive_sha256) {
        return Ok(());
    }
    Err(act.damaged(format!(
        "its SHA-256 is {sha256} instead of {}",
        label.archive_sha256
    )))
}

/// What another request may do better.
fn may_go_on(error: &Error) -> bool {
    matches!(error, Error::Offsite(failure) if failure.cause == OffsiteCause::Cut)
}
