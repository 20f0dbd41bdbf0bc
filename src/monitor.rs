//! How the library tells what it is doing without printing: the caller hands in
//! a [`Monitor`], which may draw a progress bar, write a log line, or do nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Receives what a running job has to say.
///
/// A job is one phase after another, a phase may be one step after another, and a step may be measured. Only the running
/// phase speaks here: work that goes on beside it (the archive is written while the migrations run) is given a [`Gauge`],
/// which is read when the job comes to wait for it. The calls come from whichever thread does the work, so possibly from
/// several, and often while writers are locked out: they should return at once.
pub trait Monitor: Send + Sync {
    /// A phase begins, and the one before has ended; `phase` is its name in the report.
    fn phase(&self, phase: &'static str);
    /// Within the running phase this is done now, or this is who is waited for. What was said before is over, and what
    /// [`Self::progress`] says from here on is of this.
    fn step(&self, words: &str);
    /// `done` of `total` bytes of the running step are behind it.
    fn progress(&self, done: u64, total: u64);
    /// One line that a person should see now, such as who holds the lock.
    fn notice(&self, line: &str);
}

/// A monitor that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn phase(&self, _phase: &'static str) {}
    fn step(&self, _words: &str) {}
    fn progress(&self, _done: u64, _total: u64) {}
    fn notice(&self, _line: &str) {}
}

/// The monitor of work beside the running phase: remembers how far it has come, until somebody waits for it.
#[derive(Debug, Default)]
pub struct Gauge {
    done: AtomicU64,
    total: AtomicU64,
}

impl Gauge {
    /// Tells `monitor` how far the work has come, if it is one that is measured.
    pub fn tell(&self, monitor: &dyn Monitor) {
        let total = self.total.load(Ordering::Relaxed);
        if total > 0 {
            monitor.progress(self.done.load(Ordering::Relaxed), total);
        }
    }
}

impl Monitor for Gauge {
    fn phase(&self, _phase: &'static str) {}
    fn step(&self, _words: &str) {}
    fn progress(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }
    fn notice(&self, _line: &str) {}
}
