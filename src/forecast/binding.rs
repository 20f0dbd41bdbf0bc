//! Queries of a script with the tables that they name bound to their rows, so that the live database can answer them.

use super::rows::{AllRows, Rows};
use crate::grammar::{Word, canonical_name, words};
use crate::sqlite::quoted;

impl AllRows {
    /// The rows of a query of the script, under these names.
    pub(super) fn listed(&self, select: &str, columns: &[String]) -> Option<Rows> {
        let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let bound = self.bound(select)?;
        Some(Rows {
            sql: format!(
                "SELECT * FROM (WITH safestep_rows({}) AS ({bound}) SELECT * FROM safestep_rows)",
                list.join(", ")
            ),
            columns: columns
                .iter()
                .filter(|column| !column.eq_ignore_ascii_case("rowid"))
                .cloned()
                .collect(),
            has_rowid: columns
                .iter()
                .any(|column| column.eq_ignore_ascii_case("rowid")),
            known: true,
            in_place: false,
        })
    }

    /// A query of the script with the tables that it names bound to their rows. `None` where one of them is unknown.
    pub(super) fn bound(&self, select: &str) -> Option<String> {
        let list = words(select).ok()?;
        let says = |wanted: &str| list.iter().any(|word| word.canonical == wanted);
        let is_qualified = list.windows(2).any(|pair| {
            matches!(pair[0].canonical.as_str(), "main" | "temp") && pair[1].canonical == "."
        });
        if is_qualified {
            return None;
        }
        let with_rowid = ["rowid", "oid", "_rowid_"].iter().any(|name| says(name));
        let is_named = |name: &String| says(&canonical_name(name));
        let named: Vec<(&String, &Rows)> =
            self.0.iter().filter(|(name, _)| is_named(name)).collect();
        if named.iter().any(|(_, rows)| !rows.known) {
            return None;
        }
        // Among the columns of a query there is no hidden rowid: `*` must not show it.
        let select = match named.as_slice() {
            [(_, rows)] if with_rowid => spelt_out(select, &list, &rows.columns),
            _ => select.to_owned(),
        };
        let tables: Vec<String> = named
            .iter()
            .map(|(name, rows)| format!("{} AS ({})", quoted(name), rows.visible(with_rowid)))
            .collect();
        if tables.is_empty() {
            return Some(select);
        }
        Some(format!(
            "WITH {} SELECT * FROM ({select})",
            tables.join(", ")
        ))
    }
}

/// A query with the columns in the place of each `*` that stands for all of them.
fn spelt_out(select: &str, list: &[Word], columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let mut text = select.to_owned();
    for three in list.windows(3).rev() {
        let is_all = matches!(three[0].canonical.as_str(), "select" | ",")
            && three[1].canonical == "*"
            && matches!(three[2].canonical.as_str(), "from" | ",");
        if is_all {
            text.replace_range(three[1].start..three[1].end, &names.join(", "));
        }
    }
    text
}
