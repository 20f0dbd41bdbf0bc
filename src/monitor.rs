//! How the library tells what it is doing without printing: the caller hands in
//! a [`Monitor`], which may draw a progress bar, write a log line, or do nothing.

/// Receives what a running job has to say. Called from one thread at a time.
pub trait Monitor: Send + Sync {
    /// A phase begins; `phase` is its name in the report.
    fn phase(&self, phase: &'static str);
    /// `done` of `total` units of the running phase are finished.
    fn progress(&self, done: u64, total: u64);
    /// One line that a human should see now, such as who holds the lock.
    fn notice(&self, line: &str);
}

/// A monitor that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn phase(&self, _phase: &'static str) {}
    fn progress(&self, _done: u64, _total: u64) {}
    fn notice(&self, _line: &str) {}
}
