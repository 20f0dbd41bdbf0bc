//! The only source of time: wall-clock stamps for names and records, deadlines for every wait, the windows of the week
//! in which a job may run, and the times at which one is due.

mod calendar;
mod cron;
mod moment;
mod wall;
mod window;
mod zone;

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

pub use calendar::{Period, Span};
pub use cron::Cron;
pub use wall::{SystemWall, Wall};
pub use window::Window;
pub use zone::Zone;

/// A moment in UTC, as it is written into names and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(DateTime<Utc>);

impl Stamp {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now())
    }

    /// So many seconds after the beginning of 1970.
    #[must_use]
    pub fn at_unix(seconds: u64) -> Self {
        let at = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        Self(at.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// The moment that is `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let later = TimeDelta::from_std(duration)
            .ok()
            .and_then(|delta| self.0.checked_add_signed(delta));
        Self(later.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// How long it is from here to `later`; nothing where that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        (later.0 - self.0).to_std().unwrap_or_default()
    }

    /// For file names, sortable also within a second: `20261122T170000.123Z`.
    #[must_use]
    pub fn compact(self) -> String {
        self.0.format("%Y%m%dT%H%M%S%.3fZ").to_string()
    }

    /// As a number, for migrations that are named by time: `20261122170000`.
    #[must_use]
    pub fn digits(self) -> i64 {
        self.0
            .format("%Y%m%d%H%M%S")
            .to_string()
            .parse()
            .unwrap_or(0)
    }

    /// RFC 3339 with milliseconds: `2026-11-22T17:00:00.123Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Seconds since 1970, for the time fields of an archive.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0.timestamp()).unwrap_or(0)
    }
}

/// The end of a wait. Every wait in this program has one.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// A wait that begins now and may take `limit`.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self {
            started: Instant::now(),
            limit,
        }
    }

    /// What is left of it; `None` once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.limit
            .checked_sub(self.started.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// How long the wait has lasted, in milliseconds.
    #[must_use]
    pub fn waited_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        millis(self.0.elapsed())
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since the start: the unit of `_sqlx_migrations.execution_time`.
    #[must_use]
    pub fn elapsed_ns(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A duration in milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a duration as the configuration writes it: `500ms`, `30s`, `5m`, `1h`, or a number of seconds.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| {
        format!("'{text}' is not a duration; write for example 500ms, 30s, 5m or 1h")
    })?;
    let overflow = || format!("'{text}' is too long a duration");
    let seconds = |factor: u64| number.checked_mul(factor).ok_or_else(overflow);
    let duration = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(seconds(60)?),
        "h" => Duration::from_secs(seconds(3600)?),
        unit => {
            return Err(format!(
                "'{unit}' in '{text}' is not a unit; use ms, s, m or h"
            ));
        }
    };
    if duration > Duration::from_hours(24 * 365) {
        return Err(overflow());
    }
    Ok(duration)
}

/// A duration as [`parse_duration`] reads it, in the largest unit without a rest.
#[must_use]
pub fn written(duration: Duration) -> String {
    let ms = millis(duration);
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let fits = units
        .iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    match fits {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_duration(" 7 "), Ok(Duration::from_secs(7)));
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["500ms", "90s", "10m", "2h", "0ms"] {
            assert_eq!(parse_duration(text).map(written).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_duration_that_makes_no_sense_is_refused_with_an_example() {
        for text in [
            "",
            "s",
            "-1s",
            "3 weeks",
            "5y",
            "99999999999999999h",
            "1.5s",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?} was accepted");
        }
    }
}
