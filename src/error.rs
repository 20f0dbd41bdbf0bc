//! What can go wrong, as facts. The message (`Display`), the advice
//! ([`Error::hint`]) and the exit code ([`Error::exit_code`]) are three
//! questions with three answers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

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

    /// The disk is full (`SQLITE_FULL`).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.primary() == 13
    }

    /// Stopped by an interrupt (`SQLITE_INTERRUPT`).
    #[must_use]
    pub fn is_interrupt(&self) -> bool {
        self.primary() == 9
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
        let state = if self.writing { ", holds a write lock" } else { "" };
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
}

impl Problem {
    /// A problem about `subject`.
    pub fn new(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// Where in a migration file a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementFailure {
    /// The file's path.
    pub file: PathBuf,
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

/// Everything that can end a command.
#[derive(Debug)]
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
    /// There is no file at the database's path.
    DatabaseMissing { path: PathBuf },
    /// What is at the path cannot be used as a database.
    NotADatabase { path: PathBuf, detail: String },
    /// The database is damaged.
    Corrupt { path: PathBuf, findings: Vec<String> },
    /// A URL of another database system.
    ForeignUrl { scheme: String },
    /// The database is at a revision that the files do not know.
    UnknownRevision { revision: String, head: String },
    /// The database's history or schema cannot be placed.
    Unplaceable { message: String, differences: Vec<Problem> },
    /// A migration failed; rolled back.
    MigrationFailed(Box<StatementFailure>),
    /// Enum columns hold values that no rule maps.
    UnknownEnumValues { problems: Vec<Problem> },
    /// A check of the migrated database failed; rolled back.
    VerificationFailed { problems: Vec<Problem> },
    /// It failed, and that the database is as before could not be proven.
    NotProven {
        cause: Box<Error>,
        detail: String,
        backup: PathBuf,
    },
    /// A backup cannot be used.
    BackupUnusable { backup: PathBuf, reason: String },
    /// No backup has that name.
    NoSuchBackup { wanted: String, folder: PathBuf },
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
            Self::Migrations { .. } => 3,
            Self::DatabaseMissing { .. }
            | Self::NotADatabase { .. }
            | Self::Corrupt { .. }
            | Self::ForeignUrl { .. }
            | Self::UnknownRevision { .. }
            | Self::Unplaceable { .. } => 4,
            Self::MigrationFailed(_)
            | Self::UnknownEnumValues { .. }
            | Self::VerificationFailed { .. } => 5,
            Self::NotProven { .. } => 6,
            Self::BackupUnusable { .. } | Self::NoSuchBackup { .. } => 7,
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
            Self::DatabaseMissing { .. } => "database_missing",
            Self::NotADatabase { .. } => "not_a_database",
            Self::Corrupt { .. } => "database_corrupt",
            Self::ForeignUrl { .. } => "foreign_url",
            Self::UnknownRevision { .. } => "unknown_revision",
            Self::Unplaceable { .. } => "unplaceable_database",
            Self::MigrationFailed(_) => "migration_failed",
            Self::UnknownEnumValues { .. } => "unknown_enum_values",
            Self::VerificationFailed { .. } => "verification_failed",
            Self::NotProven { .. } => "not_proven",
            Self::BackupUnusable { .. } => "backup_unusable",
            Self::NoSuchBackup { .. } => "no_such_backup",
            Self::Locked { .. } => "locked",
            Self::JobRunning { .. } => "job_running",
            Self::DiskSpace { .. } => "disk_space",
            Self::Interrupted { .. } => "interrupted",
            Self::Io { .. } => "io",
            Self::Sqlite { .. } => "sqlite",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoSuchRevision { candidates, .. } if candidates.is_empty() => {
                "`safestep history` lists the revisions.".into()
            }
            Self::NoSuchRevision { candidates, .. } => {
                format!("Name one of: {}.", candidates.join(", "))
            }
            Self::Migrations { .. } => {
                "Put the files right and run the same command again; the database was not touched.".into()
            }
            Self::DatabaseMissing { .. } => "Most often the volume is not mounted: check the mount and the path. \
                 For a new installation add --create-if-missing."
                .into(),
            Self::NotADatabase { .. } => "Check the path. If this is where the database should be, put a backup back: \
                 `safestep restore latest`."
                .into(),
            Self::Corrupt { .. } => "Do not migrate a damaged database. Stop the application, keep a copy of the file with its -wal and -journal, \
                 then put a backup back: `safestep restore latest`."
                .into(),
            Self::ForeignUrl { .. } => "safestep migrates SQLite databases. Give --database the path of one, \
                 or unset DATABASE_URL here."
                .into(),
            Self::UnknownRevision { .. } => "The image is most likely older than the database: deploy the image that holds this revision. \
                 To go back to an older state, `safestep restore <backup>`."
                .into(),
            Self::Unplaceable { .. } => "Nothing was changed. Compare the schema with `safestep doctor`; put the history or the schema right, \
                 or restore a backup."
                .into(),
            Self::MigrationFailed(failure) if failure.raised => {
                "Do as the migration's message says, and run the same command again.".into()
            }
            Self::MigrationFailed(failure) => format!(
                "Correct {} and run the same command again.",
                failure.file.display()
            ),
            Self::UnknownEnumValues { .. } => "Correct these rows in the application, or map the values with an alias in enums.toml, \
                 and run the same command again."
                .into(),
            Self::VerificationFailed { .. } => {
                "Correct the migration as each line says and run the same command again.".into()
            }
            Self::NotProven { backup, .. } => format!(
                "Stop the application now. Then put the backup back: `safestep restore {} --yes`.",
                backup.display()
            ),
            Self::BackupUnusable { .. } | Self::NoSuchBackup { .. } => {
                "`safestep backups list` shows what there is.".into()
            }
            Self::Locked { holders, .. } => locked_hint(holders),
            Self::JobRunning { .. } => {
                "Wait for the other job to end, or give a longer --lock-timeout.".into()
            }
            Self::DiskSpace { .. } => {
                "Free some space, or put --backups on a larger disk, and run the same command again.".into()
            }
            Self::Interrupted { .. } => "Run the same command again.".into(),
            Self::Io { source, .. } => io_hint(source),
            Self::Sqlite { failure, .. } if failure.is_busy() => {
                "Run the same command again when nobody else writes.".into()
            }
            Self::Sqlite { failure, .. } if failure.is_full() => {
                "Free some space on the database's disk and run the same command again.".into()
            }
            Self::Sqlite { .. } => {
                "`safestep doctor` looks at the database, its locks and its disk.".into()
            }
        }
    }
}

