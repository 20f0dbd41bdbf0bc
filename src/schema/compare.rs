//! In what a database differs from the schema that it should have.

use std::collections::{BTreeMap, BTreeSet};

use super::{Column, Index, Schema, Table, text};
use crate::error::Problem;

/// How much a difference says about the revision that a database is at, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A table or column: the database is not at this revision.
    Structure,
    /// An index: slower or less strict, but a database of this revision all the same.
    Index,
    /// A constraint or a text: somebody changed the database, but not to another revision.
    Detail,
    /// A type or default, in which databases of one revision differ by who made them: migrations write a DEFAULT where
    /// the `create_all` of a framework does not.
    Wording,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How much it says.
    pub weight: Weight,
    /// In words.
    pub problem: Problem,
}

/// What `found` lacks of `expected`, or has otherwise. Tables, indexes, views and triggers that `expected` does not know
/// are an application's own business.
#[must_use]
pub fn differences(expected: &Schema, found: &Schema) -> Vec<Difference> {
    let mut list = Vec::new();
    for (name, table) in &expected.tables {
        match found.tables.get(name) {
            None => list.push(structure(name, "the table is missing")),
            Some(other) => {
                compare_tables(name, table, other, &mut list);
                compare_details(name, table, other, &mut list);
            }
        }
    }
    let bodies = |schema: &Schema| -> BTreeMap<String, String> {
        let triggers = schema.triggers.iter();
        triggers
            .map(|(name, trigger)| (format!("trigger {name}"), trigger.text.clone()))
            .chain(
                schema
                    .views
                    .iter()
                    .map(|(name, text)| (format!("view {name}"), text.clone())),
            )
            .collect()
    };
    let there = bodies(found);
    for (object, text) in bodies(expected) {
        match there.get(&object) {
            None => list.push(detail(object, "it is missing")),
            Some(other) if *other != text => list.push(detail(object, "its text differs")),
            Some(_) => {}
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

fn detail(subject: impl Into<String>, message: impl Into<String>) -> Difference {
    Difference {
        weight: Weight::Detail,
        problem: Problem::new(subject, message),
    }
}

fn compare_tables(name: &str, expected: &Table, found: &Table, list: &mut Vec<Difference>) {
    for column in &expected.columns {
        let subject = format!("{name}.{}", column.name);
        match found.columns.iter().find(|c| c.name == column.name) {
            None => list.push(structure(subject, "the column is missing")),
            Some(other) => {
                list.extend(compare_columns(&subject, column, other));
                list.extend(compare_column_details(&subject, column, other));
            }
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
        list.extend(compare_index(&format!("{name}: {index}"), expected, found));
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

fn compare_index(subject: &str, expected: &Index, found: &Table) -> Option<Difference> {
    let alike: Vec<&Index> = found
        .indexes
        .values()
        .filter(|other| other.outline() == expected.outline())
        .collect();
    match alike.first() {
        None => Some(Difference {
            weight: Weight::Index,
            problem: Problem::new(subject, "the index is missing"),
        }),
        Some(_) if alike.contains(&expected) => None,
        Some(other) => Some(detail(
            subject,
            format!("the index should be {expected}, and is {other}"),
        )),
    }
}

fn compare_column_details(subject: &str, expected: &Column, found: &Column) -> Vec<Difference> {
    let shown = |text: Option<&str>| text.map_or_else(|| "none".to_owned(), text::canonical);
    let facts = |column: &Column| {
        [
            (
                Weight::Wording,
                "type",
                shown(Some(column.declared_type.as_str())),
            ),
            (Weight::Wording, "default", shown(column.default.as_deref())),
            (
                Weight::Detail,
                "collation",
                shown(column.collation.as_deref()),
            ),
            (
                Weight::Detail,
                "generation",
                shown(column.generated.as_deref()),
            ),
        ]
    };
    let pairs = facts(expected).into_iter().zip(facts(found));
    pairs
        .filter(|(should, is)| should.2 != is.2)
        .map(|((weight, what, should), (_, _, is))| Difference {
            weight,
            problem: Problem::new(
                subject,
                format!("its {what} should be {should}, and is {is}"),
            ),
        })
        .collect()
}

/// Everything that a table has beyond columns and indexes, one word each.
fn facts(table: &Table) -> BTreeSet<String> {
    let details = &table.details;
    let flags = [
        (details.autoincrement, "AUTOINCREMENT"),
        (details.strict, "STRICT"),
        (details.without_rowid, "WITHOUT ROWID"),
    ];
    let flags = flags
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, what)| (*what).to_owned());
    let checks = details
        .checks
        .iter()
        .map(|check| format!("CHECK ({})", check.expression));
    let conflicts = details
        .conflicts
        .iter()
        .map(|(columns, what)| format!("ON CONFLICT {what} ({columns})"));
    let keys = table
        .foreign_keys
        .iter()
        .map(|key| format!("FOREIGN KEY {key}"));
    flags.chain(checks).chain(conflicts).chain(keys).collect()
}

fn compare_details(name: &str, expected: &Table, found: &Table, list: &mut Vec<Difference>) {
    let unread = [&expected.details, &found.details]
        .into_iter()
        .find_map(|details| details.unread.as_ref());
    if let Some(reason) = unread {
        if expected.details.text != found.details.text {
            let message =
                format!("its definition differs, and safestep cannot read it all ({reason})");
            list.push(detail(name, message));
        }
        return;
    }
    let (should, is) = (facts(expected), facts(found));
    list.extend(
        should
            .difference(&is)
            .map(|fact| detail(name, format!("it lacks {fact}"))),
    );
    list.extend(
        is.difference(&should)
            .map(|fact| detail(name, format!("it has {fact}, which should not be there"))),
    );
}
