//! `safestep restore`: a backup over the live database, which is itself backed up first.

use std::path::Path;

use tracing::Instrument;

use super::Context;
use super::backup::revision;
use super::examine;
use super::keep::{self, Keeping};
use super::offsite;
use super::recover;
use super::report::Report;
use super::times;
use crate::beside::Beside;
use crate::catalog::{Backup, JobId, JobKind, Outcome, Purpose, discard_database};
use crate::clock::Stamp;
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::restore::{Proof, Restorer};
use crate::snapshot::{self, Examine, Snapshot};
use crate::sqlite::{self, Access, Begin, Connection, ContentDigest, FileFacts};
use crate::storage::{self, Ownership};

/// Makes backups of the snapshots that jobs have left unarchived, so that a restore can choose among all.
pub async fn gather(context: Context<'_>, report: &mut Report) -> Result<()> {
    report.database = context.database().display().to_string();
    report.flags = context.settings.flags();
    let span = report.span();
    archive_what_is_left(context, report).instrument(span).await
}

async fn archive_what_is_left(context: Context<'_>, report: &mut Report) -> Result<()> {
    let settled = context.catalog().is_settled();
    if matches!(settled, Ok(true)) {
        return Ok(());
    }
    report.note("records", settled.map(drop));
    storage::make_folder(&storage::folder_of(context.database()))?;
    let _lock = context.job_lock().await?;
    let _catalog = context.catalog_lock().await?;
    recover::archive_leftovers(&context, report)
}

/// Puts `backup` back.
///
/// # Errors
/// [`Error::BackupUnusable`] before anything is touched; [`Error::NotProven`] when the result differs from the backup.
pub async fn restore(context: Context<'_>, backup: &Backup, report: &mut Report) -> Result<()> {
    report.database = context.database().display().to_string();
    report.flags = context.settings.flags();
    report.to = Some(backup.manifest.from.clone());
    report.restored = Some(backup.manifest.id.clone());
    let span = report.span();
    let result = go(&context, backup, report)
        .instrument(span)
        .await
        .map_err(|error| times::explain(&context, report, error));
    let copying = report.span();
    // Its warning says it all: a restore is the way out, and must not depend on a network.
    offsite::copy_after(&context, report)
        .instrument(copying)
        .await;
    report.finish();
    report.outcome = if result.is_ok() { "restored" } else { "failed" };
    result
}

async fn go(context: &Context<'_>, backup: &Backup, report: &mut Report) -> Result<()> {
    report.begin(context.monitor, "look");
    if !context.look_at_database()? {
        // For the lock file as well.
        storage::make_folder(&storage::folder_of(context.database()))?;
    }
    warn_of_another_source(context, backup, report);
    report.begin(context.monitor, "job lock");
    let _lock = context.job_lock().await?;
    let _catalog = context.catalog_lock().await?;
    let catalog = context.catalog();
    let used = storage::absolute(&backup.path)?;
    report.begin(context.monitor, "recover");
    recover::tidy(context, &used, report).await?;
    report.begin(context.monitor, "unpack");
    catalog.require_promised(backup)?;
    storage::require_free(
        catalog.folder(),
        backup.manifest.size_bytes.saturating_mul(2),
    )?;
    let slot = catalog.new_slot(Stamp::now(), &report.job, "restore", &backup.manifest.from);
    let unpacked = slot.unpacked();
    catalog.unpack(backup, &unpacked, context.interrupt, context.monitor)?;
    let expected = match examine(context, backup, &unpacked, report).await {
        Ok(expected) => expected,
        Err(error) => {
            discard_database(&unpacked)?;
            return Err(error);
        }
    };
    fault::reach(Point::RestoreUnpacked);
    let room = context.make_room_for_restore(Some(&used), report);
    report.note("ceiling", room);
    let restorer = Restorer {
        snapshot: unpacked.clone(),
        expected,
        journal_mode: String::new(),
        deadline: context.deadline(),
        interrupt: context.interrupt,
        monitor: context.monitor,
    };
    let restored = over_live_or_in_place(context, backup, &restorer, report).await;
    report.note("unpacked copy", discard_database(&unpacked));
    report.proof = Some(restored?);
    report.begin(context.monitor, "prune");
    let closed = close_interrupted(context, report).await;
    report.note("records", closed);
    let archived = recover::archive_leftovers(context, report);
    report.note("snapshots", archived);
    let pruned = catalog.prune(&context.settings.retention, Some(&used));
    report.note("prune", pruned);
    Ok(())
}

