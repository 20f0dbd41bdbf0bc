//! Which backup of the folder is meant.

use std::path::Path;

use super::choice::{Candidate, Choice, LATEST, Wanted, choose};
use super::{Backup, Catalog, Manifest, Purpose};
use crate::error::{Error, Result};
use crate::storage::{self, PathKind};

impl Catalog {
    /// The backup that a user named: a path, an id, the beginning of a name, or `latest`.
    pub fn select(&self, wanted: &Wanted) -> Result<Backup> {
        let path = Path::new(&wanted.name);
        if wanted.name != LATEST && !matches!(storage::kind(path), Ok(PathKind::Missing)) {
            // What is no archive, or cannot be looked at, is refused when it is opened.
            let backup = self.read_backup(path)?;
            return if wanted.bounds.hold(&backup.manifest) {
                Ok(backup)
            } else {
                Err(self.none(wanted, Vec::new()))
            };
        }
        let (good, bad) = self.backups()?;
        let mut entries: Vec<Entry> = good
            .into_iter()
            .map(Ok)
            .chain(bad.into_iter().map(Err))
            .collect();
        entries.sort_by_key(name_of);
        let candidates: Vec<Candidate<'_>> = entries.iter().map(candidate).collect();
        match choose(&candidates, wanted, Some(&self.database)) {
            Choice::One(number) | Choice::Damaged(number) => entries.swap_remove(number),
            Choice::None(candidates) => Err(self.none(wanted, candidates)),
        }
    }

    fn none(&self, wanted: &Wanted, candidates: Vec<String>) -> Error {
        Error::NoSuchBackup {
            wanted: wanted.words(),
            folder: self.folder.clone(),
            candidates,
        }
    }

    /// The newest backup of exactly this file content.
    pub fn twin_of(&self, manifest: &Manifest) -> Result<Option<Backup>> {
        let (good, _) = self.backups()?;
        Ok(good.into_iter().rev().find(|backup| {
            backup.manifest.sha256 == manifest.sha256 && backup.manifest.source == manifest.source
        }))
    }

    /// The one that a new backup of this content need not be made beside. `latest` means the newest that no restore has made, and
    /// has to bring back the state that was backed up last: an older backup that holds the same does not do.
    pub fn stand_in_for(&self, manifest: &Manifest) -> Result<Option<Backup>> {
        if manifest.purpose == Purpose::BeforeRestore {
            return self.twin_of(manifest);
        }
        let (good, _) = self.backups()?;
        let newest = good.into_iter().rev().find(|backup| {
            backup.manifest.purpose != Purpose::BeforeRestore
                && backup.manifest.source == manifest.source
        });
        Ok(newest.filter(|backup| backup.manifest.sha256 == manifest.sha256))
    }
}

/// A backup, or why it cannot be used.
type Entry = Result<Backup>;

fn candidate(entry: &Entry) -> Candidate<'_> {
    Candidate {
        archive: name_of(entry),
        manifest: entry.as_ref().ok().map(|backup| &backup.manifest),
    }
}

fn name_of(entry: &Entry) -> String {
    match entry {
        Ok(Backup { path, .. })
        | Err(
            Error::BackupUnusable { backup: path, .. }
            | Error::KeyNeeded { backup: path, .. }
            | Error::Io { path, .. },
        ) => storage::name_of(path),
        Err(_) => String::new(),
    }
}
