//! In what a database differs from the schema that it should have.

use super::{Column, Schema, Table};
use crate::error::Problem;

/// How much a difference says about the revision that a database is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A table or column: the database is not at this revision.
    Structure,
    /// An index: slower or less strict, but a database of this revision all the same.
    Index,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How much it says.
    pub weight: Weight,
    /// In words.
    pub problem: Problem,
}

/// What `found` lacks of `expected`, or has otherwise. Tables that `expected` does not know are an application's own
/// business; declared types are left out, since they change nothing in what SQLite stores for the types in use.
#[must_use]
pub fn differences(expected: &Schema, found: &Schema) -> Vec<Difference> {
    let mut list = Vec::new();
    for (name, table) in &expected.tables {
        match found.tables.get(name) {
            None => list.push(structure(name, "the table is missing")),
            Some(other) => compare_tables(name, table, other, &mut list),
        }
    }
    list
}

fn structure(subject: impl Into<String>, message: impl Into<String>) -> Difference {
    Difference {
        weight: Weight::Structure,
        problem: Problem::new(subject, message),
    }
}

fn compare_tables(name: &str, expected: &Table, found: &Table, list: &mut Vec<Difference>) {
    for column in &expected.columns {
        let subject = format!("{name}.{}", column.name);
        match found.columns.iter().find(|c| c.name == column.name) {
            None => list.push(structure(subject, "the column is missing")),
            Some(other) => list.extend(compare_columns(&subject, column, other)),
        }
    }
    for column in &found.columns {
        if !expected.columns.iter().any(|c| c.name == column.name) {
            list.push(structure(
                format!("{name}.{}", column.name),
                "the column should not be there",
            ));
        }
    }
    for (index, expected) in &expected.indexes {
        if !found.indexes.values().any(|other| other == expected) {
            list.push(Difference {
                weight: Weight::Index,
                problem: Problem::new(format!("{name}: {index}"), "the index is missing"),
            });
        }
    }
}

fn compare_columns(subject: &str, expected: &Column, found: &Column) -> Option<Difference> {
    if expected.not_null != found.not_null {
        let should = if expected.not_null {
            "NOT NULL"
        } else {
            "nullable"
        };
        return Some(structure(subject, format!("the column should be {should}")));
    }
    (expected.key != found.key)
        .then(|| structure(subject, "the column's place in the primary key differs"))
}
