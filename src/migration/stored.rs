//! Migrations out of the database itself, for revisions that the folder does not have.

use std::path::Path;

use super::folder::{self, FILE_LIMIT_BYTES};
use super::{Checksum, DOWN, Migration, Migrations, UP, Version};

/// The folder that the path of a stored script names: the table that keeps it.
const PLACE: &str = "_safestep_migrations";

/// A migration as a database keeps it.
#[derive(Debug, Clone)]
pub struct StoredText {
    /// Its number.
    pub version: Version,
    /// What its files' names began with.
    pub name: String,
    /// The bytes of the way up.
    pub up: Vec<u8>,
    /// The bytes of the way down.
    pub down: Vec<u8>,
}

impl StoredText {
    /// No script that is larger was ever stored.
    pub const LIMIT_BYTES: u64 = FILE_LIMIT_BYTES;

    /// The migration, if its texts are those of one: the same checks as for files.
    #[must_use]
    pub fn migration(self) -> Option<Migration> {
        if self.name.contains(char::is_control) {
            return None;
        }
        let up_file = format!("{}{UP}", self.name);
        let (version, name, _) = folder::parse_name(&up_file).ok()??;
        let path = |file: String| Path::new(PLACE).join(file);
        let (up, alembic) = folder::script(&path(up_file), self.up, true).ok()?;
        let down_file = format!("{}{DOWN}", self.name);
        let (down, _) = folder::script(&path(down_file), self.down, true).ok()?;
        (Version(version) == self.version).then(|| Migration {
            version: self.version,
            description: name.replace('_', " "),
            alembic,
            up,
            down,
        })
    }
}

impl Migrations {
    /// With another text of a way up in place of the folder's.
    #[must_use]
    pub fn with_up(mut self, version: Version, sql: String) -> Self {
        if let Some(migration) = self.list.iter_mut().find(|m| m.version == version) {
            migration.up.checksum = Checksum::of(sql.as_bytes());
            migration.up.sql = sql;
            migration.up.stored = true;
        }
        self
    }

    /// With further migrations above the head; `None` where they leave a gap or repeat an Alembic id.
    #[must_use]
    pub fn extended(&self, further: Vec<Migration>) -> Option<Self> {
        let mut list = self.list.clone();
        list.extend(further);
        let mut problems = Vec::new();
        folder::find_gaps(&list, &mut problems);
        folder::find_twins(&list, &mut problems);
        let rising = list
            .windows(2)
            .all(|pair| pair[0].version < pair[1].version);
        (problems.is_empty() && rising).then(|| Self {
            folder: self.folder.clone(),
            list,
        })
    }
}
