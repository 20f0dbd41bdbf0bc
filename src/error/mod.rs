//! What can go wrong, as facts. The message (`Display`), the advice
//! ([`Error::hint`]) and the exit code ([`Error::exit_code`]) are three
//! questions with three answers.

mod advice;
mod message;
mod place;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use place::{Nearest, NewerRevision, Revision};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

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

    /// The file or its folder may not be written, or not even be read (`SQLITE_PERM`, `SQLITE_READONLY`, `SQLITE_CANTOPEN`).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.primary(), 3 | 8 | 14)
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

/// A process that has the database open.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Process id, as seen from here.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
    /// Whether it holds a write lock on the file just now, not merely the file open.
    pub writing: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.writing {
            ", holds a write lock"
        } else {
            ""
        };
        write!(f, "pid {} ({}{state})", self.pid, self.command)
    }
}

/// One thing that a check found wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// What it concerns: a file, a table, a column.
    pub subject: String,
    /// What is wrong, and where it helps, what to write instead.
    pub message: String,
    /// Of a changed file: a unified diff from what was applied to what the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Problem {
    /// A problem about `subject`.
    pub fn new(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            message: message.into(),
            diff: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)?;
        let diff = self.diff.as_deref().unwrap_or_default();
        diff.lines().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// Where in a migration file a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementFailure {
    /// The file's path.
    pub file: PathBuf,
    /// It is no file, but was kept in the database by the job that applied the revision.
    pub stored: bool,
    /// Which statement of the file, from 1.
    pub statement: usize,
    /// Line of the failing text, from 1.
    pub line: usize,
    /// The statement's first words.
    pub excerpt: String,
    /// Why.
    pub cause: String,
    /// The migration itself refused, with RAISE in a trigger; the cause is its author's message.
    pub raised: bool,
}

/// Everything that can end a command. The fields are the facts that the message is made of.
#[derive(Debug)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Error {
    /// The command line, environment or configuration file is wrong.
    Usage { message: String, hint: String },
    /// No revision has that name.
    NoSuchRevision {
        given: String,
        candidates: Vec<String>,
    },
    /// The migrations folder is not acceptable.
    Migrations {
        folder: PathBuf,
        problems: Vec<Problem>,
    },
    /// Migration files were changed after they were applied.
    ChangedMigrations { problems: Vec<Problem> },
    /// There is no file at the database's path.
    DatabaseMissing { path: PathBuf },
    /// What is at the path cannot be used as a database.
    NotADatabase { path: PathBuf, detail: String },
    /// The database is damaged.
    Corrupt {
        path: PathBuf,
        findings: Vec<String>,
    },
    /// A job outside a transaction was cut short and is not settled yet.
    Halfway {
        job: String,
        from: String,
        to: String,
    },
    /// A URL of another database system.
    ForeignUrl { scheme: String },
    /// The database is at a revision that the files do not know.
    UnknownRevision(Box<NewerRevision>),
    /// The database's history or schema cannot be placed.
    Unplaceable {
        message: String,
        differences: Vec<Problem>,
        nearest: Option<Box<Nearest>>,
    },
    /// The schema is not the one that was to be recorded; `force` is the revision to stamp all the same.
    SchemaDiffers {
        message: String,
        differences: Vec<Problem>,
        force: Option<String>,
    },
    /// A migration failed; rolled back.
    MigrationFailed(Box<StatementFailure>),
    /// Enum columns hold values that no rule maps.
    UnknownEnumValues { problems: Vec<Problem> },
    /// A check of the migrated database failed; rolled back.
    VerificationFailed { problems: Vec<Problem> },
    /// What a plan found would make the job fail.
    WouldFail { problems: Vec<Problem> },
    /// The database is not where the files say that it should be.
    NotAtHead {
        message: String,
        problems: Vec<Problem>,
        next: String,
    },
    /// It failed, and that the database is as before could not be proven.
    NotProven {
        cause: Box<Error>,
        detail: String,
        backup: PathBuf,
    },
    /// A backup cannot be used.
    BackupUnusable { backup: PathBuf, reason: String },
    /// The record of a job cannot be used.
    RecordUnusable { record: PathBuf, reason: String },
    /// No backup has that name.
    NoSuchBackup {
        wanted: String,
        folder: PathBuf,
        candidates: Vec<String>,
    },
    /// Another connection held the database past the deadline.
    Locked {
        path: PathBuf,
        waited_ms: u64,
        holders: Vec<Holder>,
    },
    /// Another job works on this database.
    JobRunning {
        path: PathBuf,
        waited_ms: u64,
        holder: String,
    },
    /// Too little room on a disk.
    DiskSpace {
        path: PathBuf,
        needed_bytes: u64,
        free_bytes: u64,
    },
    /// Stopped by a signal.
    Interrupted { signal: i32 },
    /// A file operation failed.
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A database operation of our own failed.
    Sqlite {
        doing: String,
        failure: SqliteFailure,
    },
}

