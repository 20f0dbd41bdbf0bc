//! What was decided, as it holds for the way up and for the way down.

use std::collections::BTreeMap;

use super::blueprint::{Blueprint, ColumnOrder};
use super::decisions::{Decisions, lower};
use crate::grammar::TableText;

/// What was decided, for one direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    /// From old names, in lower case, to new ones.
    pub(super) tables: BTreeMap<String, String>,
    /// From old tables and columns to new columns.
    pub(super) columns: BTreeMap<(String, String), String>,
    /// Of the target's columns.
    pub(super) fills: BTreeMap<(String, String), String>,
    pub(super) placeholders: bool,
    pub(super) order: ColumnOrder,
}

impl Way {
    pub(super) fn up(decisions: &Decisions) -> Self {
        Self {
            tables: decisions.tables.clone(),
            columns: decisions.columns.clone(),
            fills: decisions
                .fills
                .iter()
                .map(|((table, column), value)| {
                    let table = lower(decisions.name_now(table));
                    ((table, column.clone()), value.clone())
                })
                .collect(),
            placeholders: false,
            order: decisions.column_order,
        }
    }

    /// The way back to `origin`.
    pub(super) fn down(decisions: &Decisions, origin: &Blueprint) -> Self {
        let table_now = |old: &str| {
            let new = decisions.tables.get(old);
            lower(new.map_or(old, String::as_str))
        };
        let as_written = |table: &str, column: &str| {
            let text = origin.table(table).map(|t| TableText::parse(&t.sql));
            match text {
                Some(Ok(text)) => text.column(column).map(|column| column.name.clone()),
                _ => None,
            }
            .unwrap_or_else(|| column.to_owned())
        };
        let tables = decisions.tables.iter().map(|(old, new)| {
            let name = origin.table(old).map_or(old, |table| &table.name);
            (lower(new), name.clone())
        });
        let columns = decisions
            .columns
            .iter()
            .map(|((table, old), new)| ((table_now(table), lower(new)), as_written(table, old)));
        Self {
            tables: tables.collect(),
            columns: columns.collect(),
            fills: BTreeMap::new(),
            placeholders: true,
            order: decisions.column_order,
        }
    }
}
