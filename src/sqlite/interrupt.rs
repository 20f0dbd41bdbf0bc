//! The wish to stop, raised by a signal and seen by every long operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::error::{Error, Result};

/// Shared by the signal handler, the connections and the loops of a job.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    signal: AtomicI32,
    shielded: AtomicBool,
}

impl Interrupt {
    /// Asks for a stop because of this signal.
    pub fn raise(&self, signal: i32) {
        self.0.signal.store(signal, Ordering::SeqCst);
    }

    /// From here to the end the job puts things right, and may not be stopped any more.
    pub fn shield(&self) {
        self.0.shielded.store(true, Ordering::SeqCst);
    }

    /// The things are put right, and what follows may be stopped again.
    pub fn unshield(&self) {
        self.0.shielded.store(false, Ordering::SeqCst);
    }

    /// Whether the work should stop now.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.signal().is_some() && !self.0.shielded.load(Ordering::SeqCst)
    }

    /// The signal that was received, shielded or not.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.0.signal.load(Ordering::SeqCst) {
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
