//! A year in Berlin, with both changes of the clock, and what else a clock may do.

use std::collections::BTreeMap;
use std::time::Duration;

use safestep::daemon::{Event, Task, Times};

use crate::fake::{World, at, cron, times_of, window};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn unix(text: &str) -> i64 {
    i64::try_from(at(text).unix_seconds()).expect("after 1970")
}

fn text(unix: i64) -> String {
    let moment = chrono::DateTime::from_timestamp(unix, 0).expect("a moment");
    moment.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// What the clocks in Berlin show more than UTC, by the law and not by the tables that the program uses.
fn berlin_offset(moment: i64) -> i64 {
    let summers = [
        ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
        ("2027-03-28T01:00:00Z", "2027-10-31T01:00:00Z"),
    ];
    let is_summer = summers
        .iter()
        .any(|(from, to)| (unix(from)..unix(to)).contains(&moment));
    if is_summer { 2 * HOUR } else { HOUR }
}

/// Every day at this time by the clocks in Berlin: the first time that they show it, or the first moment after the gap.
fn daily(from: i64, to: i64, seconds: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let mut midnight = from / DAY * DAY - DAY;
    while midnight < to + DAY {
        let local = midnight + seconds;
        let shown = [2 * HOUR, HOUR]
            .map(|offset| local - offset)
            .into_iter()
            .find(|moment| moment + berlin_offset(*moment) == local);
        let gap = unix("2027-03-28T01:00:00Z");
        let moment = shown.unwrap_or(gap);
        if (from..to).contains(&moment) {
            found.push(moment);
        }
        midnight += DAY;
    }
    found
}

/// 1 January 1970 was a Thursday.
fn is_sunday(moment: i64) -> bool {
    ((moment + berlin_offset(moment)) / DAY + 4) % 7 == 0
}

#[test]
fn a_year_with_both_changes_of_the_clock_has_every_run_once() {
    let mut world = World::new(vec![
        (Task::Run, Times::Opening(window("Sun 02:00-04:00"))),
        (Task::Backup, cron("0 * * * *")),
        (Task::Verify, cron("30 2 * * *")),
        (Task::Prune, cron("15 4 * * SUN")),
    ]);
    world.schedule.window = Some(window("Sun 02:00-04:00"));
    let (from, to) = ("2026-07-01T00:10:00Z", "2027-07-01T00:10:00Z");
    let world = world.settled(from);
    let done = world.live(from, to, |_, _| 0);
    let (from, to) = (unix(from), unix(to));
    let sundays = |seconds| {
        let all = daily(from, to, seconds).into_iter();
        all.filter(|moment| is_sunday(*moment))
            .collect::<Vec<i64>>()
    };
    let hours = (from..to).filter(|moment| moment % HOUR == 0);
    let expected: BTreeMap<Task, Vec<i64>> = BTreeMap::from([
        (Task::Run, sundays(2 * HOUR)),
        (Task::Backup, hours.collect()),
        (Task::Verify, daily(from, to, 2 * HOUR + 1800)),
        (Task::Prune, sundays(4 * HOUR + 900)),
    ]);
    for (task, moments) in expected {
        let moments: Vec<String> = moments.into_iter().map(text).collect();
        assert_eq!(times_of(&done, task), moments, "{task}");
    }
    let count = |task| times_of(&done, task).len();
    assert_eq!(count(Task::Backup), 365 * 24);
    assert_eq!(count(Task::Verify), 365);
    assert_eq!((count(Task::Run), count(Task::Prune)), (52, 52));
    // The two days that matter, once more and by hand.
    let on = |task, day: &str| -> Vec<String> {
        let all = times_of(&done, task).into_iter();
        all.filter(|moment| moment.starts_with(day)).collect()
    };
    assert_eq!(on(Task::Verify, "2026-10-25"), ["2026-10-25T00:30:00"]);
    assert_eq!(on(Task::Verify, "2027-03-28"), ["2027-03-28T01:00:00"]);
    assert_eq!(on(Task::Run, "2026-10-25"), ["2026-10-25T00:00:00"]);
    assert_eq!(on(Task::Run, "2027-03-28"), ["2027-03-28T01:00:00"]);
}

#[test]
fn what_comes_due_again_and_again_while_something_else_runs_is_done_once() {
    let world = World::new(vec![
        (Task::Backup, cron("0 * * * *")),
        (Task::Verify, cron("30 2 * * *")),
    ])
    .settled("2026-07-01T00:00:00Z");
    let done = world.live(
        "2026-07-01T00:10:00Z",
        "2026-07-01T06:10:00Z",
        |clock, task| {
            if task == Task::Verify {
                clock.advance(Duration::from_mins(200));
            }
            0
        },
    );
    assert_eq!(times_of(&done, Task::Verify), ["2026-07-01T00:30:00"]);
    assert_eq!(
        times_of(&done, Task::Backup),
        [
            "2026-07-01T03:50:00",
            "2026-07-01T04:00:00",
            "2026-07-01T05:00:00",
            "2026-07-01T06:00:00"
        ]
    );
}

#[test]
fn missed_times_are_made_up_for_once_or_skipped_by_choice() {
    let times = vec![(Task::Backup, cron("0 * * * *"))];
    let (from, to) = ("2026-07-11T09:20:00Z", "2026-07-11T10:20:00Z");
    let world = World::new(times.clone()).settled("2026-07-01T00:00:00Z");
    let once = ["2026-07-11T09:20:00", "2026-07-11T10:00:00"];
    assert_eq!(
        times_of(&world.live(from, to, |_, _| 0), Task::Backup),
        once
    );
    let again = world.live("2026-07-11T10:30:00Z", "2026-07-11T10:50:00Z", |_, _| 0);
    assert!(
        again.is_empty(),
        "a restart in between makes up for nothing twice"
    );
    let world = World::new(times).settled("2026-07-01T00:00:00Z").skipping();
    assert_eq!(
        times_of(&world.live(from, to, |_, _| 0), Task::Backup),
        once[1..]
    );
}

#[test]
fn the_first_start_takes_a_backup_at_once_and_leaves_a_migration_for_its_time() {
    let world = World::new(vec![
        (Task::Run, cron("0 12 * * *")),
        (Task::Backup, cron("0 13 * * *")),
    ]);
    let done = world.live("2026-07-01T06:00:00Z", "2026-07-01T07:00:00Z", |_, _| 0);
    assert_eq!(times_of(&done, Task::Backup), ["2026-07-01T06:00:00"]);
    assert!(times_of(&done, Task::Run).is_empty());
    // Down at noon, which is 10:00 in UTC.
    let done = world.live("2026-07-01T10:30:00Z", "2026-07-01T10:40:00Z", |_, _| 0);
    assert_eq!(times_of(&done, Task::Run), ["2026-07-01T10:30:00"]);
}

#[test]
fn a_missed_window_is_not_made_up_for_outside_of_it() {
    let mut world = World::new(vec![(Task::Run, Times::Opening(window("Sun 02:00-04:00")))]);
    world.schedule.window = Some(window("Sun 02:00-04:00"));
    let world = world.settled("2026-07-01T00:00:00Z");
    // Down on Sunday the 5th; in the middle of the window of the 12th it comes up.
    let done = world.live("2026-07-06T00:00:00Z", "2026-07-11T00:00:00Z", |_, _| 0);
    assert!(done.is_empty(), "{done:?}");
    let done = world.live("2026-07-12T01:10:00Z", "2026-07-20T00:00:00Z", |_, _| 0);
    assert_eq!(
        times_of(&done, Task::Run),
        ["2026-07-12T01:10:00", "2026-07-19T00:00:00"]
    );
}

#[test]
fn a_time_outside_the_window_waits_for_its_opening() {
    let mut world = World::new(vec![(Task::Run, cron("0 22 * * SAT"))]);
    world.schedule.window = Some(window("Sun 02:00-04:00"));
    let world = world.settled("2026-07-01T00:00:00Z");
    let done = world.live("2026-07-01T00:00:00Z", "2026-07-08T00:00:00Z", |_, _| 0);
    assert_eq!(times_of(&done, Task::Run), ["2026-07-05T00:00:00"]);
}

#[test]
fn a_clock_that_leaps_forward_neither_storms_nor_stalls() {
    let times = vec![(Task::Backup, cron("0 * * * *"))];
    let leap = |world: World| {
        let mut leapt = false;
        let done = world.live(
            "2026-07-01T00:30:00Z",
            "2026-07-03T12:30:00Z",
            move |clock, _| {
                if !leapt {
                    leapt = true;
                    clock.set(at("2026-07-03T10:30:00Z"));
                }
                0
            },
        );
        times_of(&done, Task::Backup)
    };
    let settled = "2026-07-01T00:00:00Z";
    assert_eq!(
        leap(World::new(times.clone()).settled(settled)),
        [
            "2026-07-01T01:00:00",
            "2026-07-03T10:30:00",
            "2026-07-03T11:00:00",
            "2026-07-03T12:00:00"
        ]
    );
    assert_eq!(
        leap(World::new(times).settled(settled).skipping())[1..],
        ["2026-07-03T11:00:00", "2026-07-03T12:00:00"]
    );
}

#[test]
fn a_clock_that_is_put_back_repeats_nothing_of_the_last_hours_and_waits_for_no_year_to_come_again()
{
    let times = vec![(Task::Backup, cron("0 * * * *"))];
    let back = |to: &'static str| {
        let world = World::new(times.clone()).settled("2026-07-01T00:00:00Z");
        let mut count = 0;
        let done = world.live(
            "2026-07-01T00:30:00Z",
            "2026-07-01T04:30:00Z",
            move |clock, _| {
                count += 1;
                if count == 2 {
                    clock.set(at(to));
                }
                // Whoever comes so far has stalled or storms.
                assert!(count < 100);
                0
            },
        );
        times_of(&done, Task::Backup)
    };
    assert_eq!(
        back("2026-07-01T01:50:00Z"),
        [
            "2026-07-01T01:00:00",
            "2026-07-01T02:00:00",
            "2026-07-01T03:00:00",
            "2026-07-01T04:00:00"
        ]
    );
    assert_eq!(
        back("2026-06-30T22:30:00Z")[2..4],
        ["2026-06-30T23:00:00", "2026-07-01T00:00:00"]
    );
}

