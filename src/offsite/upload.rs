//! An archive is sent, and its label after it. Nothing that is there already is replaced.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path as Key;
use object_store::retry::{RetryContext, RetryFailure, RetryPolicy};
use object_store::{
    Attribute, Attributes, GetOptions, MultipartUpload, PutMode, PutMultipartOptions, PutOptions,
    PutPayload,
};

use super::archive::{PART_BYTES, Source};
use super::failure::Act;
use super::open::Store;
use super::patience::{Patience, with_grace};
use super::refusal::Refusal;
use super::{Remote, folder};
use crate::catalog::{Label, label_name};
use crate::error::{Error, OffsiteCause, Result};
use crate::monitor::Monitor;

/// More than so many parts a multipart upload cannot have.
const MOST_PARTS: u64 = 10_000;
/// Each is in memory until it is there.
const PARTS_IN_FLIGHT: usize = 2;
/// So often what was cut is begun anew: a part, or a file that is sent in one.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// The name under which an archive's SHA-256 is kept with it.
const SHA256: &str = "sha256";

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It was sent.
    New,
    /// The same bytes were there already, with their label.
    AlreadyThere,
}

/// What lies where something is to go.
enum There {
    Nothing,
    Same,
    Another,
}

/// One upload.
struct Job<'a> {
    remote: &'a Remote,
    archive: &'a Path,
    label: &'a Label,
    act: Act,
    patience: &'a Patience<'a>,
    monitor: &'a dyn Monitor,
}

impl Remote {
    /// Uploads a local archive, and its label once the archive is there.
    ///
    /// # Errors
    /// [`Error::BackupUnusable`] where the local archive is not what the label says; [`Error::Offsite`].
    pub async fn upload(
        &self,
        archive: &Path,
        label: &Label,
        patience: &Patience<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Uploaded> {
        let job = Job {
            remote: self,
            archive,
            label,
            act: self.act(format!("upload {} to", label.archive)),
            patience,
            monitor,
        };
        let labelled = job.label_there().await?;
        let there = job.archive_there().await?;
        match (labelled, there) {
            (There::Another, _) | (_, There::Another) => Err(job.occupied()),
            (There::Same, There::Same) => Ok(Uploaded::AlreadyThere),
            (labelled, there) => {
                if matches!(there, There::Nothing) {
                    job.put_archive().await?;
                }
                if matches!(labelled, There::Nothing) {
                    job.put_label().await?;
                }
                Ok(Uploaded::New)
            }
        }
    }
}

impl Job<'_> {
    fn store(&self) -> &Store {
        &self.remote.store
    }

    fn key(&self) -> Key {
        self.remote.archive_key(self.label)
    }

    fn occupied(&self) -> Error {
        self.act.failed(OffsiteCause::Occupied, String::new())
    }

    async fn label_there(&self) -> Result<There> {
        let name = label_name(&self.label.archive);
        let there = self.remote.fetch_label(&name, &self.act, self.patience);
        Ok(match there.await? {
            None => There::Nothing,
            Some(there) if there == *self.label => There::Same,
            Some(_) => There::Another,
        })
    }

