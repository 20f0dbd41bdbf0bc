//! What lies off site, of one database.

use std::path::Path;

use super::super::Context;
use super::{LONGEST_LOOK, patience, upload};
use crate::catalog::{Candidate, Choice, Label, Wanted, choose};
use crate::error::{Error, Result};
use crate::offsite::{Listing, Place, Remote};

/// Where to look.
#[derive(Debug, Clone)]
pub enum At {
    /// In the folder of the database, in the place that is configured.
    Configured,
    /// In this folder; where no backup is right in it, in that of the database below it.
    Url(Box<Place>),
}

/// A folder off site, and what was found in it.
#[derive(Debug)]
pub struct Shelf {
    pub(super) remote: Remote,
    /// What there is.
    pub listing: Listing,
    /// Where there is nothing: the folders beside it.
    pub neighbours: Vec<String>,
}

/// Looks at what is there.
///
/// # Errors
/// Where the store does not answer, and where a URL leads to nothing: [`Error::NothingOffsite`].
pub async fn open_shelf(context: &Context<'_>, at: &At) -> Result<Shelf> {
    context.monitor.phase("look off site");
    let patience = patience(LONGEST_LOOK, context.interrupt);
    let place = match at {
        At::Configured => &upload::required(context)?.place,
        At::Url(place) => place.as_ref(),
    };
    let above = Remote::open(place)?;
    let below = above.folder(&context.settings.shelf_name());
    let folders = match at {
        At::Configured => vec![below.clone()],
        At::Url(_) => vec![above.clone(), below.clone()],
    };
    for remote in folders {
        let listing = remote.list(&patience).await?;
        if !listing.labels.is_empty() || !listing.unusable.is_empty() {
            return Ok(Shelf {
                remote,
                listing,
                neighbours: Vec::new(),
            });
        }
    }
    let neighbours = above.subfolders(&patience).await?;
    match at {
        // Nothing was copied yet, or of databases of other names.
        At::Configured => Ok(Shelf {
            remote: below,
            listing: Listing::default(),
            neighbours,
        }),
        At::Url(_) => Err(nothing(above.place(), neighbours)),
    }
}

impl Shelf {
    /// Where it is, as a URL.
    #[must_use]
    pub fn place(&self) -> String {
        self.remote.place().to_string()
    }

    /// Labels that cannot be used, in words.
    #[must_use]
    pub fn unusable(&self) -> Vec<String> {
        let unusable = self.listing.unusable.iter();
        unusable.map(|one| one.error.to_string()).collect()
    }

    /// The backup that is meant. The newest is that of this database; where all in the folder are of one other, of that one:
    /// a machine that was lost is not always built anew with the same paths.
    pub fn choose(&self, context: &Context<'_>, wanted: &Wanted) -> Result<&Label> {
        let labels = &self.listing.labels;
        if labels.is_empty() && self.listing.unusable.is_empty() {
            return Err(nothing(self.remote.place(), self.neighbours.clone()));
        }
        let mut candidates: Vec<Candidate<'_>> = labels.iter().map(candidate).collect();
        let damaged = self.listing.unusable.iter();
        candidates.extend(damaged.map(|unusable| Candidate {
            archive: unusable.label.clone(),
            manifest: None,
        }));
        candidates.sort_by(|one, other| one.archive.cmp(&other.archive));
        let database = self.database(context);
        let number = match choose(&candidates, wanted, database) {
            Choice::One(number) => number,
            Choice::Damaged(number) => return Err(self.damaged(&candidates[number].archive)),
            Choice::None(near) => return Err(self.none(wanted, near)),
        };
        let archive = &candidates[number].archive;
        let found = labels.iter().find(|label| label.archive == *archive);
        found.ok_or_else(|| self.none(wanted, Vec::new()))
    }

    fn database<'a>(&self, context: &'a Context<'_>) -> Option<&'a Path> {
        let own = context.database();
        let mut sources = self
            .listing
            .labels
            .iter()
            .map(|label| &label.manifest.source);
        let first = sources.next();
        let is_one = sources.all(|source| Some(source) == first);
        let is_own = first.is_some_and(|source| Path::new(source) == own);
        (!is_one || is_own).then_some(own)
    }

    fn damaged(&self, archive: &str) -> Error {
        let found = self
            .listing
            .unusable
            .iter()
            .find(|unusable| unusable.label == archive);
        Error::BackupUnusable {
            backup: format!("{}/{archive}", self.place()).into(),
            reason: match found.map(|found| &found.error) {
                Some(Error::BackupUnusable { reason, .. }) => reason.clone(),
                found => found.map_or_else(String::new, ToString::to_string),
            },
        }
    }

    fn none(&self, wanted: &Wanted, candidates: Vec<String>) -> Error {
        Error::NoSuchBackup {
            wanted: wanted.words(),
            folder: self.place().into(),
            candidates,
        }
    }
}

fn candidate(label: &Label) -> Candidate<'_> {
    Candidate {
        archive: label.archive.clone(),
        manifest: Some(&label.manifest),
    }
}

fn nothing(place: &Place, folders: Vec<String>) -> Error {
    Error::NothingOffsite {
        place: place.to_string(),
        folders,
    }
}
