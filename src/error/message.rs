//! What happened and where, for every failure.

use std::fmt;

use super::{Error, WindowFacts};

impl fmt::Display for Error {
    #[allow(clippy::too_many_lines)] // one short arm a failure
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { message, .. } => f.write_str(message),
            Self::NoSuchRevision { given, candidates } => no_such_revision(f, given, candidates),
            Self::Migrations { folder, problems } => {
                write!(
                    f,
                    "the migrations in {} are not acceptable",
                    folder.display()
                )?;
                lines(f, problems)
            }
            Self::ChangedMigrations { problems } => {
                f.write_str("the migration files are not the ones that were applied")?;
                lines(f, problems)
            }
            Self::DatabaseMissing { path } => {
                write!(f, "there is no database at {}", path.display())
            }
            Self::NoneFound { patterns, folder } => write!(
                f,
                "no database matches {patterns} (looked in {})",
                folder.display()
            ),
            Self::SomeFailed {
                failed,
                not_started,
                stopped,
                total,
                ..
            } => {
                write!(f, "{} of {total} databases failed", failed.len())?;
                if *not_started > 0 {
                    write!(f, ", and {not_started} were not started: {stopped}")?;
                }
                lines(f, failed)
            }
            Self::NotADatabase { path, detail } => {
                write!(
                    f,
                    "{} is not a usable SQLite database: {detail}",
                    path.display()
                )
            }
            Self::Corrupt { path, findings } => {
                write!(f, "the database {} is damaged", path.display())?;
                lines(f, findings)
            }
            Self::Halfway { job, from, to } => write!(
                f,
                "job {job} was cut short halfway: the database is between {from} and {to}"
            ),
            Self::ForeignUrl { scheme } => {
                write!(f, "the database URL is for {scheme}, not for SQLite")
            }
            Self::UnknownRevision(newer) => write!(
                f,
                "the database is at revision {newer}, which is not among the migration files (the newest is {})",
                newer.head
            ),
            Self::Unplaceable {
                message,
                differences,
                ..
            }
            | Self::SchemaDiffers {
                message,
                differences,
                ..
            } => {
                f.write_str(message)?;
                lines(f, differences)
            }
            Self::MigrationFailed(failure) if failure.statement == 0 => write!(
                f,
                "{} failed at its end: {}",
                failure.file.display(),
                failure.cause
            ),
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
            Self::WouldFail { problems } => {
                f.write_str("the job would fail, and the database would be left as it is")?;
                lines(f, problems)
            }
            Self::NotAtHead {
                message, problems, ..
            } => {
                f.write_str(message)?;
                lines(f, problems)
            }
            Self::NotProven {
                cause,
                detail,
                backup,
            } => write!(
                f,
                "OPERATOR NEEDED: the job failed and the database could NOT be proven to be as before: {detail}\n  \
                 first failure: {cause}\n  backup: {}",
                backup.display()
            ),
            Self::BackupUnusable { backup, reason } => {
                write!(
                    f,
                    "the backup {} cannot be used: {reason}",
                    backup.display()
                )
            }
            Self::KeyNeeded { backup, reason, .. } => {
                write!(
                    f,
                    "the backup {} cannot be opened: {reason}",
                    backup.display()
                )
            }
            Self::BackupsUnusable { checked, problems } => {
                write!(f, "{} of {checked} backups cannot be used", problems.len())?;
                lines(f, problems)
            }
            Self::Offsite(failure) => failure.fmt(f),
            Self::RecordUnusable { record, reason } => {
                write!(
                    f,
                    "the job record {} cannot be used: {reason}",
                    record.display()
                )
            }
            Self::NothingOffsite { place, folders } => {
                write!(f, "there is no backup in {place}")?;
                if !folders.is_empty() {
                    write!(f, ", only folders")?;
                }
                lines(f, folders)
            }
            Self::NoSuchBackup {
                wanted,
                folder,
                candidates,
            } if candidates.is_empty() => {
                write!(f, "there is no backup '{wanted}' in {}", folder.display())
            }
            Self::NoSuchBackup {
                wanted,
                folder,
                candidates,
            } if wanted.starts_with("latest") => {
                write!(
                    f,
                    "none of the backups in {} is of this database; to use another one, name it",
                    folder.display()
                )?;
                lines(f, candidates)
            }
            Self::NoSuchBackup {
                wanted, candidates, ..
            } => {
                write!(f, "'{wanted}' names more than one backup")?;
                lines(f, candidates)
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
                "another safestep job works on {}: {holder}; waited {:.1} s",
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
            Self::OverMaxTotal {
                folder,
                needed_bytes,
                stay_bytes,
                max_bytes,
            } => write!(
                f,
                "the backups in {} may take {max_bytes} bytes (--max-total): the copies need up to {needed_bytes}, and {stay_bytes} have to stay",
                folder.display()
            ),
            Self::Interrupted { signal } => write!(f, "interrupted by {}", signal_name(*signal)),
            Self::OutsideWindow(facts) => outside(f, facts),
            Self::OutOfTime(facts) => {
                facts.fmt(f)?;
                lines(f, &facts.holders)
            }
            Self::WouldNotFinish(facts) => facts.fmt(f),
            Self::Io {
                doing,
                path,
                source,
            } => write!(f, "could not {doing} {}: {source}", path.display()),
            Self::Sqlite { doing, failure } => write!(f, "could not {doing}: {failure}"),
        }
    }
}

fn no_such_revision(f: &mut fmt::Formatter<'_>, given: &str, candidates: &[String]) -> fmt::Result {
    if candidates.is_empty() {
        write!(f, "there is no revision '{given}'")
    } else {
        write!(f, "'{given}' names more than one revision")
    }
}

fn outside(f: &mut fmt::Formatter<'_>, facts: &WindowFacts) -> fmt::Result {
    let WindowFacts {
        window,
        timezone,
        now,
        opens,
        ..
    } = facts;
    write!(
        f,
        "the window \"{window}\" ({timezone}) is closed: it is {now}"
    )?;
    match opens {
        Some(opens) => write!(f, ", and it opens {opens}"),
        None => Ok(()),
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