    /// An archive of the same name and size is known by the SHA-256 that was put with it, or else by its bytes.
    async fn archive_there(&self) -> Result<There> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let key = self.key();
        let asked = self.store().objects().get_opts(&key, options);
        let found = match self.patience.within(&self.act, asked).await? {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(There::Nothing),
            Err(error) => return Err(self.act.explain(&error)),
        };
        if found.meta.size != self.label.archive_bytes {
            return Ok(There::Another);
        }
        let sha256 = match found.attributes.get(&Attribute::Metadata(SHA256.into())) {
            Some(kept) => kept.to_string(),
            None => {
                let read = self.remote.digest(self.label, &self.act, self.patience);
                read.await?
            }
        };
        let is_same = sha256.eq_ignore_ascii_case(&self.label.archive_sha256);
        Ok(if is_same { There::Same } else { There::Another })
    }

    async fn put_archive(&self) -> Result<()> {
        for attempt in 1.. {
            let had_conditions = self.has_conditions();
            let failure = match self.send_archive().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // The answer alone may have been lost; or somebody else was faster, with the same.
            if is_worth_a_look(&failure) {
                match self.archive_there().await? {
                    There::Same => return Ok(()),
                    There::Another => return Err(self.occupied()),
                    There::Nothing => {}
                }
            }
            // Each of several parts was begun anew often enough.
            let is_new = had_conditions && !self.has_conditions();
            if self.is_large() && !is_new {
                return Err(failure);
            }
            self.again(attempt, failure).await?;
        }
        Ok(())
    }

    fn is_large(&self) -> bool {
        self.label.archive_bytes > PART_BYTES
    }

    fn has_conditions(&self) -> bool {
        self.store().conditional().load(Ordering::Relaxed)
    }

    async fn put_label(&self) -> Result<()> {
        let text = self.label.to_json();
        let key = self.remote.label_key(self.label);
        for attempt in 1.. {
            let sent = self.put(&key, text.clone().into(), Attributes::new());
            let failure = match self.patience.within(&self.act, sent).await? {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if is_worth_a_look(&failure) {
                match self.label_there().await? {
                    There::Same => return Ok(()),
                    There::Another => return Err(self.occupied()),
                    There::Nothing => {}
                }
            }
            self.again(attempt, failure).await?;
        }
        Ok(())
    }

    /// Waits for another attempt, where one may help.
    async fn again(&self, attempt: u32, failure: Error) -> Result<()> {
        if !is_worth_a_look(&failure) || attempt == ATTEMPTS {
            return Err(failure);
        }
        self.patience.pause(&self.act, PAUSE * attempt).await
    }

    async fn send_archive(&self) -> Result<()> {
        let mut source = Source::open(self.archive)?;
        if let Some(path) = self.store().file_of(&self.key()) {
            let Self {
                label,
                act,
                patience,
                monitor,
                ..
            } = self;
            return folder::copy(&mut source, label, &path, act, patience, *monitor).await;
        }
        if !self.is_large() {
            let whole = source.next(PART_BYTES)?.unwrap_or_default();
            let more = source.next(1)?;
            source.require(self.label)?;
            drop(more);
            let key = self.key();
            let sent = self.put(&key, whole.into(), self.attributes());
            return self.patience.within(&self.act, sent).await?;
        }
        self.send_parts(&mut source).await
    }

    fn attributes(&self) -> Attributes {
        let sha256 = (
            Attribute::Metadata(SHA256.into()),
            self.label.archive_sha256.clone(),
        );
        Attributes::from_iter([sha256])
    }

    async fn send_parts(&self, source: &mut Source) -> Result<()> {
        let mut options = PutMultipartOptions::from(self.attributes());
        options = options.with_retry_policy(std::sync::Arc::new(Again));
        let key = self.key();
        let begun = self.store().objects().put_multipart_opts(&key, options);
        let begun = self.patience.within(&self.act, begun).await?;
        let mut upload = begun.map_err(|error| self.act.explain(&error))?;
        let sent = self
            .patience
            .within(&self.act, self.parts(&mut *upload, source));
        let sent = sent.await.and_then(|sent| sent);
        if sent.is_err() {
            with_grace(upload.abort()).await;
        }
        sent
    }

    async fn parts(&self, upload: &mut dyn MultipartUpload, source: &mut Source) -> Result<()> {
        let total = self.label.archive_bytes;
        let part_bytes = part_bytes(total);
        let mut in_flight = FuturesUnordered::new();
        let mut done = 0;
        loop {
            let piece = if in_flight.len() < PARTS_IN_FLIGHT {
                source.next(part_bytes)?
            } else {
                None
            };
            if let Some(piece) = piece {
                let bytes = piece.len() as u64;
                let part = upload.put_part(piece.into());
                in_flight.push(async move { part.await.map(|()| bytes) });
                continue;
            }
            let Some(part) = in_flight.next().await else {
                break;
            };
            done += part.map_err(|error| self.act.explain(&error))?;
            self.monitor.progress(done, total);
        }
        source.require(self.label)?;
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => self.conditions_or(error),
        }
    }

    /// One object, in one request.
    async fn put(&self, key: &Key, payload: PutPayload, attributes: Attributes) -> Result<()> {
        if let Some(path) = self.store().file_of(key) {
            return folder::write(&bytes::Bytes::from(payload), &path);
        }
        let mode = if self.has_conditions() {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        let options = PutOptions {
            mode,
            attributes,
            ..PutOptions::default()
        };
        match self.store().objects().put_opts(key, payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => self.conditions_or(error),
        }
    }

    /// A store that has no conditions is looked at once more, and then asked without.
    fn conditions_or(&self, error: object_store::Error) -> Result<()> {
        let has_none = Refusal::within(&error).is_some_and(Refusal::has_no_conditions);
        let was_asked = has_none && self.store().conditional().swap(false, Ordering::Relaxed);
        if was_asked {
            return Err(self.act.failed(OffsiteCause::Cut, String::new()));
        }
        Err(self.act.explain(&error))
    }
}

/// Whether it may be there all the same, or another attempt may bring it there.
fn is_worth_a_look(failure: &Error) -> bool {
    let causes = [OffsiteCause::Cut, OffsiteCause::Occupied];
    matches!(failure, Error::Offsite(failure) if causes.contains(&failure.cause))
        || matches!(failure, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
}

fn part_bytes(total: u64) -> u64 {
    let whole = 1024 * 1024;
    PART_BYTES.max(total.div_ceil(MOST_PARTS).next_multiple_of(whole))
}

/// A part whose connection was cut is sent again; what the store has answered was asked for again already.
#[derive(Debug)]
struct Again;

impl RetryPolicy for Again {
    fn retry<'s, 'f>(&'s self, context: RetryContext) -> BoxFuture<'f, bool>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let is_cut = matches!(context.failure, RetryFailure::Transport(_));
            let attempt = u32::try_from(context.attempt).unwrap_or(ATTEMPTS);
            if is_cut && attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            is_cut && attempt < ATTEMPTS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_larger_only_where_there_would_be_too_many() {
        let mib = 1024 * 1024;
        assert_eq!(part_bytes(9 * mib), 8 * mib);
        assert_eq!(part_bytes(80_000 * mib), 8 * mib);
        assert_eq!(part_bytes(80_001 * mib), 9 * mib);
        for total in [80_001 * mib, 1_000_000 * mib, 5_000_000 * mib + 1] {
            assert!(total.div_ceil(part_bytes(total)) <= MOST_PARTS);
        }
    }
}
