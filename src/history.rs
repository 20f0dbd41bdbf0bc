//! What a database says it has: sqlx's `_sqlx_migrations` and Alembic's `alembic_version`.
//!
//! Both are read, compared with the files and with each other, and written in step. Where they are silent or disagree,
//! the real schema decides, compared with that of every revision; never a row alone.

use sqlx::migrate::Migrate;
use sqlx::{Row, SqliteConnection};

use crate::error::{Error, Problem, Result};
use crate::migration::{Migration, Migrations, Version, version_name};
use crate::schema::{self, Difference, RevisionSchema, Schema, Weight};
use crate::sqlite::{Connection, failure_of, has_table};

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

#[derive(Debug, Clone, PartialEq, Eq)]
enum AlembicRow {
    NoTable,
    Empty,
    At(String),
}

struct SqlxRow {
    version: Version,
    success: bool,
    checksum: Vec<u8>,
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
        place(connection, migrations, &alembic, recorded).await
    }
}

/// The last version with a row in `_sqlx_migrations`, whatever the files say.
pub async fn last_recorded(connection: &mut Connection) -> Result<Option<Version>> {
    Ok(read_sqlx(connection).await?.last().map(|row| row.version))
}

async fn read_sqlx(connection: &mut Connection) -> Result<Vec<SqlxRow>> {
    if !has_table(connection, SQLX_TABLE).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";
    let rows = connection.rows("read _sqlx_migrations", sql).await?;
    rows.iter()
        .map(|row| {
            Ok(SqlxRow {
                version: Version(row.try_get(0)?),
                success: row.try_get(1)?,
                checksum: row.try_get(2)?,
            })
        })
        .collect::<std::result::Result<_, sqlx::Error>>()
        .map_err(|error| Error::sqlite("read _sqlx_migrations")(failure_of(&error)))
}

async fn read_alembic(connection: &mut Connection) -> Result<AlembicRow> {
    if !has_table(connection, "alembic_version").await? {
        return Ok(AlembicRow::NoTable);
    }
    let sql = "SELECT version_num FROM alembic_version ORDER BY version_num";
    let rows = connection.rows("read alembic_version", sql).await?;
    let ids: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    match ids.as_slice() {
        [] => Ok(AlembicRow::Empty),
        [id] => Ok(AlembicRow::At(id.clone())),
        several => Err(Error::Unplaceable {
            message: format!(
                "alembic_version has {} rows ({}); branches are not supported",
                several.len(),
                several.join(", ")
            ),
            differences: Vec::new(),
        }),
    }
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

async fn place(
    connection: &mut Connection,
    migrations: &Migrations,
    alembic: &AlembicRow,
    recorded: Vec<Version>,
) -> Result<History> {
    let found = schema::read(connection).await?;
    let claims = claims(alembic, &recorded, migrations);
    if found.is_empty() && claims.is_empty() {
        return Ok(History {
            current: None,
            origin: Origin::Fresh,
            in_step: false,
            recorded,
        });
    }
    let revisions = schema::build_all(migrations).await?;
    let (current, origin) = match claims.as_slice() {
        [] => (by_schema(&revisions, &found)?, Origin::Schema),
        claims => (by_claims(claims, &revisions, &found)?, Origin::Alembic),
    };
    Ok(History {
        current: Some(current),
        origin,
        in_step: false,
        recorded,
    })
}

/// What the two tables say, where they say anything. `alembic downgrade base` leaves `alembic_version` empty; that alone
/// says nothing (a failed first revision does the same), but beside a row of sqlx it may mean the base.
fn claims(alembic: &AlembicRow, recorded: &[Version], migrations: &Migrations) -> Vec<Version> {
    let by_alembic = match alembic {
        AlembicRow::At(id) => migrations.by_alembic(id).map(|migration| migration.version),
        AlembicRow::Empty | AlembicRow::NoTable => None,
    };
    let by_empty_table = match alembic {
        AlembicRow::Empty if !recorded.is_empty() => migrations.base(),
        _ => None,
    };
    by_alembic
        .into_iter()
        .chain(recorded.last().copied())
        .chain(by_empty_table)
        .collect()
}

fn structural(list: Vec<Difference>) -> Vec<Problem> {
    list.into_iter()
        .filter(|difference| difference.weight == Weight::Structure)
        .map(|difference| difference.problem)
        .collect()
}

/// One of the claims, if the schema bears it out.
fn by_claims(claims: &[Version], revisions: &[RevisionSchema], found: &Schema) -> Result<Version> {
    let gaps = |version: Version| {
        revisions
            .iter()
            .find(|revision| revision.version == version)
            .map_or_else(Vec::new, |revision| {
                structural(schema::differences(&revision.schema, found))
            })
    };
    if let Some(version) = claims.iter().find(|version| gaps(**version).is_empty()) {
        return Ok(*version);
    }
    let said = claims.first().copied();
    let really = nearest(revisions, found);
    Err(Error::Unplaceable {
        message: format!(
            "the database says that it is at {}, but its schema is not that of {} (it is nearest to {})",
            version_name(said),
            version_name(said),
            version_name(really),
        ),
        differences: said.map(gaps).unwrap_or_default(),
    })
}

/// The one revision that the schema is that of.
fn by_schema(revisions: &[RevisionSchema], found: &Schema) -> Result<Version> {
    let fits: Vec<&RevisionSchema> = revisions
        .iter()
        .filter(|revision| schema::differences(&revision.schema, found).is_empty())
        .collect();
    let Some(best) = fits.last() else {
        let near = nearest(revisions, found);
        let gaps = revisions
            .iter()
            .find(|revision| Some(revision.version) == near)
            .map_or_else(Vec::new, |revision| {
                schema::differences(&revision.schema, found)
            });
        return Err(Error::Unplaceable {
            message: format!(
                "the database has tables but no history, and its schema is that of no revision (it is nearest to {})",
                version_name(near)
            ),
            differences: gaps
                .into_iter()
                .map(|difference| difference.problem)
                .collect(),
        });
    };
    if let Some(twin) = fits
        .iter()
        .rev()
        .skip(1)
        .find(|other| other.schema == best.schema)
    {
        return Err(Error::Unplaceable {
            message: format!(
                "the database has tables but no history, and {} and {} have the same schema",
                twin.version, best.version
            ),
            differences: Vec::new(),
        });
    }
    Ok(best.version)
}

fn nearest(revisions: &[RevisionSchema], found: &Schema) -> Option<Version> {
    revisions
        .iter()
        .min_by_key(|revision| schema::differences(&revision.schema, found).len())
        .map(|revision| revision.version)
}

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
            Error::sqlite("write the history")(crate::error::SqliteFailure {
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

/// `alembic_version` is kept where the files speak Alembic. It is never left missing: Fast-Flow takes a failure to
/// read it for a fresh database. VARCHAR(64), because revision ids reach 41 characters.
async fn write_alembic(
    connection: &mut Connection,
    migrations: &Migrations,
    to: Option<Version>,
) -> Result<()> {
    if !migrations.speaks_alembic() {
        return Ok(());
    }
    let doing = "write alembic_version";
    let create = "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(64) NOT NULL, \
                  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))";
    connection.run(doing, create).await?;
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
