//! Live database -> catalogue: a raw copy, durable and read back before anything else happens.
//!
//! What takes long goes side by side while writers wait: the copy, the reading of what it has written, and the check of the
//! live database through a connection of its own.

mod follow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::follow::Follower;
use crate::beside::Beside;
use crate::catalog::{Catalog, FORMAT_VERSION, JobId, Manifest, Purpose, Slot, discard_database};
use crate::clock::{Deadline, Stamp};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{self, Access, Connection, Depth, FileFacts, Interrupt, Layout};
use crate::storage;

/// Kept free beside what we write ourselves, so that the application can go on.
const HEADROOM_BYTES: u64 = 16 * 1024 * 1024;

/// What a snapshot is to be taken of, and why.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where it goes.
    pub catalog: &'a Catalog,
    /// The live database.
    pub database: &'a Path,
    /// The job that takes it.
    pub job: &'a JobId,
    /// Why.
    pub purpose: Purpose,
    /// The live file.
    pub facts: &'a FileFacts,
    /// The revision of its content, in words.
    pub from: String,
    /// Where the job is going.
    pub to: String,
    /// Rows by table, for the manifest.
    pub rows: BTreeMap<String, i64>,
    /// How it is made sure that the database is sound.
    pub examine: Examine,
}

/// How it is made sure that the content of a snapshot is a sound database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examine {
    /// The live database is checked through another connection while it is copied. Nobody may write meanwhile.
    LiveBeside,
    /// The copy is checked when it is complete, so deeply.
    Copy(Depth),
    /// Not here: what a restore is about to replace is kept even if it is damaged; or [`require_sound`] is still to come, or
    /// has been a moment ago.
    Nothing,
}

/// A durable copy of one state of the database, read back. The ticket for every change.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its names in the catalogue.
    pub slot: Slot,
    /// What it is.
    pub manifest: Manifest,
}

impl Snapshot {
    /// The raw copy.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.slot.snapshot()
    }
}

/// Refuses early where the copies would not fit: the raw one and the archive beside the backups, and the journal or
/// WAL of a migration that rewrites everything beside the database; or where nothing can be written at all.
pub fn require_room(catalog: &Catalog, database: &Path, facts: &FileFacts) -> Result<()> {
    storage::require_writable(&storage::folder_of(database))?;
    let journal = facts.size_bytes() + HEADROOM_BYTES;
    if storage::same_file_system(catalog.folder(), database)? {
        storage::require_writable(catalog.folder())?;
        return storage::require_free(catalog.folder(), copies(facts) + journal);
    }
    require_room_to_copy(catalog, facts)?;
    storage::require_free(database, journal)
}

/// As [`require_room`], where the database itself is not changed.
pub fn require_room_to_copy(catalog: &Catalog, facts: &FileFacts) -> Result<()> {
    storage::require_writable(catalog.folder())?;
    storage::require_free(catalog.folder(), copies(facts))
}

/// What a job writes into the backups folder: the raw copy, and an archive that may be as large.
#[must_use]
pub fn copies_bytes(database_bytes: u64) -> u64 {
    database_bytes.saturating_mul(2)
}

fn copies(facts: &FileFacts) -> u64 {
    copies_bytes(facts.size_bytes()) + HEADROOM_BYTES
}

/// What taking a snapshot needs to know of its surroundings.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// How long to wait for others.
    pub deadline: Deadline,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
    /// Hears of the progress.
    pub monitor: &'a dyn Monitor,
}

/// Takes a snapshot through `source`, which must be protected from writers for as long as this runs.
///
/// # Errors
/// [`Error::Corrupt`] when the database shows to be damaged; nothing is left behind then.
pub async fn take(
    source: &mut Connection,
    request: Request<'_>,
    around: Surroundings<'_>,
) -> Result<Snapshot> {
    request.catalog.prepare()?;
    let now = Stamp::now();
    let slot = request
        .catalog
        .new_slot(now, request.job, &request.from, &request.to);
    let path = slot.snapshot();
    let read_back = match copy_and_read(source, &path, &request, around).await {
        Ok(read_back) => read_back,
        Err(error) => {
            // What cannot be removed either, the next start removes; the first failure is the one to tell.
            let _ = discard_database(&path);
            return Err(error);
        }
    };
    fault::reach(Point::SnapshotRead);
    let manifest = manifest(
        &slot,
        now,
        request,
        read_back,
        sqlite::sqlite_version(source).await?,
    )?;
    Ok(Snapshot { slot, manifest })
}

