//! When each migration was applied, as `_sqlx_migrations` tells it.

use sqlx::Row;

use super::SQLX_TABLE;
use crate::error::Result;
use crate::migration::Version;
use crate::sqlite::{Connection, has_table, hex};

/// A row of `_sqlx_migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRow {
    /// The migration.
    pub version: Version,
    /// When, in UTC, as SQLite's `CURRENT_TIMESTAMP` writes it.
    pub installed_on: Option<String>,
    /// How long it took; `None` where it was taken over and not run.
    pub elapsed_ns: Option<i64>,
    /// SHA-384 of the file that was applied, in hexadecimal.
    pub checksum: String,
}

/// The rows, in order; none where there is no such table.
pub async fn applied_rows(connection: &mut Connection) -> Result<Vec<AppliedRow>> {
    if !has_table(connection, SQLX_TABLE).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, CAST(installed_on AS TEXT), execution_time, checksum FROM _sqlx_migrations ORDER BY version";
    let rows = connection.rows("read _sqlx_migrations", sql).await?;
    let rows = rows.iter().filter_map(|row| {
        let elapsed_ns: Option<i64> = row.try_get_unchecked(2).ok()?;
        let checksum: Vec<u8> = row.try_get_unchecked(3).ok()?;
        Some(AppliedRow {
            version: Version(row.try_get_unchecked(0).ok()?),
            installed_on: row.try_get_unchecked(1).ok()?,
            elapsed_ns: elapsed_ns.filter(|elapsed| *elapsed >= 0),
            checksum: hex(&checksum),
        })
    });
    Ok(rows.collect())
}
