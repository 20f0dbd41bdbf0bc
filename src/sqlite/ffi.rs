//! The only module with `unsafe`: what sqlx does not offer of SQLite's C API.
//!
//! A [`Raw`] exists only while sqlx's worker thread is locked out of the
//! connection, so everything below has the `sqlite3` handle for itself.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use libsqlite3_sys as sys;
use sqlx::sqlite::LockedSqliteHandle;

use crate::error::SqliteFailure;

type Outcome<T> = std::result::Result<T, SqliteFailure>;

/// A connection's handle while it is ours alone.
pub(super) struct Raw<'c> {
    db: *mut sys::sqlite3,
    _guard: LockedSqliteHandle<'c>,
}

impl<'c> Raw<'c> {
    pub(super) fn new(mut guard: LockedSqliteHandle<'c>) -> Self {
        Self {
            db: guard.as_raw_handle().as_ptr(),
            _guard: guard,
        }
    }

    /// The connection's latest failure.
    fn failure(&self) -> SqliteFailure {
        // SAFETY: the handle is open for as long as the guard lives; the message is copied before any further call.
        let (code, message) = unsafe {
            (
                sys::sqlite3_extended_errcode(self.db),
                CStr::from_ptr(sys::sqlite3_errmsg(self.db)),
            )
        };
        SqliteFailure {
            code,
            message: message.to_string_lossy().into_owned(),
        }
    }

    /// Byte offset of the failing token in the SQL last prepared, where SQLite knows it.
    pub(super) fn error_offset(&self) -> Option<usize> {
        // SAFETY: the handle is open for as long as the guard lives.
        usize::try_from(unsafe { sys::sqlite3_error_offset(self.db) }).ok()
    }

    /// Rows that the last INSERT, UPDATE or DELETE changed itself, without its triggers.
    pub(super) fn changes(&self) -> i64 {
        // SAFETY: the handle is open for as long as the guard lives.
        unsafe { sys::sqlite3_changes64(self.db) }
    }

    /// How many times this connection has written a page, into the file or the WAL.
    pub(super) fn pages_written(&self) -> u64 {
        // SAFETY: the handle is open for as long as the guard lives.
        unsafe { pages_written(self.db) }
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        // SAFETY: the handle is open for as long as the guard lives.
        unsafe { sys::sqlite3_get_autocommit(self.db) == 0 }
    }

    /// Whether the transaction may write: the write lock is held.
    pub(super) fn may_write(&self) -> bool {
        // SAFETY: the handle is open for as long as the guard lives, and the name is a C string.
        let state = unsafe { sys::sqlite3_txn_state(self.db, c"main".as_ptr()) };
        state == sys::SQLITE_TXN_WRITE
    }

    /// Compiles the first statement of `sql`; returns it (none for blanks and comments) and the bytes consumed. Of a text
    /// that does not end with a NUL SQLite makes a copy first, of all of it for each statement.
    pub(super) fn prepare(&self, sql: &[u8]) -> Outcome<(Option<Statement<'_>>, usize)> {
        let length = c_int::try_from(sql.len()).map_err(|_| SqliteFailure {
            code: sys::SQLITE_TOOBIG,
            message: "the SQL is larger than 2 GiB".into(),
        })?;
        let mut statement = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: `sql` is valid for `length` bytes; the two out-pointers outlive the call.
        let code = unsafe {
            sys::sqlite3_prepare_v2(
                self.db,
                sql.as_ptr().cast(),
                length,
                &raw mut statement,
                &raw mut tail,
            )
        };
        if code != sys::SQLITE_OK {
            return Err(self.failure());
        }
        let consumed = (tail as usize).saturating_sub(sql.as_ptr() as usize);
        let statement = (!statement.is_null()).then_some(Statement {
            raw: statement,
            owner: self.db,
            _handle: PhantomData,
        });
        Ok((statement, consumed))
    }