fn warn_of_another_source(context: &Context<'_>, backup: &Backup, report: &mut Report) {
    let source = &backup.manifest.source;
    if Path::new(source) != context.database() {
        report.warnings.push(Problem::new(
            backup.manifest.id.clone(),
            format!("this backup was made of {source}"),
        ));
    }
}

/// The content digest of what was unpacked, which is durable and sound then: one is found out beside the other.
async fn examine(
    context: &Context<'_>,
    backup: &Backup,
    unpacked: &Path,
    report: &mut Report,
) -> Result<ContentDigest> {
    examine::require_layout(backup, unpacked)?;
    let path = unpacked.to_path_buf();
    let digest = Beside::start_blocking(move |_| {
        storage::sync_file(&path)?;
        sqlite::digest_file(&path)
    });
    let damage = examine::require_sound(context, backup, unpacked).await?;
    report.warnings.extend(damage);
    digest.finish(context.interrupt).await
}

/// A restore that a person asked for supersedes what a job that was cut short would have needed.
async fn close_interrupted(context: &Context<'_>, report: &mut Report) -> Result<()> {
    let catalog = context.catalog();
    for record in catalog.legible_records()? {
        if record.outcome.is_none() {
            if let Err(error) = recover::restore_journal_mode(context, &record).await {
                let message = format!("could not be put back into WAL mode: {error}");
                report
                    .warnings
                    .push(Problem::new(report.database.clone(), message));
            }
            let slot = catalog.slot_of(&record);
            record.close(&slot.record(), Outcome::now("superseded_by_restore", None))?;
            fault::reach(Point::RestoreSuperseded);
        }
    }
    Ok(())
}

async fn over_live_or_in_place(
    context: &Context<'_>,
    backup: &Backup,
    restorer: &Restorer<'_>,
    report: &mut Report,
) -> Result<Proof> {
    report.begin(context.monitor, "lock");
    let live = match open_live(context).await {
        // Once more: SQLite takes a page that cannot be read for one that is damaged.
        Err(Error::NotADatabase { .. } | Error::Corrupt { .. }) => open_live(context).await,
        other => other,
    };
    match live {
        Ok(Some(mut live)) => {
            let restored = locked(context, &mut live, restorer, report).await;
            report.unlocked();
            report.note("close", live.close().await);
            restored
        }
        Ok(None) => {
            report.begin(context.monitor, "restore");
            let ownership = Ownership {
                mode: 0o600,
                ..backup.manifest.ownership
            };
            replace(context, backup, restorer, ownership)
        }
        Err(Error::NotADatabase { .. } | Error::Corrupt { .. }) => {
            report.begin(context.monitor, "restore");
            let catalog = context.catalog();
            let slot =
                catalog.new_slot(Stamp::now(), &report.job, "damaged", &backup.manifest.from);
            let kept = catalog.keep_damaged(&slot)?;
            report.warnings.push(Problem::new(
                context.database().display().to_string(),
                format!(
                    "was no usable database; its bytes are kept in {}",
                    kept.display()
                ),
            ));
            let ownership = storage::ownership(context.database())?;
            replace(context, backup, restorer, ownership)
        }
        Err(other) => Err(other),
    }
}

/// A new file in the journal mode that the database was in.
fn replace(
    context: &Context<'_>,
    backup: &Backup,
    restorer: &Restorer<'_>,
    ownership: Ownership,
) -> Result<Proof> {
    let restorer = Restorer {
        journal_mode: backup.manifest.journal_mode.clone(),
        ..restorer.clone()
    };
    restorer.replace_file(context.database(), ownership)
}

/// The live database, with its first page proven readable; `None` where there is no file.
async fn open_live(context: &Context<'_>) -> Result<Option<Connection>> {
    if !context.look_at_database()? {
        return Ok(None);
    }
    let mut live =
        Connection::open(context.database(), Access::ReadWrite, context.interrupt).await?;
    let readable = async {
        sqlite::begin_reading(
            &mut live,
            context.deadline(),
            context.interrupt,
            context.wait_notice(),
        )
        .await?;
        FileFacts::read(&mut live).await?;
        sqlite::rollback(&mut live).await
    }
    .await;
    match readable {
        Ok(()) => Ok(Some(live)),
        Err(error) => {
            live.close().await?;
            Err(error)
        }
    }
}

