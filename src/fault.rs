//! Named stop points for crash tests.
//!
//! With the hidden Cargo feature `faults` a run can list the points that it reaches
//! (`SAFESTEP_FAULT_TRACE=<file>`) and kill itself at one of them (`SAFESTEP_FAULT=<name>:<n>`, the n-th time that it
//! is reached), with a SIGKILL that no code of ours can soften. `tests/faults.rs` does that for every point. Without
//! the feature [`reach`] is an empty function, and nothing of this is in the program.

#[cfg(not(feature = "faults"))]
use std::{io::Read, path::Path};

macro_rules! points {
    ($($name:literal $point:ident $meaning:literal)*) => {
        /// A place where stopping means something of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $(#[doc = $meaning] $point,)*
        }

        #[cfg(feature = "faults")]
        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// The name that `SAFESTEP_FAULT` takes.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    "file.created" FileCreated "A new file has its name and its mode, and nothing in it."
    "file.written" FileWritten "A file is written and not synced."
    "file.synced" FileSynced "A file is synced and does not have its final name yet, or its folder is not synced."
    "file.renamed" FileRenamed "A file has its final name, and its folder is not synced."
    "file.settled" FileSettled "A file has its final name, durably."
    "file.removed" FileRemoved "A file that was there is removed."
    "file.owned" FileOwned "A file has got the mode and owner that it should have."
    "folder.made" FolderMade "A folder is made and not synced."
    "lock.taken" LockTaken "The job lock, or that of the backups folder, is held."

    "draft.created" DraftCreated "The draft of a new database is an empty file."
    "draft.built" DraftBuilt "The draft of a new database is complete, committed and closed."
    "draft.published" DraftPublished "A new database has its name."

    "lock.begun" LockBegun "The write lock is held, and nothing is done yet."
    "lock.exclusive" LockExclusive "The first transaction of a plan outside a transaction has ended, the exclusive lock has not."

    "copy.stepped" CopyStepped "The online backup has copied a batch of pages."
    "snapshot.copied" SnapshotCopied "The snapshot is complete and still in the journal mode of its source."
    "snapshot.patched" SnapshotPatched "The snapshot is complete and not synced."
    "snapshot.synced" SnapshotSynced "The snapshot is synced and not read back."
    "snapshot.read" SnapshotRead "The snapshot is read back; no record speaks of it."
    "record.written" RecordWritten "The job record is durable."

    "migrate.savepoint" MigrateSavepoint "The savepoint of a migration is set."
    "migrate.statement" MigrateStatement "A statement of a migration has run."
    "migrate.done" MigrateDone "A migration has run, in the transaction of the whole plan."
    "step.begun" StepBegun "A migration of a plan outside a transaction has begun the transaction of its own."
    "step.committing" StepCommitting "A migration in a transaction of its own is about to be committed."
    "step.done" StepDone "A migration of a plan outside a transaction is done, and committed."
    "enums.column" EnumsColumn "An enum column is normalised."
    "enums.done" EnumsDone "The enum columns are normalised."
    "verify.done" VerifyDone "The result is verified."
    "history.row" HistoryRow "A row of `_sqlx_migrations` is written or deleted."
    "history.stored" HistoryStored "The scripts are kept, and `alembic_version` is not written."
    "history.written" HistoryWritten "All history tables are written."
    "commit.before" CommitBefore "The job is about to be committed."
    "commit.after" CommitAfter "The job is committed."
    "check.done" CheckDone "The committed history is read again."
    "outcome.written" OutcomeWritten "The record has its outcome."
    "outcome.twin" OutcomeTwin "The record names the earlier backup that holds the same."

    "undo.begun" UndoBegun "A job has failed, and nothing is undone yet."
    "undo.rolled_back" UndoRolledBack "A failed job is rolled back to its savepoint; the lock is held."
    "undo.proven" UndoProven "A failed job is rolled back and proven to be."

    "archive.begun" ArchiveBegun "The manifest is on its way into the draft of an archive."
    "archive.half" ArchiveHalf "Half of the database is on its way into the draft of an archive."
    "archive.written" ArchiveWritten "The draft of an archive is complete and not synced."
    "archive.synced" ArchiveSynced "The draft of an archive is synced and not read back."
    "archive.read_half" ArchiveReadHalf "Half of the database in an archive is unpacked, or read back."
    "archive.verified" ArchiveVerified "The draft of an archive is read back."
    "archive.labelled" ArchiveLabelled "An encrypted archive has its label, and not its name."
    "archive.published" ArchivePublished "The archive has its name, and the raw snapshot is still there."
    "archive.reused" ArchiveReused "An earlier backup holds the same; the raw snapshot is still there."
    "archive.settled" ArchiveSettled "The raw snapshot is gone."
    "prune.archive" PruneArchive "An old archive is removed, and its record is not."
    "prune.label" PruneLabel "The label of an archive that is removed is removed, too; its record is not."
    "prune.record" PruneRecord "An old record is removed."
    "prune.done" PruneDone "Everything is done but the report."

    "offsite.uploaded" OffsiteUploaded "A copy of a backup lies off site, and no note says so."
    "offsite.noted" OffsiteNoted "A note says that a copy of a backup lies off site."
    "offsite.protected" OffsiteProtected "The copy that a migration has to wait for is there, and nothing is changed."
    "offsite.removed" OffsiteRemoved "An old copy is removed off site."
    "offsite.fetched" OffsiteFetched "An archive is fetched from off site, and nothing is done with it."

    "restore.unpacked" RestoreUnpacked "A backup is unpacked."
    "restore.safety" RestoreSafety "What is about to be replaced is copied; no record speaks of it."
    "restore.first" RestoreFirst "The first page that differs is written, in an open transaction."
    "restore.half" RestoreHalf "Half of the pages are compared."
    "restore.last" RestoreLast "All pages but page 1 are written."
    "restore.page_one" RestorePageOne "Page 1 is written."
    "restore.cut" RestoreCut "The pages beyond the end are cut off."
    "restore.cookie" RestoreCookie "The schema cookie is renewed, and the restore is about to be committed."
    "restore.committed" RestoreCommitted "The restore is committed."
    "restore.journal" RestoreJournal "The journal mode is that of the snapshot again."
    "restore.proven" RestoreProven "The restored database is read again."
    "restore.superseded" RestoreSuperseded "A job that was cut short is superseded by the restore."

    "copyback.unlocked" CopybackUnlocked "The pages do not fit; the transaction is given up for the copy."
    "copyback.left_wal" CopybackLeftWal "The database has left WAL mode for the time of the copy."
    "copyback.copied" CopybackCopied "The snapshot is copied over the database."
    "copyback.wal" CopybackWal "The database is in WAL mode again."

    "damaged.file" DamagedFile "One file of a damaged database is kept."
    "damaged.kept" DamagedKept "The bytes of a damaged database are kept."
    "replace.drafted" ReplaceDrafted "The file that takes the place of a database is complete, beside it."
    "replace.sidecar" ReplaceSidecar "A WAL or journal of what is thrown away is removed."
    "replace.replaced" ReplaceReplaced "The new file has taken the place of the database."

    "recovery.judged" RecoveryJudged "A job that was cut short is looked at, and nothing is done about it."
    "recovery.restored" RecoveryRestored "The snapshot of a job that was cut short is put back, and its record does not say so."
    "recovery.closed" RecoveryClosed "The record of a job that was cut short has its outcome."
    "recovery.archived" RecoveryArchived "The snapshot of a job that was cut short is a backup; the raw file is still there."
    "recovery.swept" RecoverySwept "Everything that was cut short is settled."
}

