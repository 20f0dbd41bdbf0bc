//! What the rules of retention keep: a table of what restic documents of them, and what holds whatever the backups and the
//! policy are. `SAFESTEP_TEST_FULL=1` tries more policies, `SAFESTEP_TEST_SEED` begins at a given seed. restic itself is
//! asked in `restic.rs`.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "policies/random.rs"]
#[allow(unreachable_pub)]
mod random;
mod support;
#[path = "policies/world.rs"]
#[allow(unreachable_pub)]
mod world;

use safestep::clock::Stamp;
use safestep::retention::{Cause, Reason, Verdict, judge};
use world::{candidate, candidates, judged, kept, policy, unix, words};

const DAY: u64 = 24 * 60 * 60;

/// restic's own example: a snapshot every Sunday at eleven, for twelve weeks.
const SUNDAYS: [&str; 12] = [
    "2019-09-01 11:00:00",
    "2019-09-08 11:00:00",
    "2019-09-15 11:00:00",
    "2019-09-22 11:00:00",
    "2019-09-29 11:00:00",
    "2019-10-06 11:00:00",
    "2019-10-13 11:00:00",
    "2019-10-20 11:00:00",
    "2019-10-27 11:00:00",
    "2019-11-03 11:00:00",
    "2019-11-10 11:00:00",
    "2019-11-17 11:00:00",
];

#[test]
fn the_documented_cases_of_restic_come_out_as_documented() {
    let busy = [
        "2026-03-01 00:00:00",
        "2026-03-01 00:59:59",
        "2026-03-01 01:00:00",
        "2026-03-01 23:59:59",
        "2026-03-02 00:00:00",
        "2026-03-08 23:59:59",
        "2026-03-09 00:00:00",
        "2026-04-01 00:00:00",
    ];
    // Backups, policy, and which of them stay, counted from 1.
    let table: [(&[&str], &str, &[usize]); 14] = [
        (&SUNDAYS, "--keep-daily 4", &[9, 10, 11, 12]),
        (&SUNDAYS, "--keep-last 2", &[11, 12]),
        (&SUNDAYS, "--keep-weekly 3", &[10, 11, 12]),
        // September and October have ended with the 29th and the 27th. There are no more months: the oldest stays as well.
        (&SUNDAYS, "--keep-monthly 5", &[1, 5, 9, 12]),
        (&SUNDAYS, "--keep-monthly 3", &[5, 9, 12]),
        (&SUNDAYS, "--keep-yearly 2", &[1, 12]),
        (&SUNDAYS, "--keep-yearly 1", &[12]),
        (&SUNDAYS, "--keep-monthly unlimited", &[1, 5, 9, 12]),
        // 17 November less a month is 17 October at eleven.
        (&SUNDAYS, "--keep-within 1m", &[8, 9, 10, 11, 12]),
        // One that is exactly so old is outside.
        (&SUNDAYS, "--keep-within 7d", &[12]),
        (&SUNDAYS, "--keep-within 7d1h", &[11, 12]),
        // Any rule is enough.
        (&SUNDAYS, "--keep-last 1 --keep-monthly 2", &[9, 12]),
        // Boundaries of hours, days, and weeks from Monday to Sunday.
        (&busy, "--keep-hourly unlimited", &[2, 3, 4, 5, 6, 7, 8, 1]),
        (&busy, "--keep-weekly 3", &[6, 7, 8]),
    ];
    for (times, options, expected) in table {
        let all = candidates(times);
        let stays = kept(&policy(options), &all);
        let mut expected: Vec<&str> = expected.iter().map(|place| times[place - 1]).collect();
        expected.sort_unstable();
        assert_eq!(stays, expected, "{options}");
    }
}

#[test]
fn a_backup_every_day_for_a_hundred_years_leaves_what_restic_says() {
    let first = unix("1991-01-01 12:00:00");
    let all: Vec<_> = (0..36_525)
        .map(|day| candidate(first + day * DAY))
        .collect();
    let now = Stamp::at_unix(first + 36_525 * DAY);
    let policy = policy("--keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 75");
    let verdicts = judge(&policy, &all, now, 0);
    let of = |words: &str| {
        let is = |verdict: &&Verdict| matches!(verdict, Verdict::Stays(reasons) if reasons.iter().any(|r| r.to_string() == words));
        verdicts.iter().filter(is).count()
    };
    let counts =
        ["daily", "weekly", "monthly", "yearly"].map(|rule| of(&format!("{rule} snapshot")));
    assert_eq!(counts, [7, 5, 12, 75]);
    let stay = verdicts.iter().filter(|verdict| verdict.stays()).count();
    // The last is a Sunday, and New Year's Eve: 7 days, 4 more weeks, 11 more months and 74 more years.
    assert_eq!(stay, 7 + 4 + 11 + 74);
}

#[test]
fn all_reasons_are_told_in_the_words_of_restic() {
    let all = candidates(&[
        "2026-01-01 01:00:00",
        "2026-01-01 02:00:00",
        "2026-01-02 01:00:00",
    ]);
    let rules = policy("--keep-within 5h --keep-last 1 --keep-daily 3 --keep-yearly 1");
    let told: Vec<String> = judged(&rules, &all)
        .iter()
        .map(|verdict| match verdict {
            Verdict::Stays(reasons) => {
                let words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                words.join(", ")
            }
            Verdict::Goes(cause) => cause.to_string(),
        })
        .collect();
    let expected = [
        "oldest daily snapshot",
        "daily snapshot",
        "within 5h, last snapshot, daily snapshot, yearly snapshot, newest good one",
    ];
    assert_eq!(told, expected);
}

