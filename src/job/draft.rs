//! A database that does not exist yet: built under another name, and given its own only when it is finished.

use std::path::{Path, PathBuf};

use super::run::{Before, Run};
use super::task::Goal;
use crate::catalog::discard_database;
use crate::error::Result;
use crate::fault::{self, Point};
use crate::history;
use crate::migration::version_name;
use crate::migrator::{self, Plan, Protection};
use crate::sqlite::{self, Access, Begin, Connection};
use crate::storage;

/// Builds the database and publishes it; nothing is left behind on failure.
pub(super) async fn create(run: &mut Run<'_>, goal: &Goal) -> Result<()> {
    let draft = draft_path(run.context.database());
    discard_database(&draft)?;
    let migrations = run.migrations.clone();
    let target = goal.resolve(&migrations, None)?;
    let plan = Plan::new(&migrations, None, target);
    run.announce(version_name(None), target);
    if let Err(error) = build(run, &plan, &draft).await {
        discard_database(&draft)?;
        return Err(error);
    }
    run.phase("commit");
    storage::publish(&draft, run.context.database())?;
    fault::reach(Point::DraftPublished);
    run.report.outcome = "created";
    Ok(())
}

/// What a new database is called until it is finished.
pub(super) fn draft_path(database: &Path) -> PathBuf {
    let name = format!(".{}.safestep-new", storage::name_of(database));
    storage::folder_of(database).join(name)
}

async fn build(run: &mut Run<'_>, plan: &Plan<'_>, draft: &Path) -> Result<()> {
    drop(storage::create_new(draft)?);
    fault::reach(Point::DraftCreated);
    let interrupt = run.context.interrupt;
    let mut connection = Connection::open(draft, Access::ReadWrite, interrupt).await?;
    let protection = Protection::Draft(draft);
    let before = Before::take(&mut connection).await?;
    let timings = if plan.is_non_transactional() {
        run.phase("migrate");
        let ran = migrator::apply_outside_transaction(
            &mut connection,
            plan,
            protection,
            run.context.deadline(),
            interrupt,
            run.context.monitor,
        )
        .await?;
        begin(run, &mut connection).await?;
        run.normalise_and_verify(&mut connection, ran, &before)
            .await?
    } else {
        begin(run, &mut connection).await?;
        run.apply(&mut connection, plan, protection, &before)
            .await?
    };
    history::write(&mut connection, &run.migrations, plan.to, &timings).await?;
    interrupt.check()?;
    sqlite::commit(&mut connection, run.context.deadline(), interrupt, || ()).await?;
    connection.close().await?;
    fault::reach(Point::DraftBuilt);
    run.record_applied(plan, &timings);
    Ok(())
}

async fn begin(run: &Run<'_>, connection: &mut Connection) -> Result<()> {
    let context = &run.context;
    sqlite::begin(
        connection,
        Begin::Immediate,
        context.deadline(),
        context.interrupt,
        || (),
    )
    .await
}
