//! Time zones by their IANA names, compiled in: an image from scratch has no /usr/share/zoneinfo.

use std::fmt;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta};
use chrono::{MappedLocalTime, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use strsim::normalized_damerau_levenshtein;

use super::Stamp;
use crate::error::Moment;

/// Names that are offered for one that is unknown.
const OFFERED: usize = 3;
/// How like a name has to be, from 0 to 1.
const LIKE: f64 = 0.6;
/// No clock was ever put forward by more: Samoa left out a whole day.
const LONGEST_GAP_MINUTES: i64 = 2 * 24 * 60;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Zone {
    /// By name, as in `Europe/Berlin`; capitals do not matter.
    ///
    /// # Errors
    /// A sentence with the nearest names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        TZ_VARIANTS
            .iter()
            .find(|zone| zone.name().eq_ignore_ascii_case(text))
            .map(|zone| Self(*zone))
            .ok_or_else(|| unknown(text))
    }

    /// The moment as a clock on the wall shows it there: `Sun 2026-11-29 02:00:00 CET`.
    #[must_use]
    pub fn local(self, at: Stamp) -> String {
        at.0.with_timezone(&self.0)
            .format("%a %Y-%m-%d %H:%M:%S %Z")
            .to_string()
    }

    /// The moment in words, there and in UTC.
    #[must_use]
    pub fn moment_of(self, at: Stamp) -> Moment {
        Moment {
            utc: at.0.to_rfc3339_opts(SecondsFormat::Secs, true),
            local: self.local(at),
        }
    }

    pub(super) fn tz(self) -> Tz {
        self.0
    }

    /// The date that it is there.
    pub(super) fn date(self, at: Stamp) -> NaiveDate {
        at.0.with_timezone(&self.0).date_naive()
    }

    /// When the clock there first shows `seconds` after midnight, or the first minute after the gap where it never does.
    pub(super) fn first(self, date: NaiveDate, seconds: u32) -> Option<Stamp> {
        self.moment(local(date, seconds)?, MappedLocalTime::earliest)
    }

    /// As [`Self::first`], where the clock shows it twice the second time.
    pub(super) fn last(self, date: NaiveDate, seconds: u32) -> Option<Stamp> {
        self.moment(local(date, seconds)?, MappedLocalTime::latest)
    }

    /// When the clock there shows this first, or what it shows first after the gap.
    pub(super) fn at(self, local: NaiveDateTime) -> Option<Stamp> {
        self.moment(local, MappedLocalTime::earliest)
    }

    fn moment(
        self,
        local: NaiveDateTime,
        which: fn(MappedLocalTime<DateTime<Tz>>) -> Option<DateTime<Tz>>,
    ) -> Option<Stamp> {
        let shown = |local: &NaiveDateTime| which(self.0.from_local_datetime(local));
        let found = shown(&local).or_else(|| {
            let minute = local.with_second(0)?;
            let later = |minutes| minute.checked_add_signed(TimeDelta::minutes(minutes));
            (1..=LONGEST_GAP_MINUTES).find_map(|minutes| shown(&later(minutes)?))
        });
        found.map(|moment| Stamp(moment.with_timezone(&Utc)))
    }
}

/// `seconds` may be those of a whole day: midnight of the next one.
fn local(date: NaiveDate, seconds: u32) -> Option<NaiveDateTime> {
    const DAY: u32 = 24 * 60 * 60;
    let date = date.checked_add_days(Days::new(u64::from(seconds / DAY)))?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds % DAY, 0)?;
    Some(date.and_time(time))
}

fn unknown(text: &str) -> String {
    let nearest = nearest(text);
    let offer = if nearest.is_empty() {
        "write an IANA name, for example Europe/Berlin, America/New_York or UTC".to_owned()
    } else {
        format!("near to it: {}", nearest.join(", "))
    };
    format!("there is no time zone '{text}'; {offer}")
}

/// The names that are most like the text, or whose last part is: most people leave out the continent.
fn nearest(text: &str) -> Vec<&'static str> {
    let wanted = text.to_lowercase().replace(' ', "_");
    let mut found: Vec<(f64, &str)> = TZ_VARIANTS
        .iter()
        .map(|zone| (likeness(&wanted, zone.name()), zone.name()))
        .filter(|(like, _)| *like >= LIKE)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.iter().take(OFFERED).map(|(_, name)| *name).collect()
}

fn likeness(wanted: &str, name: &str) -> f64 {
    let name = name.to_lowercase();
    let like = |part: &str| normalized_damerau_levenshtein(wanted, part);
    let city = name.rsplit('/').next().unwrap_or(&name);
    like(&name).max(like(city))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_its_name_however_it_is_written() {
        for text in ["Europe/Berlin", "europe/berlin", " Europe/Berlin "] {
            let zone = Zone::parse(text).expect("known");
            assert_eq!(zone.to_string(), "Europe/Berlin");
        }
        assert_eq!(Zone::parse("UTC"), Ok(Zone::default()));
    }

    #[test]
    fn an_unknown_zone_is_answered_with_the_nearest_names() {
        let offered = |text| Zone::parse(text).expect_err("unknown");
        assert!(offered("Europe/Berln").contains("near to it: Europe/Berlin"));
        assert!(offered("Berlin").contains("near to it: Europe/Berlin"));
        assert!(offered("new york").contains("America/New_York"));
        for nonsense in ["", "xxxxxxxxxxxx", "🕑"] {
            let words = offered(nonsense);
            assert!(words.contains("for example Europe/Berlin"), "{words}");
        }
    }
}
