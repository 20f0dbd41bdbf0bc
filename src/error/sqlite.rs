//! What SQLite says when it fails.

use std::fmt;

/// A failure that SQLite reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFailure {
    /// Extended result code, see <https://www.sqlite.org/rescode.html>; 0 when the driver failed before SQLite.
    pub code: i32,
    /// SQLite's own message.
    pub message: String,
}

impl SqliteFailure {
    /// The primary result code: the low byte of the extended one.
    #[must_use]
    pub fn primary(&self) -> i32 {
        self.code & 0xff
    }

    /// Another connection is in the way (`SQLITE_BUSY`, `SQLITE_LOCKED`).
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.primary(), 5 | 6)
    }

    /// The disk is full (`SQLITE_FULL`; `SQLITE_IOERR_SHMSIZE` where not even the WAL's index fits).
    #[must_use]
    pub fn is_full(&self) -> bool {
        const IOERR_SHMSIZE: i32 = 4874;
        self.primary() == 13 || self.code == IOERR_SHMSIZE
    }

    /// The disk failed (`SQLITE_IOERR`).
    #[must_use]
    pub fn is_io(&self) -> bool {
        self.primary() == 10
    }

    /// There is no folder for SQLite's temporary files (`SQLITE_IOERR_GETTEMPPATH`), which large rebuilds and VACUUM need.
    #[must_use]
    pub fn has_no_temporary_folder(&self) -> bool {
        self.code == 6410
    }

    /// Not the fault of the SQL that ran, but of the machine that it ran on: memory, disk, files that cannot be opened or
    /// written. SQLite reports a page that cannot be read as `SQLITE_CORRUPT`; a database that is damaged does not get as
    /// far as its migrations.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        self.code == 11 || matches!(self.primary(), 7 | 8 | 10 | 13 | 14)
    }

    /// Stopped by an interrupt (`SQLITE_INTERRUPT`).
    #[must_use]
    pub fn is_interrupt(&self) -> bool {
        self.primary() == 9
    }

    /// A constraint was broken (`SQLITE_CONSTRAINT`).
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        self.primary() == 19
    }

    /// A hot journal has to be rolled back first, by somebody who may write (`SQLITE_READONLY_ROLLBACK`).
    #[must_use]
    pub fn needs_rollback(&self) -> bool {
        self.code == 776
    }

    /// The file may not be written (`SQLITE_PERM`, `SQLITE_READONLY`).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.primary(), 3 | 8)
    }

    /// The file or one beside it could not be opened (`SQLITE_CANTOPEN`): no right, no room, no handle, no such folder.
    #[must_use]
    pub fn is_unopenable(&self) -> bool {
        self.primary() == 14
    }

    /// The schema uses a module, collation or function of the application's, which is not there (`SQLITE_ERROR_MISSING_COLLSEQ`;
    /// the others have no code of their own).
    #[must_use]
    pub fn needs_extension(&self) -> bool {
        let begins = |words| self.message.starts_with(words);
        self.code == 257
            || (self.primary() == 1
                && (begins("no such module")
                    || begins("no such function")
                    || begins("unknown function")))
    }

    /// It is no database, or of a format that this SQLite does not know; that one has no code of its own.
    #[must_use]
    pub fn is_no_database(&self) -> bool {
        self.primary() == 26 || (self.primary() == 1 && self.message == "unsupported file format")
    }

    /// The file is damaged or no database at all (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self.primary(), 11 | 26)
    }

    /// The statement was refused by our authorizer (`SQLITE_AUTH`).
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.primary() == 23
    }
}

impl fmt::Display for SqliteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code == 0 {
            f.write_str(&self.message)
        } else {
            write!(f, "{} (SQLite code {})", self.message, self.code)
        }
    }
}