async fn copy_and_read(
    source: &mut Connection,
    path: &Path,
    request: &Request<'_>,
    around: Surroundings<'_>,
) -> Result<ReadBack> {
    let beside = (request.examine == Examine::LiveBeside).then(|| {
        let database = request.database.to_path_buf();
        Beside::start(move |stop| check(database, Depth::Quick, stop))
    });
    let sha256 = copy(source, path, request.facts.page_size, around).await?;
    let layout = require_whole(path, request)?;
    around.monitor.step("check of the database");
    let findings = match (beside, request.examine) {
        (Some(beside), _) => beside.finish(around.interrupt).await?,
        (None, Examine::Copy(depth)) => {
            check(path.to_path_buf(), depth, around.interrupt.clone()).await?
        }
        (None, _) => Vec::new(),
    };
    if findings.is_empty() {
        return Ok(ReadBack { sha256, layout });
    }
    Err(corrupt(request, findings))
}

/// Copies the database into a new file and makes that durable. Returns its SHA-256, read from the file.
async fn copy(
    source: &mut Connection,
    path: &Path,
    page_bytes: u32,
    around: Surroundings<'_>,
) -> Result<String> {
    drop(storage::create_new(path)?);
    let first = sqlite::first_page_of_copy(source).await?;
    let follower = Follower::start(path, first);
    let mut target = Connection::open(path, Access::Scratch, around.interrupt).await?;
    let held = sqlite::copy_followed(
        source,
        &mut target,
        page_bytes,
        around.deadline,
        around.interrupt,
        around.monitor,
        &mut |pages| follower.settled(u64::from(pages) * u64::from(page_bytes)),
    )
    .await?;
    around.monitor.step("on its way to the disk");
    target.close().await?;
    fault::reach(Point::SnapshotCopied);
    sqlite::mark_rollback_journal(path)?;
    fault::reach(Point::SnapshotPatched);
    let sha256 = follower.finish(held, around.interrupt).await?;
    fault::reach(Point::SnapshotSynced);
    Ok(sha256)
}

struct ReadBack {
    sha256: String,
    layout: Layout,
}

fn corrupt(request: &Request<'_>, findings: Vec<String>) -> Error {
    Error::Corrupt {
        path: request.database.to_path_buf(),
        findings,
    }
}

fn require_whole(path: &Path, request: &Request<'_>) -> Result<Layout> {
    let layout =
        Layout::of_file(path)?.ok_or_else(|| corrupt(request, vec!["the copy is empty".into()]))?;
    // An empty file becomes a database of one page.
    if layout.page_count != request.facts.page_count.max(1) {
        let words = format!(
            "the copy has {} pages, the database {}",
            layout.page_count, request.facts.page_count
        );
        return Err(corrupt(request, vec![words]));
    }
    Ok(layout)
}

/// Refuses a snapshot whose content is no sound database.
///
/// # Errors
/// [`Error::Corrupt`], of the database that it was taken of.
pub async fn require_sound(
    snapshot: &Snapshot,
    database: &Path,
    depth: Depth,
    interrupt: &Interrupt,
) -> Result<()> {
    let findings = check(snapshot.path(), depth, interrupt.clone()).await?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::Corrupt {
        path: database.to_path_buf(),
        findings,
    })
}

/// What is wrong with a database, read through a connection of its own.
async fn check(path: PathBuf, depth: Depth, interrupt: Interrupt) -> Result<Vec<String>> {
    let mut connection = Connection::open(&path, Access::ReadOnly, &interrupt).await?;
    let findings = sqlite::check(&mut connection, depth).await;
    connection.close().await?;
    findings
}

fn manifest(
    slot: &Slot,
    now: Stamp,
    request: Request<'_>,
    read_back: ReadBack,
    sqlite_version: String,
) -> Result<Manifest> {
    let layout = read_back.layout;
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        id: slot.id.clone(),
        purpose: request.purpose,
        tool: concat!("safestep ", env!("CARGO_PKG_VERSION")).into(),
        sqlite_version,
        created_at: now.rfc3339(),
        created_unix: now.unix_seconds(),
        source: request.database.display().to_string(),
        file: storage::name_of(request.database),
        from: request.from,
        to: request.to,
        page_size: layout.page_size,
        page_count: layout.page_count,
        journal_mode: request.facts.journal_mode.clone(),
        size_bytes: u64::from(layout.page_size) * u64::from(layout.page_count),
        sha256: read_back.sha256,
        ownership: storage::ownership(request.database)?,
        rows: request.rows,
    })
}