#[test]
fn periods_are_those_of_the_configured_time_zone() {
    // In Berlin both are of the 2nd, and the second is the newer one.
    let all = candidates(&[
        "2026-01-01 22:30:00",
        "2026-01-01 23:30:00",
        "2026-01-02 10:00:00",
    ]);
    let two = "--keep-daily 2";
    assert_eq!(
        kept(&policy(two), &all),
        [all[1].name.clone(), all[2].name.clone()]
    );
    let berlin = policy(&format!("{two} --timezone Europe/Berlin"));
    assert_eq!(
        kept(&berlin, &all),
        [all[0].name.clone(), all[2].name.clone()]
    );
}

#[test]
fn one_that_was_stamped_in_the_future_pushes_out_nothing_by_its_age_and_is_not_the_newest_good_one()
{
    let mut all = candidates(&["2026-01-01", "2026-01-08", "2029-01-01"]);
    let now = Stamp::at_unix(unix("2026-01-08 01:00:00"));
    let reasons = |options: &str| -> Vec<Vec<Reason>> {
        let verdicts = judge(&policy(options), &all, now, 0);
        let of = |verdict| match verdict {
            Verdict::Stays(reasons) => reasons,
            Verdict::Goes(_) => Vec::new(),
        };
        verdicts.into_iter().map(of).collect()
    };
    let within = reasons("--keep-within 1d");
    assert!(within[0].is_empty());
    assert_eq!(within[1].len(), 2, "{within:?}");
    assert_eq!(within[2].len(), 1, "{within:?}");
    assert_eq!(reasons("--keep-last 1")[1], [Reason::NewestGood]);
    // Where all are, as on a machine whose clock has been put back, none goes by its age.
    all.remove(0);
    all.remove(0);
    let verdicts = judge(&policy("--keep-within 1h"), &all, now, 0);
    assert!(verdicts[0].stays());
}

#[test]
fn a_bad_backup_takes_no_place_from_a_good_one_and_stays_as_long_as_a_good_one_would() {
    let mut all = candidates(&["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]);
    all[0].is_good = false;
    all[3].is_good = false;
    let names = |range: std::ops::Range<usize>| -> Vec<String> {
        all[range].iter().map(|one| one.name.clone()).collect()
    };
    assert_eq!(kept(&policy("--keep-last 1"), &all), names(2..4));
    assert_eq!(kept(&policy("--keep-last 2"), &all), names(1..4));
    assert_eq!(kept(&policy("--keep-last 4"), &all), names(0..4));
}

#[test]
fn where_none_is_good_the_newest_stays() {
    let mut all = candidates(&["2026-01-01", "2026-01-02"]);
    for one in &mut all {
        one.is_good = false;
    }
    let verdicts = judged(&policy("--keep-last 2 --max-total 1"), &all);
    assert_eq!(verdicts[0], Verdict::Goes(Cause::OverMaxTotal));
    assert!(matches!(&verdicts[1], Verdict::Stays(reasons) if reasons.contains(&Reason::Newest)));
}

#[test]
fn copies_of_what_restores_replaced_and_other_databases_are_counted_by_themselves() {
    let mut all = candidates(&[
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
        "2026-01-04",
        "2026-01-05",
    ]);
    all[3].group.is_replaced = true;
    all[4].group.is_replaced = true;
    all[0].group.source = "/srv/other.db".to_owned();
    let stays = kept(&policy("--keep-last 1"), &all);
    assert_eq!(stays, [0, 2, 4].map(|place| all[place].name.clone()));
}

#[test]
fn above_the_ceiling_the_oldest_go_until_the_rest_fits_and_bad_ones_before_them() {
    let times = [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
        "2026-01-04",
        "2026-01-05",
    ];
    let mut all = candidates(&times);
    for one in &mut all {
        one.bytes = 10;
    }
    let gone = |all: &[_], most: u64, beside: u64| -> Vec<usize> {
        let policy = policy(&format!("--keep-last unlimited --max-total {most}"));
        let verdicts = judge(&policy, all, Stamp::at_unix(unix("2027-01-01")), beside);
        let goes = |place: &usize| verdicts[*place] == Verdict::Goes(Cause::OverMaxTotal);
        (0..all.len()).filter(goes).collect()
    };
    assert_eq!(gone(&all, 50, 0), [0; 0]);
    assert_eq!(gone(&all, 49, 0), [0]);
    assert_eq!(gone(&all, 30, 0), [0, 1]);
    // What else is there counts, and what is about to be written.
    assert_eq!(gone(&all, 30, 1), [0, 1, 2]);
    // The newest good one stays, however little is allowed.
    assert_eq!(gone(&all, 1, 1000), [0, 1, 2, 3]);
    assert_eq!(gone(&all, 1, u64::MAX), [0, 1, 2, 3]);
    all[0].held = vec![Reason::Needed];
    all[1].held = vec![Reason::Used];
    assert_eq!(gone(&all, 1, 0), [2, 3]);
    all[3].is_good = false;
    assert_eq!(gone(&all, 49, 0), [3]);
    all[4].is_good = false;
    assert_eq!(gone(&all, 1, 0), [3, 4], "the third is the newest good one");
}

#[test]
fn those_of_one_second_are_told_apart_by_their_names() {
    let mut all = vec![candidate(unix("2026-01-01")); 3];
    for (one, name) in all.iter_mut().zip(["b", "c", "a"]) {
        one.name = name.to_owned();
    }
    assert_eq!(kept(&policy("--keep-last 1"), &all), ["c"]);
    assert_eq!(words(unix("2026-01-01")), "2026-01-01 00:00:00");
}
