//! What only a person can know: whether something was renamed, and what value a new column gets.

use std::collections::{BTreeMap, BTreeSet};

use super::blueprint::{Blueprint, ColumnOrder, Kind};
use crate::error::{Error, Result};
use crate::grammar::TableText;
use crate::migration::Rename;

/// The answers that were given.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// From old names to new ones.
    pub tables: BTreeMap<String, String>,
    /// From old table and old column to the new column.
    pub columns: BTreeMap<(String, String), String>,
    /// Old tables, and old tables' columns, that are gone for good.
    pub dropped: BTreeSet<(String, Option<String>)>,
    /// The value, as an SQL expression, of a column in the rows that are there.
    pub fills: BTreeMap<(String, String), String>,
    /// Whether another order of columns is a change.
    pub column_order: ColumnOrder,
}

/// Something is gone: renamed to something that is new, dropped for good, or forgotten in the target?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The old table.
    pub table: String,
    /// Its column, if it is about one.
    pub column: Option<String>,
    /// What is new beside it; often nothing.
    pub candidates: Vec<String>,
}

impl Question {
    /// `users` or `users.name`.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        }
    }
}

impl Decisions {
    /// Takes `table:new` or `table.old:new`.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is neither.
    pub fn rename(&mut self, text: &str) -> Result<()> {
        let (old, new) = text
            .split_once(':')
            .filter(|(old, new)| !old.is_empty() && !new.is_empty())
            .ok_or_else(|| malformed("--rename", text, "table:new or table.old:new"))?;
        match old.split_once('.') {
            None => self.tables.insert(lower(old), new.to_owned()),
            Some((table, column)) => {
                let new = new.rsplit('.').next().unwrap_or(new);
                self.columns
                    .insert((lower(table), lower(column)), new.to_owned())
            }
        };
        Ok(())
    }

    /// Takes `table` or `table.column`.
    pub fn drop(&mut self, text: &str) {
        let name = match text.split_once('.') {
            None => (lower(text), None),
            Some((table, column)) => (lower(table), Some(lower(column))),
        };
        self.dropped.insert(name);
    }

    /// Takes `table.column=expression`.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is none.
    pub fn fill(&mut self, text: &str) -> Result<()> {
        let parts = text.split_once('=').and_then(|(name, value)| {
            let (table, column) = name.trim().split_once('.')?;
            (!value.trim().is_empty()).then(|| ((lower(table), lower(column)), value.trim()))
        });
        let (name, value) =
            parts.ok_or_else(|| malformed("--fill", text, "table.column=<SQL expression>"))?;
        self.fills.insert(name, value.to_owned());
        Ok(())
    }

    /// As the header of the way up declares them: columns after their tables.
    pub(super) fn renames(&self) -> Vec<Rename> {
        let tables = self.tables.iter().map(|(from, to)| Rename::Table {
            from: from.clone(),
            to: lower(to),
        });
        let columns = self
            .columns
            .iter()
            .map(|((table, from), to)| Rename::Column {
                table: lower(self.tables.get(table).unwrap_or(table)),
                from: from.clone(),
                to: lower(to),
            });
        tables.chain(columns).collect()
    }

    /// As the header of the way down declares them.
    pub(super) fn renames_back(&self) -> Vec<Rename> {
        let tables = self.tables.iter().map(|(from, to)| Rename::Table {
            from: lower(to),
            to: from.clone(),
        });
        let columns = self
            .columns
            .iter()
            .map(|((table, from), to)| Rename::Column {
                table: table.clone(),
                from: lower(to),
                to: from.clone(),
            });
        tables.chain(columns).collect()
    }

    /// What is still to be decided on the way from `from` to `to`.
    #[must_use]
    pub fn questions(&self, from: &Blueprint, to: &Blueprint) -> Vec<Question> {
        let tables = self.table_questions(from, to);
        if tables.is_empty() {
            self.column_questions(from, to)
        } else {
            tables
        }
    }

    fn table_questions(&self, from: &Blueprint, to: &Blueprint) -> Vec<Question> {
        let taken: BTreeSet<String> = self.tables.values().map(|new| lower(new)).collect();
        let new: Vec<&str> = to
            .of_kind(Kind::Table)
            .map(|table| table.name.as_str())
            .filter(|name| from.table(name).is_none() && !taken.contains(&lower(name)))
            .collect();
        let gone = from.of_kind(Kind::Table).filter(|table| {
            let name = lower(&table.name);
            to.table(&name).is_none()
                && !self.tables.contains_key(&name)
                && !self.dropped.contains(&(name, None))
        });
        gone.map(|table| Question {
            table: table.name.clone(),
            column: None,
            candidates: new.iter().map(|name| (*name).to_owned()).collect(),
        })
        .collect()
    }

