//! A job on each of many databases, told as one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Outcome;
use crate::fleet::{self, Done, Fleet, Member, Watch, Work};
use crate::job::Context;
use crate::logging;
use crate::monitor::Monitor;
use crate::report::Answer;

/// How many of those at work are named.
const NAMED: usize = 3;

pub(super) fn run(context: Context<'_>, fleet: &Fleet, work: &Work, verbose: bool) -> Outcome {
    context.monitor.phase("databases");
    let board = Board {
        monitor: context.monitor,
        state: Mutex::default(),
    };
    match fleet::run(context, fleet, work, &board) {
        Ok(summary) => {
            let answer = Answer::of_fleet(&summary, verbose);
            (Some(answer), summary.error().map_or(Ok(()), Err))
        }
        Err(error) => (None, Err(error)),
    }
}

/// One line for all of them.
struct Board<'m> {
    monitor: &'m dyn Monitor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: usize,
    ended: usize,
    failed: usize,
    at_work: BTreeSet<String>,
}

impl Board<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn words(&self) -> String {
        let names: Vec<&str> = self
            .at_work
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        let more = self.at_work.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!(
            "{} of {}, {} failed; at work: {}{more}",
            self.ended,
            self.total,
            self.failed,
            names.join(", ")
        )
    }
}

impl Watch for Board<'_> {
    fn begins<'w>(&'w self, member: &'w Member, total: usize) -> Box<dyn Monitor + 'w> {
        let mut state = self.state();
        state.total = total;
        state.at_work.insert(member.name.display().to_string());
        self.monitor.step(&state.words());
        Box::new(Voice {
            monitor: self.monitor,
            database: &member.path,
        })
    }

    fn ended(&self, done: &Done) {
        log(done);
        let mut state = self.state();
        state.ended += 1;
        state.failed += usize::from(done.error().is_some());
        state
            .at_work
            .remove(&done.member.name.display().to_string());
        self.monitor.step(&state.words());
    }
}

fn log(done: &Done) {
    let database = done.member.path.display();
    let outcome = done.outcome();
    match done.error() {
        Some(error) => {
            tracing::error!(target: logging::OUTCOME, %database, outcome, code = error.code(), exit_code = error.exit_code(), "{error}");
        }
        None if outcome == "nothing_to_do" => tracing::debug!(%database, outcome, "done"),
        None => tracing::info!(%database, outcome, "done"),
    }
}

/// One job among many: only what a person should see now, with the database that it is about.
struct Voice<'v> {
    monitor: &'v dyn Monitor,
    database: &'v Path,
}

impl Monitor for Voice<'_> {
    fn phase(&self, phase: &'static str) {
        tracing::debug!("{}: phase: {phase}", self.database.display());
    }

    fn step(&self, _words: &str) {}

    fn progress(&self, _done: u64, _total: u64) {}

    fn notice(&self, line: &str) {
        self.monitor
            .notice(&format!("{}: {line}", self.database.display()));
    }
}
