//! From a place to a store that can be asked.

mod azure;
mod google;
mod s3;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::failure::Act;
use super::place::{Place, Scheme};
use super::service::{Dialect, Service, Trouble};
use crate::error::{OffsiteCause, Result};
use crate::storage::{self, PathKind};

/// Each is long enough to sign a request for, and all of them short enough for whoever waits.
const RETRIES: usize = 6;
const RETRY_TIME: Duration = Duration::from_mins(2);
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(200),
    max_backoff: Duration::from_secs(10),
    base: 2.,
};

/// An opened store.
#[derive(Debug)]
pub(super) struct Store {
    objects: Box<dyn ObjectStore>,
    /// What is written into a folder is written by ourselves.
    files: Option<LocalFileSystem>,
    /// S3 can be asked for uploads that nobody has finished.
    pub(super) s3: Option<AmazonS3>,
    pub(super) service: Option<Service>,
}

impl Store {
    pub(super) fn open(place: &Place) -> Result<Self> {
        let act = Act {
            place: place.with_endpoint(),
            doing: "open".into(),
            trouble: Trouble::default(),
        };
        let refuse = |(cause, words): (OffsiteCause, String)| act.failed(cause, words);
        match place.scheme {
            Scheme::File => open_folder(place, &act),
            Scheme::S3 => s3::open(place).map_err(refuse),
            Scheme::Google => google::open(place).map_err(refuse),
            Scheme::Azure => azure::open(place).map_err(refuse),
        }
    }

    pub(super) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// Where an object is a file; `None` in other stores.
    pub(super) fn file_of(&self, key: &Key) -> Option<PathBuf> {
        self.files.as_ref()?.path_to_filesystem(key).ok()
    }

    pub(super) fn trouble(&self) -> Trouble {
        let service = self.service.as_ref();
        service.map_or_else(Trouble::default, |service| Arc::clone(&service.trouble))
    }

    /// Whether the store is asked to write only what is not there.
    pub(super) fn conditional(&self) -> Arc<AtomicBool> {
        let service = self.service.as_ref();
        service.map_or_else(Arc::default, |service| Arc::clone(&service.conditional))
    }

    fn of(objects: impl ObjectStore, service: Service) -> Self {
        Self {
            objects: Box::new(objects),
            files: None,
            s3: None,
            service: Some(service),
        }
    }
}

/// Of a folder, the place is the root of the store.
pub(super) fn key_of(place: &Place) -> Key {
    match place.scheme {
        Scheme::File => Key::default(),
        _ => place
            .prefix
            .split('/')
            .filter(|part| !part.is_empty())
            .collect(),
    }
}

/// A share that is not mounted is not made: the copies would lie on this very machine.
fn open_folder(place: &Place, act: &Act) -> Result<Store> {
    let path = PathBuf::from(format!("/{}", place.prefix));
    if storage::kind(&path)? != PathKind::Folder {
        return Err(act.failed(OffsiteCause::NoBucket, "there is no such folder".into()));
    }
    let files = LocalFileSystem::new_with_prefix(&path).map_err(|error| act.explain(&error))?;
    Ok(Store {
        objects: Box::new(files.clone()),
        files: Some(files),
        s3: None,
        service: None,
    })
}

type Opened = std::result::Result<Store, (OffsiteCause, String)>;

fn refused(words: impl Into<String>) -> (OffsiteCause, String) {
    (OffsiteCause::Refused, words.into())
}

fn service(dialect: Dialect) -> std::result::Result<Service, (OffsiteCause, String)> {
    Service::new(dialect).map_err(refused)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BACKOFF,
        max_retries: RETRIES,
        retry_timeout: RETRY_TIME,
    }
}
