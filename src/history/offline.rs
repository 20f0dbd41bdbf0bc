//! The statements that keep both history tables in step, as text: for a DBA who runs a plan by hand.

use super::alembic_id_at;
use super::write::ALEMBIC_TABLE;
use crate::grammar::literal;
use crate::migration::{Migration, Migrations, Version};
use crate::sqlite::hex;

/// As sqlx makes it.
const SQLX_TABLE: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
)";

/// Makes both tables say that a database is at `at`, whatever they say now.
#[must_use]
pub fn opening_sql(migrations: &Migrations, at: Option<Version>) -> Vec<String> {
    let mut list = vec![SQLX_TABLE.to_owned()];
    if migrations.speaks_alembic() {
        list.push(ALEMBIC_TABLE.to_owned());
    }
    list.extend(moved_sql(migrations, None, at));
    list
}

/// Makes both tables say that a database went from one revision to another.
#[must_use]
pub fn moved_sql(
    migrations: &Migrations,
    from: Option<Version>,
    to: Option<Version>,
) -> Vec<String> {
    let mut list: Vec<String> = migrations.between(from, to).map(row).collect();
    if to < from || from.is_none() {
        let last = to.map_or(-1, |version| version.0);
        list.push(format!(
            "DELETE FROM _sqlx_migrations WHERE version > {last}"
        ));
    }
    if migrations.speaks_alembic() {
        list.push("DELETE FROM alembic_version".into());
        list.extend(alembic_id_at(to, migrations).map(|id| {
            format!(
                "INSERT INTO alembic_version (version_num) VALUES ({})",
                literal(&id)
            )
        }));
    }
    list
}

/// A row that is there already stays as it is.
fn row(migration: &Migration) -> String {
    format!(
        "INSERT OR IGNORE INTO _sqlx_migrations (version, description, success, checksum, execution_time)\n\
         VALUES ({}, {}, TRUE, x'{}', -1)",
        migration.version.0,
        literal(&migration.description),
        hex(migration.up.checksum.as_bytes())
    )
}
