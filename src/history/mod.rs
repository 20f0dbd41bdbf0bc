//! What a database says it has: sqlx's `_sqlx_migrations` and Alembic's `alembic_version`.
//!
//! Both are read, compared with the files and with each other, and written in step. Where they are silent or disagree,
//! the real schema decides, compared with that of every revision; never a row alone.

mod applied;
mod offline;
mod place;
mod rows;
mod write;

use self::rows::{AlembicRow, SqlxRow, read_alembic, read_sqlx};
use crate::error::{Error, Problem, Result};
use crate::migration::{Migration, Migrations, Version};
use crate::sqlite::Connection;

pub use self::applied::{AppliedRow, applied_rows};
pub use self::offline::{moved_sql, opening_sql};
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
    /// Versions with a row in `_sqlx_migrations`.
    recorded: Vec<Version>,
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
    /// [`Error::UnknownRevision`], [`Error::Unplaceable`] or [`Error::Migrations`] (a changed or missing file) where
    /// the database cannot be continued.
    pub async fn read(connection: &mut Connection, migrations: &Migrations) -> Result<Self> {
        let rows = read_sqlx(connection).await?;
        let alembic = read_alembic(connection).await?;
        check_known(&alembic, migrations)?;
        let recorded = check_rows(&rows, migrations)?;
        let claimed = recorded.last().copied();
        if let Some(version) = claimed
            && alembic_agrees(&alembic, version, migrations)
        {
            let in_step = !(migrations.speaks_alembic() && alembic == AlembicRow::NoTable);
            return Ok(Self {
                current: claimed,
                origin: Origin::Recorded,
                in_step,
                recorded,
            });
        }
        place::place(connection, migrations, &alembic, recorded).await
    }
}

/// The last version with a row in `_sqlx_migrations`, whatever the files say.
pub async fn last_recorded(connection: &mut Connection) -> Result<Option<Version>> {
    Ok(read_sqlx(connection).await?.last().map(|row| row.version))
}

fn check_known(alembic: &AlembicRow, migrations: &Migrations) -> Result<()> {
    match alembic {
        AlembicRow::At(id) if migrations.by_alembic(id).is_none() => {
            Err(unknown(id.clone(), migrations))
        }
        _ => Ok(()),
    }
}

fn unknown(revision: String, migrations: &Migrations) -> Error {
    let head = migrations
        .all()
        .last()
        .map_or_else(String::new, Migration::label);
    Error::UnknownRevision { revision, head }
}

/// The applied versions: a gapless beginning of the files, unchanged since.
fn check_rows(rows: &[SqlxRow], migrations: &Migrations) -> Result<Vec<Version>> {
    if let Some(row) = rows
        .iter()
        .find(|row| Some(row.version) > migrations.head())
    {
        return Err(unknown(row.version.to_string(), migrations));
    }
    if let Some(row) = rows.iter().find(|row| !row.success) {
        return Err(Error::Unplaceable {
            message: format!(
                "another migrator stopped in the middle of {}: _sqlx_migrations says success = 0",
                row.version
            ),
            differences: Vec::new(),
        });
    }
    let problems: Vec<Problem> = rows
        .iter()
        .filter_map(|row| row_problem(row, migrations))
        .collect();
    if !problems.is_empty() {
        return Err(Error::Migrations {
            folder: migrations.folder().to_path_buf(),
            problems,
        });
    }
    let applied: Vec<Version> = rows.iter().map(|row| row.version).collect();
    let skipped = migrations
        .up_to(applied.last().copied())
        .find(|migration| !applied.contains(&migration.version));
    match skipped {
        None => Ok(applied),
        Some(migration) => Err(Error::Unplaceable {
            message: format!(
                "{} was never applied, although later migrations were",
                migration.version
            ),
            differences: Vec::new(),
        }),
    }
}

fn row_problem(row: &SqlxRow, migrations: &Migrations) -> Option<Problem> {
    let subject = row.version.to_string();
    match migrations.get(row.version) {
        None => Some(Problem::new(
            subject,
            "is applied in the database, but its file is missing",
        )),
        Some(migration) if !migration.up.matches(&row.checksum) => Some(Problem::new(
            subject,
            format!(
                "{} was changed after it was applied; put the old text back and write a new migration for the change",
                migration.up.path.display()
            ),
        )),
        Some(_) => None,
    }
}

/// What `alembic_version` should say at a version: the id of that migration, or of the nearest below that has one.
fn alembic_id_at(version: Option<Version>, migrations: &Migrations) -> Option<String> {
    migrations
        .up_to(version)
        .filter_map(|migration| migration.alembic.clone())
        .last()
}

fn alembic_agrees(alembic: &AlembicRow, version: Version, migrations: &Migrations) -> bool {
    let expected = alembic_id_at(Some(version), migrations);
    match alembic {
        AlembicRow::NoTable => true,
        AlembicRow::Empty => expected.is_none(),
        AlembicRow::At(id) => expected.as_ref() == Some(id),
    }
}
