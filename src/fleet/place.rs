//! Where the backups of each database go: many are called the same, and no two may share a folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::find::{self, Found};
use super::shard::hash;
use super::{Fleet, Member};
use crate::error::{Error, Result};
use crate::job::Settings;
use crate::storage;

/// All databases, with the settings of their jobs.
pub(super) fn members(fleet: &Fleet, settings: &Settings) -> Result<Vec<Member>> {
    let catch = find::find(&fleet.patterns, &settings.backups)?;
    let mut owners = BTreeMap::new();
    let mut members = Vec::with_capacity(catch.found.len());
    for Found { path, name } in catch.found {
        let folder = folder_for(&name, catch.extension.as_deref());
        let settings = Settings {
            database: storage::absolute(&path)?,
            backups: settings.backups.join(&folder),
            group: folder,
            is_named: true,
            ..settings.clone()
        };
        let catalog = settings.catalog();
        if let Some(other) = owners.insert(catalog.folder().to_path_buf(), path.clone()) {
            return Err(shared(&other, &path, catalog.folder()));
        }
        members.push(Member {
            path,
            name,
            settings,
        });
    }
    Ok(members)
}

/// The folder that the catalogue's own is in. It depends on this name and the pattern alone: whatever databases are added, the
/// job finds the record of the one before it, which may have been cut short.
fn folder_for(name: &Path, extension: Option<&OsStr>) -> PathBuf {
    let mut folder = PathBuf::new();
    let mut is_exact = true;
    for component in name.parent().into_iter().flat_map(Path::components) {
        match component {
            Component::Normal(part) => folder.push(part),
            _ => is_exact = false,
        }
    }
    // The catalogue is called by the file's name without its extension.
    if name.extension() != extension {
        folder.push(name.file_name().unwrap_or_default());
    }
    if !is_exact {
        folder.push(format!("{:08x}", hash(name) >> 32));
    }
    folder
}

fn shared(one: &Path, other: &Path, folder: &Path) -> Error {
    Error::Usage {
        message: format!(
            "the backups of {} and of {} would share the folder {}",
            one.display(),
            other.display(),
            folder.display()
        ),
        hint: "Rename one of them, or give them patterns and backups folders of their own.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// The catalogue's folder.
    fn place(name: &str, extension: &str) -> String {
        let folder = folder_for(Path::new(name), Some(OsStr::new(extension)));
        let catalog = Catalog::new(&folder, Path::new(name));
        catalog.folder().display().to_string()
    }

    #[test]
    fn a_folder_says_what_the_wildcards_matched() {
        assert_eq!(place("acme/app.db", "db"), "acme/app");
        assert_eq!(place("acme.db", "db"), "acme");
        assert_eq!(place("eu/acme/data/main.db", "db"), "eu/acme/data/main");
    }

    #[test]
    fn names_that_would_be_the_same_without_what_is_left_out_have_folders_of_their_own() {
        let names = [
            "acme/app.db",
            "acme/app.sqlite",
            "acme/app",
            "acme/app.db.old",
            "/acme/app.db",
            "../acme/app.db",
            "../../acme/app.db",
        ];
        let places: std::collections::BTreeSet<String> = names.map(|name| place(name, "db")).into();
        assert_eq!(places.len(), names.len(), "{places:?}");
        assert!(places.contains("acme/app.sqlite/app"), "{places:?}");
    }
}
