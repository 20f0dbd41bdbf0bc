//! What lies in a folder off site.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{ListResult, ObjectStoreExt};

use super::Remote;
use super::failure::Act;
use super::patience::Patience;
use crate::archive::SUFFIXES;
use crate::catalog::{LABEL, Label, label_name};
use crate::error::{Error, Result};

/// So many labels are read side by side.
const AT_ONCE: usize = 8;
/// No label is larger.
const LABEL_BYTES: u64 = 1024 * 1024;

/// What there is.
#[derive(Debug, Default)]
pub struct Listing {
    /// The backups, oldest first.
    pub labels: Vec<Label>,
    /// Archives without a label: no backups yet, or no more.
    pub unlabelled: Vec<String>,
    /// Labels that cannot be read, or that promise what is not there.
    pub unusable: Vec<Unusable>,
}

/// A label that is of no use.
#[derive(Debug)]
pub struct Unusable {
    /// Its name.
    pub label: String,
    /// Why.
    pub error: Error,
}

impl Remote {
    /// The backups in this folder.
    ///
    /// # Errors
    /// [`Error::Offsite`] where the store does not answer; a folder with nothing in it is none.
    pub async fn list(&self, patience: &Patience<'_>) -> Result<Listing> {
        let act = self.act("list");
        let sizes = sizes(self.look(&act, patience).await?);
        let labels: Vec<(&String, u64)> = sizes
            .iter()
            .filter(|(name, _)| name.ends_with(LABEL))
            .map(|(name, bytes)| (name, *bytes))
            .collect();
        let mut listing = Listing::default();
        let reading = labels
            .iter()
            .map(|(name, bytes)| self.read_label(name, *bytes, &sizes, patience));
        let mut read = futures_util::stream::iter(reading).buffered(AT_ONCE);
        let mut names = labels.iter();
        while let (Some(label), Some((name, _))) = (read.next().await, names.next()) {
            match label? {
                Ok(label) => listing.labels.push(label),
                Err(error) => listing.unusable.push(Unusable {
                    label: (*name).clone(),
                    error,
                }),
            }
        }
        listing.unlabelled = without_label(&sizes);
        let age = |label: &Label| (label.manifest.created_unix, label.archive.clone());
        listing.labels.sort_by_cached_key(age);
        Ok(listing)
    }

    /// The names of the folders in this one.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn subfolders(&self, patience: &Patience<'_>) -> Result<Vec<String>> {
        let act = self.act("list");
        let folders = self.look(&act, patience).await?.common_prefixes;
        let names = folders.iter().filter_map(|folder| folder.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// Archives without a label, and when they came: in seconds since 1970.
    pub(super) async fn unlabelled(
        &self,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<Vec<(String, u64)>> {
        let listed = self.look(act, patience).await?;
        let came: BTreeMap<String, u64> = listed
            .objects
            .iter()
            .filter_map(|object| {
                let seconds = u64::try_from(object.last_modified.timestamp()).ok()?;
                Some((object.location.filename()?.to_owned(), seconds))
            })
            .collect();
        let lacking = without_label(&sizes(listed)).into_iter();
        Ok(lacking
            .filter_map(|name| came.get(&name).map(|seconds| (name.clone(), *seconds)))
            .collect())
    }

    async fn look(&self, act: &Act, patience: &Patience<'_>) -> Result<ListResult> {
        let listed = self.store.objects().list_with_delimiter(Some(&self.key));
        match patience.within(act, listed).await? {
            Ok(listed) => Ok(listed),
            Err(object_store::Error::NotFound { .. }) => Ok(ListResult {
                common_prefixes: Vec::new(),
                objects: Vec::new(),
                extensions: object_store::Extensions::default(),
            }),
            Err(error) => Err(act.explain(&error)),
        }
    }

    /// A label, or why it is of no use; fails where the store does.
    async fn read_label(
        &self,
        name: &str,
        bytes: u64,
        sizes: &BTreeMap<String, u64>,
        patience: &Patience<'_>,
    ) -> Result<Result<Label>> {
        let act = self.act(format!("read {name} in"));
        if bytes > LABEL_BYTES {
            return Ok(Err(act.damaged("it is too large to be a label")));
        }
        let label = match self.fetch_label(name, &act, patience).await {
            Ok(Some(label)) => label,
            Ok(None) => return Ok(Err(act.damaged("it is not there any more"))),
            Err(error) if error.exit_code() == 7 => return Ok(Err(error)),
            Err(error) => return Err(error),
        };
        if label_name(&label.archive) != name {
            return Ok(Err(act.damaged("it is the label of another backup")));
        }
        let found = sizes.get(&label.archive);
        Ok(match found {
            Some(found) if *found == label.archive_bytes => Ok(label),
            Some(found) => Err(act.damaged(format!(
                "{} has {found} bytes instead of {}",
                label.archive, label.archive_bytes
            ))),
            None => Err(act.damaged(format!("{} is not there", label.archive))),
        })
    }

    /// A label by its name; `None` where there is none.
    pub(super) async fn fetch_label(
        &self,
        name: &str,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<Option<Label>> {
        let Some(bytes) = self.fetch(&self.key_of(name), act, patience).await? else {
            return Ok(None);
        };
        let shown = format!("{}/{name}", self.place);
        Label::parse(&bytes, Path::new(&shown)).map(Some)
    }

    /// A small object, whole.
    async fn fetch(
        &self,
        key: &Key,
        act: &Act,
        patience: &Patience<'_>,
    ) -> Result<Option<bytes::Bytes>> {
        let fetched = async {
            let found = self.store.objects().get(key).await?;
            if found.meta.size > LABEL_BYTES {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        };
        match patience.within(act, fetched).await? {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => Err(act.damaged("it is too large to be a label")),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(act.explain(&error)),
        }
    }
}

/// The objects right in the folder, by name.
fn sizes(listed: ListResult) -> BTreeMap<String, u64> {
    let objects = listed.objects.into_iter();
    let named = objects.filter_map(|object| {
        let name = object.location.filename()?.to_owned();
        Some((name, object.size))
    });
    named.collect()
}

fn without_label(sizes: &BTreeMap<String, u64>) -> Vec<String> {
    let lacks = |name: &&String| is_archive(name) && !sizes.contains_key(&label_name(name));
    sizes.keys().filter(lacks).cloned().collect()
}

fn is_archive(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}
