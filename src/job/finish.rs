//! What a migration job does when writers are let in again.

use std::path::Path;

use super::keep;
use super::report::Report;
use super::run::Run;
use super::work::Changed;
use crate::catalog::{JobKind, JobRecord, Outcome};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::snapshot::Snapshot;
use crate::sqlite::{self, Access, Connection};

/// Writes the outcome, waits for the archive, and prunes.
pub(super) async fn finish(run: &mut Run<'_>, mut changed: Changed) -> Result<()> {
    let context = run.context;
    if changed.failure.is_none() {
        run.phase("check");
        changed.failure = check_committed(run, &changed.snapshot).await.err();
        let looked = run.note_stray_way_down().await;
        run.report.note("way down", looked);
        fault::reach(Point::CheckDone);
    }
    run.report.outcome = match &changed.failure {
        Some(_) => "failed",
        None => run.task.outcome(run.report),
    };
    let path = changed.snapshot.slot.record();
    let outcome = Outcome::now(run.report.outcome, changed.failure.as_ref());
    // One that is left halfway, for want of disk space for instance, is put right by the next start.
    let is_halfway = changed.record.kind == JobKind::NonTransactional
        && matches!(changed.failure, Some(Error::NotProven { .. }));
    let close = |report: &mut Report, record: JobRecord| {
        report.note("record", record.close(&path, outcome.clone()))
    };
    let open = is_halfway || close(run.report, changed.record.clone()).is_none();
    run.phase("archive");
    let same_as = keep::settle(
        &context,
        changed.keeping,
        &changed.snapshot,
        open,
        run.report,
    )
    .await;
    if same_as.is_some() && !is_halfway {
        changed.record.same_as = same_as;
        close(run.report, changed.record);
        fault::reach(Point::OutcomeTwin);
    }
    run.phase("prune");
    let made = run
        .report
        .backup
        .as_ref()
        .map(|backup| Path::new(&backup.path));
    let pruned = context.catalog().prune(&context.settings.retention, made);
    run.report.note("prune", pruned);
    changed.failure.map_or(Ok(()), Err)
}

/// Reads the committed history through a new connection.
async fn check_committed(run: &mut Run<'_>, snapshot: &Snapshot) -> Result<()> {
    let mut read = read_committed(run).await;
    if matches!(&read, Err(error) if !matches!(error, Error::Locked { .. })) {
        // Once more: what failed may have been the machine, for a moment.
        read = read_committed(run).await;
    }
    let detail = match read {
        Ok(seen) if Some(&seen) == run.report.to.as_ref() => return Ok(()),
        Ok(seen) => format!("after the commit the history says {seen}"),
        // The commit stands: that others keep the file busy says nothing against it.
        Err(Error::Locked { .. }) => {
            let message = "could not be read again after the commit, since others keep it busy";
            run.report
                .warnings
                .push(Problem::new(run.report.database.clone(), message));
            return Ok(());
        }
        Err(error) => format!("after the commit the history cannot be read: {error}"),
    };
    Err(Error::NotProven {
        cause: Box::new(Error::VerificationFailed {
            problems: Vec::new(),
        }),
        detail,
        backup: snapshot.slot.archive(),
    })
}

/// The revision, where all tables agree on it.
async fn read_committed(run: &Run<'_>) -> Result<String> {
    let context = run.context;
    let mut fresh =
        Connection::open(context.database(), Access::ReadOnly, context.interrupt).await?;
    let seen = async {
        sqlite::begin_reading(
            &mut fresh,
            context.deadline(),
            context.interrupt,
            context.wait_notice(),
        )
        .await?;
        run.recorded(&mut fresh).await
    }
    .await;
    fresh.close().await?;
    seen
}