    /// Runs `body` with `judge` deciding on every action of the statements that it prepares.
    pub(super) fn with_authorizer<T>(
        &self,
        judge: &mut dyn FnMut(&Action<'_>) -> bool,
        body: impl FnOnce() -> T,
    ) -> T {
        struct Unset(*mut sys::sqlite3);
        impl Drop for Unset {
            fn drop(&mut self) {
                // SAFETY: the handle outlives this scope; a null callback removes the authorizer.
                unsafe { sys::sqlite3_set_authorizer(self.0, None, ptr::null_mut()) };
            }
        }
        let mut judge = judge;
        let _unset = Unset(self.db);
        // SAFETY: `judge` outlives the registration, which `_unset` takes back before this function returns.
        unsafe {
            sys::sqlite3_set_authorizer(self.db, Some(authorize), (&raw mut judge).cast());
        }
        body()
    }
}

/// # Safety
/// `db` is an open handle that no other thread uses.
unsafe fn pages_written(db: *mut sys::sqlite3) -> u64 {
    let (mut now, mut high): (c_int, c_int) = (0, 0);
    // SAFETY: the caller's promise; the out-pointers outlive the call.
    unsafe {
        sys::sqlite3_db_status(
            db,
            sys::SQLITE_DBSTATUS_CACHE_WRITE,
            &raw mut now,
            &raw mut high,
            0,
        );
    }
    u64::try_from(now).unwrap_or(0)
}

/// What a statement is about to do; see <https://www.sqlite.org/c3ref/c_alter_table.html>.
pub(super) struct Action<'a> {
    pub(super) code: i32,
    pub(super) first: &'a str,
    pub(super) second: &'a str,
    /// `main`, `temp`, or the name of an attached one.
    pub(super) database: &'a str,
    /// The trigger or view that does it; empty for the statement itself.
    pub(super) within: &'a str,
}

unsafe extern "C" fn authorize(
    judge: *mut c_void,
    code: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    within: *const c_char,
) -> c_int {
    // SAFETY: `judge` is the pointer registered in `with_authorizer`, alive until it is taken back there.
    let judge = unsafe { &mut *judge.cast::<&mut dyn FnMut(&Action<'_>) -> bool>() };
    let action = Action {
        code,
        // SAFETY: SQLite passes null or a NUL-terminated string that lives through the callback.
        first: unsafe { text(first) },
        // SAFETY: as above.
        second: unsafe { text(second) },
        // SAFETY: as above.
        database: unsafe { text(database) },
        // SAFETY: as above.
        within: unsafe { text(within) },
    };
    if judge(&action) {
        sys::SQLITE_OK
    } else {
        sys::SQLITE_DENY
    }
}

/// # Safety
/// `raw` is null or a NUL-terminated string that lives for `'a`.
unsafe fn text<'a>(raw: *const c_char) -> &'a str {
    if raw.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(raw) }.to_str().unwrap_or("")
}

/// A prepared statement.
pub(super) struct Statement<'h> {
    raw: *mut sys::sqlite3_stmt,
    owner: *mut sys::sqlite3,
    _handle: PhantomData<&'h ()>,
}

impl Statement<'_> {
    fn check(&self, code: c_int) -> Outcome<()> {
        if code == sys::SQLITE_OK {
            return Ok(());
        }
        Err(self.failure())
    }

    fn failure(&self) -> SqliteFailure {
        // SAFETY: the connection outlives its statements; the message is copied before any further call.
        let (code, message) = unsafe {
            (
                sys::sqlite3_extended_errcode(self.owner),
                CStr::from_ptr(sys::sqlite3_errmsg(self.owner)),
            )
        };
        SqliteFailure {
            code,
            message: message.to_string_lossy().into_owned(),
        }
    }

    /// Runs to the next row; false at the end.
    pub(super) fn step(&mut self) -> Outcome<bool> {
        // SAFETY: the statement is live and used by this thread alone.
        match unsafe { sys::sqlite3_step(self.raw) } {
            sys::SQLITE_ROW => Ok(true),
            sys::SQLITE_DONE => Ok(false),
            _ => Err(self.failure()),
        }
    }

    /// The name of the first parameter that waits for a value, `?` where it has none.
    pub(super) fn first_parameter(&self) -> Option<String> {
        // SAFETY: the statement is live; the name belongs to it and is copied at once.
        unsafe {
            let count = sys::sqlite3_bind_parameter_count(self.raw);
            let name = sys::sqlite3_bind_parameter_name(self.raw, 1);
            (count > 0).then(|| if name.is_null() { "?" } else { text(name) }.to_owned())
        }
    }

    /// Back to the start, parameters kept.
    pub(super) fn reset(&mut self) {
        // SAFETY: the statement is live; the code repeats what `step` has returned already.
        unsafe { sys::sqlite3_reset(self.raw) };
    }

    pub(super) fn bind_int(&mut self, index: i32, value: i64) -> Outcome<()> {
        // SAFETY: the statement is live and not running.
        let code = unsafe { sys::sqlite3_bind_int64(self.raw, index, value) };
        self.check(code)
    }

    pub(super) fn bind_blob(&mut self, index: i32, value: &[u8]) -> Outcome<()> {
        // SAFETY: `value` is valid for its length; SQLITE_TRANSIENT makes SQLite copy it before returning.
        let code = unsafe {
            sys::sqlite3_bind_blob64(
                self.raw,
                index,
                value.as_ptr().cast(),
                value.len() as u64,
                sys::SQLITE_TRANSIENT(),
            )
        };
        self.check(code)
    }

    pub(super) fn bind_null(&mut self, index: i32) -> Outcome<()> {
        // SAFETY: the statement is live and not running.
        let code = unsafe { sys::sqlite3_bind_null(self.raw, index) };
        self.check(code)
    }

    /// A column of the current row as bytes; empty for NULL.
    pub(super) fn blob(&self, column: i32) -> &[u8] {
        // SAFETY: the statement stands on a row; the bytes stay valid until the next step or reset,
        // both of which need `&mut self`.
        unsafe {
            let bytes = sys::sqlite3_column_blob(self.raw, column);
            let length = sys::sqlite3_column_bytes(self.raw, column);
            match usize::try_from(length) {
                Ok(length) if length > 0 && !bytes.is_null() => {
                    std::slice::from_raw_parts(bytes.cast(), length)
                }
                _ => &[],
            }
        }
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: finalized once, here.
        unsafe { sys::sqlite3_finalize(self.raw) };
    }
}

