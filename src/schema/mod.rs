//! Schemas: read from a database, built from the migrations, compared.

mod compare;
mod read;
mod revisions;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::{Difference, Weight, differences};
pub use read::read;
pub use revisions::{RevisionSchema, build_all};

/// What a database is made of, without the tables of SQLite and of the migrators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// By name.
    pub tables: BTreeMap<String, Table>,
    /// Names.
    pub views: BTreeSet<String>,
    /// Name and the table or view that each belongs to.
    pub triggers: BTreeMap<String, String>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// By name; those of UNIQUE and PRIMARY KEY constraints are named after their columns, since SQLite numbers them.
    pub indexes: BTreeMap<String, Index>,
    /// Each as `(columns) -> parent (columns)` with its actions.
    pub foreign_keys: BTreeSet<String>,
}

/// A column, as `PRAGMA table_xinfo` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The declared type.
    pub declared_type: String,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// The default's text.
    pub default: Option<String>,
    /// Its place in the primary key, from 1; 0 when it is not in it.
    pub key: i64,
    /// 0 for an ordinary column, 2 and 3 for generated ones.
    pub hidden: i64,
}

/// An index, as `PRAGMA index_xinfo` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whether it is unique.
    pub unique: bool,
    /// Whether it was made by CREATE INDEX, not by a constraint.
    pub created: bool,
    /// Its terms: column or expression, collation, direction.
    pub terms: Vec<String>,
    /// Whether it has a WHERE clause.
    pub partial: bool,
}

impl Schema {
    /// Whether nothing was ever created.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.views.is_empty()
    }

    /// The names of the tables that another schema has not.
    #[must_use]
    pub fn tables_not_in(&self, other: &Self) -> Vec<&String> {
        self.tables
            .keys()
            .filter(|name| !other.tables.contains_key(*name))
            .collect()
    }

    /// Whether a table has a column.
    #[must_use]
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|table| table.columns.iter().any(|c| c.name == column))
    }
}
