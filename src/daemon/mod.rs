//! `safestep daemon`: the jobs at their times, where there is nothing else that would start them. `docs/daemon.md` is for
//! whoever runs it.
//!
//! ```text
//! times -> queue (one job at a time, each task at most once) -> job -> state, metrics -> times
//! ```
//!
//! [`Planner`] knows what is due, and is a function of the clock; [`Daemon`] is the loop that asks it; an [`Executor`] does the
//! work; [`Status`] is what the loop tells whoever asks over HTTP.

mod executor;
mod http;
mod planner;
mod serve;
mod state;
mod status;

use std::fmt;

use crate::clock::{Cron, Stamp, Window, Zone};

pub use executor::{Jobs, Load, Setup, Watch};
pub use http::Server;
pub use planner::{Missed, Planner};
pub use serve::{Daemon, Ended, Event, Executor};
pub use state::State;
pub use status::Status;

/// What a daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Brings the database to head.
    Run,
    /// Takes a backup.
    Backup,
    /// Verifies all backups.
    Verify,
    /// Removes what retention does not keep.
    Prune,
}

impl Task {
    /// In the order in which they go where they are due at the same moment: a window is short.
    pub const ALL: [Self; 4] = [Self::Run, Self::Backup, Self::Verify, Self::Prune];

    /// As the configuration calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Prune => "prune",
        }
    }

    /// Whether it changes the database, or takes away what may be needed to put it right.
    fn writes(self) -> bool {
        self != Self::Verify
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a task is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// At the times of an expression.
    Cron(Box<Cron>),
    /// When a window opens.
    Opening(Window),
}

impl Times {
    fn next_after(&self, at: Stamp) -> Option<Stamp> {
        match self {
            Self::Cron(cron) => cron.next_after(at),
            Self::Opening(window) => window.opens_after(at),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => write!(f, "'{cron}'"),
            Self::Opening(window) => write!(f, "at the opening of '{window}'"),
        }
    }
}

/// What is due when, and what becomes of the times at which nobody was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The tasks that have times.
    pub times: Vec<(Task, Times)>,
    /// Outside of it no `run` is started, whatever its times are.
    pub window: Option<Window>,
    /// For what people read.
    pub zone: Zone,
    /// Of times that have passed meanwhile.
    pub missed: Missed,
}
