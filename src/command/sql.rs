//! `run --sql`, `upgrade --sql`, `downgrade --sql`: the plan as SQL, without doing it.

use serde_json::json;

use super::open::open;
use crate::error::{Error, Result};
use crate::history::History;
use crate::job::{Context, Goal};
use crate::migration::{Migrations, Target, Version, version_name};
use crate::migrator::{Direction, Plan};
use crate::offline;
use crate::report::Answer;

pub(super) async fn upgrade(context: Context<'_>, revision: &str) -> Result<Answer> {
    print(&context, revision, Direction::Up).await
}

pub(super) async fn downgrade(context: Context<'_>, revision: &str) -> Result<Answer> {
    print(&context, revision, Direction::Down).await
}

/// Where the script begins.
struct Start {
    at: Option<Version>,
    /// Both history tables say so.
    in_step: bool,
    is_known: bool,
}

async fn print(context: &Context<'_>, revision: &str, direction: Direction) -> Result<Answer> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let (start, to) = match revision.split_once(':') {
        Some((from, to)) => (named(&migrations, from)?, to),
        None => (look(context, &migrations).await?, revision),
    };
    let goal = Goal {
        target: Target::parse(to),
        direction: Some(direction),
    };
    let target = goal.resolve(&migrations, start.at)?;
    let plan = Plan::new(&migrations, start.at, target);
    let database = &context.settings.database;
    let path = start.is_known.then_some(database.as_path());
    let text = offline::script(&migrations, &plan, start.in_step, path);
    let facts = json!({
        "database": path,
        "from": version_name(plan.from),
        "to": version_name(plan.to),
        "sql": text,
    });
    Ok(Answer::new("shown", &facts, text))
}

/// `none` is a database to which nothing was applied.
fn named(migrations: &Migrations, from: &str) -> Result<Start> {
    let at = match from {
        "none" => None,
        name => Target::parse(name).resolve(migrations, None)?,
    };
    Ok(Start {
        at,
        in_step: false,
        is_known: false,
    })
}

async fn look(context: &Context<'_>, migrations: &Migrations) -> Result<Start> {
    let mut connection = match open(context).await {
        Ok(connection) => connection,
        Err(Error::DatabaseMissing { .. }) if context.settings.create_if_missing => {
            return named(migrations, "none");
        }
        Err(error) => return Err(error),
    };
    let history = History::read(&mut connection, migrations).await;
    connection.close().await?;
    let history = history?;
    Ok(Start {
        at: history.current,
        in_step: history.in_step,
        is_known: true,
    })
}
