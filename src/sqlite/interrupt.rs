//! The wish to stop, seen by every long operation: a signal, or time that is up.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Deadline, Stamp, Window};
use crate::error::{Error, OutOfTime, Result, TimeLimit};

/// Shared by the signal handler, the connections and the loops of a job.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    signal: Arc<AtomicI32>,
    time: Arc<Mutex<Time>>,
    shielded: Arc<AtomicBool>,
}

/// How long the work may go on. Nobody has to watch it: whoever looks whether to stop asks the clock.
#[derive(Debug, Default)]
struct Time {
    deadline: Option<(Deadline, Duration)>,
    closing: Option<(Stamp, TimeLimit)>,
    /// Which limit was reached, once one was: a clock that is set back does not take that back.
    up: Option<TimeLimit>,
}

impl Time {
    /// What is left, and of which limit; `None` where there is none.
    fn left(&self) -> Option<(Duration, TimeLimit)> {
        let of_deadline = self.deadline.map(|(deadline, limit)| {
            let left = deadline.remaining().unwrap_or_default();
            (left, TimeLimit::Deadline(clock::written(limit)))
        });
        let of_window = self
            .closing
            .as_ref()
            .map(|(closes, limit)| (Stamp::now().until(*closes), limit.clone()));
        let both = of_deadline.into_iter().chain(of_window);
        both.min_by_key(|(left, _)| *left)
    }

    fn is_over(&self) -> bool {
        let deadline = self.deadline.as_ref();
        let closing = self.closing.as_ref();
        deadline.is_some_and(|(deadline, _)| deadline.remaining().is_none())
            || closing.is_some_and(|(closes, _)| *closes <= Stamp::now())
    }

    /// Asked often, so nothing is put into words before it has to be.
    fn look(&mut self) -> Option<&TimeLimit> {
        if self.up.is_none() && self.is_over() {
            self.up = self.left().map(|(_, limit)| limit);
        }
        self.up.as_ref()
    }
}

impl Interrupt {
    /// For a job beside this one: it hears of the same wish, and puts its own things right.
    #[must_use]
    pub fn for_another_job(&self) -> Self {
        Self {
            signal: Arc::clone(&self.signal),
            time: Arc::clone(&self.time),
            shielded: Arc::default(),
        }
    }

    /// For a part of a job that is given up when it lasts longer than that: it hears of the same signals.
    #[must_use]
    pub fn for_at_most(&self, limit: Duration) -> Self {
        let part = Self {
            signal: Arc::clone(&self.signal),
            ..Self::default()
        };
        part.allow(Some(limit));
        part
    }

    /// For what follows a job: only a signal ends it, also where the job itself was shielded.
    #[must_use]
    pub fn for_signals_alone(&self) -> Self {
        Self {
            signal: Arc::clone(&self.signal),
            ..Self::default()
        }
    }

    /// Asks for a stop because of this signal.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
    }

    /// From now on there is so much time; whatever bounded it before is forgotten.
    pub fn allow(&self, limit: Option<Duration>) {
        *self.time() = Time {
            deadline: limit.map(|limit| (Deadline::after(limit), limit)),
            ..Time::default()
        };
    }

    /// The work has to end when the window closes that is open at `now`.
    pub fn end_with(&self, window: &Window, now: Stamp) {
        let closing = window.closes_after(now).map(|closes| {
            let limit = TimeLimit::Window {
                window: window.to_string(),
                timezone: window.zone().to_string(),
                closes: window.zone().moment_of(closes),
            };
            (closes, limit)
        });
        self.time().closing = closing;
    }

    /// How much time is left until which limit; `None` where there is none.
    #[must_use]
    pub fn time_left(&self) -> Option<(Duration, TimeLimit)> {
        self.time().left()
    }

    /// The limit that was reached, shielded or not.
    #[must_use]
    pub fn time_up(&self) -> Option<TimeLimit> {
        self.time().look().cloned()
    }

    /// From here to the end the job puts things right, and may not be stopped any more.
    pub fn shield(&self) {
        self.shielded.store(true, Ordering::SeqCst);
    }

    /// The things are put right, and what follows may be stopped again.
    pub fn unshield(&self) {
        self.shielded.store(false, Ordering::SeqCst);
    }

    /// Whether the work should stop now.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        let is_shielded = self.shielded.load(Ordering::SeqCst);
        !is_shielded && (self.signal().is_some() || self.time().look().is_some())
    }

    /// The signal that was received, shielded or not.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Fails with [`Error::Interrupted`] or [`Error::OutOfTime`] when the work should stop.
    pub fn check(&self) -> Result<()> {
        if !self.is_raised() {
            return Ok(());
        }
        self.reason().map_or(Ok(()), Err)
    }

    /// Why, where it is what made SQLite stop.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        match &error {
            Error::Sqlite { failure, .. } if failure.is_interrupt() => {
                self.reason().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Has work beside this job stop as well: for a signal always, for time only as long as the job itself would.
    pub fn pass_on(&self, beside: &Self) {
        if let Some(signal) = self.signal() {
            beside.raise(signal);
        } else if self.is_raised() {
            beside.time().up = self.time_up();
        }
    }

    /// A signal goes first: it may come when time is up already.
    fn reason(&self) -> Option<Error> {
        let of_time = || {
            self.time_up().map(|limit| {
                Error::OutOfTime(Box::new(OutOfTime {
                    limit,
                    during: String::new(),
                    holders: Vec::new(),
                }))
            })
        };
        self.signal()
            .map(|signal| Error::Interrupted { signal })
            .or_else(of_time)
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Zone;

    /// Closed since the first moment that there was.
    fn over(interrupt: &Interrupt) {
        interrupt.allow(Some(Duration::ZERO));
    }

    #[test]
    fn time_that_is_up_stops_the_work_unless_it_is_shielded() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.is_raised());
        over(&interrupt);
        assert!(interrupt.is_raised());
        let error = interrupt.check().expect_err("time is up");
        assert_eq!((error.exit_code(), error.code()), (75, "out_of_time"));
        interrupt.shield();
        assert!(interrupt.check().is_ok());
        assert!(interrupt.time_up().is_some(), "it is told all the same");
    }

    #[test]
    fn a_signal_counts_before_time_and_after_it() {
        let interrupt = Interrupt::default();
        over(&interrupt);
        interrupt.raise(15);
        assert_eq!(interrupt.check().expect_err("raised").exit_code(), 143);
        let beside = Interrupt::default();
        interrupt.shield();
        interrupt.pass_on(&beside);
        assert_eq!(beside.signal(), Some(15));
    }

    #[test]
    fn time_stops_work_beside_a_job_only_as_long_as_it_would_stop_the_job() {
        let interrupt = Interrupt::default();
        over(&interrupt);
        let beside = Interrupt::default();
        interrupt.shield();
        interrupt.pass_on(&beside);
        assert!(!beside.is_raised());
        interrupt.unshield();
        interrupt.pass_on(&beside);
        assert!(beside.is_raised());
    }

    #[test]
    fn the_sooner_of_deadline_and_window_bounds_the_time() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.time_left(), None);
        let window = Window::parse("daily 00:00-12:00, daily 13:00-24:00", Zone::default());
        let window = window.expect("a window");
        let now = Stamp::now();
        interrupt.allow(Some(Duration::from_hours(24)));
        interrupt.end_with(&window, now);
        let expected = window.closes_after(now).map_or("Deadline", |_| "Window");
        let (_, limit) = interrupt.time_left().expect("bounded");
        assert!(format!("{limit:?}").starts_with(expected));
        interrupt.allow(None);
        assert_eq!(interrupt.time_left(), None);
    }
}