impl Error {
    /// For `map_err` after a file operation.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// For `map_err` after a database operation.
    pub fn sqlite(doing: impl Into<String>) -> impl FnOnce(SqliteFailure) -> Self {
        let doing = doing.into();
        move |failure| Self::Sqlite { doing, failure }
    }

    /// The process's exit code; the table is in `docs/design.md`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::NoSuchRevision { .. } => 2,
            Self::Migrations { .. } | Self::ChangedMigrations { .. } => 3,
            Self::DatabaseMissing { .. }
            | Self::NotADatabase { .. }
            | Self::Corrupt { .. }
            | Self::Halfway { .. }
            | Self::ForeignUrl { .. }
            | Self::UnknownRevision(_)
            | Self::Unplaceable { .. }
            | Self::SchemaDiffers { .. } => 4,
            Self::MigrationFailed(_)
            | Self::UnknownEnumValues { .. }
            | Self::VerificationFailed { .. }
            | Self::WouldFail { .. }
            | Self::NotAtHead { .. } => 5,
            Self::NotProven { .. } => 6,
            Self::BackupUnusable { .. }
            | Self::RecordUnusable { .. }
            | Self::NoSuchBackup { .. } => 7,
            Self::Locked { .. } | Self::JobRunning { .. } | Self::DiskSpace { .. } => 75,
            Self::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
            Self::Io { source, .. } => io_exit_code(source),
            Self::Sqlite { failure, .. } => sqlite_exit_code(failure),
        }
    }

    /// A stable word for the kind of failure: `error.code` in the JSON document.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::NoSuchRevision { .. } => "no_such_revision",
            Self::Migrations { .. } => "migrations_not_acceptable",
            Self::ChangedMigrations { .. } => "migrations_changed",
            Self::DatabaseMissing { .. } => "database_missing",
            Self::NotADatabase { .. } => "not_a_database",
            Self::Corrupt { .. } => "database_corrupt",
            Self::Halfway { .. } => "halfway",
            Self::ForeignUrl { .. } => "foreign_url",
            Self::UnknownRevision(_) => "unknown_revision",
            Self::Unplaceable { .. } => "unplaceable_database",
            Self::SchemaDiffers { .. } => "schema_differs",
            Self::MigrationFailed(_) => "migration_failed",
            Self::UnknownEnumValues { .. } => "unknown_enum_values",
            Self::VerificationFailed { .. } => "verification_failed",
            Self::WouldFail { .. } => "would_fail",
            Self::NotAtHead { .. } => "not_at_head",
            Self::NotProven { .. } => "not_proven",
            Self::BackupUnusable { .. } => "backup_unusable",
            Self::RecordUnusable { .. } => "record_unusable",
            Self::NoSuchBackup { .. } => "no_such_backup",
            Self::Locked { .. } => "locked",
            Self::JobRunning { .. } => "job_running",
            Self::DiskSpace { .. } => "disk_space",
            Self::Interrupted { .. } => "interrupted",
            Self::Io { .. } => "io",
            Self::Sqlite { .. } => "sqlite",
        }
    }
}

/// What is wrong with a TOML text, with the line at fault unless that is a long one.
#[must_use]
pub fn toml_words(error: &toml::de::Error) -> String {
    const READABLE_BYTES: usize = 600;
    let words = error.to_string();
    if words.len() > READABLE_BYTES {
        error.message().to_owned()
    } else {
        words.trim_end().to_owned()
    }
}

fn io_exit_code(source: &io::Error) -> u8 {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 75,
        _ if is_in_the_wrong_place(source) => 2,
        _ => 1,
    }
}

/// What stands at a path cannot be what was meant, or is not for us to use: somebody has to put the path or its owner right.
fn is_in_the_wrong_place(source: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let is_loop = source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_loop
        || matches!(
            source.kind(),
            Kind::PermissionDenied
                | Kind::ReadOnlyFilesystem
                | Kind::NotADirectory
                | Kind::IsADirectory
                | Kind::AlreadyExists
                | Kind::InvalidFilename
                | Kind::InvalidInput
                | Kind::FileTooLarge
        )
}

fn sqlite_exit_code(failure: &SqliteFailure) -> u8 {
    if failure.is_busy() || failure.is_full() {
        75
    } else if failure.is_damage()
        || failure.needs_rollback()
        || failure.is_denied()
        || failure.needs_extension()
    {
        4
    } else {
        1
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotProven { cause, .. } => Some(cause.as_ref()),
            _ => None,
        }
    }
}
