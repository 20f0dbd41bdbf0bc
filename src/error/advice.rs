//! What to do next, for every failure.

use std::io;

use super::{Error, Holder, Nearest, NewerRevision, Problem};

const DAMAGED: &str = "Do not migrate a damaged database. Stop the application, keep a copy of the file with its -wal and -journal, \
     then put a backup back: `safestep restore latest`.";

const DENIED: &str = "safestep must run as the user that owns the database, and the database's and the backups' folders must be writable.";

const UNOPENABLE: &str = "Look at the rights of the file and its folder, at the free space and inodes of its disk and at the limit of open files; \
     `safestep doctor` helps. Then run the same command again.";

const NO_TEMPORARY_FOLDER: &str = "SQLite has no folder for its temporary files: /var/tmp and /tmp are missing or cannot be written. \
     Set SQLITE_TMPDIR to a folder with room for the largest table, such as the database's, and run the same command again.";

impl Error {
    /// What to do next, with commands that have these flags behind them.
    #[must_use]
    pub fn hint_for(&self, flags: &str) -> String {
        let hint = self.hint();
        // What stands in backticks is code, and every second piece is between two of them.
        let pieces = hint.split('`').enumerate().map(|(number, piece)| {
            if number % 2 == 1 && piece.starts_with("safestep ") {
                format!("{piece}{flags}")
            } else {
                piece.to_owned()
            }
        });
        pieces.collect::<Vec<_>>().join("`")
    }

