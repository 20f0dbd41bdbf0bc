//! The part of a migration job under the write lock: from having it to having given it up.

use super::Context;
use super::early::Early;
use super::finish::finish;
use super::report::Report;
use super::run::{Before, Run};
use super::task::Decision;
use super::work::{Changed, Work};
use crate::catalog::JobId;
use crate::error::Result;
use crate::fault::{self, Point};
use crate::snapshot;
use crate::sqlite::{self, Access, Begin, Connection, FileFacts};

/// What came of having the lock.
pub(super) enum Attempt<T> {
    /// The plan needs the other kind of lock; nothing was done.
    WrongLock,
    NothingToDo,
    Go(T),
}

/// The part under the write lock.
pub(super) async fn change(run: &mut Run<'_>, exclusive: bool) -> Result<Attempt<()>> {
    let context = run.context;
    let early = if exclusive {
        None
    } else {
        match Early::take(run).await? {
            Some(early) => Some(early.protected(run).await?),
            None => None,
        }
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
        job: second_id(run.report),
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

/// Of the job, unless a backup of its own has it already: the copy before the lock, which somebody has written after.
fn second_id(report: &Report) -> JobId {
    let job = report.job.to_string();
    match &report.backup {
        Some(backup) if backup.id == job => JobId::default(),
        _ => report.job.clone(),
    }
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
