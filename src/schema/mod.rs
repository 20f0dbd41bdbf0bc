//! Schemas: read from a database, built from the migrations, compared.

mod compare;
mod read;
mod revisions;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use compare::{Difference, Weight, differences};
pub use read::read;
pub use revisions::{RevisionSchema, build_all};

/// What a database is made of, without the tables of SQLite and of the migrators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// By name.
    pub tables: BTreeMap<String, Table>,
    /// Canonical text by name.
    pub views: BTreeMap<String, String>,
    /// By name.
    pub triggers: BTreeMap<String, Trigger>,
}

/// A trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trigger {
    /// The table or view that it belongs to.
    pub table: String,
    /// In canonical form.
    pub text: String,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What kind of table it is.
    pub nature: Nature,
    /// In the order of the table.
    pub columns: Vec<Column>,
    /// By name; those of UNIQUE and PRIMARY KEY constraints are named after their columns, since SQLite numbers them.
    pub indexes: BTreeMap<String, Index>,
    /// In no order that means anything.
    pub foreign_keys: BTreeSet<ForeignKey>,
    /// What only its text tells.
    pub details: Details,
}

/// The kinds of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nature {
    /// One that CREATE TABLE makes.
    #[default]
    Ordinary,
    /// One that CREATE VIRTUAL TABLE makes.
    Virtual,
    /// One in which a virtual table keeps its content. It comes and goes with that.
    Shadow,
}

/// What a table's CREATE statement says beyond columns, keys and indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// In order.
    pub checks: Vec<Check>,
    /// AUTOINCREMENT
    pub autoincrement: bool,
    /// STRICT
    pub strict: bool,
    /// WITHOUT ROWID
    pub without_rowid: bool,
    /// Columns (as `a, b`) and what their ON CONFLICT says.
    pub conflicts: BTreeSet<(String, String)>,
    /// The whole statement in canonical form.
    pub text: String,
    /// Why the statement could not be read; then checks, collations, generated columns, AUTOINCREMENT, deferred keys and
    /// ON CONFLICT are not known.
    pub unread: Option<String>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The name that CONSTRAINT gives it.
    pub name: Option<String>,
    /// Its expression in canonical form.
    pub expression: String,
}

/// A column, as `PRAGMA table_xinfo` and its text tell it.
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
    /// What COLLATE names, in lower case.
    pub collation: Option<String>,
    /// How it is generated, in canonical form.
    pub generated: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignKey {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub parent: String,
    /// The columns that they refer to; none for its primary key.
    pub parent_columns: Vec<String>,
    /// ON DELETE
    pub on_delete: String,
    /// ON UPDATE
    pub on_update: String,
    /// DEFERRABLE INITIALLY DEFERRED: only this is checked at the COMMIT.
    pub deferred: bool,
}

impl fmt::Display for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.parent_columns.is_empty() {
            "its primary key".to_owned()
        } else {
            self.parent_columns.join(", ")
        };
        write!(
            f,
            "({}) -> {} ({to}) ON DELETE {} ON UPDATE {}{}",
            self.columns.join(", "),
            self.parent,
            self.on_delete,
            self.on_update,
            if self.deferred { " DEFERRED" } else { "" }
        )
    }
}

/// An index, as `PRAGMA index_xinfo` and its text tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whether it is unique.
    pub unique: bool,
    /// Whether it was made by CREATE INDEX, not by a constraint.
    pub created: bool,
    /// In order.
    pub terms: Vec<Term>,
    /// Its WHERE clause in canonical form.
    pub filter: Option<String>,
}

/// What an index sorts by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The column's name, or the expression in canonical form.
    pub what: String,
    /// Whether it is an expression.
    pub is_expression: bool,
    /// The collation that counts, the column's own if it names none.
    pub collation: String,
    /// DESC
    pub descending: bool,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.descending { " DESC" } else { "" };
        write!(f, "{} {}{direction}", self.what, self.collation)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self.terms.iter().map(ToString::to_string).collect();
        let unique = if self.unique { "unique " } else { "" };
        write!(f, "{unique}({})", terms.join(", "))?;
        match &self.filter {
            Some(filter) => write!(f, " where {filter}"),
            None => Ok(()),
        }
    }
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

    /// Whether something else happens when rows of this table change.
    #[must_use]
    pub fn has_trigger_on(&self, table: &str) -> bool {
        self.triggers
            .values()
            .any(|trigger| trigger.table.eq_ignore_ascii_case(table))
    }

    /// Without what only the texts tell: two databases of one revision may differ in that, by who made them.
    #[must_use]
    pub fn outline(&self) -> Self {
        let mut outline = self.clone();
        for table in outline.tables.values_mut() {
            *table = table.outline();
        }
        outline.views.values_mut().for_each(String::clear);
        for trigger in outline.triggers.values_mut() {
            trigger.text.clear();
        }
        outline
    }
}

impl Table {
    /// The column of that name, whatever its case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    fn outline(&self) -> Self {
        let plain = |column: &Column| Column {
            collation: None,
            generated: None,
            ..column.clone()
        };
        let immediate = |key: &ForeignKey| ForeignKey {
            deferred: false,
            ..key.clone()
        };
        Self {
            nature: Nature::Ordinary,
            columns: self.columns.iter().map(plain).collect(),
            indexes: self
                .indexes
                .iter()
                .map(|(name, index)| (name.clone(), index.outline()))
                .collect(),
            foreign_keys: self.foreign_keys.iter().map(immediate).collect(),
            details: Details::default(),
        }
    }
}

impl Index {
    fn outline(&self) -> Self {
        let term = |term: &Term| Term {
            what: if term.is_expression {
                String::new()
            } else {
                term.what.clone()
            },
            ..term.clone()
        };
        Self {
            terms: self.terms.iter().map(term).collect(),
            filter: self.filter.as_ref().map(|_| String::new()),
            ..self.clone()
        }
    }
}
