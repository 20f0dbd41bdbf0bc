//! What a failure means to whoever started the program: an exit code for podFailurePolicy and cron, a word for JSON.

use std::io;

use super::{Error, SqliteFailure};

/// The exit code of a failure after which the database is not proven to be as before.
pub const NOT_PROVEN: u8 = 6;

impl Error {
    /// The process's exit code; the table is in `docs/design.md`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::NoSuchRevision { .. } | Self::KeyNeeded { .. } => 2,
            Self::Migrations { .. } | Self::ChangedMigrations { .. } => 3,
            Self::SomeFailed { exit_code, .. } => *exit_code,
            Self::DatabaseMissing { .. }
            | Self::NoneFound { .. }
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
            Self::NotProven { .. } => NOT_PROVEN,
            Self::BackupUnusable { .. }
            | Self::BackupsUnusable { .. }
            | Self::RecordUnusable { .. }
            | Self::NoSuchBackup { .. }
            | Self::NothingOffsite { .. } => 7,
            Self::Offsite(failure) => failure.cause.exit_code(),
            Self::Locked { .. }
            | Self::JobRunning { .. }
            | Self::DiskSpace { .. }
            | Self::OverMaxTotal { .. }
            | Self::OutsideWindow(_)
            | Self::OutOfTime(_)
            | Self::WouldNotFinish(_) => 75,
            Self::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
            Self::Io { source, .. } => io_exit_code(source),
            Self::Sqlite { failure, .. } => sqlite_exit_code(failure),
        }
    }

    /// What stands at a path is to blame, or who may read it; not the machine.
    #[must_use]
    pub fn is_of_the_path(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_in_the_wrong_place(source))
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
            Self::NoneFound { .. } => "no_database_found",
            Self::SomeFailed { .. } => "databases_failed",
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
            Self::KeyNeeded { .. } => "key_needed",
            Self::BackupsUnusable { .. } => "backups_unusable",
            Self::Offsite(failure) => failure.cause.code(),
            Self::RecordUnusable { .. } => "record_unusable",
            Self::NoSuchBackup { .. } | Self::NothingOffsite { .. } => "no_such_backup",
            Self::Locked { .. } => "locked",
            Self::JobRunning { .. } => "job_running",
            Self::DiskSpace { .. } => "disk_space",
            Self::OverMaxTotal { .. } => "over_max_total",
            Self::Interrupted { .. } => "interrupted",
            Self::OutsideWindow(_) => "outside_window",
            Self::OutOfTime(_) => "out_of_time",
            Self::WouldNotFinish(_) => "would_not_finish",
            Self::Io { .. } => "io",
            Self::Sqlite { .. } => "sqlite",
        }
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
pub(super) fn is_in_the_wrong_place(source: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    is_something_else(source)
        || matches!(
            source.kind(),
            Kind::PermissionDenied
                | Kind::ReadOnlyFilesystem
                | Kind::AlreadyExists
                | Kind::InvalidFilename
        )
}

/// What stands at a path is no file, or no folder, or larger than such a file can be, or a link to nothing: neither the
/// machine nor a missing right is to blame.
#[must_use]
pub fn is_something_else(source: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    use rustix::io::Errno;
    let loop_or_socket = [Errno::LOOP, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
    loop_or_socket.contains(&source.raw_os_error())
        || matches!(
            source.kind(),
            Kind::NotFound
                | Kind::NotADirectory
                | Kind::IsADirectory
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
