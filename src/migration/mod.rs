//! The migration files: the folder as a value, checked as a whole before any database is touched.
//!
//! Names and checksums are sqlx's (`NNN_name.up.sql`, SHA-384 of the bytes), so that sqlx-cli reads the same folder.

mod directives;
mod dropped;
mod folder;
mod items;
mod rename;
mod revision;
mod stored;

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha384};

use crate::storage::{self, PathKind};

pub use directives::Declarations;
pub use dropped::{Dropped, Part, What};
pub use folder::LARGEST_COUNTED;
pub use items::line_of_rows;
pub use rename::Rename;
pub use revision::Target;
pub use stored::StoredText;

const UP: &str = ".up.sql";
const DOWN: &str = ".down.sql";

/// A migration's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// A version, or `none` for a database to which nothing was applied.
#[must_use]
pub fn version_name(version: Option<Version>) -> String {
    version.map_or_else(|| "none".into(), |version| version.to_string())
}

/// SHA-384 of a file's bytes, as `_sqlx_migrations.checksum` holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum([u8; 48]);

impl Checksum {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha384::digest(bytes).into())
    }

    /// Whether `recorded` is the checksum of a text, whichever line ending it was applied with.
    #[must_use]
    pub fn fits(text: &str, recorded: &[u8]) -> bool {
        let unix = text.replace("\r\n", "\n");
        let dos = unix.replace('\n', "\r\n");
        [text, &unix, &dos]
            .iter()
            .any(|text| Self::of(text.as_bytes()).as_bytes() == recorded)
    }

    /// The bytes that are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::sqlite::hex(&self.0[..8]))
    }
}

/// One file: the way up or the way down.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it was read from.
    pub path: PathBuf,
    /// Kept in the database itself by an earlier job; there is no such file.
    pub stored: bool,
    /// Its text.
    pub sql: String,
    /// Of its bytes.
    pub checksum: Checksum,
    /// Begins with sqlx's marker `-- no-transaction`.
    pub no_transaction: bool,
    /// What its header says it takes away.
    pub declared: Declarations,
}

impl Script {
    /// Whether `recorded` is the checksum of this text, whichever line ending it was applied with.
    #[must_use]
    pub fn matches(&self, recorded: &[u8]) -> bool {
        Checksum::fits(&self.sql, recorded)
    }
}

/// One revision: a pair of files.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Its number.
    pub version: Version,
    /// What the file name says, underscores as blanks: sqlx's `description`.
    pub description: String,
    /// The revision id under which Alembic knows it.
    pub alembic: Option<String>,
    /// The way up.
    pub up: Script,
    /// The way down.
    pub down: Script,
}

impl Migration {
    /// What its files' names begin with: `008_add_google_avatar`.
    #[must_use]
    pub fn name(&self) -> String {
        crate::storage::name_of(&self.up.path)
            .trim_end_matches(UP)
            .to_owned()
    }

    /// The Alembic id where there is one, else the number: how people name it.
    #[must_use]
    pub fn label(&self) -> String {
        self.alembic
            .clone()
            .unwrap_or_else(|| self.version.to_string())
    }
}

/// A checked folder of migrations, in order.
#[derive(Debug, Clone)]
pub struct Migrations {
    folder: PathBuf,
    list: Vec<Migration>,
}

impl Migrations {
    /// Reads and checks a folder.
    ///
    /// # Errors
    /// [`crate::error::Error::Migrations`] with every problem that was found.
    pub fn read(folder: &Path) -> crate::error::Result<Self> {
        let list = folder::read(folder)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            list,
        })
    }

    /// As [`Self::read`], for whoever writes the next one: there may be none yet, not even the folder.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_or_none(folder: &Path) -> crate::error::Result<Self> {
        let list = match storage::kind(folder)? {
            PathKind::Missing => Vec::new(),
            _ => folder::read_any(folder)?,
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            list,
        })
    }

    /// The folder that was read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> &[Migration] {
        &self.list
    }

    /// The highest version.
    #[must_use]
    pub fn head(&self) -> Option<Version> {
        self.list.last().map(|migration| migration.version)
    }

    /// Where `base` is: revision 0 where the folder has one (what stood before Alembic's first revision), else nothing.
    #[must_use]
    pub fn base(&self) -> Option<Version> {
        self.get(Version(0)).map(|migration| migration.version)
    }

    /// The migration of that number.
    #[must_use]
    pub fn get(&self, version: Version) -> Option<&Migration> {
        self.list
            .iter()
            .find(|migration| migration.version == version)
    }

    /// The migration that Alembic knows by this id.
    #[must_use]
    pub fn by_alembic(&self, id: &str) -> Option<&Migration> {
        self.list
            .iter()
            .find(|migration| migration.alembic.as_deref() == Some(id))
    }

    /// Whether any file is tied to Alembic.
    #[must_use]
    pub fn speaks_alembic(&self) -> bool {
        self.list
            .iter()
            .any(|migration| migration.alembic.is_some())
    }

    /// Those up to and with `version`.
    pub fn up_to(&self, version: Option<Version>) -> impl Iterator<Item = &Migration> {
        self.list
            .iter()
            .filter(move |migration| Some(migration.version) <= version)
    }

    /// Those above `from`, up to and with `to`, in order.
    #[must_use]
    pub fn between(
        &self,
        from: Option<Version>,
        to: Option<Version>,
    ) -> impl DoubleEndedIterator<Item = &Migration> {
        self.list.iter().filter(move |migration| {
            Some(migration.version) > from && Some(migration.version) <= to
        })
    }
}
