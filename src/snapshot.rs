//! Live database -> catalogue: a raw copy, durable and read back before anything else happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::archive;
use crate::catalog::{Catalog, FORMAT_VERSION, Manifest, Purpose, Slot, discard_database};
use crate::clock::{Deadline, Stamp};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::{self, Access, Connection, FileFacts, Interrupt, Layout};
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

/// The raw copy, and an archive that may be as large.
fn copies(facts: &FileFacts) -> u64 {
    facts.size_bytes().saturating_mul(2) + HEADROOM_BYTES
}

/// Takes a snapshot through `source`, which must be protected from writers for as long as this runs.
///
/// # Errors
/// [`Error::Corrupt`] when the copy shows that the database is damaged; nothing is left behind then.
pub async fn take(
    source: &mut Connection,
    request: Request<'_>,
    deadline: Deadline,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Snapshot> {
    request.catalog.prepare()?;
    let now = Stamp::now();
    let slot = request.catalog.new_slot(now, &request.from, &request.to);
    let path = slot.snapshot();
    let taken = async {
        copy(source, &path, deadline, interrupt, monitor).await?;
        monitor.step("reading the copy back");
        read_back(&path, &request, interrupt).await
    }
    .await;
    let digest = match taken {
        Ok(digest) => digest,
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
        digest,
        sqlite::sqlite_version(source).await?,
    )?;
    Ok(Snapshot { slot, manifest })
}

async fn copy(
    source: &mut Connection,
    path: &Path,
    deadline: Deadline,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<()> {
    drop(storage::create_new(path)?);
    let mut target = Connection::open(path, Access::Scratch, interrupt).await?;
    sqlite::copy(source, &mut target, deadline, interrupt, monitor).await?;
    monitor.step("on its way to the disk");
    target.close().await?;
    fault::reach(Point::SnapshotCopied);
    sqlite::mark_rollback_journal(path)?;
    fault::reach(Point::SnapshotPatched);
    storage::sync_file(path)?;
    storage::sync_folder_of(path)?;
    fault::reach(Point::SnapshotSynced);
    Ok(())
}

struct ReadBack {
    sha256: String,
    layout: Layout,
}

async fn read_back(path: &Path, request: &Request<'_>, interrupt: &Interrupt) -> Result<ReadBack> {
    let corrupt = |findings: Vec<String>| Error::Corrupt {
        path: request.database.to_path_buf(),
        findings,
    };
    let sha256 = archive::sha256_of(path)?;
    let layout = Layout::of_file(path)?.ok_or_else(|| corrupt(vec!["the copy is empty".into()]))?;
    // An empty file becomes a database of one page.
    if layout.page_count != request.facts.page_count.max(1) {
        return Err(corrupt(vec![format!(
            "the copy has {} pages, the database {}",
            layout.page_count, request.facts.page_count
        )]));
    }
    // What a restore is about to replace is kept even if it is damaged.
    if request.purpose != Purpose::BeforeRestore {
        let mut copy = Connection::open(path, Access::ReadOnly, interrupt).await?;
        let findings = sqlite::quick_check(&mut copy).await?;
        copy.close().await?;
        if !findings.is_empty() {
            return Err(corrupt(findings));
        }
    }
    Ok(ReadBack { sha256, layout })
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
