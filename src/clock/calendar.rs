//! Hours, days, weeks, months and years as the calendar of a time zone has them.

use std::fmt;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

use super::{Stamp, Zone};

/// No backup is older, and no calendar has to reach further.
const MOST_YEARS: u32 = 10_000;

/// A part of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour of a day; where the clock is put back, the hour that comes twice is one.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, as ISO 8601 numbers them.
    Week,
    /// Of a year.
    Month,
    /// A calendar year.
    Year,
}

/// A length of time in the units of the calendar, written `1y5m7d2h`: years, months, days, hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    years: u32,
    months: u32,
    days: u32,
    hours: u32,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ];
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{number}{unit}")?;
        }
        Ok(())
    }
}

impl Span {
    /// Reads `1y5m7d2h`; each unit at most once, in any order.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = text.trim();
        let refuse = |why: &str| format!("'{whole}' is not a duration such as 1y5m7d2h: {why}");
        let mut span = Self::default();
        let mut seen = String::new();
        let mut rest = whole;
        if rest.is_empty() {
            return Err(refuse("it is empty"));
        }
        while !rest.is_empty() {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let number = &rest[..rest.len() - digits.len()];
            let number: u32 = number
                .parse()
                .map_err(|_| refuse("a number stands before each unit"))?;
            let unit = digits
                .chars()
                .next()
                .ok_or_else(|| refuse("a unit stands behind each number"))?;
            let (field, most) = match unit {
                'y' => (&mut span.years, MOST_YEARS),
                'm' => (&mut span.months, MOST_YEARS * 12),
                'd' => (&mut span.days, MOST_YEARS * 366),
                'h' => (&mut span.hours, MOST_YEARS * 366 * 24),
                _ => return Err(refuse("the units are y, m (months), d and h")),
            };
            if number > most {
                return Err(refuse("it is too long"));
            }
            if seen.contains(unit) {
                return Err(refuse("a unit comes twice"));
            }
            *field = number;
            seen.push(unit);
            rest = &digits[unit.len_utf8()..];
        }
        Ok(span)
    }

    /// Whether it has no length.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl Zone {
    /// The period that a moment lies in there, as the year and its number in that year.
    #[must_use]
    pub fn period(self, at: Stamp, period: Period) -> (i32, u32) {
        let local = at.0.with_timezone(&self.tz());
        match period {
            Period::Hour => (local.year(), local.ordinal0() * 24 + local.hour()),
            Period::Day => (local.year(), local.ordinal0()),
            Period::Week => (local.iso_week().year(), local.iso_week().week()),
            Period::Month => (local.year(), local.month0()),
            Period::Year => (local.year(), 0),
        }
    }

    /// The moment that is `span` before. A month before 31 March is the day that would be 31 February: 3 March.
    #[must_use]
    pub fn before(self, at: Stamp, span: Span) -> Stamp {
        self.earlier(at, span)
            .unwrap_or(Stamp(DateTime::<chrono::Utc>::MIN_UTC))
    }

    fn earlier(self, at: Stamp, span: Span) -> Option<Stamp> {
        let local = at.0.with_timezone(&self.tz()).naive_local();
        let months = i64::from(local.year()) * 12 + i64::from(local.month0())
            - i64::from(span.years) * 12
            - i64::from(span.months);
        let year = i32::try_from(months.div_euclid(12)).ok()?;
        let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
        let date = NaiveDate::from_ymd_opt(year, month, 1)?
            .checked_add_days(Days::new(u64::from(local.day0())))?
            .checked_sub_days(Days::new(u64::from(span.days)))?;
        let there = self.at(NaiveDateTime::new(date, local.time()))?;
        let hours = TimeDelta::try_hours(i64::from(span.hours))?;
        there.0.checked_sub_signed(hours).map(Stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        Span::parse(text).expect("a span")
    }

    fn stamp(text: &str) -> Stamp {
        let at = DateTime::parse_from_rfc3339(text).expect("a moment");
        Stamp(at.with_timezone(&chrono::Utc))
    }

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["1y5m7d2h", "7d", "2h", "1y", "18m", "1y2h"] {
            assert_eq!(span(text).to_string(), text);
        }
        assert_eq!(span(" 2h7d ").to_string(), "7d2h");
        assert!(span("0d").is_zero());
    }

    #[test]
    fn a_span_that_makes_no_sense_is_refused_with_an_example() {
        for text in [
            "",
            "7",
            "d",
            "-7d",
            "7 d",
            "7w",
            "1d1d",
            "1.5d",
            "99999999999d",
            "20000y",
            "7\u{fc}",
        ] {
            let words = Span::parse(text).expect_err(text);
            assert!(words.contains("1y5m7d2h"), "{words}");
        }
    }

    #[test]
    fn what_lies_before_is_counted_by_the_calendar() {
        let utc = Zone::default();
        let cases = [
            ("2026-03-31T12:00:00Z", "1m", "2026-03-03T12:00:00.000Z"),
            ("2024-03-31T12:00:00Z", "1m", "2024-03-02T12:00:00.000Z"),
            (
                "2026-01-15T12:00:00Z",
                "1y5m7d2h",
                "2024-08-08T10:00:00.000Z",
            ),
            ("2026-01-01T00:30:00Z", "1h", "2025-12-31T23:30:00.000Z"),
        ];
        for (at, length, expected) in cases {
            let before = utc.before(stamp(at), span(length));
            assert_eq!(before.rfc3339(), expected, "{length} before {at}");
        }
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        // The clock was put forward between the two: a day there had 23 hours.
        let before = berlin.before(stamp("2026-03-29T10:00:00Z"), span("1d"));
        assert_eq!(before.rfc3339(), "2026-03-28T11:00:00.000Z");
    }

    #[test]
    fn further_back_than_there_is_a_calendar_is_the_beginning_of_time() {
        let utc = Zone::default();
        let now = stamp("2026-03-29T10:00:00Z");
        assert!(utc.before(now, span("10000y120000m3660000d")) < utc.before(now, span("9000y")));
    }

    #[test]
    fn periods_are_those_of_the_zone_and_weeks_those_of_iso() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        let late = stamp("2026-12-31T23:30:00Z");
        assert_eq!(Zone::default().period(late, Period::Year), (2026, 0));
        assert_eq!(berlin.period(late, Period::Year), (2027, 0));
        assert_eq!(berlin.period(late, Period::Week), (2026, 53));
        let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"].map(stamp);
        let hours = twice.map(|at| berlin.period(at, Period::Hour));
        assert_eq!(hours[0], hours[1], "the clock shows 02:30 both times");
    }
}
