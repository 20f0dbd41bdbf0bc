//! Writing both history tables in step.

use sqlx::SqliteConnection;
use sqlx::migrate::Migrate;

use super::{History, SQLX_TABLE, Timing, alembic_id_at};
use crate::error::{Error, Result, SqliteFailure};
use crate::migration::{Migration, Migrations, Version};
use crate::sqlite::{Connection, failure_of};

/// Brings both tables to `to`, inside the caller's transaction.
pub async fn write(
    connection: &mut Connection,
    migrations: &Migrations,
    before: &History,
    to: Option<Version>,
    timings: &[Timing],
) -> Result<()> {
    let failed = |error: sqlx::Error| Error::sqlite("write the history")(failure_of(&error));
    connection
        .sqlx()
        .ensure_migrations_table(SQLX_TABLE)
        .await
        .map_err(|error| {
            Error::sqlite("write the history")(SqliteFailure {
                code: 0,
                message: error.to_string(),
            })
        })?;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version > ?1")
        .bind(to.map_or(-1, |version| version.0))
        .execute(connection.sqlx())
        .await
        .map_err(failed)?;
    for migration in migrations.up_to(to) {
        if before.recorded.contains(&migration.version) {
            continue;
        }
        let elapsed = timings
            .iter()
            .find(|timing| timing.version == migration.version)
            .map_or(-1, |timing| timing.elapsed_ns);
        insert_row(connection.sqlx(), migration, elapsed)
            .await
            .map_err(failed)?;
    }
    write_alembic(connection, migrations, to).await
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
