//! `safestep backup`: a snapshot and nothing else. Writers go on in WAL mode.

use std::path::Path;

use tracing::Instrument;

use super::Context;
use super::keep::{self, Keeping};
use super::offsite;
use super::recover::recover;
use super::report::Report;
use crate::catalog::{Purpose, discard_database};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::history::{self, History};
use crate::migration::{Migrations, version_name};
use crate::snapshot::{self, Examine};
use crate::sqlite::{self, Access, Connection, FileFacts};
use crate::verify::Inventory;

/// Takes a backup of the database as it stands, whatever revision it is at.
pub async fn backup(context: Context<'_>, report: &mut Report) -> Result<()> {
    report.database = context.database().display().to_string();
    report.flags = context.settings.flags();
    let span = report.span();
    let result = go(&context, report)
        .instrument(span.clone())
        .await
        .map_err(|error| context.interrupt.explain(error));
    let copied = offsite::copy_backup(&context, report)
        .instrument(span)
        .await;
    let result = result.and(copied);
    report.finish();
    report.outcome = if result.is_ok() {
        "backed_up"
    } else {
        "failed"
    };
    result
}

async fn go(context: &Context<'_>, report: &mut Report) -> Result<()> {
    report.begin(context.monitor, "look");
    context.require_content()?;
    refuse_damage(context).await?;
    report.begin(context.monitor, "job lock");
    let _lock = context.job_lock().await?;
    let _catalog = context.catalog_lock().await?;
    let migrations = Migrations::read(&context.settings.migrations).ok();
    recover(context, migrations.as_ref(), report).await?;
    report.begin(context.monitor, "lock");
    // Not read-only: a hot journal may have to be rolled back first.
    let mut live =
        Connection::open(context.database(), Access::ReadWrite, context.interrupt).await?;
    let snapshot = take(context, &mut live, report).await;
    live.close().await?;
    report.unlocked();
    let snapshot = snapshot?;
    report.begin(context.monitor, "archive");
    let keeping = Keeping::start_alone(&context.catalog(), &snapshot);
    let archived = keep::archived(context, keeping, report).await;
    report.note("snapshot", discard_database(&snapshot.path()));
    fault::reach(Point::ArchiveSettled);
    context.interrupt.check()?;
    archived?;
    report.begin(context.monitor, "prune");
    let made = report.backup.as_ref().map(|backup| Path::new(&backup.path));
    let pruned = context.catalog().prune(&context.settings.retention, made);
    report.note("prune", pruned);
    Ok(())
}

/// Before anything opens the database to write: the last such connection to close would copy a WAL into the file that is not
/// its own, too. A hot journal is no damage.
async fn refuse_damage(context: &Context<'_>) -> Result<()> {
    let opened = Connection::open(context.database(), Access::ReadOnly, context.interrupt).await;
    let Ok(mut connection) = opened else {
        return Ok(());
    };
    let facts = FileFacts::read(&mut connection).await;
    connection.close().await?;
    match facts {
        Err(error @ (Error::NotADatabase { .. } | Error::Corrupt { .. })) => Err(error),
        _ => Ok(()),
    }
}

async fn take(
    context: &Context<'_>,
    live: &mut Connection,
    report: &mut Report,
) -> Result<snapshot::Snapshot> {
    // An open read transaction pins one state: commits of others cannot make the copy start over.
    sqlite::begin_reading(
        live,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    let facts = FileFacts::read(live).await?;
    report.database_bytes = Some(facts.size_bytes());
    // With a rollback journal nobody can commit while somebody reads.
    if !facts.is_wal() {
        report.locked();
    }
    report.begin(context.monitor, "inventory");
    let catalog = context.catalog();
    context.make_room(&facts)?;
    snapshot::require_room_to_copy(&catalog, &facts)?;
    let revision = revision(context, live).await;
    report.from = Some(revision.clone());
    let rows = Inventory::take(live).await?.rows;
    report.begin(context.monitor, "snapshot");
    let request = snapshot::Request {
        catalog: &catalog,
        database: context.database(),
        job: &report.job,
        purpose: Purpose::Manual,
        facts: &facts,
        from: revision.clone(),
        to: revision,
        rows,
        // Nobody waits, and another connection might see a later state.
        examine: Examine::Copy(context.settings.verify),
    };
    let taken = snapshot::take(live, request, context.surroundings()).await;
    sqlite::rollback(live).await?;
    report.unlocked();
    taken
}

/// A backup must be possible even where the migrations are missing or do not fit.
pub(super) async fn revision(context: &Context<'_>, live: &mut Connection) -> String {
    let Ok(migrations) = Migrations::read(&context.settings.migrations) else {
        return "unknown".into();
    };
    let read = async {
        let known = history::with_stored(live, &migrations).await?;
        History::read(live, &known).await
    };
    match read.await {
        Ok(history) => version_name(history.current),
        Err(_) => "unknown".into(),
    }
}
