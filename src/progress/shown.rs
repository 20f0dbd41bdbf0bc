//! What is going on, and the words for it.

use crate::clock::Stopwatch;
use crate::report::{bytes, rate, time_left, whole_seconds};

/// A step has to go on for so long before its rate says anything.
const MEASURABLE_MS: u64 = 500;

/// The running phase, the step that it is at, and how far that has come.
#[derive(Debug)]
pub(super) struct Shown {
    phase: &'static str,
    phase_began: Stopwatch,
    step: String,
    done: u64,
    total: u64,
    /// When the step was first measured, and how far it was then: what goes on beside a phase comes to it half done.
    measured: Option<(Stopwatch, u64)>,
}

impl Shown {
    pub(super) fn phase(phase: &'static str) -> Self {
        Self {
            phase,
            phase_began: Stopwatch::start(),
            step: String::new(),
            done: 0,
            total: 0,
            measured: None,
        }
    }

    pub(super) fn is(&self, phase: &str) -> bool {
        self.phase == phase
    }

    pub(super) fn step(&mut self, words: &str) {
        self.step = one_line(words);
        (self.done, self.total) = (0, 0);
        self.measured = None;
    }

    pub(super) fn progress(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done.min(total), total);
        self.measured
            .get_or_insert_with(|| (Stopwatch::start(), done));
    }

    /// From 0 to 100; `None` where no total is known.
    pub(super) fn percent(&self) -> Option<u64> {
        let percent = u128::from(self.done) * 100 / u128::from(self.total).max(1);
        let known = (self.total > 0).then_some(percent)?;
        u64::try_from(known).ok()
    }

    /// Beside a bar, which shows the percentage. What matters most comes first: a narrow terminal cuts off the rest.
    pub(super) fn beside_bar(&self) -> String {
        match self.percent() {
            Some(_) => format!("{}{}", self.name(), self.measured()),
            None => format!(
                "{} {}",
                whole_seconds(self.phase_began.elapsed_ms()),
                self.name()
            ),
        }
    }

    /// As a line of a log.
    pub(super) fn line(&self) -> String {
        let percent = self
            .percent()
            .map_or_else(String::new, |percent| format!(", {percent} %"));
        let took = whole_seconds(self.phase_began.elapsed_ms());
        format!("{}{percent}{} (for {took})", self.name(), self.measured())
    }

    fn name(&self) -> String {
        if self.step.is_empty() {
            self.phase.to_owned()
        } else {
            format!("{}: {}", self.phase, self.step)
        }
    }

    fn measured(&self) -> String {
        let Some((began, before)) = self.measured.filter(|_| self.total > 0) else {
            return String::new();
        };
        let (ms, new) = (began.elapsed_ms(), self.done.saturating_sub(before));
        let mut words = String::new();
        if ms >= MEASURABLE_MS {
            let left = time_left(new, self.total - self.done, ms);
            for part in [
                left.map(|left| format!("{} left", whole_seconds(left))),
                rate(new, ms),
            ] {
                words.extend(part.map(|part| format!(", {part}")));
            }
        }
        words + &format!(", {} of {}", bytes(self.done), bytes(self.total))
    }
}

/// Names come from files and processes of others: what would steer the terminal or break the line is shown as what it is.
pub(super) fn one_line(words: &str) -> String {
    words
        .chars()
        .fold(String::with_capacity(words.len()), |mut line, letter| {
            if letter.is_control() {
                line.extend(letter.escape_debug());
            } else {
                line.push(letter);
            }
            line
        })
}