#[test]
fn what_may_pass_by_itself_is_tried_again_with_growing_pauses() {
    let world = World::new(vec![(Task::Backup, cron("0 * * * *"))]).settled("2026-07-01T00:00:00Z");
    let mut left = 5;
    let done = world.live(
        "2026-07-01T00:30:00Z",
        "2026-07-01T01:30:00Z",
        move |_, _| {
            left -= 1;
            if left > 0 { 75 } else { 0 }
        },
    );
    assert_eq!(
        times_of(&done, Task::Backup),
        [
            "2026-07-01T01:00:00",
            "2026-07-01T01:00:01",
            "2026-07-01T01:00:03",
            "2026-07-01T01:00:07",
            "2026-07-01T01:00:15"
        ]
    );
}

#[test]
fn another_try_waits_for_the_window_as_well() {
    let mut world = World::new(vec![(Task::Run, Times::Opening(window("Sun 02:00-02:10")))]);
    world.schedule.window = Some(window("Sun 02:00-02:10"));
    let world = world.settled("2026-07-01T00:00:00Z");
    let done = world.live(
        "2026-07-05T00:00:00Z",
        "2026-07-12T00:05:00Z",
        |clock, _| {
            clock.advance(Duration::from_mins(4));
            75
        },
    );
    let tries = times_of(&done, Task::Run);
    assert_eq!(
        tries,
        [
            "2026-07-05T00:00:00",
            "2026-07-05T00:04:01",
            "2026-07-05T00:08:03",
            "2026-07-12T00:00:00",
            "2026-07-12T00:04:08"
        ]
    );
}

