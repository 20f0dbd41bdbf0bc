//! The main job: from one revision to another, backup first; and the same way for what changes only the history.

use std::path::Path;

use tracing::Instrument;

use super::early::Early;
use super::keep;
use super::recover::recover;
use super::report::Report;
use super::run::{Before, Files, Run};
use super::task::{Decision, Goal, Stamp, Task};
use super::work::{Changed, Work};
use super::{Context, draft};
use crate::catalog::{JobKind, JobRecord, Outcome};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::snapshot::{self, Snapshot};
use crate::sqlite::{self, Access, Begin, Connection, FileFacts};
use crate::storage;

/// Brings the database to the goal. The report tells what was done, also when it fails.
pub async fn migrate(context: Context<'_>, goal: &Goal, report: &mut Report) -> Result<()> {
    conduct(context, Task::Migrate(goal), None, report).await
}

/// As [`migrate`], with files that were read before.
pub async fn migrate_with(
    context: Context<'_>,
    goal: &Goal,
    files: &Files,
    report: &mut Report,
) -> Result<()> {
    conduct(context, Task::Migrate(goal), Some(files), report).await
}

/// Records a revision in the history tables without running a migration.
pub async fn stamp(context: Context<'_>, stamp: &Stamp, report: &mut Report) -> Result<()> {
    conduct(context, Task::Stamp(stamp), None, report).await
}

/// Brings what is recorded of changed files in line with the files; `seen` is what [`changed_files`] found.
///
/// [`changed_files`]: super::changed_files
pub async fn repair(context: Context<'_>, seen: &[Problem], report: &mut Report) -> Result<()> {
    report.changed = seen.to_vec();
    conduct(context, Task::Repair(seen), None, report).await
}

async fn conduct(
    context: Context<'_>,
    task: Task<'_>,
    files: Option<&Files>,
    report: &mut Report,
) -> Result<()> {
    report.database = context.database().display().to_string();
    report.flags = context.settings.flags();
    let span = report.span();
    conduct_in_span(context, task, files, report)
        .instrument(span)
        .await
}

async fn conduct_in_span(
    context: Context<'_>,
    task: Task<'_>,
    files: Option<&Files>,
    report: &mut Report,
) -> Result<()> {
    let result = match Run::prepare(context, task, files, report) {
        Ok(mut run) => {
            let done = go(&mut run).await.map_err(|error| run.explain(error));
            if done.is_ok() && run.report.outcome != "nothing_to_do" {
                run.note_time();
            }
            done
        }
        Err(error) => Err(error),
    };
    report.finish();
    if let Err(error) = &result {
        report.outcome = "failed";
        // What has just been proven to be as before is not halfway, even where its record could not be closed.
        if report.proof.is_none() {
            report.cut_short = cut_short(&context, error);
        }
    }
    result
}

/// A job outside a transaction that was cut short and that this one could not put right either.
fn cut_short(context: &Context<'_>, failure: &Error) -> Option<String> {
    let open = match context.halfway() {
        // It is that job which runs.
        Ok(_) if matches!(failure, Error::JobRunning { .. }) => return None,
        Ok(open) => open?,
        Err(_) if matches!(failure, Error::NotProven { .. }) => return None,
        Err(error) => {
            let words = "The database is unchanged by this job; whether an earlier one left it halfway cannot be seen";
            let is_new = error.to_string() != failure.to_string();
            let cause = if is_new {
                format!(": {error}")
            } else {
                String::new()
            };
            return Some(format!("{words}{cause}."));
        }
    };
    let manifest = open.manifest;
    Some(format!(
        "Job {} was cut short halfway: the database is BETWEEN {} and {}. Do not start the application before the next run has put it right.",
        open.id, manifest.from, manifest.to
    ))
}

async fn go(run: &mut Run<'_>) -> Result<()> {
    let context = run.context;
    if !context.look_at_database()? {
        if !context.settings.create_if_missing {
            return context.require_database();
        }
        storage::make_folder(&storage::folder_of(context.database()))?;
        let _lock = context.job_lock().await?;
        if let (false, Task::Migrate(goal)) = (context.look_at_database()?, run.task) {
            if !context.catalog().is_settled()? {
                let _catalog = context.catalog_lock().await?;
                recover(&context, Some(&run.migrations), run.report).await?;
            }
            return draft::create(run, goal).await;
        }
    }
    context.require_content()?;
    run.phase("look");
    let is_settled = context.catalog().is_settled()?;
    if is_settled && is_done(run).await? {
        return Ok(());
    }
    if run.is_outside() && !is_settled {
        run.recover_outside().await?;
        if is_done(run).await? {
            return Ok(());
        }
    }
    run.enter_window().await?;
    run.phase("job lock");
    let _lock = context.job_lock().await?;
    let _catalog = context.catalog_lock().await?;
    recover(&context, Some(&run.migrations), run.report).await?;
    let looked = look(run).await?.is_some_and(|look| look.non_transactional);
    run.require_time().await?;
    // The look may have been impossible, or another migrator came after it: only the plan under the lock counts.
    for exclusive in [looked, !looked] {
        match change(run, exclusive).await? {
            Attempt::WrongLock => {}
            Attempt::NothingToDo | Attempt::Go(()) => return Ok(()),
        }
    }
    Err(Error::Locked {
        path: context.database().to_path_buf(),
        waited_ms: 0,
        holders: storage::holders_of(context.database()),
    })
}

/// Whether there is nothing to do, as far as can be seen without a lock.
async fn is_done(run: &mut Run<'_>) -> Result<bool> {
    Ok(look(run).await?.is_some_and(|look| look.done))
}

/// What came of having the lock.
enum Attempt<T> {
    /// The plan needs the other kind of lock; nothing was done.
    WrongLock,
    NothingToDo,
    Go(T),
}

