//! What to do next, for every failure.

use std::io;

use super::{Error, Holder};

const DAMAGED: &str = "Do not migrate a damaged database. Stop the application, keep a copy of the file with its -wal and -journal, \
     then put a backup back: `safestep restore latest`.";

impl Error {
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
                "Put the files right and run the same command again.".into()
            }
            Self::DatabaseMissing { .. } => "Most often the volume is not mounted: check the mount and the path. \
                 If the file was lost: `safestep restore latest`. For a new \
                 installation: `safestep run --create-if-missing`."
                .into(),
            Self::NotADatabase { .. } => "Check the path. If this is where the database should be, put a backup back: \
                 `safestep restore latest`."
                .into(),
            Self::Corrupt { .. } => DAMAGED.into(),
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
            Self::WouldFail { .. } => {
                "Put the rows or the migration right as each line says, then look again: `safestep plan`.".into()
            }
            Self::NotAtHead { next, .. } => next.clone(),
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
            Self::Sqlite { failure, .. } if failure.is_damage() => DAMAGED.into(),
            Self::Sqlite { failure, .. } if failure.is_full() => {
                "Free some space on the database's disk and run the same command again.".into()
            }
            Self::Sqlite { .. } => {
                "`safestep doctor` looks at the database, its locks and its disk.".into()
            }
        }
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