    /// What to do next.
    #[must_use]
    #[allow(clippy::too_many_lines)] // one short arm a failure
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
            Self::ChangedMigrations { .. } => "Put the old text back and write a new migration for the change. If the change is meant to stand, \
                 record the files as they are: `safestep repair`."
                .into(),
            Self::DatabaseMissing { .. } => "Most often the volume is not mounted: check the mount and the path. \
                 If the file was lost: `safestep restore latest`. For a new \
                 installation: `safestep run --create-if-missing`."
                .into(),
            Self::NoneFound { .. } => "Most often the volume is not mounted, or the pattern is relative to another folder: check both. \
                 A pattern stands in quotes; * does not match a slash, and ** any number of folders."
                .into(),
            Self::SomeFailed { exit_code: 6, .. } => "Stop the applications of those with exit code 6 now, and put their backups back as their lines say. \
                 The others are as their lines say."
                .into(),
            Self::SomeFailed { .. } => "Do for each as its line says, then run the same command again: those that are done are passed over."
                .into(),
            Self::NotADatabase { .. } => "Check the path. If this is where the database should be, put a backup back: \
                 `safestep restore latest`."
                .into(),
            Self::Corrupt { .. } => DAMAGED.into(),
            Self::Halfway { .. } => "`safestep run` puts it right: it finishes the job or puts its snapshot back. Do not start the \
                 application before."
                .into(),
            Self::ForeignUrl { .. } => "safestep migrates SQLite databases. Give --database the path of one, \
                 or unset DATABASE_URL here."
                .into(),
            Self::UnknownRevision(newer) => newer_hint(newer),
            Self::Unplaceable {
                nearest: Some(nearest),
                ..
            } => nearest_hint(nearest),
            Self::Unplaceable { .. } => "Nothing was changed. Compare the schema with `safestep doctor`; put the history or the schema right, \
                 or restore a backup."
                .into(),
            Self::SchemaDiffers {
                force: Some(revision),
                ..
            } => format!(
                "Put the schema right, or name the revision that it is at. If the differences are meant: `safestep stamp {revision} --force`."
            ),
            Self::SchemaDiffers { force: None, .. } => {
                "Put the old text back into the files and write a new migration for the change.".into()
            }
            Self::MigrationFailed(failure) if failure.raised => {
                "Do as the migration's message says, and run the same command again.".into()
            }
            Self::MigrationFailed(failure) if failure.stored => {
                "This script is kept in the database, not in a file: go back with the image that holds the revision, \
                 or `safestep restore <backup>`."
                    .into()
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
            Self::Offsite(failure) => failure.cause.hint().into(),
            Self::RecordUnusable { record, .. } => format!(
                "It may be the trace of a job that was cut short. `safestep backups list` shows the backup of that time: put it back \
                 (`safestep restore <backup>`), or leave the database if the application finds all well in it. Then move {} out of the \
                 folder and run the same command again.",
                record.display()
            ),
            Self::BackupUnusable { backup, .. } if backup.to_string_lossy().contains("://") => {
                "Use another one: `safestep backups list --remote` shows what there is.".into()
            }
            Self::BackupUnusable { .. } => {
                "Use another one: `safestep backups list` shows what there is.".into()
            }
            Self::KeyNeeded { .. } => "Give the key that belongs to it: --identity-file FILE, or --passphrase-file FILE, or SAFESTEP_PASSPHRASE. What \
                 was encrypted before a change of keys wants the key of that time. Nothing is lost: the backup is as it was."
                .into(),
            Self::BackupsUnusable { problems, .. } if problems.iter().any(lies_off_site) => {
                "Remove the bad ones there, archive and label, then `safestep backups upload --all` sends again what is sound here. Where \
                 nothing is: `safestep backup`."
                    .into()
            }
            Self::BackupsUnusable { .. } => "Take a new one now: `safestep backup`. Then look at the disk that the bad ones lie on; they are kept until \
                 they are pruned or you move them away."
                .into(),
            Self::NoSuchBackup { folder, .. } if folder.to_string_lossy().contains("://") => {
                format!(
                    "`safestep backups list {}` shows what there is; to restore, the URL ends in /latest, an id or a file's name.",
                    folder.display()
                )
            }
            Self::NothingOffsite { folders, .. } if folders.is_empty() => {
                "Check bucket and prefix; a backup is there once its label is (….label.json).".into()
            }
            Self::NothingOffsite { .. } => {
                "Name one of these folders behind it in the URL, such as …/fastflow/latest.".into()
            }
            Self::NoSuchBackup { .. } => "`safestep backups list` shows what there is.".into(),
            Self::Locked { holders, .. } => locked_hint(holders),
            Self::JobRunning { .. } => {
                "Wait for the other job to end, or give a longer --lock-timeout.".into()
            }
            Self::DiskSpace { .. } => {
                "Free some space there; if it is the backups that need it, put --backups on a larger disk. Then run the same command again.".into()
            }
            Self::OverMaxTotal { .. } => {
                "Raise --max-total, also on this one command, or move away what `safestep backups prune --dry-run` shows to stay. Nothing was removed.".into()
            }
            Self::Interrupted { .. } => "Run the same command again.".into(),
            Self::OutsideWindow(_) => "Run the same command again then, or let it wait: --wait. To run it now all the same: --window \"daily 00:00-24:00\"."
                .into(),
            Self::OutOfTime(facts) if !facts.holders.is_empty() => {
                "Stop or finish what holds it, then run the same command again.".into()
            }
            Self::OutOfTime(_) => "Give it more time: a longer --deadline or --window. `safestep plan` says how long it would take.".into(),
            Self::WouldNotFinish(_) => "Give it more time: a longer --deadline or --window. To start all the same: --start-anyway; what is not \
                 done in time is rolled back then."
                .into(),
            Self::Io { source, .. } => io_hint(source),
            Self::Sqlite { failure, .. } if failure.is_busy() => {
                "Run the same command again when nobody else writes.".into()
            }
            Self::Sqlite { failure, .. } if failure.needs_rollback() => "A process was killed while it wrote, and has left a journal that must be rolled back, which a command \
                 that only looks may not do. `safestep run` rolls it back and finishes what was cut short; so does the application when it starts."
                .into(),
            Self::Sqlite { failure, .. } if failure.is_damage() => DAMAGED.into(),
            Self::Sqlite { failure, .. } if failure.is_denied() => DENIED.into(),
            Self::Sqlite { failure, .. } if failure.is_unopenable() => UNOPENABLE.into(),
            Self::Sqlite { failure, .. } if failure.needs_extension() => "The schema needs an extension of the application's that safestep does not have, so it cannot be checked here. \
                 Nothing was changed. Drop what needs it, or migrate this database with the application's own means."
                .into(),
            Self::Sqlite { failure, .. } if failure.has_no_temporary_folder() => {
                NO_TEMPORARY_FOLDER.into()
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

fn newer_hint(newer: &NewerRevision) -> String {
    match &newer.downgrade_to {
        Some(revision) => format!(
            "The image is most likely older than the database: deploy the image that holds this revision. To go back with this image, \
             by the scripts that the database keeps: `safestep downgrade {revision}`. To an older state: `safestep restore <backup>`."
        ),
        None => "The image is most likely older than the database, and the database does not keep the scripts to go back: a newer image \
                 is needed; deploy the one that holds this revision. To go back to an older state: `safestep restore <backup>`."
            .into(),
    }
}

fn nearest_hint(nearest: &Nearest) -> String {
    let Nearest {
        revision,
        exact,
        twin,
        head,
    } = nearest;
    let stamp = |revision: &str| {
        let force = if *exact { "" } else { " --force" };
        let stamp = format!("`safestep stamp {revision}{force}`");
        if revision == head {
            stamp
        } else {
            format!("{stamp}, then `safestep upgrade {head}`")
        }
    };
    let mut text = if *exact {
        format!(
            "Nothing was changed. The schema is that of {revision}; to take the database over as that: {}.",
            stamp(revision)
        )
    } else {
        format!(
            "Nothing was changed. Put the schema right and run the same command again. If it is meant to be so, to take the \
             database over as {revision} all the same: {}.",
            stamp(revision)
        )
    };
    if let Some(twin) = twin {
        text.push_str(&format!(
            " If what {revision} does to the rows was not done yet: {}.",
            stamp(twin)
        ));
    }
    text
}

fn io_hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some space and run the same command again.".into()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DENIED.into()
        }
        _ if super::code::is_in_the_wrong_place(source) => {
            "Something else stands where this file or folder should be: correct the path, or move away what is there.".into()
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

fn lies_off_site(problem: &Problem) -> bool {
    problem.subject.contains("://")
}
