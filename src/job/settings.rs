//! What every job needs to know.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Times;
use crate::archive::Compression;
use crate::catalog::Catalog;
use crate::encryption::{Encryption, Keys};
use crate::offsite::{Access, Offsite, Place};
use crate::retention::Policy;
use crate::sqlite::Depth;

/// What every job needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The live database, absolute.
    pub database: PathBuf,
    /// The folder of migrations.
    pub migrations: PathBuf,
    /// The folder below which the backups go.
    pub backups: PathBuf,
    /// Of a fleet: the folders between the place of all backups and that of this database's.
    pub group: PathBuf,
    /// The longest wait for any one lock.
    pub lock_timeout: Duration,
    /// Which backups stay.
    pub retention: Policy,
    /// Which stay off site.
    pub offsite_retention: Policy,
    /// How much is read to check the database and its backups.
    pub verify: Depth,
    /// How new backups are compressed.
    pub compression: Compression,
    /// To whom new backups are encrypted, if they are.
    pub encryption: Option<Encryption>,
    /// What opens encrypted backups.
    pub keys: Keys,
    /// Whether a missing database is made.
    pub create_if_missing: bool,
    /// When a migration may run, and for how long.
    pub times: Times,
    /// Where copies of the backups go, if anywhere.
    pub offsite: Option<Offsite>,
    /// How a store is reached that a command names by its URL.
    pub access: Access,
    /// Whether it is the command line that says which database. What is printed to be typed next has to say it as well: without it,
    /// the same command means another database.
    pub is_named: bool,
}

impl Settings {
    /// The backups folder of the database.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        Catalog::new(&self.backups, &self.database)
            .compressing(self.compression)
            .encrypting(self.encryption.clone())
            .opening(self.keys.clone())
    }

    /// The folder of the database in a place off site: the same below it as that of its backups is below theirs.
    #[must_use]
    pub fn shelf_name(&self) -> String {
        let folder = self.catalog().folder().file_name().map(PathBuf::from);
        let name = self.group.join(folder.unwrap_or_default());
        name.to_string_lossy().into_owned()
    }

    /// Where the copies of this database go, if they go anywhere.
    #[must_use]
    pub fn shelf(&self) -> Option<Place> {
        let place = self.offsite.as_ref()?.place.clone();
        Some(place.below(&self.shelf_name()))
    }

    /// What a command must be followed by to mean this database.
    #[must_use]
    pub fn flags(&self) -> String {
        if !self.is_named {
            return String::new();
        }
        let quoted = |path: &Path| quote(&path.display().to_string());
        format!(
            " --database {} --backups {}",
            quoted(&self.database),
            quoted(&self.backups)
        )
    }
}

/// For a shell, where it would not take the word as it stands.
fn quote(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:@%,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quote("/srv/acme/app.db"), "/srv/acme/app.db");
        assert_eq!(
            quote("/srv/o'neil & co/app.db"),
            r"'/srv/o'\''neil & co/app.db'"
        );
    }
}