#[test]
fn what_needs_a_person_waits_for_its_next_time() {
    for code in [2, 3, 4, 5, 7] {
        let world =
            World::new(vec![(Task::Backup, cron("0 * * * *"))]).settled("2026-07-01T00:00:00Z");
        let live = || {
            world.live(
                "2026-07-01T00:30:00Z",
                "2026-07-01T02:30:00Z",
                move |_, _| code,
            )
        };
        let hours = ["2026-07-01T01:00:00", "2026-07-01T02:00:00"];
        assert_eq!(times_of(&live(), Task::Backup), hours, "exit code {code}");
    }
}

#[test]
fn after_exit_code_6_nothing_writes_before_an_operator_has_acted() {
    let world = World::new(vec![
        (Task::Run, cron("0 2 * * *")),
        (Task::Backup, cron("0 * * * *")),
        (Task::Verify, cron("30 * * * *")),
        (Task::Prune, cron("45 * * * *")),
    ])
    .settled("2026-06-30T22:00:00Z");
    let mut looks = 0;
    // 02:00 in Berlin is 00:00 in UTC.
    let done = world.live(
        "2026-06-30T23:50:00Z",
        "2026-07-01T06:50:00Z",
        move |clock, task| {
            looks += i32::from(task == Task::Verify);
            if looks == 4 {
                looks += 1;
                clock.send(Event::Reload);
            }
            if task == Task::Run { 6 } else { 0 }
        },
    );
    let after: Vec<(Task, String)> = done
        .iter()
        .skip_while(|(task, _)| *task != Task::Run)
        .map(|(task, at)| (*task, at.rfc3339()[11..16].to_owned()))
        .collect();
    let words: Vec<String> = after
        .iter()
        .map(|(task, at)| format!("{at} {task}"))
        .collect();
    assert_eq!(
        words[..8],
        [
            "00:00 run",
            "00:30 verify",
            "01:30 verify",
            "02:30 verify",
            "02:30 backup",
            "02:30 prune",
            "02:45 prune",
            "03:00 backup",
        ],
        "{words:?}"
    );
}

#[test]
fn a_state_that_is_damaged_or_of_the_future_counts_as_never() {
    let times = vec![(Task::Backup, cron("0 0 * * *"))];
    let (from, to) = ("2026-07-01T06:00:00Z", "2026-07-01T07:00:00Z");
    let world = World::new(times).settled("2026-07-01T05:00:00Z");
    assert!(world.live(from, to, |_, _| 0).is_empty(), "nothing is due");
    let file = world.state_file();
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in [
        String::new(),
        "{".to_owned(),
        good.replace("2026", "2099"),
        good.replace("2026", "year"),
        good.replace("\"format_version\": 1", "\"format_version\": 2"),
        good.replace("/srv/app.db", "/srv/other.db"),
    ] {
        std::fs::write(&file, &bad).unwrap();
        let done = world.live(from, to, |_, _| 0);
        assert_eq!(
            times_of(&done, Task::Backup),
            ["2026-07-01T06:00:00"],
            "{bad}"
        );
        std::fs::write(&file, &good).unwrap();
    }
}
