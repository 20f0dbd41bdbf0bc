//! What jobs that were cut short have left, finished or undone before anything new begins.

use std::path::{Path, PathBuf};

use super::report::Report;
use super::restore::{Source, put_over};
use super::{Context, draft, keep};
use crate::catalog::{JobKind, JobRecord, Outcome, discard_database};
use crate::error::{Problem, Result};
use crate::fault::{self, Point};
use crate::history::{self, History};
use crate::migration::{Migrations, version_name};
use crate::restore::{Restorer, draft_of};
use crate::sqlite::{self, Access, Begin, Connection, ContentDigest};
use crate::storage;

/// Goes through the records of this database. The caller holds the job lock and the folder's lock.
pub(super) async fn recover(
    context: &Context<'_>,
    migrations: Option<&Migrations>,
    report: &mut Report,
) -> Result<()> {
    report.begin(context.monitor, "recover");
    let catalog = context.catalog();
    for record in catalog.own_records()? {
        let record = match record.outcome {
            Some(_) => record,
            None => settle(context, migrations, record, report).await?,
        };
        finish_archive(context, record, report)?;
    }
    sweep(context)?;
    // A job that never gets to its own end must not fill the folder.
    catalog.prune(&context.settings.retention, None)?;
    fault::reach(Point::RecoverySwept);
    Ok(())
}

/// Removes what was cut short before it changed anything, in the backups folder and beside the database.
pub(super) fn sweep(context: &Context<'_>) -> Result<()> {
    storage::remove(&draft_of(context.database()))?;
    discard_database(&draft::draft_path(context.database()))?;
    context.catalog().sweep()
}

/// Before a restore: what earlier restores left that were cut short, so that it does not pile up. All else waits for the
/// end of this one, since the restore may be the only way out.
pub(super) async fn tidy(context: &Context<'_>, spared: &Path, report: &mut Report) -> Result<()> {
    sweep(context)?;
    let catalog = context.catalog();
    for record in catalog.legible_records()? {
        let is_open_restore = record.outcome.is_none() && record.kind == JobKind::Restore;
        if is_open_restore && restore_journal_mode(context, &record).await.is_ok() {
            let path = catalog.slot_of(&record).record();
            record.close(&path, Outcome::now("cut_short", None))?;
        }
    }
    archive_leftovers(context, report)?;
    // Not where a record cannot be read: it may be that of a job which still needs what would go.
    let pruned = catalog.prune(&context.settings.retention, Some(spared));
    report.note("prune", pruned);
    Ok(())
}

/// Makes backups of the raw snapshots that are left over and not needed for a recovery any more. What a restore does
/// stands, whatever comes of them.
pub(super) fn archive_leftovers(context: &Context<'_>, report: &mut Report) -> Result<()> {
    for record in context.catalog().legible_records()? {
        if record.outcome.is_none() {
            continue;
        }
        if let Err(error) = finish_archive(context, record, report) {
            let message = format!("a snapshot that was left over could not be archived: {error}");
            report.warnings.push(Problem::new("backup", message));
        }
    }
    Ok(())
}

async fn settle(
    context: &Context<'_>,
    migrations: Option<&Migrations>,
    record: JobRecord,
    report: &mut Report,
) -> Result<JobRecord> {
    context.require_database()?;
    let (outcome, text) = match record.kind {
        JobKind::Transactional => after_transaction(context, &record).await?,
        JobKind::Restore => {
            restore_journal_mode(context, &record).await?;
            (
                "cut_short",
                "the restore was done wholly or not at all".to_owned(),
            )
        }
        JobKind::NonTransactional => {
            undo_non_transactional(context, migrations, &record, report).await?
        }
    };
    let line = format!(
        "job {} ({} -> {}, started {}) was cut short: {text}",
        record.id, record.manifest.from, record.manifest.to, record.started_at
    );
    context.monitor.notice(&line);
    report.recovered.push(line);
    let path = context.catalog().slot_of(&record).record();
    let closed = record.close(&path, Outcome::now(outcome, None))?;
    fault::reach(Point::RecoveryClosed);
    Ok(closed)
}

