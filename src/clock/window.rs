//! The hours of the week in which a job may run.
//!
//! A window is given by the clock on the wall, and the wall clock jumps twice a year:
//! - a start or end that the clock skips is the first minute after the gap;
//! - an hour that comes twice is open from its first start to its last end, once;
//! - what lies wholly in the gap is skipped: nothing may run at an hour that was not named.

use std::fmt;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::{Stamp, Zone};
use crate::error::WindowFacts;

const DAY: u32 = 24 * 60 * 60;
/// An opening is at most a day long, and a change of the clock may make it longer.
const DAYS_BACK: u64 = 2;
/// Two weeks, since an opening may fall into a gap of the clock, and one more: what is open that long never closes.
const DAYS_AHEAD: u64 = 22;
const EXAMPLE: &str =
    "write for example \"Sun 02:00-04:00\", \"Mon-Fri 22:00-06:00\" or \"daily 01:00-03:00\"";

/// Openings that come again every week, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    text: String,
    zone: Zone,
    spans: Vec<Span>,
}

/// One opening on some days of the week. Seconds after midnight; an end that is not after the start is on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    days: Vec<Weekday>,
    from: u32,
    to: u32,
}

/// From a moment to the one in which it is closed again.
#[derive(Debug, Clone, Copy)]
struct Opening {
    from: Stamp,
    to: Stamp,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Window {
    /// Reads `Sun 02:00-04:00`; several are separated by commas, days may be `Mon-Fri` or `daily`, times may have seconds.
    ///
    /// # Errors
    /// A sentence that says which word is wrong, with an example.
    pub fn parse(text: &str, zone: Zone) -> Result<Self, String> {
        let text = text.trim();
        let spans = text.split(',').map(|part| Span::parse(part.trim()));
        Ok(Self {
            text: text.to_owned(),
            zone,
            spans: spans.collect::<Result<_, _>>()?,
        })
    }

    /// Where its hours are those of the clock on the wall.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// Whether it is open then.
    #[must_use]
    pub fn is_open(&self, at: Stamp) -> bool {
        self.all(at, 1).any(|opening| opening.holds(at))
    }

    /// When it closes, where it is open then; `None` where it is not, or never closes.
    #[must_use]
    pub fn closes_after(&self, at: Stamp) -> Option<Stamp> {
        let end = at.0.checked_add_days(Days::new(DAYS_AHEAD - 1))?;
        self.openings(at, DAYS_AHEAD)
            .iter()
            .find(|opening| opening.holds(at))
            .map(|opening| opening.to)
            .filter(|to| to.0 < end)
    }

    /// When it opens next, after that moment; `None` where it never closes.
    #[must_use]
    pub fn opens_after(&self, at: Stamp) -> Option<Stamp> {
        self.openings(at, DAYS_AHEAD)
            .iter()
            .map(|opening| opening.from)
            .find(|from| *from > at)
    }

    /// How it stands then, in words.
    #[must_use]
    pub fn facts(&self, at: Stamp) -> WindowFacts {
        let moment = |stamp| self.zone.moment_of(stamp);
        WindowFacts {
            window: self.text.clone(),
            timezone: self.zone.to_string(),
            open: self.is_open(at),
            now: moment(at),
            opens: self.opens_after(at).map(moment),
            closes: self.closes_after(at).map(moment),
        }
    }

    /// The openings around a moment, in order; those that touch are one.
    fn openings(&self, at: Stamp, days_ahead: u64) -> Vec<Opening> {
        let mut all: Vec<Opening> = self.all(at, days_ahead).collect();
        all.sort_by_key(|opening| opening.from);
        let mut joined: Vec<Opening> = Vec::new();
        for next in all {
            match joined.last_mut() {
                Some(last) if next.from <= last.to => last.to = last.to.max(next.to),
                _ => joined.push(next),
            }
        }
        joined
    }

    fn all(&self, at: Stamp, days_ahead: u64) -> impl Iterator<Item = Opening> {
        let today = self.zone.date(at);
        let back = today.checked_sub_days(Days::new(DAYS_BACK));
        let first = back.unwrap_or(today);
        (0..=DAYS_BACK + days_ahead)
            .filter_map(move |days| first.checked_add_days(Days::new(days)))
            .flat_map(move |date| {
                let spans = self.spans.iter();
                spans.filter_map(move |span| self.on(date, span))
            })
    }

    /// The opening that begins on that date, unless the clock skips it.
    fn on(&self, date: NaiveDate, span: &Span) -> Option<Opening> {
        span.days.contains(&date.weekday()).then_some(())?;
        let end = if span.to > span.from {
            date
        } else {
            date.succ_opt()?
        };
        let from = self.zone.first(date, span.from)?;
        let to = self.zone.last(end, span.to)?;
        (from < to).then_some(Opening { from, to })
    }
}

impl Opening {
    fn holds(self, at: Stamp) -> bool {
        self.from <= at && at < self.to
    }
}

impl Span {
    fn parse(part: &str) -> Result<Self, String> {
        let mut words = part.split_whitespace();
        let (days, times) = match (words.next(), words.next(), words.next()) {
            (Some(days), Some(times), None) => (days, times),
            (_, _, Some(word)) => {
                return Err(format!(
                    "'{word}' in '{part}' is one word too many; {EXAMPLE}"
                ));
            }
            (Some(word), ..) if word.contains(':') => {
                return Err(format!("'{part}' has no day; {EXAMPLE}"));
            }
            (Some(_), ..) => return Err(format!("'{part}' has no times; {EXAMPLE}")),
            (None, ..) => return Err(format!("a window is missing; {EXAMPLE}")),
        };
        let wrong = |what: &str, word: &str| format!("'{word}' in '{part}' is {what}; {EXAMPLE}");
        let Some((from, to)) = times.split_once('-') else {
            return Err(wrong("no span of time", times));
        };
        let time = |text| seconds(text).ok_or_else(|| wrong("no time of day", text));
        let span = Self {
            days: named(days).map_err(|word| wrong("no day of the week", word))?,
            from: time(from)?,
            to: time(to)?,
        };
        if span.from == DAY {
            return Err(wrong("only an end; a day begins at 00:00", from));
        }
        if span.from == span.to {
            let what = "empty: it ends where it begins (a whole day is 00:00-24:00)";
            return Err(wrong(what, times));
        }
        Ok(span)
    }
}

/// `Sun`, `Sunday`, `Mon-Fri`, `Fri-Mon` or `daily`; else the word that is wrong.
fn named(text: &str) -> Result<Vec<Weekday>, &str> {
    if text.eq_ignore_ascii_case("daily") {
        return named("Mon-Sun");
    }
    let day = |word| str::parse::<Weekday>(word).map_err(|_| word);
    let Some((first, last)) = text.split_once('-') else {
        return day(text).map(|day| vec![day]);
    };
    let (first, last) = (day(first)?, day(last)?);
    let mut days = vec![first];
    while let Some(day) = days.last().filter(|day| **day != last) {
        days.push(day.succ());
    }
    Ok(days)
}

/// `02:00`, `02:00:30`, and `24:00` for the end of a day.
fn seconds(text: &str) -> Option<u32> {
    let number = |part: &str, limit: u32| -> Option<u32> {
        let is_plain = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|n| is_plain && *n < limit)
    };
    let mut parts = text.split(':');
    let (hours, minutes) = (number(parts.next()?, 25)?, number(parts.next()?, 60)?);
    let seconds = parts.next().map_or(Some(0), |part| number(part, 60))?;
    let of_day = hours * 3600 + minutes * 60 + seconds;
    (parts.next().is_none() && of_day <= DAY).then_some(of_day)
}

#[cfg(test)]
mod tests;
