//! The scripts of every applied migration, kept in the database itself: the way down for an older image, and what to
//! compare a changed file with.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::{Error, Result};
use crate::migration::{Migration, Migrations, StoredText, Version};
use crate::sqlite::{Connection, failure_of, has_table};

const TABLE: &str = "_safestep_migrations";
const READ: &str = "read _safestep_migrations";
const WRITE: &str = "write _safestep_migrations";

/// Those above a version, in order. What is not text of a sensible size was not written by a job.
pub(super) async fn read_above(
    connection: &mut Connection,
    version: Option<Version>,
) -> Result<Vec<StoredText>> {
    read(
        connection,
        version.map_or(-1, |version| version.0),
        i64::MAX,
    )
    .await
}

/// That of one version.
pub(super) async fn read_one(
    connection: &mut Connection,
    version: Version,
) -> Result<Option<StoredText>> {
    let texts = read(connection, version.0 - 1, version.0).await?;
    Ok(texts.into_iter().next())
}

async fn read(connection: &mut Connection, above: i64, up_to: i64) -> Result<Vec<StoredText>> {
    if !has_table(connection, TABLE).await? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT version, name, CAST(up AS BLOB), CAST(down AS BLOB) FROM {TABLE} \
         WHERE version > {above} AND version <= {up_to} \
         AND octet_length(up) <= {limit} AND octet_length(down) <= {limit} ORDER BY version",
        limit = StoredText::LIMIT_BYTES
    );
    let rows = connection.rows(READ, &sql).await?;
    Ok(rows.iter().filter_map(text).collect())
}

fn text(row: &SqliteRow) -> Option<StoredText> {
    Some(StoredText {
        version: Version(row.try_get(0).ok()?),
        name: row.try_get(1).ok()?,
        up: row.try_get(2).ok()?,
        down: row.try_get(3).ok()?,
    })
}

/// Keeps exactly those of the applied migrations, inside the caller's transaction.
pub(super) async fn write(
    connection: &mut Connection,
    migrations: &Migrations,
    to: Option<Version>,
) -> Result<()> {
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (version INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, alembic TEXT, \
         up TEXT NOT NULL, down TEXT NOT NULL)"
    );
    connection.run(WRITE, &create).await?;
    let empty = format!("DELETE FROM {TABLE}");
    connection.run(WRITE, &empty).await?;
    for migration in migrations.up_to(to) {
        insert(connection, migration).await?;
    }
    Ok(())
}

async fn insert(connection: &mut Connection, migration: &Migration) -> Result<()> {
    sqlx::query(
        "INSERT INTO _safestep_migrations (version, name, alembic, up, down) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(migration.version.0)
    .bind(migration.name())
    .bind(&migration.alembic)
    .bind(&migration.up.sql)
    .bind(&migration.down.sql)
    .execute(connection.sqlx())
    .await
    .map(|_| ())
    .map_err(|error| Error::sqlite(WRITE)(failure_of(&error)))
}