/// The process may be killed here.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn reach(_: Point) {}

/// As [`reach`], where `path` is a file and not a database in memory.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn reach_on_disk(_: &Path, _: Point) {}

/// A reader that reaches `point` when half of its `length` bytes have been read.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn at_half<R: Read>(_: Point, _: u64, inner: R) -> impl Read {
    inner
}

#[cfg(feature = "faults")]
pub use armed::{at_half, reach, reach_on_disk};

#[cfg(feature = "faults")]
mod armed {
    use std::collections::BTreeMap;
    use std::env;
    use std::fs::OpenOptions;
    use std::io::{self, Read, Write};
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use super::Point;

    static STATE: OnceLock<Mutex<State>> = OnceLock::new();

    struct State {
        trace: Option<PathBuf>,
        kill: Option<(String, u32)>,
        reached: BTreeMap<Point, u32>,
    }

    impl State {
        fn read() -> Mutex<Self> {
            let kill = env::var("SAFESTEP_FAULT").ok().and_then(|text| {
                let (name, count) = text.split_once(':')?;
                Some((name.to_owned(), count.parse().ok()?))
            });
            Mutex::new(Self {
                trace: env::var_os("SAFESTEP_FAULT_TRACE").map(PathBuf::from),
                kill,
                reached: BTreeMap::new(),
            })
        }

        fn reach(&mut self, point: Point) {
            let count = self.reached.entry(point).or_default();
            *count += 1;
            let is_it = |(name, n): &(String, u32)| name == point.name() && n == count;
            if self.kill.as_ref().is_some_and(is_it) {
                die();
            }
            if let Some(path) = &self.trace {
                append(path, point).unwrap_or_else(|_| std::process::abort());
            }
        }
    }

    fn append(path: &Path, point: Point) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(format!("{}\n", point.name()).as_bytes())
    }

    fn die() {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    /// The process may be killed here.
    pub fn reach(point: Point) {
        STATE
            .get_or_init(State::read)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reach(point);
    }

    /// As [`reach`], where `path` is a file and not a database in memory.
    pub fn reach_on_disk(path: &Path, point: Point) {
        if path != Path::new(":memory:") {
            reach(point);
        }
    }

    /// A reader that reaches `point` when half of its `length` bytes have been read.
    pub fn at_half<R: Read>(point: Point, length: u64, inner: R) -> impl Read {
        Halfway {
            inner,
            point,
            left: length / 2,
            reached: false,
        }
    }

    struct Halfway<R> {
        inner: R,
        point: Point,
        left: u64,
        reached: bool,
    }

    impl<R: Read> Read for Halfway<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.inner.read(buffer)?;
            self.left = self.left.saturating_sub(count as u64);
            if self.left == 0 && !self.reached {
                self.reached = true;
                reach(self.point);
            }
            Ok(count)
        }
    }
}
