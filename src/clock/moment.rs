//! A moment as a person writes it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike, Utc};

use super::{Stamp, Zone};

const WITH_OFFSET: [&str; 2] = ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%dT%H:%M:%S%.f%:z"];
const LOCAL: [&str; 2] = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];

impl Stamp {
    /// Reads `2026-11-20T03:00Z`, with seconds and an offset as in RFC 3339; a time without an offset, and a date alone, which is
    /// its first moment, are meant as a clock in `zone` shows them.
    ///
    /// # Errors
    /// A sentence with an example.
    pub fn as_written(text: &str, zone: Zone) -> Result<Self, String> {
        let plain = text.trim().replacen(' ', "T", 1);
        let in_utc = plain.strip_suffix(['Z', 'z']);
        let plain = in_utc.map_or(plain.clone(), |local| format!("{local}+00:00"));
        let with_offset = WITH_OFFSET
            .iter()
            .find_map(|form| DateTime::parse_from_str(&plain, form).ok())
            .map(|moment| Self(moment.with_timezone(&Utc)));
        let local = || {
            let shown = LOCAL
                .iter()
                .find_map(|form| NaiveDateTime::parse_from_str(&plain, form).ok())?;
            zone.first(shown.date(), shown.num_seconds_from_midnight())
        };
        let date = || {
            let date = NaiveDate::parse_from_str(&plain, "%Y-%m-%d").ok()?;
            zone.first(date, 0)
        };
        with_offset.or_else(local).or_else(date).ok_or_else(|| {
            format!("'{text}' is no moment; write for example 2026-11-20T03:00Z, 2026-11-20T03:00+01:00 or 2026-11-20")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, zone: &str) -> Result<String, String> {
        let zone = Zone::parse(zone).expect("a zone");
        Stamp::as_written(text, zone).map(Stamp::rfc3339)
    }

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        for (text, expected) in [
            ("2026-11-20T03:00Z", "2026-11-20T03:00:00.000Z"),
            ("2026-11-20t03:00:07z", "2026-11-20T03:00:07.000Z"),
            ("2026-11-20T03:00:07.250Z", "2026-11-20T03:00:07.250Z"),
            ("2026-11-20T03:00+02:00", "2026-11-20T01:00:00.000Z"),
            ("2026-11-20 03:00", "2026-11-20T02:00:00.000Z"),
            ("2026-07-20T03:00", "2026-07-20T01:00:00.000Z"),
            ("2026-11-20", "2026-11-19T23:00:00.000Z"),
            // The clock shows no such time; it goes on at three.
            ("2026-03-29T02:30", "2026-03-29T01:00:00.000Z"),
            // It shows it twice: the first one.
            ("2026-10-25T02:30", "2026-10-25T00:30:00.000Z"),
        ] {
            let text = text.replace('t', "T");
            assert_eq!(
                utc(&text, "Europe/Berlin").as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_an_example() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-20T25:00Z",
            "03:00",
            "20261120T030000Z",
        ] {
            let refused = utc(text, "UTC").expect_err(text);
            assert!(refused.contains("2026-11-20T03:00Z"), "{refused}");
        }
    }
}
