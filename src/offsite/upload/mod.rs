//! An archive is sent, and its label after it. Nothing that is there already is replaced.

mod send;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, GetOptions};

use super::Remote;
use super::archive::PART_BYTES;
use super::failure::Act;
use super::open::Store;
use super::patience::Patience;
use crate::catalog::{Label, label_name};
use crate::error::{Error, OffsiteCause, Result};
use crate::monitor::Monitor;

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
        let kept = found.attributes.get(&Attribute::Metadata(SHA256.into()));
        let sha256 = if let Some(kept) = kept {
            kept.to_string()
        } else {
            let read = self.remote.digest(self.label, &self.act, self.patience);
            read.await?
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
}

/// Whether it may be there all the same, or another attempt may bring it there.
fn is_worth_a_look(failure: &Error) -> bool {
    let causes = [OffsiteCause::Cut, OffsiteCause::Occupied];
    matches!(failure, Error::Offsite(failure) if causes.contains(&failure.cause))
        || matches!(failure, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
}
