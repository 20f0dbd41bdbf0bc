//! The files of a new migration, and `schema.sql`.

use std::path::{Path, PathBuf};

use crate::autogenerate::{Blueprint, ColumnOrder};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::migration::{LARGEST_COUNTED, Migrations, Version};
use crate::sqlite::Interrupt;
use crate::storage::{self, PathKind};

const SCHEMA_FILE: &str = "schema.sql";
/// No schema that a person wrote is larger.
pub(super) const SCHEMA_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
const LONGEST_NAME: usize = 60;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The number of the new migration.
    pub version: Version,
    /// The way up.
    pub up: PathBuf,
    /// The way down.
    pub down: PathBuf,
}

pub(super) fn schema_file(migrations: &Path) -> PathBuf {
    migrations.join(SCHEMA_FILE)
}

/// Writes the pair of files of the migration after the last one.
///
/// # Errors
/// [`Error::Usage`] where the message makes no name; [`Error::Io`].
pub fn write_pair(migrations: &Migrations, message: &str, up: &str, down: &str) -> Result<Written> {
    let name = file_name(message)?;
    let version = next_version(migrations);
    let folder = migrations.folder();
    if storage::kind(folder)? == PathKind::Missing {
        storage::make_source_folder(folder)?;
    }
    let path = |way: &str| folder.join(format!("{version}_{name}.{way}.sql"));
    let written = Written {
        version,
        up: path("up"),
        down: path("down"),
    };
    // A lone down file is refused by the next command; a lone up file might be run by another tool.
    storage::create_source(&written.down, down)?;
    if let Err(error) = storage::create_source(&written.up, up) {
        storage::remove(&written.down)?;
        return Err(error);
    }
    Ok(written)
}

/// Brings `schema.sql` up to the schema at head; a text that says the same already stays as a person wrote it.
/// Returns whether it was written.
pub async fn write_schema_file(migrations: &Path, head: &Blueprint) -> Result<bool> {
    let path = schema_file(migrations);
    if storage::kind(&path)? != PathKind::Missing {
        let bytes = storage::read_bounded(&path, SCHEMA_LIMIT_BYTES)?;
        let old = String::from_utf8_lossy(&bytes);
        let says_the_same = Blueprint::of_script(&old, &Interrupt::default())
            .await?
            .is_ok_and(|old| old.differences(head, ColumnOrder::Counts).is_empty());
        if says_the_same {
            return Ok(false);
        }
    }
    storage::replace_source(&path, &schema_text(head))?;
    Ok(true)
}

/// A schema as `schema.sql` has it.
#[must_use]
pub fn schema_text(head: &Blueprint) -> String {
    format!(
        "-- The schema at head, kept by `safestep revision`. Change it, and `safestep revision --autogenerate -m <message>`\n\
         -- writes the migration that leads here.\n\n{}",
        head.script()
    )
}

/// Numbers count; where a project names its migrations by timestamps, they go on as timestamps.
fn next_version(migrations: &Migrations) -> Version {
    match migrations.head() {
        None => Version(1),
        Some(Version(head)) if head > LARGEST_COUNTED => {
            Version(Stamp::now().digits().max(head + 1))
        }
        Some(Version(head)) => Version(head + 1),
    }
}

/// `Add users.email!` becomes `add_users_email`.
fn file_name(message: &str) -> Result<String> {
    let mut plain = message.to_lowercase();
    for (umlaut, letters) in [("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")] {
        plain = plain.replace(umlaut, letters);
    }
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut name = words.join("_");
    name.truncate(LONGEST_NAME);
    let name = name.trim_end_matches('_').to_owned();
    if name.is_empty() {
        return Err(Error::Usage {
            message: format!("the message '{message}' has no letter or digit to name a file after"),
            hint: "Say in a few words what the migration does: -m \"add users.email\".".into(),
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_file_name() {
        assert_eq!(
            file_name("Add users.email!").expect("a name"),
            "add_users_email"
        );
        assert_eq!(
            file_name("  Füge   x hinzu ").expect("a name"),
            "fuege_x_hinzu"
        );
        assert!(file_name("…").is_err());
        assert_eq!(file_name(&"word ".repeat(40)).expect("a name").len(), 59);
    }
}
