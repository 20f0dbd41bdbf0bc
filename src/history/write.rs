//! Writing the history tables in step.

use sqlx::SqliteConnection;
use sqlx::migrate::Migrate;

use super::rows::read_sqlx;
use super::{SQLX_TABLE, Timing, alembic_id_at, stored};
use crate::error::{Error, Result, SqliteFailure};
use crate::fault::{self, Point};
use crate::migration::{Migration, Migrations, Version};
use crate::sqlite::{Connection, failure_of};

const WRITE: &str = "write the history";

/// Brings all three tables to `to`, inside the caller's transaction. A row that is right already stays as it is.
pub async fn write(
    connection: &mut Connection,
    migrations: &Migrations,
    to: Option<Version>,
    timings: &[Timing],
) -> Result<()> {
    let failed = |error: sqlx::Error| Error::sqlite(WRITE)(failure_of(&error));
    connection
        .sqlx()
        .ensure_migrations_table(SQLX_TABLE)
        .await
        .map_err(|error| {
            Error::sqlite(WRITE)(SqliteFailure {
                code: 0,
                message: error.to_string(),
            })
        })?;
    let rows = read_sqlx(connection).await?;
    for row in &rows {
        if Some(row.version) > to || migrations.get(row.version).is_none() {
            delete_row(connection.sqlx(), row.version)
                .await
                .map_err(failed)?;
            fault::reach(Point::HistoryRow);
        }
    }
    for migration in migrations.up_to(to) {
        let row = rows.iter().find(|row| row.version == migration.version);
        let elapsed = timings
            .iter()
            .find(|timing| timing.version == migration.version)
            .map_or(-1, |timing| timing.elapsed_ns);
        match row {
            Some(row) if row.success && migration.up.matches(&row.checksum) => Ok(()),
            Some(_) => align_row(connection.sqlx(), migration).await,
            None => insert_row(connection.sqlx(), migration, elapsed).await,
        }
        .map_err(failed)?;
        fault::reach(Point::HistoryRow);
    }
    stored::write(connection, migrations, to).await?;
    fault::reach(Point::HistoryStored);
    write_alembic(connection, migrations, to).await?;
    fault::reach(Point::HistoryWritten);
    Ok(())
}

async fn delete_row(
    connection: &mut SqliteConnection,
    version: Version,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ?1")
        .bind(version.0)
        .execute(connection)
        .await
        .map(|_| ())
}

/// A row that is dirty, or of another text: only a stamp or a repair comes so far.
async fn align_row(
    connection: &mut SqliteConnection,
    migration: &Migration,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE _sqlx_migrations SET description = ?2, success = TRUE, checksum = ?3 WHERE version = ?1",
    )
    .bind(migration.version.0)
    .bind(&migration.description)
    .bind(migration.up.checksum.as_bytes())
    .execute(connection)
    .await
    .map(|_| ())
}

async fn insert_row(
    connection: &mut SqliteConnection,
    migration: &Migration,
    elapsed_ns: i64,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (?1, ?2, TRUE, ?3, ?4)",
    )
    .bind(migration.version.0)
    .bind(&migration.description)
    .bind(migration.up.checksum.as_bytes())
    .bind(elapsed_ns)
    .execute(connection)
    .await
    .map(|_| ())
}

/// VARCHAR(64), because revision ids reach 41 characters.
pub(super) const ALEMBIC_TABLE: &str = "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(64) NOT NULL, \
                                        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))";

/// `alembic_version` is kept where the files speak Alembic. It is never left missing: Fast-Flow takes a failure to
/// read it for a fresh database.
async fn write_alembic(
    connection: &mut Connection,
    migrations: &Migrations,
    to: Option<Version>,
) -> Result<()> {
    if !migrations.speaks_alembic() {
        return Ok(());
    }
    let doing = "write alembic_version";
    connection.run(doing, ALEMBIC_TABLE).await?;
    connection.run(doing, "DELETE FROM alembic_version").await?;
    if let Some(id) = alembic_id_at(to, migrations) {
        sqlx::query("INSERT INTO alembic_version (version_num) VALUES (?1)")
            .bind(id)
            .execute(connection.sqlx())
            .await
            .map_err(|error| Error::sqlite(doing)(failure_of(&error)))?;
    }
    Ok(())
}
