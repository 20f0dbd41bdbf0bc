//! Facts about an open database.

use sqlx::Row;

use super::connection::{Connection, failure_of};
use crate::error::{Error, Result, SqliteFailure};

/// Problems that are worth listing; a damaged file can have millions.
const FINDINGS_LIMIT: usize = 20;

const READ_HEADER: &str = "read the database's header";

/// The condition, on `sqlite_schema AS m`, that an object is neither SQLite's own nor a history table.
pub const OF_APPLICATION: &str = "m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND m.name NOT IN ('_sqlx_migrations', 'alembic_version', '_safestep_migrations')";

/// What the file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes a page.
    pub page_size: u32,
    /// Pages in the database; 0 for an empty file.
    pub page_count: u32,
    /// `wal`, `delete`, `truncate`, `persist`, …
    pub journal_mode: String,
}

impl FileFacts {
    /// Reads them.
    ///
    /// # Errors
    /// As of [`require_database`].
    pub async fn read(connection: &mut Connection) -> Result<Self> {
        require_database(connection).await?;
        Self::ask(connection)
            .await
            .map_err(|error| as_damage(connection, error))
    }

    async fn ask(connection: &mut Connection) -> Result<Self> {
        Ok(Self {
            page_size: connection.scalar(READ_HEADER, "PRAGMA page_size").await?,
            page_count: connection.scalar(READ_HEADER, "PRAGMA page_count").await?,
            journal_mode: connection
                .scalar(READ_HEADER, "PRAGMA journal_mode")
                .await?,
        })
    }

    /// Bytes of the database without its WAL.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.page_size) * u64::from(self.page_count)
    }

    /// Whether it is in WAL mode.
    #[must_use]
    pub fn is_wal(&self) -> bool {
        self.journal_mode == "wal"
    }
}

/// The first access to a file: this is where "not a database" shows.
///
/// # Errors
/// [`Error::NotADatabase`], [`Error::Corrupt`], or what else SQLite says.
pub async fn require_database(connection: &mut Connection) -> Result<()> {
    connection
        .scalar::<i64>(READ_HEADER, "PRAGMA schema_version")
        .await
        .map(|_| ())
        .map_err(|error| as_damage(connection, error))
}

fn as_damage(connection: &Connection, error: Error) -> Error {
    let path = connection.path().to_path_buf();
    match error {
        Error::Sqlite { failure, .. } if failure.is_no_database() => Error::NotADatabase {
            path,
            detail: failure.message,
        },
        Error::Sqlite { failure, .. } if failure.is_damage() => Error::Corrupt {
            path,
            findings: vec![failure.to_string()],
        },
        other => other,
    }
}

/// How much is read to check a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// `PRAGMA quick_check`: the structure of every b-tree, NOT NULL and CHECK constraints
    /// (<https://www.sqlite.org/pragma.html#pragma_quick_check>).
    #[default]
    Quick,
    /// `PRAGMA integrity_check`: also that every index holds what its table does, and UNIQUE.
    Full,
}

impl Depth {
    /// The name of the PRAGMA.
    #[must_use]
    pub fn pragma(self) -> &'static str {
        match self {
            Self::Quick => "quick_check",
            Self::Full => "integrity_check",
        }
    }
}

/// Checks the whole database. Empty when all is well.
pub async fn check(connection: &mut Connection, depth: Depth) -> Result<Vec<String>> {
    findings(connection, depth, &FINDINGS_LIMIT.to_string()).await
}

/// Checks one table with its indexes, reading nothing else.
pub async fn check_table(
    connection: &mut Connection,
    depth: Depth,
    table: &str,
) -> Result<Vec<String>> {
    findings(connection, depth, &quoted(table)).await
}

async fn findings(connection: &mut Connection, depth: Depth, of: &str) -> Result<Vec<String>> {
    let sql = format!("PRAGMA main.{}({of})", depth.pragma());
    let rows = match connection.rows("check the database", &sql).await {
        Err(Error::Sqlite { failure, .. }) if failure.is_damage() => {
            return Ok(vec![failure.to_string()]);
        }
        other => other?,
    };
    let texts: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    let mut lines = texts.iter().flat_map(|text| text.lines());
    if let Some(failure) = lines.find_map(unread) {
        return Err(Error::sqlite(format!(
            "read all of {}",
            connection.path().display()
        ))(failure));
    }
    let findings: Vec<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.starts_with("***"))
        .take(FINDINGS_LIMIT)
        .map(str::to_owned)
        .collect();
    Ok(if findings == ["ok"] {
        Vec::new()
    } else {
        findings
    })
}

/// A page that the disk did not give is no damage of the database: `Tree 4 page 4: unable to get the page. error code=8458`.
fn unread(finding: &str) -> Option<SqliteFailure> {
    let (_, code) = finding.rsplit_once("unable to get the page. error code=")?;
    let failure = SqliteFailure {
        code: code.trim().parse().ok()?,
        message: finding.to_owned(),
    };
    failure.is_io().then_some(failure)
}

/// The version of the linked SQLite.
pub async fn sqlite_version(connection: &mut Connection) -> Result<String> {
    connection
        .scalar("ask SQLite for its version", "SELECT sqlite_version()")
        .await
}

/// Whether a table or view of that name exists.
pub async fn has_table(connection: &mut Connection, name: &str) -> Result<bool> {
    sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
    )
    .bind(name)
    .fetch_one(connection.sqlx())
    .await
    .map(|count| count > 0)
    .map_err(|error| Error::sqlite("look for a table")(failure_of(&error)))
}

/// A name as SQL writes it: in double quotes, quotes doubled.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
