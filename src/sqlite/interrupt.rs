//! The wish to stop, raised by a signal and seen by every long operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::error::{Error, Result};

/// Shared by the signal handler, the connections and the loops of a job.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    signal: Arc<AtomicI32>,
    shielded: Arc<AtomicBool>,
}

impl Interrupt {
    /// For a job beside this one: it hears of the same wish, and puts its own things right.
    #[must_use]
    pub fn for_another_job(&self) -> Self {
        Self {
            signal: Arc::clone(&self.signal),
            shielded: Arc::default(),
        }
    }

    /// Asks for a stop because of this signal.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
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
        self.signal().is_some() && !self.shielded.load(Ordering::SeqCst)
    }

    /// The signal that was received, shielded or not.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Fails with [`Error::Interrupted`] when the work should stop.
    pub fn check(&self) -> Result<()> {
        match self.signal() {
            Some(signal) if self.is_raised() => Err(Error::Interrupted { signal }),
            _ => Ok(()),
        }
    }

    /// The signal, where it is what made SQLite stop.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        match (&error, self.signal()) {
            (Error::Sqlite { failure, .. }, Some(signal)) if failure.is_interrupt() => {
                Error::Interrupted { signal }
            }
            _ => error,
        }
    }
}
