//! What jobs that were cut short have left, finished or undone before anything new begins.

use super::Context;
use super::report::Report;
use super::restore::{Source, put_over};
use crate::catalog::{JobKind, JobRecord, Outcome, discard_database};
use crate::error::Result;
use crate::history::{self, History};
use crate::migration::{Migrations, version_name};
use crate::restore::Restorer;
use crate::sqlite::{self, Access, Begin, Connection};

/// Goes through the records of this database. The caller holds the job lock and the folder's lock.
pub(super) async fn recover(
    context: &Context<'_>,
    migrations: &Migrations,
    report: &mut Report,
) -> Result<()> {
    let catalog = context.catalog();
    for record in catalog.own_records()? {
        if record.outcome.is_none() {
            settle(context, migrations, &record, report).await?;
        }
        finish_archive(context, &record, report)?;
    }
    catalog.sweep()
}

async fn settle(
    context: &Context<'_>,
    migrations: &Migrations,
    record: &JobRecord,
    report: &mut Report,
) -> Result<()> {
    context.require_database()?;
    let (outcome, text) = match record.kind {
        JobKind::Transactional | JobKind::Restore => (
            "cut_short",
            "SQLite's journal finished or undid it, as its one transaction was committed or not",
        ),
        JobKind::NonTransactional => {
            undo_non_transactional(context, migrations, record, report).await?
        }
    };
    let line = format!(
        "job {} ({} -> {}, started {}) was cut short: {text}",
        record.id, record.manifest.from, record.manifest.to, record.started_at
    );
    context.monitor.notice(&line);
    report.recovered.push(line);
    let slot = context.catalog().slot_of(record);
    record
        .clone()
        .close(&slot.record(), Outcome::now(outcome, None))
}

/// Such a job stopped between two statements: it is complete when its history says so, and is undone otherwise.
async fn undo_non_transactional(
    context: &Context<'_>,
    migrations: &Migrations,
    record: &JobRecord,
    report: &mut Report,
) -> Result<(&'static str, &'static str)> {
    let snapshot = context.catalog().slot_of(record).snapshot();
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
    let complete = is_complete(&mut live, migrations, record).await;
    let unchanged = !complete
        && sqlite::pages_available(&mut live).await?
        && sqlite::digest_live(&mut live).await? == sqlite::digest_file(&snapshot)?;
    sqlite::rollback(&mut live).await?;
    if complete {
        live.close().await?;
        return Ok(("completed", "it had been completed"));
    }
    if unchanged {
        live.close().await?;
        return Ok(("unchanged", "it had not changed anything yet"));
    }
    let restorer = Restorer {
        snapshot,
        journal_mode: record.manifest.journal_mode.clone(),
        deadline: context.deadline(),
        interrupt: context.interrupt,
        monitor: context.monitor,
    };
    let restored = put_over(context, &mut live, Source::Itself, &restorer, report).await;
    context.interrupt.unshield();
    live.close().await?;
    report.proof = Some(restored?);
    Ok(("restored", "its snapshot was put back"))
}

async fn is_complete(live: &mut Connection, migrations: &Migrations, record: &JobRecord) -> bool {
    match History::read(live, migrations).await {
        Ok(history) => history.in_step && version_name(history.current) == record.manifest.to,
        // The files are others by now; the row that the job's last transaction wrote is there or not.
        Err(_) => history::last_recorded(live)
            .await
            .is_ok_and(|last| last.is_some() && version_name(last) == record.manifest.to),
    }
}

/// A raw snapshot that is left over becomes a proper backup.
fn finish_archive(context: &Context<'_>, record: &JobRecord, report: &mut Report) -> Result<()> {
    let catalog = context.catalog();
    let slot = catalog.slot_of(record);
    if !slot.snapshot().exists() {
        return Ok(());
    }
    if !slot.archive().exists() {
        catalog.archive(&slot, &record.manifest, context.interrupt)?;
        report
            .recovered
            .push(format!("the snapshot of job {} was archived", record.id));
    }
    discard_database(&slot.snapshot())
}