/// How far a step of a backup came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    More,
    Busy,
}

/// A running online backup of `main` into `main`, see <https://www.sqlite.org/c3ref/backup_finish.html>.
pub(super) struct Backup<'b> {
    raw: *mut sys::sqlite3_backup,
    destination: *mut sys::sqlite3,
    _handles: PhantomData<&'b mut ()>,
}

impl<'b> Backup<'b> {
    pub(super) fn start(destination: &'b mut Raw<'_>, source: &'b mut Raw<'_>) -> Outcome<Self> {
        // SAFETY: two different open handles, both borrowed for as long as the backup lives.
        let raw = unsafe {
            sys::sqlite3_backup_init(
                destination.db,
                c"main".as_ptr(),
                source.db,
                c"main".as_ptr(),
            )
        };
        if raw.is_null() {
            return Err(destination.failure());
        }
        Ok(Self {
            raw,
            destination: destination.db,
            _handles: PhantomData,
        })
    }

    pub(super) fn step(&mut self, pages: i32) -> Outcome<Step> {
        // SAFETY: the backup is live.
        match unsafe { sys::sqlite3_backup_step(self.raw, pages) } {
            sys::SQLITE_DONE => Ok(Step::Done),
            sys::SQLITE_OK => Ok(Step::More),
            sys::SQLITE_BUSY | sys::SQLITE_LOCKED => Ok(Step::Busy),
            code => Err(self.failure(code)),
        }
    }

    fn failure(&self, code: c_int) -> SqliteFailure {
        // SAFETY: SQLite returns a static string for every code; the handle is borrowed.
        let (message, extended) = unsafe {
            (
                CStr::from_ptr(sys::sqlite3_errstr(code)),
                sys::sqlite3_extended_errcode(self.destination),
            )
        };
        SqliteFailure {
            code: if extended & 0xff == code {
                extended
            } else {
                code
            },
            message: message.to_string_lossy().into_owned(),
        }
    }

    /// Writes the pages that are copied so far into the destination's file; page 1, which is in use, stays back.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        // SAFETY: the destination's handle is borrowed for as long as the backup lives.
        match unsafe { sys::sqlite3_db_cacheflush(self.destination) } {
            sys::SQLITE_OK => Ok(()),
            code => Err(self.failure(code)),
        }
    }

    /// How many times the destination has written a page into its file.
    pub(super) fn pages_written(&self) -> u64 {
        // SAFETY: the destination's handle is borrowed for as long as the backup lives.
        unsafe { pages_written(self.destination) }
    }

    /// Pages done and pages in all, as of the last step.
    pub(super) fn progress(&self) -> (u64, u64) {
        // SAFETY: the backup is live.
        let (left, total) = unsafe {
            (
                sys::sqlite3_backup_remaining(self.raw),
                sys::sqlite3_backup_pagecount(self.raw),
            )
        };
        let total = u64::try_from(total).unwrap_or(0);
        let left = u64::try_from(left).unwrap_or(0);
        (total.saturating_sub(left), total)
    }
}

impl Drop for Backup<'_> {
    fn drop(&mut self) {
        // SAFETY: finished once, here. Its code repeats the last step's.
        unsafe { sys::sqlite3_backup_finish(self.raw) };
    }
}
