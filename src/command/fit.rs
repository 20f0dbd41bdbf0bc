//! Whether what a plan would do would be done in time.

use serde::Serialize;

use crate::clock::{self, Stamp};
use crate::error::WindowFacts;
use crate::forecast::Estimate;
use crate::job::Times;
use crate::report::{roughly, whole_seconds};

/// The time that there is, and the time that it takes.
#[derive(Debug, Serialize)]
pub(super) struct Fit {
    window: Option<WindowFacts>,
    /// When the window closes in which the job would run: this one or the next.
    closes: Option<String>,
    deadline: Option<String>,
    estimate_ms: u64,
    /// Null where nothing bounds it.
    available_ms: Option<u64>,
    fits: bool,
}

impl Fit {
    /// `None` where no limit is set.
    pub(super) fn new(times: &Times, estimate: &Estimate, now: Stamp) -> Option<Self> {
        if times.window.is_none() && times.deadline.is_none() {
            return None;
        }
        let window = times.window.as_ref();
        let span = window.and_then(|window| {
            let begins = if window.is_open(now) {
                now
            } else {
                window.opens_after(now)?
            };
            Some((begins, window.closes_after(begins)?))
        });
        let of_window = span.map(|(begins, closes)| begins.until(closes));
        let available = of_window.into_iter().chain(times.deadline).min();
        let closes = span.zip(window);
        Some(Self {
            window: window.map(|window| window.facts(now)),
            closes: closes.map(|((_, at), window)| window.zone().moment_of(at).to_string()),
            deadline: times.deadline.map(clock::written),
            estimate_ms: estimate.busy_ms,
            available_ms: available.map(clock::millis),
            fits: available.is_none_or(|available| estimate.fits(available)),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = self
            .window
            .as_ref()
            .map_or_else(String::new, |window| self.window_line(window));
        if let Some(deadline) = &self.deadline {
            text.push_str(&format!("Deadline: {deadline}.\n"));
        }
        let takes = roughly(self.estimate_ms);
        text.push_str(&match self.available_ms {
            None => format!("In time: yes, {takes}.\n"),
            Some(ms) if self.fits => format!("In time: yes, {takes} of {}.\n", whole_seconds(ms)),
            Some(ms) => format!(
                "In time: NO, {takes}, and there are {}; it would be refused without --start-anyway.\n",
                whole_seconds(ms)
            ),
        });
        text
    }

    fn window_line(&self, facts: &WindowFacts) -> String {
        let name = format!("Window: \"{}\" ({})", facts.window, facts.timezone);
        let closes = self.closes.as_deref().unwrap_or("never");
        match &facts.opens {
            Some(opens) if !facts.open => {
                format!("{name} is closed; it opens {opens} and closes {closes}.\n")
            }
            _ => format!("{name} is open; it closes {closes}.\n"),
        }
    }
}
