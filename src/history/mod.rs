//! What a database says it has: sqlx's `_sqlx_migrations` and Alembic's `alembic_version`, and beside them, in
//! `_safestep_migrations`, the scripts themselves.
//!
//! Both are read, compared with the files and with each other, and written in step. Where they are silent or disagree,
//! the real schema decides, compared with that of every revision; never a row alone.

mod ahead;
mod applied;
mod changed;
mod claims;
mod offline;
mod place;
mod realign;
mod rows;
mod stored;
mod write;

use self::claims::Claims;
use self::rows::read_sqlx;
use crate::error::{Error, Problem, Result};
use crate::migration::{Migrations, Version};
use crate::sqlite::Connection;

pub use self::ahead::with_stored;
pub use self::applied::{AppliedRow, applied_rows};
pub use self::offline::{moved_sql, opening_sql};
pub use self::place::misfits;
pub use self::realign::changed_schema;
pub use self::write::write;

const SQLX_TABLE: &str = "_sqlx_migrations";

/// How `current` is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nothing was ever applied: no table of the application is there.
    Fresh,
    /// `_sqlx_migrations` says so (and `alembic_version` agrees, where there is one).
    Recorded,
    /// Alembic says so and the schema agrees; it is taken over with the next job.
    Alembic,
    /// Only the schema says so; it is taken over with the next job.
    Schema,
}

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The revision; `None` when nothing is applied.
    pub current: Option<Version>,
    /// How that is known.
    pub origin: Origin,
    /// Whether both history tables say so already, or the next job has to write them.
    pub in_step: bool,
}

/// How long each migration took, for `_sqlx_migrations.execution_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The migration.
    pub version: Version,
    /// Nanoseconds.
    pub elapsed_ns: i64,
}

impl History {
    /// Reads where the database stands.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`], [`Error::Unplaceable`], [`Error::ChangedMigrations`] or [`Error::Migrations`] (a
    /// missing file) where the database cannot be continued.
    pub async fn read(connection: &mut Connection, migrations: &Migrations) -> Result<Self> {
        let claims = Claims::read(connection, migrations).await?;
        let problems = claims.changed(connection, migrations).await?;
        if problems.is_empty() {
            return claims.settle(connection, migrations).await;
        }
        Err(Error::ChangedMigrations { problems })
    }

    /// As [`Self::read`], but files that were changed after they were applied are handed back, not refused.
    pub async fn read_with_changes(
        connection: &mut Connection,
        migrations: &Migrations,
    ) -> Result<(Self, Vec<Problem>)> {
        let claims = Claims::read(connection, migrations).await?;
        let changed = claims.changed(connection, migrations).await?;
        let history = claims.settle(connection, migrations).await?;
        Ok((history, changed))
    }
}

/// The last version with a row in `_sqlx_migrations`, whatever the files say.
pub async fn last_recorded(connection: &mut Connection) -> Result<Option<Version>> {
    Ok(read_sqlx(connection).await?.last().map(|row| row.version))
}

/// What `alembic_version` should say at a version: the id of that migration, or of the nearest below that has one.
fn alembic_id_at(version: Option<Version>, migrations: &Migrations) -> Option<String> {
    migrations
        .up_to(version)
        .filter_map(|migration| migration.alembic.clone())
        .last()
}
