//! Counting questions to the live database.

use sqlx::Row;

use crate::error::{Error, Result};
use crate::grammar::literal;
use crate::sqlite::{Connection, Interrupt, quoted};

const DOING: &str = "look at the live database";

/// The number that a query of ours or of the plan's gives; `None` where it cannot be asked of the database as it is.
pub(super) async fn count(live: &mut Connection, sql: &str) -> Result<Option<i64>> {
    match live.scalar::<i64>(DOING, sql).await {
        Ok(number) => Ok(Some(number)),
        Err(error) if is_unanswerable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`count`], for two numbers.
pub(super) async fn pair(live: &mut Connection, sql: &str) -> Result<Option<(i64, i64)>> {
    match live.rows(DOING, sql).await {
        Ok(rows) => Ok(rows.first().and_then(|row| {
            let (first, second) = (
                row.try_get_unchecked(0).ok()?,
                row.try_get_unchecked(1).ok()?,
            );
            Some((first, second))
        })),
        Err(error) if is_unanswerable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not compilable here, or an expression that fails on a value: nothing is known then.
fn is_unanswerable(error: &Error) -> bool {
    matches!(error, Error::Sqlite { failure, .. } if matches!(failure.primary(), 0 | 1 | 19 | 20))
}

/// Bytes of a table's pages and of its indexes', through SQLite's `dbstat`, where that is compiled in
/// (<https://www.sqlite.org/dbstat.html>). Reads these pages and no others.
pub(super) async fn bytes(live: &mut Connection, table: &str) -> Result<Option<u64>> {
    let name = literal(table);
    let sql = format!(
        "SELECT coalesce(sum(pgsize), 0) FROM sqlite_schema AS s JOIN dbstat('main', 1) AS d ON d.name = s.name \
         WHERE s.tbl_name = {name} AND s.type IN ('table', 'index')"
    );
    let sum = count(live, &sql).await?;
    Ok(sum.and_then(|sum| u64::try_from(sum).ok()))
}

/// The tables that have no rowid.
pub(super) async fn without_rowid(live: &mut Connection) -> Result<Vec<String>> {
    let sql =
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND (wr OR type = 'virtual')";
    let rows = live.rows(DOING, sql).await?;
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
}

/// The tables in which virtual tables keep their content.
pub(super) async fn shadow_tables(live: &mut Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
    let rows = live.rows(DOING, sql).await?;
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
}

/// Whether `ALTER TABLE … ADD COLUMN` takes this definition for a table that has rows; the reason where it does not.
/// SQLite refuses some only then (<https://www.sqlite.org/lang_altertable.html#altertabaddcol>).
pub(super) async fn refuses_column(definition: &str) -> Result<Option<String>> {
    let mut probe = Connection::in_memory(&Interrupt::default()).await?;
    let table = "CREATE TABLE probe (safestep_probe); INSERT INTO probe VALUES (1)";
    probe.run("try a column", table).await?;
    let sql = format!("ALTER TABLE {} ADD COLUMN {definition}", quoted("probe"));
    let refused = probe.execute(&sql).await.err();
    Ok(refused
        .map(|failure| failure.message)
        .filter(|message| message.to_ascii_lowercase().contains("cannot add a")))
}
