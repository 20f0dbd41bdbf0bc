//! The main job: from one revision to another, backup first; and the same way for what changes only the history.

use tracing::Instrument;

use super::change::{Attempt, change};
use super::recover::recover;
use super::report::Report;
use super::run::{Files, Run};
use super::task::{Goal, Stamp, Task};
use super::{Context, draft, offsite};
use crate::error::{Error, Problem, Result};
use crate::sqlite::{self, Access, Connection};
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
    // Its warning says it all.
    offsite::copy_after(&context, report).await;
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
