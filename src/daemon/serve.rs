//! The loop: waits for what is due, does it, and hears what the operator wants.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::planner::Then;
use super::{Planner, Schedule, State, Status, Task};
use crate::clock::{Stamp, Wall};
use crate::error::{Error, NOT_PROVEN, Result};
use crate::logging;
use crate::sqlite::Interrupt;

/// Between two looks at the database while there is nothing to do: others migrate it, too.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Between two beats of the heart while a job runs.
const BEAT: Duration = Duration::from_secs(1);

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Read the configuration again.
    Reload,
    /// End, because of this signal.
    Stop(i32),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// That of the command that does the same.
    pub exit_code: u8,
    /// Its outcome, or its error.
    pub words: String,
}

/// Does what is due.
pub trait Executor {
    /// Does a task to its end, unless it is interrupted.
    fn execute(&mut self, task: Task, interrupt: &Interrupt) -> impl Future<Output = Ended>;
    /// The revision of a database that is at head, or why it is not.
    fn look(&mut self) -> impl Future<Output = std::result::Result<String, String>>;
    /// Reads the configuration again: the new schedule and the state that goes with it.
    ///
    /// # Errors
    /// What is wrong with it; then everything stays as it was.
    fn reload(&mut self) -> impl Future<Output = Result<(Schedule, State)>>;
}

/// A daemon that serves one database.
pub struct Daemon<'d, W, E> {
    wall: &'d W,
    executor: E,
    status: Arc<Status>,
    events: Receiver<Event>,
    planner: Planner,
    state: State,
    looked: Option<Stamp>,
    reload: bool,
    stop: Option<i32>,
}