/// Opening the database has SQLite roll back what was not committed.
async fn after_transaction(
    context: &Context<'_>,
    record: &JobRecord,
) -> Result<(&'static str, String)> {
    let mut live =
        Connection::open(context.database(), Access::ReadWrite, context.interrupt).await?;
    sqlite::begin_reading(
        &mut live,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    let committed = says_committed(&mut live, record).await;
    live.close().await?;
    Ok(if committed {
        ("completed", "it had been committed".to_owned())
    } else {
        (
            "cut_short",
            "nothing of it remains in the database".to_owned(),
        )
    })
}

/// A restore to another page size leaves WAL mode for the time of its copy.
pub(super) async fn restore_journal_mode(context: &Context<'_>, record: &JobRecord) -> Result<()> {
    if record.kind != JobKind::Restore || record.manifest.journal_mode != "wal" {
        return Ok(());
    }
    let mut live =
        Connection::open(context.database(), Access::ReadWrite, context.interrupt).await?;
    let set = sqlite::enter_wal(
        &mut live,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await;
    live.close().await?;
    set
}

/// Such a job stopped between two statements: it is complete when its history says so, and is undone otherwise.
async fn undo_non_transactional(
    context: &Context<'_>,
    migrations: Option<&Migrations>,
    record: &JobRecord,
    report: &mut Report,
) -> Result<(&'static str, String)> {
    let mut live =
        Connection::open(context.database(), Access::Exclusive, context.interrupt).await?;
    sqlite::begin(
        &mut live,
        Begin::Exclusive,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    report.locked();
    report.begin(context.monitor, "recover");
    fault::reach(Point::RecoveryJudged);
    let judged = judge(context, &mut live, migrations, record).await;
    sqlite::rollback(&mut live).await?;
    let (snapshot, expected) = match judged {
        Ok(Judgement::Halfway(snapshot, expected)) => (snapshot, expected),
        Ok(Judgement::Settled(outcome, words)) => {
            live.close().await?;
            report.unlocked();
            return Ok((outcome, words.to_owned()));
        }
        Err(error) => {
            live.close().await?;
            report.unlocked();
            return Err(error);
        }
    };
    let restorer = Restorer {
        snapshot,
        expected,
        journal_mode: record.manifest.journal_mode.clone(),
        deadline: context.deadline(),
        interrupt: context.interrupt,
        monitor: context.monitor,
    };
    let room = context.make_room_for_restore(None, report);
    report.note("ceiling", room);
    let restored = put_over(context, &mut live, Source::Itself, &restorer, report).await;
    context.interrupt.unshield();
    live.close().await?;
    report.unlocked();
    report.proof = Some(restored?);
    fault::reach(Point::RecoveryRestored);
    let kept = report.backup.as_ref().map_or_else(String::new, |backup| {
        format!(
            "; what was there, with everything written since, is backup {}",
            backup.id
        )
    });
    Ok(("restored", format!("its snapshot was put back{kept}")))
}

/// What has become of a job outside a transaction.
enum Judgement {
    /// It is where it wanted to go, or where it began.
    Settled(&'static str, &'static str),
    /// This is what it was before, with its content digest.
    Halfway(PathBuf, ContentDigest),
}

/// Under the exclusive lock. Nothing is put back that is not what the record says.
async fn judge(
    context: &Context<'_>,
    live: &mut Connection,
    migrations: Option<&Migrations>,
    record: &JobRecord,
) -> Result<Judgement> {
    if is_complete(live, migrations, record).await {
        return Ok(Judgement::Settled("completed", "it had been completed"));
    }
    let snapshot = context
        .catalog()
        .proven_snapshot(record, context.interrupt, context.monitor)?;
    let expected = sqlite::digest_file(&snapshot)?;
    if sqlite::pages_available(live).await? && sqlite::digest_live(live).await? == expected {
        let words = "it had not changed anything yet";
        return Ok(Judgement::Settled("unchanged", words));
    }
    Ok(Judgement::Halfway(snapshot, expected))
}

async fn is_complete(
    live: &mut Connection,
    migrations: Option<&Migrations>,
    record: &JobRecord,
) -> bool {
    let read = match migrations {
        Some(migrations) => History::read(live, migrations).await.ok(),
        None => None,
    };
    if let Some(history) = read {
        return history.in_step && version_name(history.current) == record.manifest.to;
    }
    // The files are others by now; the row that the job's last transaction wrote is there or not.
    says_committed(live, record).await
}

async fn says_committed(live: &mut Connection, record: &JobRecord) -> bool {
    history::last_recorded(live)
        .await
        .is_ok_and(|last| last.is_some() && version_name(last) == record.manifest.to)
}

/// A raw snapshot that is left over becomes a proper backup, unless there is one of the same content.
fn finish_archive(context: &Context<'_>, mut record: JobRecord, report: &mut Report) -> Result<()> {
    let slot = context.catalog().slot_of(&record);
    if !slot.snapshot().exists() {
        return Ok(());
    }
    if !slot.archive().exists() {
        if let Some(aside) = context.catalog().set_aside_if_damaged(&record)? {
            let message = format!(
                "the snapshot of job {}, which has ended, was damaged before it was archived; it is kept as {}",
                record.id,
                aside.display()
            );
            report.warnings.push(Problem::new("backup", message));
            return Ok(());
        }
        let kept = keep::keep(
            &context.catalog(),
            &slot,
            &record.manifest,
            context.interrupt,
            context.monitor,
            || Ok(()),
        )?;
        let words = if kept.reused {
            let id = kept.backup.manifest.id;
            let words = format!("holds the same as backup {id}");
            record.same_as = Some(id);
            record.write(&slot.record())?;
            words
        } else {
            "was archived".to_owned()
        };
        report
            .recovered
            .push(format!("the snapshot of job {} {words}", record.id));
        fault::reach(Point::RecoveryArchived);
    }
    discard_database(&slot.snapshot())
}
