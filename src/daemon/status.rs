//! What the loop tells whoever asks: whether it is alive, how the database stands, and how each task last ended.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Task;
use crate::clock::{Stamp, Stopwatch};
use crate::metrics::Registry;

/// The loop stirs every second.
const STALE: Duration = Duration::from_secs(30);

/// Shared by the loop and the HTTP server.
#[derive(Debug)]
pub struct Status {
    clock: Stopwatch,
    state: Mutex<Inner>,
    registry: Mutex<Registry>,
}

#[derive(Debug)]
struct Inner {
    database: String,
    beat_ms: u64,
    /// The revision of a database that is at head, or why it is not.
    standing: Result<String, String>,
    tasks: BTreeMap<Task, Line>,
    running: Option<Task>,
    stopping: bool,
    operator: Option<String>,
}

/// Of one task.
#[derive(Debug, Default)]
struct Line {
    last: Option<(Stamp, u8, String)>,
    last_success: Option<Stamp>,
    next: Option<Stamp>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            clock: Stopwatch::start(),
            state: Mutex::new(Inner {
                database: String::new(),
                beat_ms: 0,
                standing: Err("the database has not been looked at yet".into()),
                tasks: BTreeMap::new(),
                running: None,
                stopping: false,
                operator: None,
            }),
            registry: Mutex::default(),
        }
    }
}

impl Status {
    /// The loop stirs.
    pub fn beat(&self) {
        lock(&self.state).beat_ms = self.clock.elapsed_ms();
    }

    /// Whether the loop has stirred of late; else since when it has not.
    ///
    /// # Errors
    /// A sentence.
    pub fn alive(&self) -> Result<(), String> {
        let beat_ms = lock(&self.state).beat_ms;
        let quiet = Duration::from_millis(self.clock.elapsed_ms().saturating_sub(beat_ms));
        if quiet < STALE {
            return Ok(());
        }
        let seconds = quiet.as_secs();
        Err(format!("the daemon's loop has not stirred for {seconds} s"))
    }

    /// Whether the application may start: the database is at head, and the last `run` did not fail.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn ready(&self) -> Result<String, String> {
        self.alive()?;
        let state = lock(&self.state);
        if let Some(why) = &state.operator {
            return Err(format!("an operator is needed: {why}"));
        }
        if state.stopping {
            return Err("the daemon is stopping".into());
        }
        let last = state
            .tasks
            .get(&Task::Run)
            .and_then(|line| line.last.as_ref());
        match last {
            Some((_, code, words)) if *code != 0 => Err(format!(
                "the last run failed with exit code {code}: {words}"
            )),
            _ => state.standing.clone(),
        }
    }

    /// A line a task: how it last ended, and when it is due.
    #[must_use]
    pub fn detail(&self) -> String {
        let state = lock(&self.state);
        let mut text = String::new();
        for (task, line) in &state.tasks {
            let when = |at: Option<Stamp>| at.map_or_else(|| "never".into(), Stamp::rfc3339);
            let last = match &line.last {
                Some((at, 0, words)) => format!("{words} at {}", at.rfc3339()),
                Some((at, code, words)) => {
                    format!("failed at {} with exit code {code}: {words}", at.rfc3339())
                }
                None => "not yet done by this process".into(),
            };
            let running = if state.running == Some(*task) {
                "; runs now"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "{task}: {last}; last success {}; next {}{running}",
                when(line.last_success),
                when(line.next)
            );
        }
        text
    }

    /// What is counted, in Prometheus's text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        let ready = self.ready().is_ok();
        let state = lock(&self.state);
        let tasks = state.tasks.iter();
        let tasks: Vec<_> = tasks
            .map(|(task, line)| (task.name(), line.last_success, line.next))
            .collect();
        let mut registry = lock(&self.registry);
        registry.daemon(&state.database, ready, &tasks);
        registry.render()
    }

    /// Changes what is counted.
    pub fn count(&self, change: impl FnOnce(&mut Registry)) {
        change(&mut lock(&self.registry));
    }

    /// This is the database that the daemon is for.
    pub(super) fn serve(&self, database: &Path) {
        lock(&self.state).database = database.display().to_string();
    }

    pub(super) fn standing(&self, standing: Result<String, String>) {
        lock(&self.state).standing = standing;
    }

    pub(super) fn stopping(&self) {
        lock(&self.state).stopping = true;
    }

    pub(super) fn operator(&self, why: Option<String>) {
        lock(&self.state).operator = why;
    }

    pub(super) fn started(&self, task: Task) {
        lock(&self.state).running = Some(task);
    }

    pub(super) fn ended(&self, task: Task, at: Stamp, code: u8, words: &str) {
        let mut state = lock(&self.state);
        state.running = None;
        self.count(|registry| registry.task_ended(&state.database, task.name(), code));
        let line = state.tasks.entry(task).or_default();
        // Whatever else it says is of several lines.
        let first = words.lines().next().unwrap_or_default();
        line.last = Some((at, code, first.to_owned()));
    }

    /// Only these tasks have times.
    pub(super) fn schedule(&self, tasks: &[(Task, Option<Stamp>, Option<Stamp>)]) {
        let mut state = lock(&self.state);
        state
            .tasks
            .retain(|task, _| tasks.iter().any(|known| known.0 == *task));
        for (task, last_success, next) in tasks {
            let line = state.tasks.entry(*task).or_default();
            (line.last_success, line.next) = (*last_success, *next);
        }
    }
}

/// What a thread that panicked has left is good enough to be told.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
