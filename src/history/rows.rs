//! The rows of the two history tables, as they are.

use sqlx::Row;

use super::SQLX_TABLE;
use crate::error::{Error, Result};
use crate::migration::Version;
use crate::sqlite::{Connection, failure_of, has_table};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AlembicRow {
    NoTable,
    Empty,
    At(String),
    Several(Vec<String>),
}

pub(super) struct SqlxRow {
    pub(super) version: Version,
    pub(super) description: String,
    pub(super) success: bool,
    pub(super) checksum: Vec<u8>,
}

pub(super) async fn read_sqlx(connection: &mut Connection) -> Result<Vec<SqlxRow>> {
    if !has_table(connection, SQLX_TABLE).await? {
        return Ok(Vec::new());
    }
    let sql =
        "SELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version";
    let rows = connection.rows("read _sqlx_migrations", sql).await?;
    rows.iter()
        .map(|row| {
            Ok(SqlxRow {
                version: Version(row.try_get(0)?),
                description: row.try_get(1)?,
                success: row.try_get(2)?,
                checksum: row.try_get(3)?,
            })
        })
        .collect::<std::result::Result<_, sqlx::Error>>()
        .map_err(|error| Error::sqlite("read _sqlx_migrations")(failure_of(&error)))
}

pub(super) async fn read_alembic(connection: &mut Connection) -> Result<AlembicRow> {
    if !has_table(connection, "alembic_version").await? {
        return Ok(AlembicRow::NoTable);
    }
    let sql = "SELECT version_num FROM alembic_version ORDER BY version_num";
    let rows = connection.rows("read alembic_version", sql).await?;
    let ids: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    Ok(match ids.as_slice() {
        [] => AlembicRow::Empty,
        [id] => AlembicRow::At(id.clone()),
        _ => AlembicRow::Several(ids),
    })
}
