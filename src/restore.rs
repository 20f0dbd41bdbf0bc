//! Catalogue -> live database. One engine for the automatic restore, crash recovery and `safestep restore`.
//!
//! Three ways, the first that fits:
//! 1. write the pages that differ, in one transaction, into the live file;
//! 2. where page sizes differ or SQLite lacks `sqlite_dbpage`, the online backup in reverse;
//! 3. where the live file is missing or no database, a new file is renamed into its place.
//!
//! The first two keep the inode, and every process that has the file open sees one commit.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalog::discard_database;
use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{
    self, Access, Begin, Connection, ContentDigest, Depth, FileFacts, Interrupt, Layout,
    PagesWritten,
};
use crate::storage::{self, Ownership};

/// Pages that may come back into memory at once; of the usual size 16 MiB.
const PAGES_IN_MEMORY: u64 = 4096;

/// How the database came to be as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// SQLite rolled the transaction back.
    RolledBack,
    /// The snapshot's pages were written over those that differed.
    PagesRestored,
    /// The snapshot was copied over the database by the online backup.
    Copied,
    /// A new file took the place of one that was missing or no database.
    Replaced,
    /// SQLite rolled back by itself and another process has written since: there is nothing to compare with any more.
    OthersWroteSince,
}

/// That the live database equals the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How it came about.
    pub method: Method,
    /// The content digest of the snapshot.
    pub snapshot_digest: String,
    /// The content digest of the live database, read under the write lock.
    pub live_digest: String,
    /// Pages that the restore wrote.
    pub pages_written: Option<u32>,
}

/// Everything that putting a database right needs.
#[derive(Clone)]
pub struct Restorer<'a> {
    /// The raw snapshot: a database file in rollback-journal mode.
    pub snapshot: PathBuf,
    /// Its content digest.
    pub expected: ContentDigest,
    /// The journal mode that the live database is to have; empty for the one that it has.
    pub journal_mode: String,
    /// How long to wait for locks.
    pub deadline: Deadline,
    /// Usually shielded by now.
    pub interrupt: &'a Interrupt,
    /// Hears of the progress.
    pub monitor: &'a dyn Monitor,
}

