//! Facts about time that has run out.

use std::fmt;

use serde::Serialize;

use super::Holder;

/// A moment, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// RFC 3339.
    pub utc: String,
    /// As the clocks show it in the window's zone.
    pub local: String,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.local, self.utc)
    }
}

/// How a window stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowFacts {
    /// As it was written.
    pub window: String,
    /// Where its hours are those of the clock.
    pub timezone: String,
    /// Whether it is open now.
    pub open: bool,
    /// When this was looked at.
    pub now: Moment,
    /// When it opens next; `None` where it never closes.
    pub opens: Option<Moment>,
    /// When it closes, where it is open; `None` where it is not, or never closes.
    pub closes: Option<Moment>,
}

/// What bounds the time of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeLimit {
    /// A deadline, as it was written.
    Deadline(String),
    /// The end of a window.
    Window {
        /// As it was written.
        window: String,
        /// Where its hours are those of the clock.
        timezone: String,
        /// When it closes.
        closes: Moment,
    },
}

/// Time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfTime {
    /// Which limit was reached.
    pub limit: TimeLimit,
    /// What was going on then; empty where that is not known.
    pub during: String,
    /// Who was waited for.
    pub holders: Vec<Holder>,
}

/// What happened when it was reached.
impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(text) => write!(f, "the deadline of {text} came"),
            Self::Window {
                window,
                timezone,
                closes,
            } => write!(f, "the window \"{window}\" ({timezone}) closed at {closes}"),
        }
    }
}

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of time: {}", self.limit)?;
        if self.during.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.during)
        }
    }
}

/// A job that would not be done in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// Which limit would be reached.
    pub limit: TimeLimit,
    /// How long the job would take, in milliseconds.
    pub estimate_ms: u64,
    /// How much time is left, in milliseconds.
    pub left_ms: u64,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (takes, left) = (seconds(self.estimate_ms), seconds(self.left_ms));
        write!(f, "would not finish: it takes about {takes}, and {left} ")?;
        match &self.limit {
            TimeLimit::Deadline(text) => write!(f, "are left of the deadline of {text}"),
            TimeLimit::Window {
                window,
                timezone,
                closes,
            } => write!(
                f,
                "are left until the window \"{window}\" ({timezone}) closes at {closes}"
            ),
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms.div_ceil(1000))
}
