//! The monitor of the command line: a bar on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::monitor::Monitor;

const TICK: Duration = Duration::from_millis(120);
const WAITING: &str = "{spinner} {msg} {elapsed}";
const MEASURED: &str = "{spinner} {msg} {wide_bar} {percent}% {eta}";
/// Phases that a job with nothing to do goes through; they are not worth a line in the log.
const QUIET: [&str; 2] = ["files", "look"];

/// Draws on standard error.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar where standard error is a terminal, else nothing but log lines.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, target()),
        }
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

impl Monitor for Progress {
    fn phase(&self, phase: &'static str) {
        if QUIET.contains(&phase) {
            tracing::debug!("phase: {phase}");
        } else {
            tracing::info!("phase: {phase}");
        }
        self.bar.unset_length();
        self.bar.set_position(0);
        self.bar.reset_elapsed();
        self.style(WAITING);
        self.bar.set_message(phase);
        self.bar.enable_steady_tick(TICK);
    }

    fn progress(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total.max(1)) {
            self.style(MEASURED);
            self.bar.set_length(total.max(1));
        }
        self.bar.set_position(done);
    }

    fn notice(&self, line: &str) {
        self.bar.suspend(|| tracing::warn!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
