//! Which of several backups is meant: the same among the archives of a folder and among the labels of an off-site copy.

use std::path::Path;

use super::names::stem_of;
use super::{Manifest, Purpose};
use crate::clock::Stamp;

/// The name of the newest.
pub const LATEST: &str = "latest";
/// The revision of a database in which nothing was ever applied.
const NOTHING: &str = "none";

/// What a user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `latest`, an id, the beginning of a name; in a folder also a path.
    pub name: String,
    /// Only among these.
    pub bounds: Bounds,
}

/// Which backups come into question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Made before this moment.
    pub before: Option<Stamp>,
    /// Of a database at this revision, as manifests name it.
    pub revision: Option<String>,
}

/// A backup to choose from.
#[derive(Debug, Clone)]
pub struct Candidate<'c> {
    /// The name of its archive.
    pub archive: String,
    /// What it says of itself; `None` where it is damaged.
    pub manifest: Option<&'c Manifest>,
}

/// What came of it; a number is that of the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    One(usize),
    /// It would be this one, which is damaged. It is not passed over in silence: older rows would take its place.
    Damaged(usize),
    /// None; these come near.
    None(Vec<String>),
}

impl Wanted {
    /// By its name alone.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            bounds: Bounds::default(),
        }
    }

    /// In words, for errors.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{}{}", self.name, self.bounds.words())
    }
}

impl Bounds {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Behind what they bound.
    #[must_use]
    pub fn words(&self) -> String {
        let before = self
            .before
            .map(|before| format!(" before {}", before.rfc3339()));
        let revision = self
            .revision
            .as_ref()
            .map(|name| format!(" at revision {name}"));
        before.into_iter().chain(revision).collect()
    }

    /// Whether a backup comes into question.
    #[must_use]
    pub fn hold(&self, manifest: &Manifest) -> bool {
        let made = Stamp::parse(&manifest.created_at);
        let is_early = self
            .before
            .is_none_or(|before| made.is_some_and(|made| made < before));
        is_early && self.is_revision(&manifest.from)
    }

    fn is_revision(&self, name: &str) -> bool {
        self.revision.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// As far as the name of a damaged archive tells, which begins with the time and the revision.
    fn may_hold(&self, archive: &str) -> bool {
        let stem = stem_of(Path::new(archive));
        let mut parts = stem.split('_');
        let (time, way) = (parts.next(), parts.next());
        let is_early = |before: Stamp| time.is_none_or(|time| *time < *before.compact());
        let from = way.and_then(|way| way.split_once('-'));
        self.before.is_none_or(is_early) && from.is_none_or(|(from, _)| self.is_revision(from))
    }
}

/// Chooses among `candidates`, oldest first. The newest is that of `database`; `None` where all come into question.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], wanted: &Wanted, database: Option<&Path>) -> Choice {
    let fits = |candidate: &Candidate<'_>| match candidate.manifest {
        Some(manifest) => wanted.bounds.hold(manifest),
        None => wanted.bounds.may_hold(&candidate.archive),
    };
    let fitting = || {
        candidates
            .iter()
            .enumerate()
            .filter(move |(_, candidate)| fits(candidate))
    };
    if wanted.name == LATEST {
        latest(fitting(), database)
    } else {
        named(fitting(), &wanted.name)
    }
}

type Numbered<'n, 'c> = (usize, &'n Candidate<'c>);

/// What a restore replaced is not meant: a second `restore latest` would undo the first; nor is a copy of nothing.
fn latest<'n, 'c: 'n>(
    candidates: impl Iterator<Item = Numbered<'n, 'c>>,
    database: Option<&Path>,
) -> Choice {
    let mut found = Choice::None(Vec::new());
    let mut others = Vec::new();
    for (number, candidate) in candidates {
        let Some(manifest) = candidate.manifest else {
            found = Choice::Damaged(number);
            continue;
        };
        if manifest.purpose == Purpose::BeforeRestore || manifest.from == NOTHING {
            continue;
        }
        if database.is_none_or(|database| Path::new(&manifest.source) == database) {
            found = Choice::One(number);
        } else {
            others.push(format!("{} of {}", manifest.id, manifest.source));
        }
    }
    match found {
        Choice::None(_) => Choice::None(others),
        found => found,
    }
}

fn named<'n, 'c: 'n>(candidates: impl Iterator<Item = Numbered<'n, 'c>>, wanted: &str) -> Choice {
    let (damaged, sound): (Vec<Numbered<'_, '_>>, Vec<_>) = candidates
        .filter(|(_, candidate)| is_named(&candidate.archive, wanted))
        .partition(|(_, candidate)| candidate.manifest.is_none());
    match (sound.as_slice(), damaged.first()) {
        ([(only, _)], None) => Choice::One(*only),
        ([], Some((damaged, _))) => Choice::Damaged(*damaged),
        (several, _) => {
            let names = several.iter().map(|(_, one)| one.archive.clone());
            Choice::None(names.collect())
        }
    }
}

/// By its id, or by the beginning of its name.
fn is_named(archive: &str, wanted: &str) -> bool {
    let stem = stem_of(Path::new(archive));
    !wanted.is_empty() && (archive.starts_with(wanted) || stem.rsplit('_').next() == Some(wanted))
}
