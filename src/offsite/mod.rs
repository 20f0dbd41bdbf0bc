//! Copies of backups somewhere else: in an object store, or in a folder that lies on another machine.
//!
//! ```text
//! s3://bucket/prefix/fastflow/20261122T170000.123Z_003-008_1f2e3d4c.tar.gz       the same bytes as the local archive
//! s3://bucket/prefix/fastflow/20261122T170000.123Z_003-008_1f2e3d4c.label.json   written last; without it, it is no backup
//! ```
//!
//! Nothing that lies there is ever overwritten. The only module that uses `object_store`.

mod abandoned;
mod access;
mod archive;
mod credentials;
mod download;
mod failure;
mod folder;
mod ini;
mod list;
mod open;
mod patience;
mod place;
mod refusal;
mod remove;
mod service;
mod upload;
mod variables;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::path::Path as Key;

use crate::catalog::{Label, label_name};
use crate::error::Result;
use failure::Act;
use open::Store;

pub use access::Access;
pub use list::{Listing, Unusable};
pub use patience::Patience;
pub use place::Place;
pub use remove::Removed;
pub use upload::Uploaded;
pub use variables::VARIABLES;

/// What is set about off-site copies.
#[derive(Debug, Clone)]
pub struct Offsite {
    /// Where they go.
    pub place: Place,
    /// Whether a migration waits until the copy is there.
    pub required: bool,
    /// How long the uploads of a command may take in all.
    pub timeout: Duration,
    /// Set when it did not answer a job: the other jobs of the same command do not wait for it, too.
    pub given_up: Arc<AtomicBool>,
}

/// A folder of an opened store: of one database, or one with such folders in it.
#[derive(Debug, Clone)]
pub struct Remote {
    store: Arc<Store>,
    place: Place,
    key: Key,
}

impl Remote {
    /// Opens the store. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`crate::error::Error::Offsite`] where it cannot be found, or there is nothing to open it with.
    pub fn open(place: &Place) -> Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(place)?),
            key: open::key_of(place),
            place: place.clone(),
        })
    }

    /// A folder in this one; `acme/app` is one in another.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        let parts = name.split('/').filter(|part| !part.is_empty());
        Self {
            store: Arc::clone(&self.store),
            key: parts.clone().fold(self.key.clone(), Key::join),
            place: parts.fold(self.place.clone(), Place::below),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// For the messages of what is about to be done.
    fn act(&self, doing: impl Into<String>) -> Act {
        Act {
            place: self.place.with_endpoint(),
            doing: doing.into(),
            trouble: self.store.trouble(),
        }
    }

    fn key_of(&self, file: &str) -> Key {
        self.key.clone().join(file)
    }

    fn archive_key(&self, label: &Label) -> Key {
        self.key_of(&label.archive)
    }

    fn label_key(&self, label: &Label) -> Key {
        self.key_of(&label_name(&label.archive))
    }
}
