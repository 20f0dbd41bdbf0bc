//! Cron expressions: when something is due, by the clock on the wall.
//!
//! Where the wall clock jumps it is as in Vixie's cron:
//! - a single time of day (`30 2 * * *`) is due once a day: in spring, where the clock skips it, at the first moment after
//!   the gap; in autumn, where it comes twice, the first time;
//! - what comes again and again (`0 * * * *`, `*/15 2 * * *`) goes on with real time: what is skipped is not made up for, and
//!   in the hour that comes twice it is due both times.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};

use super::{Stamp, Zone};

const EXAMPLE: &str =
    "write for example \"0 * * * *\" (every hour), \"30 2 * * *\" (at 02:30) or \"0 3 * * SUN\"";
/// 2024-01-01: a time that comes at all comes after it.
const LONG_AGO: DateTime<Utc> = match DateTime::from_timestamp(1_704_067_200, 0) {
    Some(moment) => moment,
    None => DateTime::UNIX_EPOCH,
};

/// Times that come again and again, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    zone: Zone,
    pattern: croner::Cron,
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Reads five fields (minute, hour, day of the month, month, day of the week), or six with seconds before them.
    ///
    /// # Errors
    /// A sentence that says what is wrong, with examples.
    pub fn parse(text: &str, zone: Zone) -> Result<Self, String> {
        let text = text.trim();
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let pattern = parser
            .parse(text)
            .map_err(|error| format!("'{text}' is no cron expression ({error}); {EXAMPLE}"))?;
        let cron = Self {
            text: text.to_owned(),
            zone,
            pattern,
        };
        match cron.next_after(Stamp(LONG_AGO)) {
            Some(_) => Ok(cron),
            None => Err(format!("'{text}' is a time that never comes; {EXAMPLE}")),
        }
    }

    /// The first time after that moment.
    #[must_use]
    pub fn next_after(&self, at: Stamp) -> Option<Stamp> {
        let local = at.0.with_timezone(&self.zone.tz());
        let next = self.pattern.find_next_occurrence(&local, false).ok()?;
        Some(Stamp(next.with_timezone(&Utc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str) -> Cron {
        let zone = Zone::parse("Europe/Berlin").expect("known");
        Cron::parse(text, zone).expect("an expression")
    }

    fn times(text: &str, from: &str, count: usize) -> Vec<String> {
        let cron = berlin(text);
        let mut at = Stamp::parse(from).expect("a moment");
        std::iter::from_fn(|| {
            at = cron.next_after(at)?;
            Some(at.rfc3339()[..16].to_owned())
        })
        .take(count)
        .collect()
    }

    #[test]
    fn a_time_that_the_clock_skips_is_due_right_after_the_gap_and_once() {
        // 28 March 2027: 02:00 CET is 03:00 CEST, 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", "2027-03-27T00:00:00Z", 3),
            ["2027-03-27T01:30", "2027-03-28T01:00", "2027-03-29T00:30"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        // 25 October 2026: 03:00 CEST is 02:00 CET, 01:00 UTC.
        assert_eq!(
            times("30 2 * * *", "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]
        );
    }

    #[test]
    fn what_comes_every_hour_goes_on_with_real_time() {
        assert_eq!(
            times("0 * * * *", "2026-10-24T23:30:00Z", 3),
            ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]
        );
        assert_eq!(
            times("0 * * * *", "2027-03-28T00:30:00Z", 2),
            ["2027-03-28T01:00", "2027-03-28T02:00"]
        );
    }

    #[test]
    fn what_is_no_expression_or_never_comes_is_refused_with_an_example() {
        for text in [
            "",
            "hourly",
            "61 * * * *",
            "* * *",
            "0 0 30 2 *",
            "0 0 * * * * 2027",
        ] {
            let words = Cron::parse(text, Zone::default()).expect_err(text);
            assert!(words.contains("write for example"), "{words}");
        }
        assert!(berlin("@daily").next_after(Stamp::now()).is_some());
        assert!(berlin("*/2 * * * * *").next_after(Stamp::now()).is_some());
    }
}
