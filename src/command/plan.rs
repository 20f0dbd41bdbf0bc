//! `plan`: what the job would do, without doing it.

use serde_json::{Value, json};

use super::Outcome;
use super::fit::Fit;
use super::open::open;
use crate::clock::Stamp;
use crate::enums::EnumMap;
use crate::error::{Error, Problem, Result};
use crate::forecast::{Estimate, Finding, Forecast, forecast};
use crate::history::History;
use crate::job::{Context, Goal};
use crate::migration::{Migrations, Target, version_name};
use crate::migrator::{Direction, Plan};
use crate::report::{self, Answer, amount, bytes, roughly};
use crate::snapshot;
use crate::sqlite::FileFacts;
use crate::storage::JobLock;

pub(super) async fn plan(context: Context<'_>, revision: &str) -> Outcome {
    match look(&context, revision).await {
        Ok((answer, failure)) => (Some(answer), failure.map_or(Ok(()), Err)),
        Err(error) => (None, Err(context.interrupt.explain(error))),
    }
}

async fn look(context: &Context<'_>, revision: &str) -> Result<(Answer, Option<Error>)> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let enums = EnumMap::read(&context.settings.migrations)?;
    let goal = Goal {
        target: Target::parse(revision),
        direction: None,
    };
    let mut live = open(context).await?;
    let history = History::read(&mut live, &migrations).await?;
    let target = goal.resolve(&migrations, history.current)?;
    let plan = Plan::new(&migrations, history.current, target);
    let mut found = forecast(&mut live, &plan, &enums).await?;
    let facts = FileFacts::read(&mut live).await?;
    live.close().await?;
    found.findings.extend(surroundings(context, &facts)?);
    Ok(answer(context, &plan, &history, found))
}

/// What would be in the way of the job, whatever it does: an earlier one that was cut short, a disk that is too small.
fn surroundings(context: &Context<'_>, facts: &FileFacts) -> Result<Vec<Finding>> {
    let settings = context.settings;
    let catalog = settings.catalog();
    let mut findings = Vec::new();
    let is_running = !matches!(JobLock::holder(&settings.database), Ok(None));
    for record in catalog
        .own_records()?
        .iter()
        .filter(|r| r.outcome.is_none())
    {
        let message = if is_running {
            "is running; this plan may be another one when it has ended"
        } else {
            "was cut short; the next job settles it first, and this plan may be another one then"
        };
        let subject = format!("job {}", record.id);
        findings.push(Finding::may(Problem::new(subject, message)));
    }
    if let Err(error) = snapshot::require_room(&catalog, &settings.database, facts) {
        findings.push(Finding::may(Problem::new("disk", error.to_string())));
    }
    let copies = snapshot::copies_bytes(facts.size_bytes());
    if let Err(error) = catalog.require_room(&settings.retention, copies) {
        findings.push(Finding::may(Problem::new("backups", error.to_string())));
    }
    Ok(findings)
}

fn answer(
    context: &Context<'_>,
    plan: &Plan<'_>,
    history: &History,
    mut found: Forecast,
) -> (Answer, Option<Error>) {
    let problems = found.fatal();
    let failure = match found.failure.take() {
        Some(error) => Some(error),
        None if problems.is_empty() => None,
        None => Some(Error::WouldFail { problems }),
    };
    let fit = Fit::new(&context.settings.times, &found.estimate, Stamp::now());
    let is_done = plan.steps.is_empty() && history.in_step && found.normalise.is_empty();
    let outcome = match &failure {
        Some(_) => "would_fail",
        None if is_done => "nothing_to_do",
        None => "planned",
    };
    let mut facts = json!({
        "database": context.settings.database,
        "from": version_name(plan.from),
        "to": version_name(plan.to),
        "one_transaction": !plan.is_non_transactional(),
        "history_in_step": history.in_step,
        "time": fit,
    });
    if let (Value::Object(facts), Ok(Value::Object(more))) =
        (&mut facts, serde_json::to_value(&found))
    {
        facts.extend(more);
    }
    let mut text = text(context, plan, history, &found, outcome);
    if let Some(fit) = fit.filter(|_| outcome == "planned") {
        text.push_str(&fit.text());
    }
    (Answer::new(outcome, &facts, text), failure)
}

fn text(
    context: &Context<'_>,
    plan: &Plan<'_>,
    history: &History,
    found: &Forecast,
    outcome: &str,
) -> String {
    let database = context.settings.database.display();
    let (from, to) = (version_name(plan.from), version_name(plan.to));
    if outcome == "nothing_to_do" {
        return format!(
            "Nothing to do: {database} is at {to}.\n{}",
            report::plan(found)
        );
    }
    let count = i64::try_from(plan.steps.len()).unwrap_or(i64::MAX);
    let how = if plan.is_non_transactional() {
        "NOT in one transaction; every other connection must be closed"
    } else {
        "in one transaction"
    };
    let mut text = format!(
        "{database}: {from} -> {to}, {}, {how}\n",
        amount(count, "file")
    );
    text.push_str(&report::plan(found));
    if !history.in_step {
        text.push_str(
            "\nThe history tables are not in step with the schema; the job writes them.\n",
        );
    }
    if outcome == "planned" {
        let estimate = &found.estimate;
        text.push_str(&format!(
            "\nIt would go through. Writers would be locked out for {} (an estimate: a snapshot of {}, {} written anew).\n",
            locked_out(estimate),
            bytes(estimate.database_bytes),
            bytes(estimate.copied_bytes),
        ));
        let flags = context.settings.flags();
        text.push_str(&format!("To do it: safestep {}{flags}\n", command(plan)));
    }
    text
}

fn locked_out(estimate: &Estimate) -> String {
    let (quiet, busy) = (roughly(estimate.ms), roughly(estimate.busy_ms));
    if quiet == busy {
        return quiet;
    }
    format!("{quiet}, or {busy} if somebody writes meanwhile")
}

fn command(plan: &Plan<'_>) -> String {
    let to = version_name(plan.to);
    match plan.steps.first().map(|step| step.direction) {
        // A plain run reads no large table when there is nothing else to do.
        None => "run --verify full".into(),
        Some(Direction::Up) => format!("upgrade {to}"),
        Some(Direction::Down) => format!("downgrade {to}"),
    }
}
