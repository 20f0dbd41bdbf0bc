//! Windows in zones whose clocks jump by an hour, by half an hour, and not at all.

use chrono::{DateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::*;

fn window(text: &str, zone: &str) -> Window {
    let zone = Zone::parse(zone).expect("a zone");
    Window::parse(text, zone).expect("a window")
}

fn utc(text: &str) -> Stamp {
    let moment = DateTime::parse_from_rfc3339(&format!("{text}:00Z")).expect("a moment");
    Stamp(moment.with_timezone(&Utc))
}

/// From when to when it is open next, in UTC; one that is open at `at` has begun before.
fn next(window: &Window, at: &str) -> String {
    let from = window.opens_after(utc(at)).expect("it opens");
    let to = window.closes_after(from).expect("it closes");
    let text = |stamp: Stamp| stamp.0.format("%Y-%m-%dT%H:%M").to_string();
    assert!(window.is_open(from) && !window.is_open(to));
    format!("{} to {}", text(from), text(to))
}

#[test]
fn a_window_is_open_from_its_start_up_to_its_end() {
    let sunday = window("Sun 02:00-04:00", "UTC");
    for (at, open) in [
        ("2026-11-22T01:59", false),
        ("2026-11-22T02:00", true),
        ("2026-11-22T03:59", true),
        ("2026-11-22T04:00", false),
        ("2026-11-23T03:00", false),
    ] {
        assert_eq!(sunday.is_open(utc(at)), open, "{at}");
    }
    assert_eq!(
        next(&sunday, "2026-11-23T06:00"),
        "2026-11-29T02:00 to 2026-11-29T04:00"
    );
    assert_eq!(sunday.closes_after(utc("2026-11-23T06:00")), None);
}

#[test]
fn a_window_in_a_zone_is_open_by_the_clock_on_its_walls() {
    let berlin = window("Sun 02:00-04:00", "Europe/Berlin");
    assert_eq!(
        next(&berlin, "2026-01-01T00:00"),
        "2026-01-04T01:00 to 2026-01-04T03:00"
    );
    assert_eq!(
        next(&berlin, "2026-07-01T00:00"),
        "2026-07-05T00:00 to 2026-07-05T02:00"
    );
    // There it is Sunday already.
    let kiritimati = window("Sun 02:00-04:00", "Pacific/Kiritimati");
    assert_eq!(
        next(&kiritimati, "2026-07-01T00:00"),
        "2026-07-04T12:00 to 2026-07-04T14:00"
    );
}

#[test]
fn a_window_across_midnight_belongs_to_the_day_on_which_it_begins() {
    let night = window("Sat 23:00-02:00", "UTC");
    assert!(night.is_open(utc("2026-11-28T23:30")));
    assert!(night.is_open(utc("2026-11-29T01:59")));
    assert!(!night.is_open(utc("2026-11-29T02:00")));
    assert!(!night.is_open(utc("2026-11-28T01:00")), "that is Friday's");
    let to_midnight = window("Sat 23:00-24:00", "UTC");
    let to_zero = window("Sat 23:00-00:00", "UTC");
    for at in ["2026-11-28T22:59", "2026-11-28T23:59", "2026-11-29T00:00"] {
        assert_eq!(to_midnight.is_open(utc(at)), to_zero.is_open(utc(at)));
    }
}

#[test]
fn days_are_read_alone_as_a_span_or_as_all_of_them() {
    let open_days = |text: &str| -> Vec<u32> {
        let window = window(text, "UTC");
        // Monday the 2nd to Sunday the 8th.
        (2..=8)
            .filter(|day| window.is_open(utc(&format!("2026-11-{day:02}T01:30"))))
            .collect()
    };
    assert_eq!(open_days("wednesday 01:00-02:00"), [4]);
    assert_eq!(open_days("Mon-Fri 01:00-02:00"), [2, 3, 4, 5, 6]);
    assert_eq!(open_days("Sat-Tue 01:00-02:00"), [2, 3, 7, 8]);
    assert_eq!(open_days("DAILY 01:00-02:00"), [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(open_days("Mon 01:00-02:00,  Sun 01:00-02:00"), [2, 8]);
}

#[test]
fn windows_that_touch_or_overlap_are_one() {
    let touching = window("Sat 22:00-24:00, Sun 00:00-02:00", "UTC");
    assert_eq!(
        next(&touching, "2026-11-23T00:00"),
        "2026-11-28T22:00 to 2026-11-29T02:00"
    );
    let overlapping = window("Sun 03:00-05:00, Sun 02:00-04:00, Sun 02:30-03:00", "UTC");
    assert_eq!(
        next(&overlapping, "2026-11-23T00:00"),
        "2026-11-29T02:00 to 2026-11-29T05:00"
    );
    let week = window("Mon-Sat 00:00-24:00", "Europe/Berlin");
    assert_eq!(
        next(&week, "2026-10-18T00:00"),
        "2026-10-18T22:00 to 2026-10-24T22:00"
    );
}

#[test]
fn a_window_that_never_closes_has_no_end_and_no_next_opening() {
    for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe"] {
        let always = window("daily 00:00-24:00", zone);
        let at = utc("2026-03-20T00:00");
        assert!(always.is_open(at));
        assert_eq!(always.closes_after(at), None);
        assert_eq!(always.opens_after(at), None);
    }
}

#[test]
fn a_start_that_the_clock_skips_is_the_first_minute_after_the_gap() {
    // Berlin: 02:00 to 03:00 does not exist on 29 March 2026; it is 01:00 UTC then.
    let cases = [
        ("Sun 02:00-04:00", "2026-03-29T01:00 to 2026-03-29T02:00"),
        ("Sun 02:30-03:30", "2026-03-29T01:00 to 2026-03-29T01:30"),
        ("Sun 02:30:30-03:30", "2026-03-29T01:00 to 2026-03-29T01:30"),
        ("Sun 01:00-02:30", "2026-03-29T00:00 to 2026-03-29T01:00"),
        ("Sun 01:00-03:00", "2026-03-29T00:00 to 2026-03-29T01:00"),
        ("Sat 23:00-02:15", "2026-03-28T22:00 to 2026-03-29T01:00"),
    ];
    for (text, opening) in cases {
        let window = window(text, "Europe/Berlin");
        assert_eq!(next(&window, "2026-03-28T12:00"), opening, "{text}");
    }
    let new_york = window("Sun 02:00-04:00", "America/New_York");
    assert_eq!(
        next(&new_york, "2026-03-07T12:00"),
        "2026-03-08T07:00 to 2026-03-08T08:00"
    );
    // Half an hour: 02:00 to 02:30 on 4 October 2026, 15:30 UTC the day before.
    let lord_howe = window("Sun 02:00-03:00", "Australia/Lord_Howe");
    assert_eq!(
        next(&lord_howe, "2026-10-01T12:00"),
        "2026-10-03T15:30 to 2026-10-03T16:00"
    );
}

#[test]
fn a_window_wholly_in_the_gap_is_skipped() {
    for text in ["Sun 02:00-03:00", "Sun 02:10-02:50"] {
        let berlin = window(text, "Europe/Berlin");
        assert_eq!(&next(&berlin, "2026-03-28T12:00")[..10], "2026-04-05");
    }
    let lord_howe = window("Sun 02:00-02:30", "Australia/Lord_Howe");
    assert_eq!(&next(&lord_howe, "2026-10-01T12:00")[..10], "2026-10-10");
}

#[test]
fn an_hour_that_comes_twice_is_open_from_its_first_start_to_its_last_end() {
    // Berlin: 02:00 to 03:00 comes twice on 25 October 2026, from 00:00 and from 01:00 UTC.
    let cases = [
        ("Sun 02:00-03:00", "2026-10-25T00:00 to 2026-10-25T02:00"),
        ("Sun 02:30-02:45", "2026-10-25T00:30 to 2026-10-25T01:45"),
        ("Sun 01:00-02:30", "2026-10-24T23:00 to 2026-10-25T01:30"),
        ("Sun 02:30-04:00", "2026-10-25T00:30 to 2026-10-25T03:00"),
        ("Sun 01:00-02:00", "2026-10-24T23:00 to 2026-10-25T01:00"),
    ];
    for (text, opening) in cases {
        let window = window(text, "Europe/Berlin");
        assert_eq!(next(&window, "2026-10-24T12:00"), opening, "{text}");
        let after = window.closes_after(window.opens_after(utc("2026-10-24T12:00")).unwrap());
        let again = window.opens_after(after.unwrap()).unwrap();
        assert!(again > utc("2026-10-31T00:00"), "{text}: only once");
    }
    let new_york = window("Sun 01:00-02:00", "America/New_York");
    assert_eq!(
        next(&new_york, "2026-10-31T12:00"),
        "2026-11-01T05:00 to 2026-11-01T07:00"
    );
    let lord_howe = window("Sun 01:30-02:00", "Australia/Lord_Howe");
    assert_eq!(
        next(&lord_howe, "2026-04-04T00:00"),
        "2026-04-04T14:30 to 2026-04-04T15:30"
    );
}

#[test]
fn a_leap_day_and_the_end_of_a_year_are_days_like_others() {
    // 29 February 2028 is a Tuesday, 31 December 2026 a Thursday.
    let tuesday = window("Tue 02:00-04:00", "Asia/Tokyo");
    assert_eq!(
        next(&tuesday, "2028-02-28T12:00"),
        "2028-02-28T17:00 to 2028-02-28T19:00"
    );
    let night = window("Thu 23:00-01:00", "UTC");
    assert_eq!(
        next(&night, "2026-12-31T12:00"),
        "2026-12-31T23:00 to 2027-01-01T01:00"
    );
}

#[test]
fn text_that_is_no_window_is_refused_with_the_word_and_an_example() {
    for (text, word) in [
        ("", "a window is missing"),
        ("Sun 02:00-04:00,", "a window is missing"),
        ("Sunn 02:00-04:00", "'Sunn' in"),
        ("Mon-Foo 02:00-04:00", "'Foo' in"),
        ("Sun 02:00", "'02:00' in"),
        ("Sun 02:00-25:00", "'25:00' in"),
        ("Sun 2-4", "'2' in"),
        ("Sun 02:60-04:00", "'02:60' in"),
        ("Sun 02:00-04:00:99", "'04:00:99' in"),
        ("Sun +2:00-04:00", "'+2:00' in"),
        ("Sun 24:00-02:00", "'24:00' in"),
        ("Sun 24:01-02:00", "'24:01' in"),
        ("Sun 02:00-02:00", "ends where it begins"),
        ("02:00-04:00", "has no day"),
        ("Sun", "has no times"),
        ("Sun 02:00 - 04:00", "'-' in"),
        ("Sun 02:00-04:00 CET", "'CET' in"),
    ] {
        let error = Window::parse(text, Zone::default()).expect_err(text);
        assert!(error.contains(word), "{text}: {error}");
        assert!(error.contains("\"Sun 02:00-04:00\""), "{text}: {error}");
    }
}

/// Walks through `days` minute by minute: what is told beforehand comes true, and by the clock on the wall it is open when
/// the text says so, but for hours that come twice, in which it may be open for longer.
fn walk(text: &str, zone: Tz, from: &str, days: u32) {
    let window = window(text, zone.name());
    let mut at = utc(from);
    let minute = std::time::Duration::from_mins(1);
    let (mut expected, mut told) = (window.is_open(at), change(&window, at));
    for _ in 0..days * 24 * 60 {
        let open = window.is_open(at);
        if at == told {
            (expected, told) = (!expected, change(&window, at));
        }
        assert_eq!(open, expected, "{text} {zone} at {}", at.rfc3339());
        let local = at.0.with_timezone(&zone);
        let once = zone
            .from_local_datetime(&local.naive_local())
            .single()
            .is_some();
        let named = window.spans.iter().any(|span| span.names(&local));
        assert!(
            named == open || (open && !once),
            "{text} {zone} at {}: {named} by the wall",
            at.rfc3339()
        );
        at = at.plus(minute);
    }
}

/// When it opens or closes next.
fn change(window: &Window, at: Stamp) -> Stamp {
    let next = if window.is_open(at) {
        window.closes_after(at)
    } else {
        window.opens_after(at)
    };
    let next = next.expect("it changes");
    assert!(next > at);
    assert_ne!(window.is_open(next), window.is_open(at));
    next
}

impl Span {
    fn names(&self, local: &DateTime<Tz>) -> bool {
        let second = local.num_seconds_from_midnight();
        let (today, yesterday) = (local.weekday(), local.weekday().pred());
        if self.from < self.to {
            return self.days.contains(&today) && (self.from..self.to).contains(&second);
        }
        (self.days.contains(&today) && second >= self.from)
            || (self.days.contains(&yesterday) && second < self.to)
    }
}

#[test]
fn what_is_told_of_a_window_comes_true_minute_by_minute() {
    // From the first of January 2027 through the leap year 2028.
    let years = 365 + 366;
    for (text, zone, days) in [
        ("Sun 02:00-04:00", Tz::Europe__Berlin, years),
        (
            "Sat 23:00-02:30, Mon-Fri 02:10-02:50",
            Tz::America__New_York,
            years,
        ),
        ("daily 01:45-02:15", Tz::Australia__Lord_Howe, years),
        (
            "Mon-Wed 22:00-24:00, Thu 00:00-01:00",
            Tz::Asia__Kolkata,
            31,
        ),
    ] {
        walk(text, zone, "2027-01-01T00:00", days);
    }
}
