//! How long a store may keep us waiting.

use std::time::Duration;

use super::failure::Act;
use crate::clock::Deadline;
use crate::error::{Error, OffsiteCause, Result};
use crate::sqlite::Interrupt;

/// Between two looks whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// What is begun is put right also when time is up, or a signal has come; so long.
const GRACE: Duration = Duration::from_secs(5);

/// Every call to a store ends at the deadline or at a signal.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// The end of the wait.
    pub deadline: Deadline,
    /// The wish to stop.
    pub interrupt: &'a Interrupt,
}

impl Patience<'_> {
    /// Does the work, unless it has to stop before.
    pub(super) async fn within<T>(&self, act: &Act, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            stopped = self.over(act) => Err(stopped),
        }
    }

    /// Waits, unless it has to stop before.
    pub(super) async fn pause(&self, act: &Act, time: Duration) -> Result<()> {
        self.within(act, tokio::time::sleep(time)).await
    }

    /// Fails when it is time to stop.
    pub(super) fn check(&self, act: &Act) -> Result<()> {
        self.interrupt
            .check()
            .map_err(|error| error.during(|| act.words()))?;
        match self.deadline.remaining() {
            Some(_) => Ok(()),
            None => Err(act.failed(OffsiteCause::OutOfTime, String::new())),
        }
    }

    async fn over(&self, act: &Act) -> Error {
        loop {
            if let Err(error) = self.check(act) {
                return error;
            }
            let left = self.deadline.remaining().unwrap_or_default();
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}

/// Puts something right, for a few seconds and whatever the deadline; that it may fail is in the nature of it.
pub(super) async fn with_grace<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(GRACE, work).await.ok()
}
