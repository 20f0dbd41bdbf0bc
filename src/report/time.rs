//! Durations and rates as people read them.

use super::bytes;
use crate::job::{Phase, Report};

const MS_PER_SECOND: u64 = 1000;
const SECONDS_PER_MINUTE: u64 = 60;
const MINUTES_PER_HOUR: u64 = 60;

/// Phases that are listed unless all are asked for.
const LISTED_MS: u64 = 100;
/// The phase whose rate is told.
const COPYING: &str = "snapshot";

/// Where the time of a job went, on one line.
pub(super) fn times(report: &Report, all: bool) -> String {
    let list = |blocking: bool| -> String {
        let parts: Vec<String> = report
            .phases
            .iter()
            .filter(|phase| phase.blocking == blocking && (all || phase.ms >= LISTED_MS))
            .map(|phase| part(phase, report.snapshot_bytes_per_second))
            .collect();
        parts.join(", ")
    };
    let with = |ms: u64, parts: &str| match parts {
        "" => duration(ms),
        _ => format!("{} ({parts})", duration(ms)),
    };
    let (locked, rest) = (list(true), list(false));
    if report.blocked_ms == 0 && locked.is_empty() {
        return format!("Time: {}.\n", with(report.elapsed_ms, &rest));
    }
    let rest_ms = report.elapsed_ms.saturating_sub(report.blocked_ms);
    format!(
        "Time: {}. Writers locked out: {}. Before and after: {}.\n",
        duration(report.elapsed_ms),
        with(report.blocked_ms, &locked),
        with(rest_ms, &rest)
    )
}

fn part(phase: &Phase, copied_per_second: Option<u64>) -> String {
    let took = format!("{} {}", phase.name, duration(phase.ms));
    match copied_per_second {
        Some(per_second) if phase.name == COPYING && phase.ms > 0 => {
            format!("{took} at {}/s", bytes(per_second))
        }
        _ => took,
    }
}

/// A time that has passed: `3 ms`, `4.1 s`, `45 s`, `2 min 5 s`, `1 h 2 min`.
#[must_use]
pub fn duration(ms: u64) -> String {
    const SHORT_SECONDS: u64 = 10;
    let seconds = ms / MS_PER_SECOND;
    if ms < MS_PER_SECOND {
        format!("{ms} ms")
    } else if seconds < SHORT_SECONDS {
        format!("{seconds}.{} s", ms % MS_PER_SECOND / 100)
    } else {
        whole_seconds(ms)
    }
}

/// As [`duration`], without fractions: `0 s`, `4 s`, `2 min 5 s`.
#[must_use]
pub fn whole_seconds(ms: u64) -> String {
    let seconds = ms / MS_PER_SECOND;
    let minutes = seconds / SECONDS_PER_MINUTE;
    if minutes == 0 {
        format!("{seconds} s")
    } else if minutes < MINUTES_PER_HOUR {
        format!("{minutes} min {} s", seconds % SECONDS_PER_MINUTE)
    } else {
        format!(
            "{} h {} min",
            minutes / MINUTES_PER_HOUR,
            minutes % MINUTES_PER_HOUR
        )
    }
}

/// `163.0 MiB/s`; nothing where the time is too short to tell.
#[must_use]
pub fn rate(count: u64, ms: u64) -> Option<String> {
    let per_second = count.saturating_mul(MS_PER_SECOND).checked_div(ms)?;
    Some(format!("{}/s", bytes(per_second)))
}

/// How long the `rest` will take, in milliseconds, where `done` took `ms`.
#[must_use]
pub fn time_left(done: u64, rest: u64, ms: u64) -> Option<u64> {
    let left = (u128::from(rest) * u128::from(ms)).checked_div(u128::from(done))?;
    u64::try_from(left).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_as_many_digits_as_matter() {
        let words: Vec<String> = [0, 999, 4_190, 45_900, 125_000, 3_720_000, 360_000_000]
            .map(duration)
            .to_vec();
        assert_eq!(
            words,
            [
                "0 ms",
                "999 ms",
                "4.1 s",
                "45 s",
                "2 min 5 s",
                "1 h 2 min",
                "100 h 0 min"
            ]
        );
        assert_eq!(whole_seconds(999), "0 s");
    }

    #[test]
    fn rates_and_times_left_are_of_what_was_done_so_far_and_unknown_before_anything_was() {
        assert_eq!(rate(300 << 20, 2_000).as_deref(), Some("150.0 MiB/s"));
        assert_eq!(rate(5, 0), None);
        assert_eq!(time_left(0, 10, 500), None);
        assert_eq!(time_left(25, 75, 500), Some(1_500));
        assert_eq!(time_left(100, 0, 500), Some(0));
        assert_eq!(time_left(1, u64::MAX, u64::MAX), None);
    }
}