impl Restorer<'_> {
    /// After a failure inside the job's transaction: back to the savepoint, compare under the lock that is still held,
    /// and give it up. `watcher` is a second connection that saw the database under that lock (`version` is its
    /// `data_version` of then): it tells whether others have written since SQLite gave the lock up by itself.
    pub async fn undo_transaction(
        &self,
        live: &mut Connection,
        savepoint: &str,
        watcher: &mut Connection,
        version: i64,
    ) -> Result<Proof> {
        self.monitor
            .step("roll back, and compare with the snapshot");
        let expected = self.expected;
        if live.in_transaction().await? && self.fits_into_memory(live).await? {
            let back = format!("ROLLBACK TO {savepoint}");
            live.run("roll back to the savepoint", &back).await?;
        } else {
            sqlite::rollback(live).await?;
            sqlite::begin(live, Begin::Immediate, self.deadline, self.interrupt, || ()).await?;
            if data_version(watcher).await? != version {
                return self.others_wrote_since(live, expected).await;
            }
        }
        fault::reach(Point::UndoRolledBack);
        let found = self.digest(live).await?;
        if found == expected {
            fault::reach(Point::UndoProven);
            sqlite::rollback(live).await?;
            return Ok(proof(Method::RolledBack, expected, found, None));
        }
        self.put_back_in_transaction(live).await
    }

    /// In WAL mode ROLLBACK TO brings every page that was written back into memory; after ROLLBACK the lock has to be taken
    /// again, and somebody else may be faster.
    async fn fits_into_memory(&self, live: &mut Connection) -> Result<bool> {
        Ok(self.journal_mode != "wal" || live.pages_written().await? <= PAGES_IN_MEMORY)
    }

    async fn others_wrote_since(
        &self,
        live: &mut Connection,
        expected: ContentDigest,
    ) -> Result<Proof> {
        let found = self.digest(live).await?;
        let findings = sqlite::check(live, Depth::Quick).await?;
        sqlite::rollback(live).await?;
        if findings.is_empty() {
            return Ok(proof(Method::OthersWroteSince, expected, found, None));
        }
        Err(Error::Corrupt {
            path: live.path().to_path_buf(),
            findings,
        })
    }

    /// Puts the snapshot back through a connection without a transaction.
    pub async fn put_back(&self, live: &mut Connection) -> Result<Proof> {
        sqlite::rollback(live).await?;
        sqlite::begin(live, Begin::Immediate, self.deadline, self.interrupt, || ()).await?;
        self.put_back_in_transaction(live).await
    }

    /// Puts the snapshot back inside the write transaction that is open, and ends it.
    pub async fn put_back_in_transaction(&self, live: &mut Connection) -> Result<Proof> {
        let expected = self.expected;
        // Commits of this connection do not change it.
        let version = data_version(live).await?;
        self.monitor.step("pages that differ");
        let written = self.write_pages(live).await?;
        let (proven, version) = if let Some(pages) = written {
            // Compared before the commit, since others may write right after it.
            if let Some(found) = pages.digest.filter(|found| *found != expected) {
                return Err(differs(live, found, expected));
            }
            fault::reach(Point::RestoreCookie);
            let committed = sqlite::commit(live, self.deadline, self.interrupt, || ()).await;
            if let Err(error) = committed
                && !self.holds(live, expected).await?
            {
                return Err(error);
            }
            fault::reach(Point::RestoreCommitted);
            let proven = pages
                .digest
                .map(|found| proof(Method::PagesRestored, expected, found, written));
            (proven, version)
        } else {
            sqlite::rollback(live).await?;
            fault::reach(Point::CopybackUnlocked);
            self.copy_back(live).await?;
            (None, data_version(live).await?)
        };
        let written = (expected, written);
        match self
            .settle(live, proven.clone(), Some(version), written)
            .await
        {
            // Once more: what failed may have been the machine, for a moment.
            Err(_) => {
                live.reopen().await?;
                self.settle(live, proven, None, written).await
            }
            done => done,
        }
    }

    /// What is left to do after the commit.
    async fn settle(
        &self,
        live: &mut Connection,
        proven: Option<Proof>,
        version: Option<i64>,
        written: (ContentDigest, Option<PagesWritten>),
    ) -> Result<Proof> {
        // The page cache still holds b-tree pages parsed before they were overwritten.
        live.run("empty the page cache", "PRAGMA shrink_memory")
            .await?;
        self.restore_journal_mode(live).await?;
        fault::reach(Point::RestoreJournal);
        self.monitor.step("proof");
        let proof = self.prove(live, proven, version, written).await;
        fault::reach(Point::RestoreProven);
        proof
    }

    /// Whether the live database still holds what `before` does, after a restore that failed.
    pub async fn is_untouched(&self, live: &mut Connection, before: &Path) -> Result<bool> {
        let before = sqlite::digest_file(before)?;
        self.holds(live, before).await
    }

    /// Reads anew what the live database holds. SQLite reports a COMMIT as failed, too, when it is done and only giving up
    /// the lock has failed.
    async fn holds(&self, live: &mut Connection, expected: ContentDigest) -> Result<bool> {
        sqlite::rollback(live).await?;
        sqlite::begin(live, Begin::Immediate, self.deadline, self.interrupt, || ()).await?;
        let found = self.digest(live).await;
        sqlite::rollback(live).await?;
        Ok(found? == expected)
    }

    async fn write_pages(&self, live: &mut Connection) -> Result<Option<PagesWritten>> {
        if !sqlite::pages_available(live).await? {
            return Ok(None);
        }
        sqlite::restore_pages(live, &self.snapshot, self.interrupt, self.monitor).await
    }

    /// The backup API writes its destination in one transaction of its own. In WAL mode it cannot change the page
    /// size, so where that differs the journal mode changes for the time of the copy.
    async fn copy_back(&self, live: &mut Connection) -> Result<()> {
        let facts = FileFacts::read(live).await?;
        let page_size = Layout::of_file(&self.snapshot)?.map(|layout| layout.page_size);
        let leaves_wal = facts.is_wal() && page_size != Some(facts.page_size);
        if leaves_wal {
            sqlite::leave_wal(live, self.deadline, self.interrupt, || ()).await?;
            fault::reach(Point::CopybackLeftWal);
        }
        self.monitor.step("copy");
        let mut source = Connection::open(&self.snapshot, Access::ReadOnly, self.interrupt).await?;
        let copied = sqlite::copy(
            &mut source,
            live,
            self.deadline,
            self.interrupt,
            self.monitor,
        )
        .await;
        source.close().await?;
        fault::reach(Point::CopybackCopied);
        if leaves_wal {
            sqlite::enter_wal(live, self.deadline, self.interrupt, || ()).await?;
            fault::reach(Point::CopybackWal);
        }
        copied
    }

    async fn restore_journal_mode(&self, live: &mut Connection) -> Result<()> {
        if self.journal_mode.is_empty() {
            return Ok(());
        }
        sqlite::begin_reading(live, self.deadline, self.interrupt, || ()).await?;
        let facts = FileFacts::read(live).await;
        sqlite::rollback(live).await?;
        let was_wal = self.journal_mode == "wal";
        if facts?.is_wal() == was_wal {
            return Ok(());
        }
        let mode = if was_wal { "WAL" } else { "DELETE" };
        let sql = format!("PRAGMA journal_mode = {mode}");
        live.run("set the journal mode back", &sql)
            .await
            .map(|_| ())
    }

    /// Reads the database once more after the commit. Where others have written since (its `data_version` is no longer
    /// `version`), what was `proven` before the commit counts; so it does where the connection had to be opened anew, which
    /// cannot tell that any more.
    async fn prove(
        &self,
        live: &mut Connection,
        proven: Option<Proof>,
        version: Option<i64>,
        (expected, written): (ContentDigest, Option<PagesWritten>),
    ) -> Result<Proof> {
        sqlite::begin(live, Begin::Immediate, self.deadline, self.interrupt, || ()).await?;
        let now = data_version(live).await?;
        if version.is_some_and(|version| version != now) {
            return match proven {
                Some(proof) => sqlite::rollback(live).await.map(|()| proof),
                None => self.others_wrote_since(live, expected).await,
            };
        }
        let found = if sqlite::pages_available(live).await? {
            let found = sqlite::digest_live(live).await;
            sqlite::rollback(live).await?;
            found?
        } else {
            // The backup API does not read from a connection that is in a write transaction.
            sqlite::rollback(live).await?;
            self.digest_of_copy(live).await?
        };
        if found != expected {
            let others_may_have_written = version.is_none();
            return proven
                .filter(|_| others_may_have_written)
                .ok_or_else(|| differs(live, found, expected));
        }
        let method = written.map_or(Method::Copied, |_| Method::PagesRestored);
        Ok(proof(method, expected, found, written))
    }

    /// The content digest inside the open transaction. Without `sqlite_dbpage` it is that of the last commit, read
    /// through a second connection, since the backup API does not read from one that is writing.
    async fn digest(&self, live: &mut Connection) -> Result<ContentDigest> {
        if sqlite::pages_available(live).await? {
            return sqlite::digest_live(live).await;
        }
        let mut committed = Connection::open(live.path(), Access::ReadOnly, self.interrupt).await?;
        let digest = self.digest_of_copy(&mut committed).await;
        committed.close().await?;
        digest
    }

    async fn digest_of_copy(&self, source: &mut Connection) -> Result<ContentDigest> {
        let scratch = storage::sibling(&self.snapshot, ".unpacked.db");
        discard_database(&scratch)?;
        drop(storage::create_new(&scratch)?);
        let mut target = Connection::open(&scratch, Access::Scratch, self.interrupt).await?;
        sqlite::copy(
            source,
            &mut target,
            self.deadline,
            self.interrupt,
            self.monitor,
        )
        .await?;
        target.close().await?;
        let digest = sqlite::digest_file(&scratch)?;
        discard_database(&scratch)?;
        Ok(digest)
    }

    /// The third way: the live file is missing or no database. Its WAL and journal belong to what is thrown away; left
    /// in place they would be replayed into the new file, and so they are gone for good before that has its name. It is
    /// in the journal mode that is wanted from the beginning. The snapshot becomes that file.
    pub fn replace_file(&self, database: &Path, ownership: Ownership) -> Result<Proof> {
        let draft = draft_of(database);
        storage::remove(&draft)?;
        let is_same_file = storage::relocate(&self.snapshot, &draft)?;
        if self.journal_mode == "wal" {
            sqlite::mark_wal(&draft)?;
        }
        storage::set_ownership(&draft, ownership)?;
        fault::reach(Point::ReplaceDrafted);
        for sidecar in ["-wal", "-shm", "-journal"] {
            storage::remove(&storage::sibling(database, sidecar))?;
            fault::reach(Point::ReplaceSidecar);
        }
        storage::sync_folder_of(database)?;
        storage::replace_with(&draft, database)?;
        fault::reach(Point::ReplaceReplaced);
        let expected = self.expected;
        // The file from which the expected digest was read is the database now. A copy has to be read again.
        let found = if is_same_file {
            expected
        } else {
            sqlite::digest_file(database)?
        };
        if found != expected {
            return Err(Error::Corrupt {
                path: database.to_path_buf(),
                findings: vec!["the copied file differs from the backup".into()],
            });
        }
        Ok(proof(Method::Replaced, expected, found, None))
    }
}

/// What a file is called until it takes the place of a database.
#[must_use]
pub fn draft_of(database: &Path) -> PathBuf {
    storage::sibling(database, ".safestep-restore")
}

/// Changes whenever another connection commits (<https://www.sqlite.org/pragma.html#pragma_data_version>).
pub async fn data_version(connection: &mut Connection) -> Result<i64> {
    connection
        .scalar("ask for the data version", "PRAGMA data_version")
        .await
}

fn differs(live: &Connection, found: ContentDigest, expected: ContentDigest) -> Error {
    Error::Corrupt {
        path: live.path().to_path_buf(),
        findings: vec![format!(
            "content digest {} after the restore, the snapshot has {}",
            found.to_hex(),
            expected.to_hex()
        )],
    }
}

fn proof(
    method: Method,
    expected: ContentDigest,
    found: ContentDigest,
    written: Option<PagesWritten>,
) -> Proof {
    Proof {
        method,
        snapshot_digest: expected.to_hex(),
        live_digest: found.to_hex(),
        pages_written: written.map(|pages| pages.written),
    }
}
