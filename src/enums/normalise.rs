//! Bringing wrong values to their exact spelling.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use super::Normalised;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::sqlite::{Connection, failure_of, quoted};

/// Carries out what a survey found; one statement a column. Returns the tables in which not every row was changed.
pub async fn normalise(
    connection: &mut Connection,
    changes: &[Normalised],
) -> Result<BTreeSet<String>> {
    let mut by_column: BTreeMap<(&str, &str), Vec<&Normalised>> = BTreeMap::new();
    for change in changes {
        by_column
            .entry((&change.table, &change.column))
            .or_default()
            .push(change);
    }
    let mut resisting = BTreeSet::new();
    for ((table, column), changes) in by_column {
        let expected: i64 = changes.iter().map(|change| change.rows).sum();
        let changed = update_column(connection, table, column, &changes).await?;
        if i64::try_from(changed) != Ok(expected) {
            resisting.insert(table.to_owned());
        }
        fault::reach(Point::EnumsColumn);
    }
    Ok(resisting)
}

async fn update_column(
    connection: &mut Connection,
    table: &str,
    column: &str,
    changes: &[&Normalised],
) -> Result<u64> {
    let (table_name, column_name) = (quoted(table), quoted(column));
    let cases = " WHEN ? THEN ?".repeat(changes.len());
    let marks = vec!["?"; changes.len()].join(", ");
    let sql = format!(
        "UPDATE {table_name} SET {column_name} = CASE {column_name} COLLATE BINARY{cases} END \
         WHERE {column_name} COLLATE BINARY IN ({marks})"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for change in changes {
        query = query.bind(&change.from).bind(&change.to);
    }
    for change in changes {
        query = query.bind(&change.from);
    }
    query
        .execute(connection.sqlx())
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| {
            let doing = format!("normalise the values of {table}.{column}");
            Error::sqlite(doing)(failure_of(&error))
        })
}
