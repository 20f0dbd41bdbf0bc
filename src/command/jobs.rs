//! `run`, `upgrade`, `downgrade`, `stamp`, `backup`: the verbs that start a job.

use super::Outcome;
use crate::error::Result;
use crate::job::{self, Context, Goal, Report, Stamp};
use crate::migration::Target;
use crate::migrator::Direction;
use crate::report::Answer;

pub(super) async fn run(context: Context<'_>, verbose: bool) -> Outcome {
    migrate(context, &Goal::head(), verbose).await
}

pub(super) async fn upgrade(context: Context<'_>, revision: &str, verbose: bool) -> Outcome {
    migrate(context, &goal(revision, Direction::Up), verbose).await
}

pub(super) async fn downgrade(context: Context<'_>, revision: &str, verbose: bool) -> Outcome {
    migrate(context, &goal(revision, Direction::Down), verbose).await
}

pub(super) async fn stamp(
    context: Context<'_>,
    revision: &str,
    force: bool,
    verbose: bool,
) -> Outcome {
    let stamp = Stamp {
        target: Target::parse(revision),
        force,
    };
    let mut report = Report::default();
    let result = job::stamp(context, &stamp, &mut report).await;
    answer(&report, result, verbose)
}

pub(super) async fn backup(context: Context<'_>, verbose: bool) -> Outcome {
    let mut report = Report::default();
    let result = job::backup(context, &mut report).await;
    answer(&report, result, verbose)
}

pub(super) fn goal(revision: &str, direction: Direction) -> Goal {
    Goal {
        target: Target::parse(revision),
        direction: Some(direction),
    }
}

async fn migrate(context: Context<'_>, goal: &Goal, verbose: bool) -> Outcome {
    let mut report = Report::default();
    let result = job::migrate(context, goal, &mut report).await;
    answer(&report, result, verbose)
}

pub(super) fn answer(report: &Report, result: Result<()>, verbose: bool) -> Outcome {
    (
        Some(Answer::of_job(report, result.is_err(), verbose)),
        result,
    )
}
