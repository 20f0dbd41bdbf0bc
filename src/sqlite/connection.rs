//! A connection to one database file, opened the way a migration needs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Decode, Row, Sqlite, Type};

use super::ffi::Raw;
use super::interrupt::Interrupt;
use crate::error::{Error, Result, SqliteFailure};
use crate::storage;

/// Virtual-machine steps between two looks at the interrupt.
const STEPS_PER_LOOK: i32 = 20_000;
/// How long SQLite itself waits for a lock before we look at the deadline again.
const BUSY_SLICE: Duration = Duration::from_millis(250);

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is written, not even a checkpoint.
    ReadOnly,
    /// An existing file, read and written.
    ReadWrite,
    /// As `ReadWrite`, and no other connection may use the file while this one lives:
    /// `locking_mode=EXCLUSIVE`, set before the file is first read.
    Exclusive,
    /// A private copy of ours, not yet in use: no journal, no sync; whoever makes it syncs it.
    Scratch,
}

/// A connection. Foreign keys are not enforced on it: a rebuild of a table would delete
/// the children of `ON DELETE CASCADE` (<https://www.sqlite.org/lang_altertable.html#otheralter>).
#[derive(Debug)]
pub struct Connection {
    inner: SqliteConnection,
    path: PathBuf,
    access: Access,
    interrupt: Interrupt,
}

impl Connection {
    /// Opens `path`, which must exist.
    pub async fn open(path: &Path, access: Access, interrupt: &Interrupt) -> Result<Self> {
        // SQLite's own code does not tell a missing right from a machine out of handles.
        storage::require_readable(path)?;
        let options = SqliteConnectOptions::new().filename(path);
        Self::connect(options, path, access, interrupt).await
    }

    /// A database in memory, for building schemas to compare with.
    pub async fn in_memory(interrupt: &Interrupt) -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true);
        let path = Path::new(":memory:");
        Self::connect(options, path, Access::Scratch, interrupt).await
    }

    async fn connect(
        options: SqliteConnectOptions,
        path: &Path,
        access: Access,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut options = options
            .foreign_keys(false)
            .read_only(access == Access::ReadOnly)
            .busy_timeout(BUSY_SLICE)
            .disable_statement_logging();
        if access == Access::Exclusive {
            options = options.locking_mode(SqliteLockingMode::Exclusive);
        }
        if access == Access::Scratch {
            options = options
                .pragma("journal_mode", "OFF")
                .pragma("synchronous", "OFF");
        }
        let inner = options.connect().await.map_err(|error| {
            Error::sqlite(format!("open {}", path.display()))(failure_of(&error))
        })?;
        let mut connection = Self {
            inner,
            path: path.to_path_buf(),
            access,
            interrupt: interrupt.clone(),
        };
        connection.watch().await?;
        Ok(connection)
    }

    async fn watch(&mut self) -> Result<()> {
        let interrupt = self.interrupt.clone();
        let mut handle =
            self.inner.lock_handle().await.map_err(|error| {
                Error::sqlite("reach the connection's handle")(failure_of(&error))
            })?;
        handle.set_progress_handler(STEPS_PER_LOOK, move || !interrupt.is_raised());
        Ok(())
    }

    /// Closes it and opens it anew. Where giving up a lock has failed, SQLite takes it for held until the last connection
    /// of the process is closed, and every wait for it would be in vain.
    pub async fn reopen(&mut self) -> Result<()> {
        let (path, access, interrupt) = (self.path.clone(), self.access, self.interrupt.clone());
        let nothing = Self::in_memory(&interrupt).await?;
        std::mem::replace(self, nothing).close().await?;
        *self = Self::open(&path, access, &interrupt).await?;
        Ok(())
    }

    /// The file that this connection has open.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stops its statements.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The sqlx connection, for queries with parameters.
    pub fn sqlx(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Runs SQL of our own, one or more statements; returns the rows affected.
    pub async fn execute(&mut self, sql: &str) -> std::result::Result<u64, SqliteFailure> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.inner)
            .await
            .map(|done| done.rows_affected())
            .map_err(|error| failure_of(&error))
    }

    /// As [`Self::execute`], with an [`Error`] that says what was being done.
    pub async fn run(&mut self, doing: &str, sql: &str) -> Result<u64> {
        self.execute(sql).await.map_err(Error::sqlite(doing))
    }

    /// All rows of a query of our own.
    pub async fn rows(&mut self, doing: &str, sql: &str) -> Result<Vec<SqliteRow>> {
        sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .fetch_all(&mut self.inner)
            .await
            .map_err(|error| Error::sqlite(doing)(failure_of(&error)))
    }

    /// The first column of the first row of a query of our own.
    pub async fn scalar<T>(&mut self, doing: &str, sql: &str) -> Result<T>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + Send + Unpin,
    {
        sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .fetch_one(&mut self.inner)
            .await
            .and_then(|row| row.try_get_unchecked(0))
            .map_err(|error| Error::sqlite(doing)(failure_of(&error)))
    }

    /// Runs `body` with the raw handle, blocking this thread.
    pub(super) async fn raw<T>(&mut self, body: impl FnOnce(&mut Raw<'_>) -> T) -> Result<T> {
        let guard =
            self.inner.lock_handle().await.map_err(|error| {
                Error::sqlite("reach the connection's handle")(failure_of(&error))
            })?;
        Ok(tokio::task::block_in_place(|| body(&mut Raw::new(guard))))
    }

    /// Runs `body` with the raw handles of two connections.
    pub(super) async fn raw_pair<T>(
        first: &mut Self,
        second: &mut Self,
        body: impl FnOnce(&mut Raw<'_>, &mut Raw<'_>) -> T,
    ) -> Result<T> {
        let reach = |error| Error::sqlite("reach the connection's handle")(failure_of(&error));
        let one = first.inner.lock_handle().await.map_err(reach)?;
        let two = second.inner.lock_handle().await.map_err(reach)?;
        Ok(tokio::task::block_in_place(|| {
            body(&mut Raw::new(one), &mut Raw::new(two))
        }))
    }

    /// Whether a transaction is open. SQLite ends one by itself after errors such as a full disk
    /// (<https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>).
    pub async fn in_transaction(&mut self) -> Result<bool> {
        self.raw(|raw| raw.in_transaction()).await
    }

    /// How many times this connection has written a page.
    pub async fn pages_written(&mut self) -> Result<u64> {
        self.raw(|raw| raw.pages_written()).await
    }

    /// Whether the write lock is held by an open transaction.
    pub async fn holds_write_lock(&mut self) -> Result<bool> {
        self.raw(|raw| raw.may_write()).await
    }

    /// Closes the connection, and with it every lock it holds.
    pub async fn close(self) -> Result<()> {
        self.inner
            .close()
            .await
            .map_err(|error| Error::sqlite("close the database")(failure_of(&error)))
    }
}

/// SQLite's code and message, out of sqlx's error.
pub(crate) fn failure_of(error: &sqlx::Error) -> SqliteFailure {
    let database = error.as_database_error();
    SqliteFailure {
        code: database
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        message: database.map_or_else(|| error.to_string(), |e| e.message().to_owned()),
    }
}