struct Look {
    done: bool,
    non_transactional: bool,
}

/// Looks without a lock and without writing. `None` where only a writer can look: a hot journal has to be rolled back.
async fn look(run: &mut Run<'_>) -> Result<Option<Look>> {
    let context = run.context;
    let opened = Connection::open(context.database(), Access::ReadOnly, context.interrupt).await;
    let Ok(mut connection) = opened else {
        return Ok(None);
    };
    let looked = look_through(run, &mut connection).await;
    connection.close().await?;
    match looked {
        Err(Error::Sqlite { .. }) => Ok(None),
        other => other.map(Some),
    }
}

async fn look_through(run: &mut Run<'_>, connection: &mut Connection) -> Result<Look> {
    sqlite::require_database(connection).await?;
    let decision = run.decide(connection).await?;
    let look = Look {
        done: decision.done,
        non_transactional: decision.plan(&run.migrations).is_non_transactional(),
    };
    if look.done {
        run.conclude(decision);
    }
    Ok(look)
}

/// The part under the write lock.
async fn change(run: &mut Run<'_>, exclusive: bool) -> Result<Attempt<()>> {
    let context = run.context;
    let early = if exclusive {
        None
    } else {
        Early::take(run).await?
    };
    // Where somebody has written since, it was sound a moment ago. Better thrown away now than under the lock.
    let is_checked = early.is_some();
    let early = current(early).await?;
    run.phase("lock");
    let access = if exclusive {
        Access::Exclusive
    } else {
        Access::ReadWrite
    };
    let kind = if exclusive {
        Begin::Exclusive
    } else {
        Begin::Immediate
    };
    let mut live = match lock(&context, access, kind).await {
        Ok(live) => live,
        Err(error) => {
            if let Some(early) = early {
                run.report.note("early snapshot", early.discard().await);
            }
            return Err(error);
        }
    };
    fault::reach(Point::LockBegun);
    run.report.locked();
    run.phase("inventory");
    let changed = change_locked(run, &mut live, early, exclusive, is_checked).await;
    let rolled_back = sqlite::rollback(&mut live).await;
    run.report.note("roll back", rolled_back);
    // What is exclusive is given up by closing it.
    if !exclusive {
        run.report.unlocked();
    }
    run.report.note("close", live.close().await);
    run.report.unlocked();
    match changed? {
        Attempt::WrongLock => Ok(Attempt::WrongLock),
        Attempt::NothingToDo => Ok(Attempt::NothingToDo),
        Attempt::Go(changed) => finish(run, changed).await.map(Attempt::Go),
    }
}

async fn lock(context: &Context<'_>, access: Access, kind: Begin) -> Result<Connection> {
    let mut live = Connection::open(context.database(), access, context.interrupt).await?;
    sqlite::begin(
        &mut live,
        kind,
        context.deadline(),
        context.interrupt,
        context.wait_notice(),
    )
    .await?;
    Ok(live)
}

/// The snapshot before the lock, if it still is of this state. Only under the lock is the answer final.
async fn current(early: Option<Early>) -> Result<Option<Early>> {
    match early {
        Some(early) => early.if_current().await,
        None => Ok(None),
    }
}

async fn change_locked(
    run: &mut Run<'_>,
    live: &mut Connection,
    early: Option<Early>,
    exclusive: bool,
    is_checked: bool,
) -> Result<Attempt<Changed>> {
    let early = current(early).await?;
    let ready = match prepare(run, live, exclusive, early.is_some()).await {
        Ok(Attempt::Go(ready)) => ready,
        other => {
            if let Some(early) = early {
                run.report.note("early snapshot", early.discard().await);
            }
            return other.map(|attempt| match attempt {
                Attempt::WrongLock => Attempt::WrongLock,
                Attempt::NothingToDo | Attempt::Go(_) => Attempt::NothingToDo,
            });
        }
    };
    let (migrations, catalog) = (run.migrations.clone(), run.context.catalog());
    let work = Work {
        plan: &ready.decision.plan(&migrations),
        from: &ready.decision.from_name,
        before: ready.before,
        facts: &ready.facts,
        catalog: &catalog,
        is_checked,
    };
    let changed = if exclusive {
        work.non_transactional(run, live).await
    } else {
        work.transactional(run, live, early).await
    };
    changed.map(Attempt::Go)
}

/// What is known under the lock before anything is copied or changed.
struct Ready {
    facts: FileFacts,
    decision: Decision,
    before: Before,
}

async fn prepare(
    run: &mut Run<'_>,
    live: &mut Connection,
    exclusive: bool,
    is_copied: bool,
) -> Result<Attempt<Ready>> {
    let context = run.context;
    let facts = FileFacts::read(live).await?;
    run.report.database_bytes = Some(facts.size_bytes());
    let mut decision = run.decide(live).await?;
    if decision.done {
        run.conclude(decision);
        return Ok(Attempt::NothingToDo);
    }
    let migrations = run.migrations.clone();
    let plan = decision.plan(&migrations);
    run.announce(decision.from_name.clone(), plan.to);
    if plan.is_non_transactional() != exclusive {
        return Ok(Attempt::WrongLock);
    }
    run.report.warnings.append(&mut decision.notes);
    if !is_copied {
        let catalog = context.catalog();
        catalog.prepare()?;
        context.make_room(&facts)?;
        snapshot::require_room(&catalog, context.database(), &facts)?;
    }
    let before = Before::take(live).await?;
    Ok(Attempt::Go(Ready {
        facts,
        decision,
        before,
    }))
}

/// Writes the outcome, waits for the archive, and prunes.
async fn finish(run: &mut Run<'_>, mut changed: Changed) -> Result<()> {
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
