//! The foreign keys of a table in the twin.

use sqlx::Row;

use super::rows::Rows;
use crate::error::Result;
use crate::grammar::literal;
use crate::sqlite::{Connection, quoted};

/// One of them.
pub(super) struct ForeignKey {
    pub(super) parent: String,
    /// Child column and parent column.
    pairs: Vec<(String, String)>,
}

impl ForeignKey {
    /// Of the child.
    pub(super) fn columns(&self) -> Vec<&str> {
        self.pairs.iter().map(|(from, _)| from.as_str()).collect()
    }

    /// The WHERE of the rows of `t` that have no parent.
    pub(super) fn orphans(&self, parent: &Rows) -> String {
        let filled = self
            .pairs
            .iter()
            .map(|(from, _)| format!("t.{} IS NOT NULL", quoted(from)));
        let filled: Vec<String> = filled.collect();
        let equal = self
            .pairs
            .iter()
            .map(|(from, to)| format!("p.{} = t.{}", quoted(to), quoted(from)));
        let equal: Vec<String> = equal.collect();
        let found = parent.exists("p", &equal.join(" AND "));
        format!("WHERE {} AND NOT {found}", filled.join(" AND "))
    }
}

/// All of a table.
pub(super) async fn keys(twin: &mut Connection, table: &str) -> Result<Vec<ForeignKey>> {
    let name = literal(table);
    let sql = format!(
        "SELECT f.id, f.\"table\", f.\"from\", \
         coalesce(f.\"to\", (SELECT p.name FROM pragma_table_info(f.\"table\") AS p WHERE p.pk = f.seq + 1), '') \
         FROM pragma_foreign_key_list({name}, 'main') AS f ORDER BY f.id, f.seq"
    );
    let mut list: Vec<(i64, ForeignKey)> = Vec::new();
    for row in twin.rows("read the foreign keys in memory", &sql).await? {
        let (Ok(id), Ok(parent), Ok(from), Ok(to)) = (
            row.try_get(0),
            row.try_get(1),
            row.try_get(2),
            row.try_get(3),
        ) else {
            continue;
        };
        match list.last_mut() {
            Some((last, key)) if *last == id => key.pairs.push((from, to)),
            _ => list.push((
                id,
                ForeignKey {
                    parent,
                    pairs: vec![(from, to)],
                },
            )),
        }
    }
    Ok(list.into_iter().map(|(_, key)| key).collect())
}