fn io_exit_code(source: &io::Error) -> u8 {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 75,
        _ => 1,
    }
}

fn io_hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some space and run the same command again.".into()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "safestep must run as the user that owns the database, and the database's and the backups' folders must be writable."
                .into()
        }
        _ => "Check the path and the disk; `safestep doctor` helps.".into(),
    }
}

fn sqlite_exit_code(failure: &SqliteFailure) -> u8 {
    if failure.is_busy() || failure.is_full() {
        75
    } else if failure.is_damage() {
        4
    } else {
        1
    }
}

fn locked_hint(holders: &[Holder]) -> String {
    if holders.is_empty() {
        "No process visible from here has the file open: look in other containers and on other hosts that mount this volume. \
         Then run the same command again, or give a longer --lock-timeout."
            .into()
    } else {
        "Stop or finish what holds it, then run the same command again; or give a longer --lock-timeout."
            .into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { message, .. } => f.write_str(message),
            Self::NoSuchRevision { given, candidates } => no_such_revision(f, given, candidates),
            Self::Migrations { folder, problems } => {
                write!(f, "the migrations in {} are not acceptable", folder.display())?;
                lines(f, problems)
            }
            Self::DatabaseMissing { path } => {
                write!(f, "there is no database at {}", path.display())
            }
            Self::NotADatabase { path, detail } => {
                write!(f, "{} is not a usable SQLite database: {detail}", path.display())
            }
            Self::Corrupt { path, findings } => {
                write!(f, "the database {} is damaged", path.display())?;
                lines(f, findings)
            }
            Self::ForeignUrl { scheme } => {
                write!(f, "the database URL is for {scheme}, not for SQLite")
            }
            Self::UnknownRevision { revision, head } => write!(
                f,
                "the database is at revision '{revision}', which is not among the migration files (their head is {head})"
            ),
            Self::Unplaceable {
                message,
                differences,
            } => {
                f.write_str(message)?;
                lines(f, differences)
            }
            Self::MigrationFailed(failure) => write!(
                f,
                "{} failed at statement {}, line {}: {}\n    {}",
                failure.file.display(),
                failure.statement,
                failure.line,
                failure.cause,
                failure.excerpt
            ),
            Self::UnknownEnumValues { problems } => {
                f.write_str("enum columns hold values that are not allowed and that no rule maps")?;
                lines(f, problems)
            }
            Self::VerificationFailed { problems } => {
                f.write_str("the migrated database did not pass verification")?;
                lines(f, problems)
            }
            Self::NotProven { cause, detail, backup } => write!(
                f,
                "OPERATOR NEEDED: the job failed and the database could NOT be proven to be as before: {detail}\n  \
                 first failure: {cause}\n  backup: {}",
                backup.display()
            ),
            Self::BackupUnusable { backup, reason } => {
                write!(f, "the backup {} cannot be used: {reason}", backup.display())
            }
            Self::NoSuchBackup { wanted, folder } => {
                write!(f, "there is no backup '{wanted}' in {}", folder.display())
            }
            Self::Locked {
                path,
                waited_ms,
                holders,
            } => {
                write!(
                    f,
                    "{} is in use by others; waited {:.1} s",
                    path.display(),
                    seconds(*waited_ms)
                )?;
                lines(f, holders)
            }
            Self::JobRunning {
                path,
                waited_ms,
                holder,
            } => write!(
                f,
                "another safestep job works on {} ({holder}); waited {:.1} s",
                path.display(),
                seconds(*waited_ms)
            ),
            Self::DiskSpace {
                path,
                needed_bytes,
                free_bytes,
            } => write!(
                f,
                "too little space at {}: {needed_bytes} bytes are needed, {free_bytes} are free",
                path.display()
            ),
            Self::Interrupted { signal } => write!(f, "interrupted by {}", signal_name(*signal)),
            Self::Io {
                doing,
                path,
                source,
            } => write!(f, "could not {doing} {}: {source}", path.display()),
            Self::Sqlite { doing, failure } => write!(f, "could not {doing}: {failure}"),
        }
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

fn no_such_revision(
    f: &mut fmt::Formatter<'_>,
    given: &str,
    candidates: &[String],
) -> fmt::Result {
    if candidates.is_empty() {
        write!(f, "there is no revision '{given}'")
    } else {
        write!(f, "'{given}' names more than one revision")
    }
}

fn lines<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    items.iter().try_for_each(|item| write!(f, "\n  {item}"))
}

#[allow(clippy::cast_precision_loss)] // a wait is far below 2^52 ms
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn signal_name(signal: i32) -> String {
    match signal {
        2 => "SIGINT".into(),
        15 => "SIGTERM".into(),
        other => format!("signal {other}"),
    }
}
