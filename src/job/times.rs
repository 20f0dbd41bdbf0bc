//! When a migration may run and for how long: its window, its deadline, and whether it would be done in time.

use std::time::Duration;

use super::Context;
use super::recover::recover;
use super::report::Report;
use super::run::Run;
use super::task::Task;
use crate::clock::{Stamp, Window, millis};
use crate::error::{Error, Problem, Result, TimeLimit, TooLong};
use crate::forecast::{Estimate, forecast};
use crate::sqlite::{self, Access, Connection, Interrupt};

/// How often a wait for the window looks at the clock, which may be set meanwhile, and whether a signal has come.
const LOOK: Duration = Duration::from_millis(250);

/// Of the time that is left, what may be spent to estimate whether it is enough: a migration that computes much without
/// reading a row takes as long in the estimate.
const SHARE_FOR_ESTIMATE: u32 = 4;
const LONGEST_ESTIMATE: Duration = Duration::from_mins(1);

/// The limits that somebody has set.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// Migrations run only while it is open.
    pub window: Option<Window>,
    /// Whether to wait until it opens.
    pub wait: bool,
    /// The longest time until the commit.
    pub deadline: Option<Duration>,
    /// Whether to start also what would not be done in time.
    pub start_anyway: bool,
}

impl Context<'_> {
    /// The deadline begins to run. Whoever takes a command begins with this; a job by itself has no deadline.
    pub fn start_deadline(&self) {
        self.interrupt.allow(self.settings.times.deadline);
    }
}

impl Run<'_> {
    /// The window that a job has to keep to: what only corrects the history has none.
    fn window(&self) -> Option<&Window> {
        let is_migration = matches!(self.task, Task::Migrate(_));
        let window = self.context.settings.times.window.as_ref();
        window.filter(|_| is_migration)
    }

    /// Whether it is closed now.
    pub(super) fn is_outside(&self) -> bool {
        self.window()
            .is_some_and(|window| !window.is_open(Stamp::now()))
    }

    /// What an earlier job has left is put right at any hour: a database that is halfway helps nobody.
    pub(super) async fn recover_outside(&mut self) -> Result<()> {
        let context = self.context;
        self.phase("job lock");
        let _lock = context.job_lock().await?;
        let _catalog = context.catalog_lock().await?;
        recover(&context, Some(&self.migrations), self.report).await
    }

    /// Goes on where the window is open, which it then has to be done in; else waits or refuses.
    pub(super) async fn enter_window(&mut self) -> Result<()> {
        let context = self.context;
        let Some(window) = self.window().cloned() else {
            return Ok(());
        };
        // One that has closed on jobs beside this one is not waited for: their time would be forgotten.
        if let Some(TimeLimit::Window { .. }) = context.interrupt.time_up() {
            context.interrupt.check()?;
        }
        let mut now = Stamp::now();
        if !window.is_open(now) {
            if !context.settings.times.wait {
                return Err(Error::OutsideWindow(Box::new(window.facts(now))));
            }
            now = self.wait_for(&window).await?;
            context.start_deadline();
        }
        context.interrupt.end_with(&window, now);
        Ok(())
    }

    /// Holds no lock meanwhile. The moment in which the window was found to be open.
    async fn wait_for(&mut self, window: &Window) -> Result<Stamp> {
        let context = self.context;
        self.phase("wait");
        // No deadline runs before the window opens.
        context.interrupt.allow(None);
        let mut told = None;
        loop {
            context.interrupt.check()?;
            let now = Stamp::now();
            if window.is_open(now) {
                return Ok(now);
            }
            let opens = window.opens_after(now);
            if opens != told {
                let opens = opens.map(|opens| window.zone().moment_of(opens).to_string());
                let until = format!(
                    "until the window \"{window}\" opens: {}",
                    opens.unwrap_or_default()
                );
                context.monitor.notice(&format!("waiting {until}"));
                context.monitor.step(&until);
            }
            told = opens;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Refuses what would not be done in time. Where there is no limit, nothing is estimated.
    pub(super) async fn require_time(&mut self) -> Result<()> {
        let context = self.context;
        if context.settings.times.start_anyway || self.task.is_history_only() {
            return Ok(());
        }
        let Some((left, _)) = context.interrupt.time_left() else {
            return Ok(());
        };
        context.interrupt.check()?;
        self.phase("estimate");
        let brief = LONGEST_ESTIMATE.min(left / SHARE_FOR_ESTIMATE);
        let part = context.interrupt.for_at_most(brief);
        let estimated = self.estimate(&part).await;
        context.interrupt.check()?;
        let estimate = match estimated {
            Ok(estimate) => estimate,
            Err(error) => {
                self.note_unknown(&part, &error);
                return Ok(());
            }
        };
        match context.interrupt.time_left() {
            Some((left, limit)) if !estimate.fits(left) => {
                Err(Error::WouldNotFinish(Box::new(TooLong {
                    limit,
                    estimate_ms: estimate.busy_ms,
                    left_ms: millis(left),
                })))
            }
            _ => Ok(()),
        }
    }

    fn note_unknown(&mut self, part: &Interrupt, error: &Error) {
        let why = match part.time_up() {
            Some(_) => "that took too long itself".to_owned(),
            None => error.to_string(),
        };
        let message =
            format!("how long it takes could not be estimated ({why}), and it was started");
        self.report.warnings.push(Problem::new("time", message));
    }

    /// That of `plan`, of the database as it stands.
    async fn estimate(&mut self, part: &Interrupt) -> Result<Estimate> {
        let context = self.context;
        let mut reader = Connection::open(context.database(), Access::ReadOnly, part).await?;
        let estimated = async {
            let (deadline, notice) = (context.deadline(), context.wait_notice());
            sqlite::begin_reading(&mut reader, deadline, part, notice).await?;
            let decision = self.decide(&mut reader).await?;
            if decision.done {
                return Ok(Estimate::default());
            }
            let plan = decision.plan(&self.migrations);
            let forecast = forecast(&mut reader, &plan, &self.enums).await?;
            Ok(forecast.estimate)
        }
        .await;
        reader.close().await?;
        estimated
    }

    /// What was committed stands, but whoever set the limit should hear that it was passed.
    pub(super) fn note_time(&mut self) {
        let Some(limit) = self.context.interrupt.time_up() else {
            return;
        };
        let message = format!("{limit} when the job was committed already; it stands");
        self.report.warnings.push(Problem::new("time", message));
    }

    /// The failure in its own words: why the work was stopped, and in which phase.
    pub(super) fn explain(&self, error: Error) -> Error {
        explain(&self.context, self.report, error)
    }
}

/// As [`Run::explain`], for other jobs.
pub(super) fn explain(context: &Context<'_>, report: &Report, error: Error) -> Error {
    let during = || match report.running() {
        Some(phase) => format!("in the phase \"{phase}\""),
        None => String::new(),
    };
    context.interrupt.explain(error).during(during)
}
