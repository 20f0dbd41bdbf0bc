//! What jobs that were cut short have left, finished or undone before anything new begins.

use super::Context;
use super::report::Report;
use super::restore::{Source, put_over};
use crate::catalog::{JobKind, JobRecord, Outcome, discard_database};
use crate::error::{Error, Result};
use crate::history::{self, History};
use crate::migration::{Migrations, version_name};
use crate::restore::Restorer;
use crate::sqlite::{self, Access, Begin, Connection};

/// Goes through the records of this database. The caller holds the job lock and the folder's lock.
pub(super) async fn recover(
    context: &Context<'_>,
    migrations: Option<&Migrations>,
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
    migrations: Option<&Migrations>,
    record: &JobRecord,
    report: &mut Report,
) -> Result<()> {
    context.require_database()?;
    let (outcome, text) = match record.kind {
        JobKind::Transactional => after_transaction(context, record).await?,
        JobKind::Restore => (
            "cut_short",
            "the restore was done wholly or not at all".to_owned(),
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

/// Opening the database has SQLite roll back what was not committed.
async fn after_transaction(
    context: &Context<'_>,
    record: &JobRecord,
) -> Result<(&'static str, String)> {
    let mut live =
        Connection::open(context.database(), Access::ReadWrite, context.interrupt).await?;
    sqlite::begin_reading(&mut live, context.deadline(), context.interrupt).await?;
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

/// Such a job stopped between two statements: it is complete when its history says so, and is undone otherwise.
async fn undo_non_transactional(
    context: &Context<'_>,
    migrations: Option<&Migrations>,
    record: &JobRecord,
    report: &mut Report,
) -> Result<(&'static str, String)> {
    let slot = context.catalog().slot_of(record);
    let snapshot = slot.snapshot();
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
    if !complete && !snapshot.exists() {
        sqlite::rollback(&mut live).await?;
        live.close().await?;
        return Err(Error::RecordUnusable {
            record: slot.record(),
            reason: format!(
                "its job was cut short halfway, and its snapshot {} is gone",
                snapshot.display()
            ),
        });
    }
    let unchanged = !complete
        && sqlite::pages_available(&mut live).await?
        && sqlite::digest_live(&mut live).await? == sqlite::digest_file(&snapshot)?;
    sqlite::rollback(&mut live).await?;
    if complete {
        live.close().await?;
        return Ok(("completed", "it had been completed".to_owned()));
    }
    if unchanged {
        live.close().await?;
        return Ok(("unchanged", "it had not changed anything yet".to_owned()));
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
    let kept = report.backup.as_ref().map_or_else(String::new, |backup| {
        format!(
            "; what was there, with everything written since, is backup {}",
            backup.id
        )
    });
    Ok(("restored", format!("its snapshot was put back{kept}")))
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
