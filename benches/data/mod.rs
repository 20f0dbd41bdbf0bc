//! Databases like those of Fast-Flow: mostly rows of `pipeline_runs` as its application writes them, at any revision.
//!
//! The same request always gives the same content. Built by the program's own migrations, left in WAL mode.

mod rows;

use std::fs;
use std::io;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use rows::{Cell, Named, Rows};

const SEED: u64 = 20_240_118;
const ROWS_PER_INSERT: usize = 500;
/// Inserts between two looks at the size.
const INSERTS_PER_LOOK: u64 = 4;

/// What a database should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// At which revision: "base", "003", "head".
    pub(crate) revision: String,
    /// Filled up with runs until the file has at least so many bytes.
    pub(crate) bytes: u64,
    /// So many users, and a session for each.
    pub(crate) users: u64,
}

type Failure = Box<dyn std::error::Error>;

/// Makes the database; there must be none yet. It has its name only when it is whole.
pub(crate) fn generate(path: &Path, request: &Request) -> Result<(), Failure> {
    if path.try_exists()? {
        return Err(format!("{} exists; remove it or name another file", path.display()).into());
    }
    let folder = path.parent().filter(|folder| *folder != "");
    let aside = tempfile::tempdir_in(folder.unwrap_or(Path::new(".")))?;
    let draft = aside.path().join("draft.db");
    build(&draft, &request.revision)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(fill(&draft, request))?;
    Ok(fs::rename(draft, path)?)
}

/// The schema, by the program itself.
fn build(path: &Path, revision: &str) -> Result<(), Failure> {
    let backups = path.with_extension("backups");
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let arguments = [
        "safestep".as_ref(),
        "upgrade".as_ref(),
        revision.as_ref(),
        "--create-if-missing".as_ref(),
        "--database".as_ref(),
        path.as_os_str(),
        "--migrations".as_ref(),
        migrations.as_os_str(),
        "--backups".as_ref(),
        backups.as_os_str(),
    ];
    let mut said = Vec::new();
    let code = safestep::app::run(arguments, &mut io::sink(), &mut said);
    if code == 0 {
        return Ok(());
    }
    Err(format!("exit code {code}: {}", String::from_utf8_lossy(&said)).into())
}

async fn fill(path: &Path, request: &Request) -> Result<(), Failure> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(false)
        .pragma("cache_size", "-1000000")
        .connect()
        .await?;
    sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
    let mut rows = Rows::new(SEED);
    for (table, count) in rows::fixed(request.users) {
        let mut insert = Insert::into(&mut connection, table).await?;
        for number in 0..count {
            insert.row(&mut connection, rows.of(table, number)).await?;
        }
        insert.flush(&mut connection).await?;
    }
    fill_up(&mut connection, &mut rows, request.bytes).await?;
    sqlx::raw_sql("COMMIT; PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

async fn fill_up(
    connection: &mut SqliteConnection,
    rows: &mut Rows,
    bytes: u64,
) -> Result<(), Failure> {
    let mut runs = Insert::into(connection, "pipeline_runs").await?;
    let mut number = 0;
    while size(connection).await? < bytes {
        for _ in 0..INSERTS_PER_LOOK * ROWS_PER_INSERT as u64 {
            runs.row(connection, rows.of("pipeline_runs", number))
                .await?;
            number += 1;
        }
    }
    runs.flush(connection).await
}

async fn size(connection: &mut SqliteConnection) -> Result<u64, Failure> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(u64::try_from(bytes)?)
}

/// Inserts many rows with one statement; columns that the table has not at this revision are left out.
struct Insert {
    table: &'static str,
    has: Vec<String>,
    waiting: Vec<Vec<Named>>,
}

impl Insert {
    async fn into(connection: &mut SqliteConnection, table: &'static str) -> Result<Self, Failure> {
        let names = sqlx::query("SELECT name FROM pragma_table_info(?)")
            .bind(table)
            .fetch_all(connection)
            .await?;
        Ok(Self {
            table,
            has: names.iter().map(|row| row.get(0)).collect(),
            waiting: Vec::new(),
        })
    }

    async fn row(
        &mut self,
        connection: &mut SqliteConnection,
        mut row: Vec<Named>,
    ) -> Result<(), Failure> {
        row.retain(|(name, _)| self.has.iter().any(|has| has == name));
        self.waiting.push(row);
        if self.waiting.len() < ROWS_PER_INSERT {
            return Ok(());
        }
        self.flush(connection).await
    }

    async fn flush(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        // A table that is not there yet has no columns.
        if self.has.is_empty() || self.waiting.is_empty() {
            return Ok(());
        }
        let sql = self.sql();
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (_, cell) in self.waiting.drain(..).flatten() {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Whole(number) => query.bind(number),
                Cell::Real(number) => query.bind(number),
                Cell::Null => query.bind(None::<i64>),
            };
        }
        query.execute(connection).await?;
        Ok(())
    }

    fn sql(&self) -> String {
        let names: Vec<String> = self.waiting[0]
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let marks = format!("({})", vec!["?"; names.len()].join(","));
        format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.table,
            names.join(","),
            vec![marks; self.waiting.len()].join(",")
        )
    }
}

/// "10MB", "1GB", "4096": a number of bytes, with decimal units.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(format!("'{text}' is no size; say for instance 10MB or 1GB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| format!("'{text}' is no size; say for instance 10MB or 1GB"))
}
