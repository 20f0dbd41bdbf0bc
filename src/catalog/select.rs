//! Which backup is meant.

use std::path::Path;

use super::names::stem_of;
use super::{Backup, Catalog, Manifest, Purpose};
use crate::error::{Error, Result};
use crate::storage::{self, PathKind};

/// The revision of a database in which nothing was ever applied.
const NOTHING: &str = "none";

impl Catalog {
    /// The backup that a user named: a path, an id, the beginning of a name, or `latest`.
    pub fn select(&self, wanted: &str) -> Result<Backup> {
        if wanted == "latest" {
            return self.latest();
        }
        match storage::kind(Path::new(wanted)) {
            Ok(PathKind::Missing) => self.named(wanted),
            // What is no archive, or cannot be looked at, is refused when it is opened.
            _ => self.read_backup(Path::new(wanted)),
        }
    }

    /// The newest of this database. What a restore replaced is not meant: a second `restore latest` would undo the
    /// first; nor is a copy of nothing. One that is damaged is not passed over in silence: older rows would take its place.
    fn latest(&self) -> Result<Backup> {
        let (good, bad) = self.backups()?;
        let counts = |backup: &&Backup| {
            backup.manifest.purpose != Purpose::BeforeRestore && backup.manifest.from != NOTHING
        };
        let is_ours = |backup: &&Backup| Path::new(&backup.manifest.source) == self.database;
        let newest = good.iter().filter(counts).rfind(is_ours).cloned();
        let behind = newest.as_ref().map(|backup| backup.path.as_path());
        let damaged = bad.into_iter().rfind(|error| path_of(error) > behind);
        match (newest, damaged) {
            (_, Some(damaged)) => Err(damaged),
            (Some(newest), None) => Ok(newest),
            (None, None) => {
                let others = good.iter().filter(counts);
                let names = others
                    .map(|backup| format!("{} of {}", backup.manifest.id, backup.manifest.source));
                Err(self.none("latest", names.collect()))
            }
        }
    }

    fn named(&self, wanted: &str) -> Result<Backup> {
        let (good, bad) = self.backups()?;
        let fits: Vec<&Backup> = good
            .iter()
            .filter(|backup| is_named(&backup.path, wanted))
            .collect();
        let damaged = bad
            .into_iter()
            .find(|error| path_of(error).is_some_and(|path| is_named(path, wanted)));
        match (fits.as_slice(), damaged) {
            ([only], None) => Ok((*only).clone()),
            ([], Some(damaged)) => Err(damaged),
            (several, _) => {
                let names = several.iter().map(|b| storage::name_of(&b.path)).collect();
                Err(self.none(wanted, names))
            }
        }
    }

    fn none(&self, wanted: &str, candidates: Vec<String>) -> Error {
        Error::NoSuchBackup {
            wanted: wanted.to_owned(),
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
}

/// By its id, or by the beginning of its name.
fn is_named(path: &Path, wanted: &str) -> bool {
    let name = storage::name_of(path);
    let stem = stem_of(path);
    !wanted.is_empty() && (name.starts_with(wanted) || stem.rsplit('_').next() == Some(wanted))
}

/// The archive that an error of [`Catalog::read_backup`] is about.
fn path_of(error: &Error) -> Option<&Path> {
    match error {
        Error::BackupUnusable { backup: path, .. }
        | Error::KeyNeeded { backup: path, .. }
        | Error::Io { path, .. } => Some(path),
        _ => None,
    }
}