async fn locked(
    context: &Context<'_>,
    live: &mut Connection,
    restorer: &Restorer<'_>,
    report: &mut Report,
) -> Result<Proof> {
    sqlite::begin(
        live,
        Begin::Immediate,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    report.locked();
    let reader = Connection::open(context.database(), Access::ReadOnly, context.interrupt).await?;
    let restored = put_over(context, live, Source::Reader(reader), restorer, report).await;
    report.note("roll back", sqlite::rollback(live).await);
    restored
}

/// Through which connection the live database is copied before it is overwritten.
pub(super) enum Source {
    /// A second one; the first holds the write transaction.
    Reader(Connection),
    /// The one connection that owns the file exclusively, in no transaction.
    Itself,
}

/// Backs up what is there, then puts the restorer's snapshot over it.
pub(super) async fn put_over(
    context: &Context<'_>,
    live: &mut Connection,
    source: Source,
    restorer: &Restorer<'_>,
    report: &mut Report,
) -> Result<Proof> {
    report.begin(context.monitor, "safety backup");
    let in_transaction = matches!(source, Source::Reader(_));
    let safety = match source {
        Source::Reader(mut reader) => {
            let safety = take_safety(context, &report.job, &mut reader).await;
            // Before the restore: an open reader keeps the database in WAL mode.
            reader.close().await?;
            safety?
        }
        // A recovery, which the job's own work may follow, with a backup of its own.
        Source::Itself => take_safety(context, &JobId::default(), live).await?,
    };
    report.from = Some(safety.manifest.from.clone());
    report.database_bytes = Some(safety.manifest.size_bytes);
    let catalog = context.catalog();
    fault::reach(Point::RestoreSafety);
    let record = catalog.new_record(&safety.slot, JobKind::Restore, &safety.manifest);
    record.write(&safety.slot.record())?;
    fault::reach(Point::RecordWritten);
    let keeping = Keeping::start(&catalog, &safety).allow();
    context.interrupt.shield();
    report.begin(context.monitor, "restore");
    let restored = if in_transaction {
        restorer.put_back_in_transaction(live).await
    } else {
        restorer.put_back(live).await
    };
    let restored = match restored {
        Ok(proof) => Ok(proof),
        Err(cause) => Err(judge(live, restorer, cause, &safety).await),
    };
    // Where it is not in a transaction, the caller's connection owns the file until it is closed.
    if in_transaction {
        report.unlocked();
    }
    report.begin(context.monitor, "archive");
    let word = if restored.is_ok() {
        "restored"
    } else {
        "failed"
    };
    let outcome = Outcome::now(word, restored.as_ref().err());
    let closed = record.close(&safety.slot.record(), outcome);
    let open = report.note("record", closed).is_none();
    keep::settle(context, keeping, &safety, open, report).await;
    restored
}

/// The failure to report: the cause where the database is proven to be as before, or that it is not.
async fn judge(
    live: &mut Connection,
    restorer: &Restorer<'_>,
    cause: Error,
    safety: &Snapshot,
) -> Error {
    match restorer.is_untouched(live, &safety.path()).await {
        Ok(true) => cause,
        Ok(false) | Err(_) => Error::NotProven {
            detail: cause.to_string(),
            cause: Box::new(cause),
            backup: safety.slot.archive(),
        },
    }
}

async fn take_safety(
    context: &Context<'_>,
    job: &JobId,
    source: &mut Connection,
) -> Result<Snapshot> {
    let catalog = context.catalog();
    let facts = FileFacts::read(source).await?;
    snapshot::require_room(&catalog, context.database(), &facts)?;
    let request = snapshot::Request {
        catalog: &catalog,
        database: context.database(),
        job,
        purpose: Purpose::BeforeRestore,
        facts: &facts,
        from: revision(context, source).await,
        to: "restore".into(),
        rows: std::collections::BTreeMap::new(),
        examine: Examine::Nothing,
    };
    snapshot::take(source, request, context.surroundings()).await
}
