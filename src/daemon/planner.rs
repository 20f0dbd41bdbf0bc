//! What is due. A function of the clock and of what has happened: no time passes in here.

use std::time::Duration;

use super::{Schedule, State, Task, Times};
use crate::clock::Stamp;
use crate::error::NOT_PROVEN;

/// A clock that was put back by less is waited for, so that nothing is done twice; by more, and the new time counts.
pub(super) const PATIENCE: Duration = Duration::from_hours(3);
/// A clock that was put forward, or a machine that slept, by more than this has missed what lies in between.
const LEAP: Duration = Duration::from_mins(1);
/// Before a task is tried again; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What becomes of times at which nobody was there: the daemon was down, the machine slept, the clock was put forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// They are made up for, once however many they were.
    #[default]
    CatchUp,
    /// The next one counts.
    Skip,
}

/// Knows what is due.
#[derive(Debug)]
pub struct Planner {
    schedule: Schedule,
    entries: Vec<Entry>,
    seen: Option<(Stamp, Duration)>,
    halted: bool,
}

#[derive(Debug)]
struct Entry {
    task: Task,
    times: Times,
    /// Times up to this one are settled.
    since: Stamp,
    /// The first time after it.
    next: Option<Stamp>,
    failures: u32,
    not_before: Option<Stamp>,
}

/// What comes after a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Its next time.
    NextTime,
    /// It is tried again, at this moment or when the window is open again.
    Again(Stamp),
    /// Nothing that writes is started any more until somebody has put the database right.
    Halt,
    /// It was told to stop, and is due still.
    StillDue,
}

impl Planner {
    /// Begins with what is known of the time before.
    #[must_use]
    pub fn new(schedule: Schedule, state: &State, now: Stamp) -> Self {
        let entries = schedule.times.iter().map(|(task, times)| {
            let known = state.since(*task, now.plus(PATIENCE));
            let mut entry = Entry {
                task: *task,
                times: times.clone(),
                since: known.unwrap_or(now),
                next: None,
                failures: 0,
                not_before: None,
            };
            match (schedule.missed, known) {
                (Missed::Skip, _) => entry.settle(entry.since.max(now)),
                // A first backup need not wait. A migration that nobody has missed waits for its time.
                (Missed::CatchUp, None) if *task != Task::Run => entry.next = Some(now),
                (Missed::CatchUp, _) => entry.settle(entry.since),
            }
            entry
        });
        let mut planner = Self {
            entries: entries.collect(),
            schedule,
            seen: None,
            halted: false,
        };
        planner.admit_open_window(state, now);
        planner
    }

    /// A daemon that comes up while the window is open, and knows of no `run` in it, does not wait for the next one.
    fn admit_open_window(&mut self, state: &State, now: Stamp) {
        let catches_up = self.schedule.missed == Missed::CatchUp;
        for entry in &mut self.entries {
            if let Times::Opening(window) = &entry.times
                && catches_up
                && state.since(entry.task, now.plus(PATIENCE)).is_none()
                && window.is_open(now)
            {
                entry.next = Some(now);
            }
        }
    }

    /// Looks at the clock. What is to be told of it, where it has leapt.
    pub fn observe(&mut self, now: Stamp, awake: Duration) -> Option<String> {
        let (before, since) = self.seen.replace((now, awake))?;
        let expected = before.plus(awake.saturating_sub(since));
        let (back, forward) = (now.until(expected), expected.until(now));
        if forward > LEAP {
            if self.schedule.missed == Missed::Skip {
                self.entries
                    .iter_mut()
                    .filter(|entry| entry.is_due(now))
                    .for_each(|entry| entry.settle(now));
            }
            let seconds = forward.as_secs();
            return Some(format!(
                "the clock was put forward by {seconds} s, or the machine slept"
            ));
        }
        for entry in &mut self.entries {
            if entry.since > now.plus(PATIENCE) {
                entry.settle(now);
            }
            // Also the pause before another try is of the clock on the wall.
            entry.not_before = entry
                .not_before
                .map(|moment| moment.min(now.plus(LONGEST_PAUSE)));
        }
        let seconds = back.as_secs();
        (back > LEAP).then(|| format!("the clock was put back by {seconds} s"))
    }

    /// What is to be done now, and since when: what has waited longest.
    #[must_use]
    pub fn due(&self, now: Stamp) -> Option<(Task, Stamp)> {
        self.entries
            .iter()
            .filter(|entry| self.may_start(entry, now))
            .filter(|entry| entry.not_before.is_none_or(|moment| moment <= now))
            .filter_map(|entry| Some((entry.next.filter(|next| *next <= now)?, entry.task)))
            .min()
            .map(|(moment, task)| (task, moment))
    }

    /// When there may be something to do.
    #[must_use]
    pub fn wake(&self, now: Stamp) -> Option<Stamp> {
        self.entries
            .iter()
            .filter_map(|entry| self.start_of(entry, now))
            .min()
    }

    /// When a task will be started, if nothing else runs then.
    #[must_use]
    pub fn next(&self, task: Task, now: Stamp) -> Option<Stamp> {
        let entry = self.entries.iter().find(|entry| entry.task == task)?;
        self.start_of(entry, now)
    }

    fn start_of(&self, entry: &Entry, now: Stamp) -> Option<Stamp> {
        if self.halted && entry.task.writes() {
            return None;
        }
        let earliest = entry.next?.max(entry.not_before.unwrap_or(now)).max(now);
        match self.window_of(entry) {
            Some(window) if !window.is_open(earliest) => window.opens_after(earliest),
            _ => Some(earliest),
        }
    }

    fn may_start(&self, entry: &Entry, now: Stamp) -> bool {
        let is_halted = self.halted && entry.task.writes();
        let window = self.window_of(entry);
        !is_halted && window.is_none_or(|window| window.is_open(now))
    }

    fn window_of(&self, entry: &Entry) -> Option<&crate::clock::Window> {
        let window = self.schedule.window.as_ref();
        window.filter(|_| entry.task == Task::Run)
    }

    /// A job has ended that began at `started`. What came due meanwhile is due once more, however often it did.
    pub fn ended(&mut self, task: Task, started: Stamp, now: Stamp, exit_code: u8) -> Then {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.task == task) else {
            return Then::NextTime;
        };
        match exit_code {
            1 | 75 => {
                let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(16));
                let again = now.plus(pause.min(LONGEST_PAUSE));
                entry.failures += 1;
                entry.not_before = Some(again);
                Then::Again(again)
            }
            // By a signal.
            128.. => Then::StillDue,
            code => {
                entry.settle(started);
                self.halted |= code == NOT_PROVEN;
                if code == NOT_PROVEN {
                    Then::Halt
                } else {
                    Then::NextTime
                }
            }
        }
    }

    /// Up to when the times of a task are settled.
    #[must_use]
    pub fn since(&self, task: Task) -> Option<Stamp> {
        let entry = self.entries.iter().find(|entry| entry.task == task)?;
        Some(entry.since)
    }

    /// The schedule that it follows.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

impl Entry {
    fn is_due(&self, now: Stamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    fn settle(&mut self, since: Stamp) {
        self.since = since;
        self.next = self.times.next_after(since);
        self.failures = 0;
        self.not_before = None;
    }
}
