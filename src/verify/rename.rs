//! Declared renamings: everything is compared under the name that it has in the end.

use std::collections::BTreeSet;

use super::inventory::Footprint;
use crate::grammar;
use crate::migration::{Dropped, Part, Rename, What};
use crate::schema::{Schema, Table};

/// The renamings of a plan that took place, file by file. A schema, a name, a declaration is brought to its last names
/// by those of the files from `first` on.
pub(super) struct Renames(Vec<Vec<Rename>>);

impl Renames {
    pub(super) fn that_happened(footprints: &[Footprint]) -> Self {
        Self(footprints.iter().map(of_file).collect())
    }

    fn since(&self, first: usize) -> impl Iterator<Item = &Rename> {
        self.0.iter().skip(first).flatten()
    }

    pub(super) fn last_names(&self, schema: &Schema, first: usize) -> Schema {
        let mut schema = schema.clone();
        for rename in self.since(first) {
            match rename {
                Rename::Table { from, to } => rename_table(&mut schema, from, to),
                Rename::Column { table, from, to } => {
                    rename_column(&mut schema, table, from, to);
                }
            }
        }
        schema
    }

    /// A table's, in lower case.
    pub(super) fn last_name(&self, table: &str, first: usize) -> String {
        last_table_name(table, self.since(first))
    }

    /// Something declared, under every name that it has from then on.
    pub(super) fn all_names(&self, dropped: &Dropped, first: usize) -> BTreeSet<Dropped> {
        let mut names = BTreeSet::from([dropped.clone()]);
        let mut last = dropped.clone();
        for rename in self.since(first) {
            last = renamed(last, rename);
            names.insert(last.clone());
        }
        names
    }
}

/// Those of a file whose new name, or what the file made of that in turn, is there after it.
fn of_file(print: &Footprint) -> Vec<Rename> {
    let renames = &print.declared.renames;
    let happened = |(index, rename): &(usize, &Rename)| {
        let rest = || renames[index + 1..].iter();
        let (table, column) = match rename {
            Rename::Table { to, .. } => (to, None),
            Rename::Column { table, to, .. } => (table, Some(to)),
        };
        // It may be told in either order that a table and its columns were renamed.
        let names = [table.clone(), last_table_name(table, renames.iter())];
        let now = column.map(|column| last_column_name(&names, column, rest()));
        let name = last_table_name(table, rest());
        let mut tables = print.schema.tables.iter();
        tables.any(|(found, it)| {
            (found.eq_ignore_ascii_case(&name) || found.eq_ignore_ascii_case(&names[1]))
                && now
                    .as_ref()
                    .is_none_or(|column| it.column(column).is_some())
        })
    };
    let list = renames.iter().enumerate().filter(happened);
    list.map(|(_, rename)| rename.clone()).collect()
}

fn last_table_name<'r>(table: &str, renames: impl Iterator<Item = &'r Rename>) -> String {
    let mut name = table.to_ascii_lowercase();
    for rename in renames {
        match rename {
            Rename::Table { from, to } if *from == name => name.clone_from(to),
            _ => {}
        }
    }
    name
}

fn last_column_name<'r>(
    tables: &[String],
    column: &str,
    renames: impl Iterator<Item = &'r Rename>,
) -> String {
    let mut name = column.to_owned();
    for rename in renames {
        match rename {
            Rename::Column { table, from, to } if tables.contains(table) && *from == name => {
                name.clone_from(to);
            }
            _ => {}
        }
    }
    name
}

