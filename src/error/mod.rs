//! What can go wrong, as facts. The message (`Display`), the advice
//! ([`Error::hint`]) and the exit code ([`Error::exit_code`]) are three
//! questions with three answers.

mod advice;
mod code;
mod discreet;
mod message;
mod offsite;
mod place;
mod sqlite;
mod time;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use code::{NOT_PROVEN, is_something_else};
pub use offsite::{OffsiteCause, OffsiteFailure};
pub use place::{Nearest, NewerRevision, Revision};
pub use sqlite::SqliteFailure;
pub use time::{Moment, OutOfTime, TimeLimit, TooLong, WindowFacts};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

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
    /// A pattern of databases matches none.
    NoneFound { patterns: String, folder: PathBuf },
    /// Of many databases some failed: each with its reason. The code is that of the whole.
    SomeFailed {
        failed: Vec<Problem>,
        not_started: usize,
        /// Why they were not.
        stopped: String,
        total: usize,
        exit_code: u8,
    },
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
    /// A backup is encrypted, and what would open it is not at hand.
    KeyNeeded {
        backup: PathBuf,
        reason: String,
        /// There were keys of this kind, and none of them opens it.
        tried: bool,
    },
    /// Of the backups that were verified, these cannot be used.
    BackupsUnusable {
        checked: usize,
        problems: Vec<Problem>,
    },
    /// An off-site store did not do what it was asked to.
    Offsite(Box<OffsiteFailure>),
    /// The record of a job cannot be used.
    RecordUnusable { record: PathBuf, reason: String },
    /// No backup has that name.
    NoSuchBackup {
        wanted: String,
        folder: PathBuf,
        candidates: Vec<String>,
    },
    /// There is no backup off site, neither in the folder that was named nor in that of the database below it.
    NothingOffsite { place: String, folders: Vec<String> },
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
    /// The backups would take more than they may.
    OverMaxTotal {
        folder: PathBuf,
        needed_bytes: u64,
        stay_bytes: u64,
        max_bytes: u64,
    },
    /// Stopped by a signal.
    Interrupted { signal: i32 },
    /// The window in which it may run is closed.
    OutsideWindow(Box<WindowFacts>),
    /// Stopped by its deadline, or by the end of its window.
    OutOfTime(Box<OutOfTime>),
    /// Not begun, since it would not be done by its deadline, or by the end of its window.
    WouldNotFinish(Box<TooLong>),
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
    /// Says what was going on when time was up, unless that was said nearer to it.
    #[must_use]
    pub fn during(mut self, what: impl FnOnce() -> String) -> Self {
        if let Self::OutOfTime(facts) = &mut self
            && facts.during.is_empty()
        {
            facts.during = what();
        }
        self
    }

    /// As [`Self::during`], where others were waited for.
    #[must_use]
    pub fn waiting_for(mut self, what: &str, who: impl FnOnce() -> Vec<Holder>) -> Self {
        if let Self::OutOfTime(facts) = &mut self {
            facts.during = format!("while it waited for {what}");
            facts.holders = who();
        }
        self
    }

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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotProven { cause, .. } => Some(cause.as_ref()),
            _ => None,
        }
    }
}
