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
}

/// Looks at what is there.
///
/// # Errors
/// Where the store does not answer, and where there is nothing at all: [`Error::NothingOffsite`].
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
        At::Configured => vec![below],
        At::Url(_) => vec![above.clone(), below],
    };
    for remote in folders {
        let listing = remote.list(&patience).await?;
        if !listing.labels.is_empty() || !listing.unusable.is_empty() {
            return Ok(Shelf { remote, listing });
        }
    }
    let folders = above.subfolders(&patience).await?;
    Err(Error::NothingOffsite {
        place: above.place().to_string(),
        folders,
    })
}

impl Shelf {
    /// Where it is, as a URL.
    #[must_use]
    pub fn place(&self) -> String {
        self.remote.place().to_string()
    }

    /// The backup that is meant. The newest is that of this database; where all in the folder are of one other, of that one:
    /// a machine that was lost is not always built anew with the same paths.
    pub fn choose(&self, context: &Context<'_>, wanted: &Wanted) -> Result<&Label> {
        let labels = &self.listing.labels;
        let mut candidates: Vec<Candidate<'_>> = labels.iter().map(candidate).collect();
        let damaged = self.listing.unusable.iter();
        candidates.extend(damaged.map(|error| Candidate {
            archive: name_of(error),
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
            .find(|error| name_of(error) == archive);
        Error::BackupUnusable {
            backup: format!("{}/{archive}", self.place()).into(),
            reason: match found {
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

/// The label that cannot be used.
fn name_of(error: &Error) -> String {
    match error {
        Error::BackupUnusable { backup, .. } => crate::storage::name_of(backup),
        Error::Offsite(failure) => failure
            .doing
            .split_whitespace()
            .find(|word| word.contains(".label.json"))
            .unwrap_or_default()
            .to_owned(),
        _ => String::new(),
    }
}
