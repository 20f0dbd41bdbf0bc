//! Work that goes on beside the job on another thread, and that ends with it.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::sqlite::Interrupt;

/// How often a wait looks whether a signal has come, and tells how far the work is.
const LOOK: Duration = Duration::from_millis(50);

/// Work under way. It is asked to stop as soon as nobody waits for it any more.
#[derive(Debug)]
pub struct Beside<T> {
    task: JoinHandle<Result<T>>,
    stop: Interrupt,
}

impl<T: Send + 'static> Beside<T> {
    /// Starts what mostly waits, for a connection for instance. It has to heed the interrupt that it is given.
    pub fn start<F>(work: impl FnOnce(Interrupt) -> F) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let stop = Interrupt::default();
        let task = tokio::spawn(work(stop.clone()));
        Self { task, stop }
    }

    /// Starts what keeps a thread busy. It has to heed the interrupt that it is given.
    pub fn start_blocking(work: impl FnOnce(&Interrupt) -> Result<T> + Send + 'static) -> Self {
        let stop = Interrupt::default();
        let seen = stop.clone();
        let task = tokio::task::spawn_blocking(move || work(&seen));
        Self { task, stop }
    }

    /// Waits for what comes of it. A signal stops it, also when the job itself is shielded; time does not then.
    pub async fn finish(self, interrupt: &Interrupt) -> Result<T> {
        self.finish_watched(interrupt, || ()).await
    }

    /// As [`Self::finish`], calling `watch` every now and then.
    pub async fn finish_watched(mut self, interrupt: &Interrupt, watch: impl Fn()) -> Result<T> {
        loop {
            interrupt.pass_on(&self.stop);
            tokio::select! {
                biased;
                done = &mut self.task => return done.unwrap_or_else(|panic| Err(Error::Usage {
                    message: format!("a thread beside the job died: {panic}"),
                    hint: "This is a defect of safestep; please report it.".into(),
                })),
                () = tokio::time::sleep(LOOK) => watch(),
            }
        }
    }
}

impl<T> Drop for Beside<T> {
    fn drop(&mut self) {
        self.stop.raise(rustix::process::Signal::TERM.as_raw());
    }
}
