//! Taking and giving up SQLite's write lock, each wait with a deadline.

use super::connection::Connection;
use super::interrupt::Interrupt;
use crate::clock::Deadline;
use crate::error::{Error, Result, SqliteFailure};
use crate::storage;

/// How strong a transaction to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The write lock; in WAL mode readers go on.
    Immediate,
    /// Nobody else at all.
    Exclusive,
}

/// With FULL, the default, a power cut can bring back the journal of a commit that was reported, which undoes it
/// (<https://www.sqlite.org/pragma.html#pragma_synchronous>). It reads the schema, so it is not set on opening, where a
/// busy or damaged database would be an error of its own.
const SYNC_FOLDER_TOO: &str = "PRAGMA synchronous = EXTRA";

/// 8 MiB instead of 2: CREATE INDEX, which takes as much again, sorts larger runs. More was measured and is not faster, since
/// the indexes of large tables are far larger.
const LARGER_CACHE: &str = "PRAGMA cache_size = -8192";

/// Begins a transaction, waiting until the deadline for others to finish. Its commit survives a power cut.
///
/// A deferred BEGIN is never used: SQLite does not wait for the lock when a read transaction is upgraded
/// (<https://www.sqlite.org/lang_transaction.html>).
///
/// # Errors
/// [`Error::Locked`] past the deadline, with the processes that have the file open.
pub async fn begin(
    connection: &mut Connection,
    kind: Begin,
    deadline: Deadline,
    interrupt: &Interrupt,
    mut on_wait: impl FnMut(),
) -> Result<()> {
    let sql = match kind {
        Begin::Immediate => "BEGIN IMMEDIATE",
        Begin::Exclusive => "BEGIN EXCLUSIVE",
    };
    for sql in [SYNC_FOLDER_TOO, LARGER_CACHE, sql] {
        until_free(
            connection,
            sql,
            "take the write lock",
            deadline,
            interrupt,
            &mut on_wait,
        )
        .await?;
    }
    if connection.holds_write_lock().await? {
        return Ok(());
    }
    rollback(connection).await?;
    Err(Error::sqlite("take the write lock")(read_only()))
}

/// Of a file that may not be written SQLite makes BEGIN IMMEDIATE a read transaction, without a word.
fn read_only() -> SqliteFailure {
    const READONLY: i32 = 8;
    SqliteFailure {
        code: READONLY,
        message: "attempt to write a readonly database".into(),
    }
}

/// Begins a read transaction and pins its state: the wait for a writer that is just committing is here, not in the
/// statements that follow.
pub async fn begin_reading(
    connection: &mut Connection,
    deadline: Deadline,
    interrupt: &Interrupt,
    on_wait: impl FnMut(),
) -> Result<()> {
    connection.run("begin to read", "BEGIN").await?;
    let first = "SELECT 1 FROM sqlite_schema LIMIT 1";
    until_free(
        connection,
        first,
        "read the database",
        deadline,
        interrupt,
        on_wait,
    )
    .await
}

/// Commits. In rollback-journal mode this waits for readers; the deadline bounds it.
pub async fn commit(
    connection: &mut Connection,
    deadline: Deadline,
    interrupt: &Interrupt,
    on_wait: impl FnMut(),
) -> Result<()> {
    until_free(connection, "COMMIT", "commit", deadline, interrupt, on_wait).await
}

/// Changes a database from WAL to a rollback journal, for which every other connection must be closed.
pub async fn leave_wal(
    connection: &mut Connection,
    deadline: Deadline,
    interrupt: &Interrupt,
    on_wait: impl FnMut(),
) -> Result<()> {
    let sql = "PRAGMA journal_mode = DELETE";
    until_free(
        connection,
        sql,
        "leave WAL mode",
        deadline,
        interrupt,
        on_wait,
    )
    .await
}

/// Puts a database into WAL mode, where it is not in it already.
pub async fn enter_wal(
    connection: &mut Connection,
    deadline: Deadline,
    interrupt: &Interrupt,
    on_wait: impl FnMut(),
) -> Result<()> {
    let sql = "PRAGMA journal_mode = WAL";
    until_free(
        connection,
        sql,
        "go back to WAL mode",
        deadline,
        interrupt,
        on_wait,
    )
    .await
}

/// Rolls back where a transaction is still open.
pub async fn rollback(connection: &mut Connection) -> Result<()> {
    if connection.in_transaction().await? {
        connection.run("roll back", "ROLLBACK").await?;
    }
    Ok(())
}

async fn until_free(
    connection: &mut Connection,
    sql: &str,
    doing: &'static str,
    deadline: Deadline,
    interrupt: &Interrupt,
    mut on_wait: impl FnMut(),
) -> Result<()> {
    loop {
        match connection.execute(sql).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_busy() => {
                interrupt.check().map_err(|error| {
                    error.waiting_for("the database, which others hold", || {
                        storage::holders_of(connection.path())
                    })
                })?;
                if deadline.remaining().is_none() {
                    return Err(locked(connection, deadline));
                }
                on_wait();
            }
            Err(failure) => return Err(classify(connection, doing, failure)),
        }
    }
}

fn locked(connection: &Connection, deadline: Deadline) -> Error {
    Error::Locked {
        path: connection.path().to_path_buf(),
        waited_ms: deadline.waited_ms(),
        holders: storage::holders_of(connection.path()),
    }
}

fn classify(connection: &Connection, doing: &str, failure: SqliteFailure) -> Error {
    if failure.is_no_database() {
        return Error::NotADatabase {
            path: connection.path().to_path_buf(),
            detail: failure.message,
        };
    }
    if failure.is_damage() {
        return Error::Corrupt {
            path: connection.path().to_path_buf(),
            findings: vec![failure.to_string()],
        };
    }
    Error::sqlite(doing)(failure)
}