    fn column_questions(&self, from: &Blueprint, to: &Blueprint) -> Vec<Question> {
        let mut list = Vec::new();
        for old in from.of_kind(Kind::Table) {
            let key = lower(&old.name);
            let name = self.tables.get(&key).unwrap_or(&old.name);
            let texts = (
                TableText::parse(&old.sql),
                to.table(name).map(|new| TableText::parse(&new.sql)),
            );
            let (Ok(before), Some(Ok(after))) = texts else {
                continue;
            };
            let taken: BTreeSet<String> = self
                .columns
                .iter()
                .filter(|((table, _), _)| *table == key)
                .map(|(_, new)| lower(new))
                .collect();
            let candidates: Vec<String> = after
                .columns
                .iter()
                .map(|column| column.name.clone())
                .filter(|name| before.column(name).is_none() && !taken.contains(&lower(name)))
                .collect();
            let gone = before.columns.iter().filter(|column| {
                let column = lower(&column.name);
                after.column(&column).is_none()
                    && !self.columns.contains_key(&(key.clone(), column.clone()))
                    && !self.dropped.contains(&(key.clone(), Some(column)))
            });
            list.extend(gone.map(|column| Question {
                table: old.name.clone(),
                column: Some(column.name.clone()),
                candidates: candidates.clone(),
            }));
        }
        list
    }

    fn check_drops(&self, from: &Blueprint) -> Result<()> {
        let is_there = |(name, column): &(String, Option<String>)| match column {
            Some(column) => has(from, name, column),
            None => from.objects().iter().any(|object| object.is_named(name)),
        };
        match self.dropped.iter().find(|name| !is_there(name)) {
            None => Ok(()),
            Some((name, column)) => {
                let column = column
                    .as_ref()
                    .map_or(String::new(), |column| format!(".{column}"));
                Err(unknown("--drop", &format!("{name}{column}"), "migrations"))
            }
        }
    }

    fn check_fills(&self, to: &Blueprint) -> Result<()> {
        let mut names = self.fills.keys();
        match names.find(|(table, column)| !has(to, self.name_now(table), column)) {
            None => Ok(()),
            Some((table, column)) => Err(unknown("--fill", &format!("{table}.{column}"), "target")),
        }
    }

    /// A table's new name, by either of its names.
    pub(super) fn name_now<'a>(&'a self, table: &'a str) -> &'a str {
        self.tables.get(table).map_or(table, String::as_str)
    }

    /// Whether everything that was named is there.
    ///
    /// # Errors
    /// [`Error::Usage`] that says what is not.
    pub fn check(&self, from: &Blueprint, to: &Blueprint) -> Result<()> {
        for (old, new) in &self.tables {
            let possible = from.table(old).is_some()
                && to.table(old).is_none()
                && to.table(new).is_some()
                && from.table(new).is_none();
            if !possible {
                return Err(impossible(old, new));
            }
        }
        self.check_drops(from)?;
        self.check_fills(to)?;
        let mut targets = BTreeSet::new();
        for ((table, old), new) in &self.columns {
            if !targets.insert((table, lower(new))) {
                return Err(impossible(&format!("{table}.{old}"), new));
            }
            let after = self.tables.get(table).unwrap_or(table);
            let possible = has(from, table, old)
                && !has(to, after, old)
                && has(to, after, new)
                && !has(from, table, new);
            if !possible {
                return Err(impossible(&format!("{table}.{old}"), new));
            }
        }
        Ok(())
    }
}

fn has(blueprint: &Blueprint, table: &str, column: &str) -> bool {
    blueprint
        .table(table)
        .and_then(|object| TableText::parse(&object.sql).ok())
        .is_some_and(|text| text.column(column).is_some())
}

/// Names are compared in this form.
pub(super) fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn malformed(flag: &str, given: &str, form: &str) -> Error {
    Error::Usage {
        message: format!("{flag} '{given}' is not understood"),
        hint: format!("Write {flag} {form}."),
    }
}

fn unknown(flag: &str, name: &str, place: &str) -> Error {
    Error::Usage {
        message: format!("{flag} names '{name}', which is not in the {place}"),
        hint: "Correct the name.".into(),
    }
}

fn impossible(old: &str, new: &str) -> Error {
    Error::Usage {
        message: format!(
            "'{old}' cannot have been renamed to '{new}': the old name must be in the migrations and not in the target, the new one the other way round, and only one thing can become it"
        ),
        hint: "Look at both names; a column of a renamed table is named with the table's old name."
            .into(),
    }
}
