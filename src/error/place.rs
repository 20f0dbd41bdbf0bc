//! Facts about where a database stands that cannot be continued.

use std::fmt;

use serde::Serialize;

/// A revision by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Its number, as it is printed.
    pub version: String,
    /// What it is about.
    pub description: String,
    /// The id under which Alembic knows it, where that is known.
    pub alembic: Option<String>,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.version, self.description)?;
        match &self.alembic {
            Some(id) => write!(f, " (Alembic id {id})"),
            None => Ok(()),
        }
    }
}

/// A database that is newer than the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewerRevision {
    /// The applied revisions above the newest file, in order; empty where only Alembic says so.
    pub revisions: Vec<Revision>,
    /// The id in `alembic_version`, where the files do not know it.
    pub alembic: Option<String>,
    /// The newest file.
    pub head: String,
    /// Where the scripts that the database keeps lead back to; missing where they are not all there.
    pub downgrade_to: Option<String>,
}

impl fmt::Display for NewerRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.revisions.last(), &self.alembic) {
            (Some(last), _) => last.fmt(f),
            (None, Some(id)) => write!(f, "'{id}'"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// The revision whose schema a database comes nearest to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The revision.
    pub revision: String,
    /// Whether the schema is exactly that one.
    pub exact: bool,
    /// An earlier revision with the same schema.
    pub twin: Option<String>,
    /// The newest file.
    pub head: String,
}
