//! Which tables a plan may have changed, so that only these need to be checked again.

use std::collections::BTreeSet;

use crate::schema::{Nature, Schema};
use crate::sqlite::ScriptDone;

/// The tables that scripts may have changed, as SQLite's compiler named them
/// (<https://www.sqlite.org/c3ref/set_authorizer.html>).
#[derive(Debug, Clone, Default)]
pub struct Touched {
    all: bool,
    names: BTreeSet<String>,
}

impl Touched {
    /// Every table there is.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            all: true,
            names: BTreeSet::new(),
        }
    }

    /// Adds what a script may have changed.
    pub fn add(&mut self, done: &ScriptDone) {
        self.all |= done.touched_all;
        done.touched.iter().for_each(|table| self.add_table(table));
    }

    /// Adds a table.
    pub fn add_table(&mut self, table: &str) {
        self.names.insert(table.to_ascii_lowercase());
    }

    /// Whether a table of `after` may hold something else than in `before`. What a module writes into the tables in which
    /// it keeps its content is not announced by names that can be told apart: where one is touched, all are.
    #[must_use]
    pub fn holds(&self, table: &str, before: &Schema, after: &Schema) -> bool {
        let is_touched = |name: &str| self.names.contains(&name.to_ascii_lowercase());
        self.all
            || is_touched(table)
            || !before.tables.contains_key(table)
            || [before, after].iter().any(|schema| {
                let mut special = schema
                    .tables
                    .iter()
                    .filter(|(_, table)| table.nature != Nature::Ordinary);
                special.any(|(name, _)| is_touched(name))
            })
    }
}