fn renamed(mut dropped: Dropped, rename: &Rename) -> Dropped {
    let in_a_table = !matches!(dropped.what, What::Index | What::Trigger | What::View);
    match rename {
        Rename::Table { from, to } if in_a_table && dropped.name == *from => {
            dropped.name.clone_from(to);
        }
        Rename::Column { table, from, to } if in_a_table && dropped.name == *table => {
            let swap = |name: &mut String| {
                if name == from {
                    name.clone_from(to);
                }
            };
            match &mut dropped.part {
                Part::Member(member) if dropped.what != What::Check => swap(member),
                Part::Columns(columns) => columns.iter_mut().for_each(swap),
                Part::Expression(text) => *text = with_word(text, from, to),
                Part::Member(_) | Part::Whole => {}
            }
        }
        _ => {}
    }
    dropped
}

fn table_name<'s>(schema: &'s Schema, name: &str) -> Option<&'s String> {
    schema
        .tables
        .keys()
        .find(|table| table.eq_ignore_ascii_case(name))
}

/// Not where the new name is there already, and means something else.
fn rename_table(schema: &mut Schema, from: &str, to: &str) {
    if table_name(schema, to).is_some() {
        return;
    }
    let Some(old) = table_name(schema, from).cloned() else {
        return;
    };
    if let Some(table) = schema.tables.remove(&old) {
        schema.tables.insert(to.to_owned(), table);
    }
    for trigger in schema.triggers.values_mut() {
        if trigger.table.eq_ignore_ascii_case(from) {
            to.clone_into(&mut trigger.table);
        }
    }
    for table in schema.tables.values_mut() {
        table.foreign_keys = std::mem::take(&mut table.foreign_keys)
            .into_iter()
            .map(|mut key| {
                if key.parent.eq_ignore_ascii_case(from) {
                    to.clone_into(&mut key.parent);
                }
                key
            })
            .collect();
    }
}

fn rename_column(schema: &mut Schema, table: &str, from: &str, to: &str) {
    let Some(name) = table_name(schema, table).cloned() else {
        return;
    };
    let Some(renamed) = schema.tables.get_mut(&name) else {
        return;
    };
    if renamed.column(from).is_none() || renamed.column(to).is_some() {
        return;
    }
    rename_in_table(renamed, from, to);
    let swap = |column: &mut String| {
        if column.eq_ignore_ascii_case(from) {
            to.clone_into(column);
        }
    };
    for (child, other) in &mut schema.tables {
        other.foreign_keys = std::mem::take(&mut other.foreign_keys)
            .into_iter()
            .map(|mut key| {
                if child.eq_ignore_ascii_case(table) {
                    key.columns.iter_mut().for_each(swap);
                }
                if key.parent.eq_ignore_ascii_case(table) {
                    key.parent_columns.iter_mut().for_each(swap);
                }
                key
            })
            .collect();
    }
}

fn rename_in_table(table: &mut Table, from: &str, to: &str) {
    for column in &mut table.columns {
        if column.name.eq_ignore_ascii_case(from) {
            to.clone_into(&mut column.name);
        }
        if let Some(generated) = &mut column.generated {
            *generated = with_word(generated, from, to);
        }
    }
    for index in table.indexes.values_mut() {
        for term in &mut index.terms {
            term.what = with_word(&term.what, from, to);
        }
        if let Some(filter) = &mut index.filter {
            *filter = with_word(filter, from, to);
        }
    }
    for check in &mut table.details.checks {
        check.expression = with_word(&check.expression, from, to);
    }
    table.details.conflicts = std::mem::take(&mut table.details.conflicts)
        .into_iter()
        .map(|(columns, what)| (with_word(&columns, from, to), what))
        .collect();
}

/// A text with a name exchanged where it is a word of its own, and not inside of a string.
fn with_word(text: &str, from: &str, to: &str) -> String {
    if text.eq_ignore_ascii_case(from) {
        return to.to_owned();
    }
    let Ok(words) = grammar::words(text) else {
        return text.to_owned();
    };
    let (from, to) = (grammar::canonical_name(from), grammar::canonical_name(to));
    let mut changed = text.to_owned();
    for word in words.iter().rev().filter(|word| word.canonical == from) {
        changed.replace_range(word.start..word.end, &to);
    }
    changed
}