impl<'d, W: Wall, E: Executor> Daemon<'d, W, E> {
    /// With a schedule, and what is known of the time before.
    pub fn new(
        wall: &'d W,
        executor: E,
        status: Arc<Status>,
        events: Receiver<Event>,
        (schedule, state): (Schedule, State),
    ) -> Self {
        let planner = Planner::new(schedule, &state, wall.now());
        let mut daemon = Self {
            wall,
            executor,
            status,
            events,
            planner,
            state,
            looked: None,
            reload: false,
            stop: None,
        };
        daemon.begin();
        daemon
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it had to cut a job short for that; it is due still at the next start.
    pub async fn run(mut self) -> Result<()> {
        loop {
            self.observe();
            if let Some(signal) = self.stop {
                tracing::info!(target: logging::WATCH, signal, "daemon stops");
                return Ok(());
            }
            if std::mem::take(&mut self.reload) {
                self.reload().await;
                continue;
            }
            let now = self.wall.now();
            if let Some((task, since)) = self.planner.due(now) {
                self.perform(task, since).await?;
                continue;
            }
            let is_old = |looked: Stamp| looked.until(now) >= LOOK_EVERY || looked > now;
            if self.looked.is_none_or(is_old) {
                self.look().await;
                continue;
            }
            self.wait(now).await;
        }
    }

    fn observe(&mut self) {
        self.status.beat();
        let leap = self.planner.observe(self.wall.now(), self.wall.awake());
        if let Some(leap) = leap {
            tracing::warn!("{leap}");
            self.publish();
        }
    }

    /// Until something is due, the clock thinks that it is time to look, or an operator wants something.
    async fn wait(&mut self, now: Stamp) {
        let moment = self.planner.wake(now).unwrap_or(now.plus(LOOK_EVERY));
        tokio::select! {
            biased;
            event = heard(&mut self.events) => self.hear(event, None),
            () = self.wall.until(moment) => {}
        }
    }

    fn hear(&mut self, event: Event, interrupt: Option<&Interrupt>) {
        match event {
            Event::Reload => self.reload = true,
            Event::Stop(signal) => {
                self.status.stopping();
                self.stop = Some(signal);
                if let Some(interrupt) = interrupt {
                    interrupt.raise(signal);
                }
            }
        }
    }

    async fn perform(&mut self, task: Task, since: Stamp) -> Result<()> {
        let started = self.wall.now();
        tracing::info!(target: logging::WATCH, task = task.name(), due = since.rfc3339(), "{task} starts");
        self.status.started(task);
        let interrupt = Interrupt::default();
        let ended = self.attend(task, &interrupt).await;
        let now = self.wall.now();
        let then = self.planner.ended(task, started, now, ended.exit_code);
        self.observe();
        self.status.ended(task, now, ended.exit_code, &ended.words);
        if then == Then::Halt {
            self.status.operator(Some(ended.words.clone()));
        }
        if matches!(then, Then::NextTime | Then::Halt) {
            self.remember(task, (ended.exit_code == 0).then_some(now));
        }
        // What is said to have ended is durable.
        tell(task, &ended, then);
        self.looked = None;
        self.publish();
        match (self.stop, ended.exit_code) {
            (Some(signal), 128..) => Err(Error::Interrupted { signal }),
            _ => Ok(()),
        }
    }

    /// Runs a task, and meanwhile beats and hears events.
    async fn attend(&mut self, task: Task, interrupt: &Interrupt) -> Ended {
        let mut heard_now = Vec::new();
        let ended = {
            let (status, wall, events) = (&self.status, self.wall, &mut self.events);
            let mut work = pin!(self.executor.execute(task, interrupt));
            loop {
                tokio::select! {
                    biased;
                    ended = &mut work => break ended,
                    event = heard(events) => {
                        if let Event::Stop(signal) = event {
                            tracing::info!(target: logging::WATCH, signal, "daemon stops: {task} is interrupted");
                            status.stopping();
                            interrupt.raise(signal);
                        }
                        heard_now.push(event);
                    }
                    () = wall.until(wall.now().plus(BEAT)) => status.beat(),
                }
            }
        };
        for event in heard_now {
            self.hear(event, None);
        }
        ended
    }

    async fn look(&mut self) {
        let standing = self.executor.look().await;
        if let Err(why) = &standing {
            tracing::debug!("the database is not ready: {why}");
        }
        self.status.standing(standing);
        self.looked = Some(self.wall.now());
    }

    /// An operator has acted: also what was stopped since one was needed goes on.
    async fn reload(&mut self) {
        match self.executor.reload().await {
            Ok((schedule, state)) => {
                self.planner = Planner::new(schedule, &state, self.wall.now());
                self.state = state;
                self.looked = None;
                self.status.operator(None);
                tracing::info!(target: logging::WATCH, "the configuration was read again");
                self.begin();
            }
            Err(error) => tracing::error!(
                code = error.code(),
                "the configuration is NOT taken over, and the daemon goes on with the old one: {error} ({})",
                error.hint()
            ),
        }
    }

    /// Says what is due when, and writes down from when on times of a `run` count as missed.
    fn begin(&mut self) {
        let now = self.wall.now();
        let zone = self.planner.schedule().zone;
        for (task, times) in &self.planner.schedule().times {
            let next = match self.planner.next(*task, now) {
                Some(next) if next <= now => "now".to_owned(),
                Some(next) => zone.moment_of(next).to_string(),
                None => "never".to_owned(),
            };
            tracing::info!(target: logging::WATCH, task = task.name(), "{task} {times}: next {next}");
        }
        let next = self.planner.next(Task::Run, now);
        if next.is_none_or(|next| next > now) && self.planner.since(Task::Run).is_some() {
            self.remember(Task::Run, None);
        }
        self.publish();
    }

    fn remember(&mut self, task: Task, success: Option<Stamp>) {
        let Some(since) = self.planner.since(task) else {
            return;
        };
        if let Err(error) = self.state.settle(task, since, success) {
            tracing::error!(
                "what {task} has done could not be written down, and would be done again after a restart: {error}"
            );
        }
    }

    fn publish(&self) {
        let now = self.wall.now();
        let line = |task: Task| {
            (
                task,
                self.state.last_success(task),
                self.planner.next(task, now),
            )
        };
        let times = self.planner.schedule().times.iter();
        let lines: Vec<_> = times.map(|(task, _)| line(*task)).collect();
        self.status.schedule(&lines);
    }
}

/// For ever where nobody can say anything any more.
async fn heard(events: &mut Receiver<Event>) -> Event {
    match events.recv().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

fn tell(task: Task, ended: &Ended, then: Then) {
    let Ended { exit_code, words } = ended;
    let name = task.name();
    match then {
        Then::NextTime if *exit_code == 0 => {
            tracing::info!(target: logging::WATCH, task = name, exit_code, "{task} ended: {words}");
        }
        Then::NextTime => {
            tracing::error!(
                task = name,
                exit_code,
                "{task} failed with exit code {exit_code}, and is not tried again before its next time: {words}"
            );
        }
        Then::Again(at) => {
            tracing::warn!(
                task = name,
                exit_code,
                "{task} failed with exit code {exit_code}, and is tried again from {}: {words}",
                at.rfc3339()
            );
        }
        Then::Halt => {
            debug_assert_eq!(*exit_code, NOT_PROVEN);
            tracing::error!(
                task = name,
                exit_code,
                "{task} failed with exit code {exit_code}. Nothing that writes is started any more: put the database right, then send SIGHUP or restart. {words}"
            );
        }
        Then::StillDue => {
            tracing::warn!(
                task = name,
                exit_code,
                "{task} was interrupted and rolled back; it is due again at the next start"
            );
        }
    }
}
