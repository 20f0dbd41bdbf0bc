//! Candidates and policies in a few words.

use std::num::NonZeroUsize;

use chrono::{DateTime, NaiveDateTime};
use safestep::clock::{Span, Stamp, Zone};
use safestep::retention::{Candidate, Count, Group, Policy, Verdict, judge};

/// When everything is judged that does not say otherwise.
pub const NOW: &str = "2030-01-01 00:00:00";

/// `2026-11-22 03:00:00` or without the time of day, in UTC.
pub fn unix(text: &str) -> u64 {
    let text = if text.len() == 10 {
        format!("{text} 00:00:00")
    } else {
        text.to_owned()
    };
    let at = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S").expect("a moment");
    u64::try_from(at.and_utc().timestamp()).expect("after 1970")
}

/// The other way round.
pub fn words(unix: u64) -> String {
    DateTime::from_timestamp(i64::try_from(unix).expect("a moment"), 0)
        .expect("a moment")
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// A good backup of one byte.
pub fn candidate(unix: u64) -> Candidate {
    Candidate {
        name: words(unix),
        made: Stamp::at_unix(unix),
        bytes: 1,
        group: Group {
            source: "/srv/app.db".to_owned(),
            is_replaced: false,
        },
        is_good: true,
        held: Vec::new(),
    }
}

pub fn candidates(times: &[&str]) -> Vec<Candidate> {
    times.iter().map(|time| candidate(unix(time))).collect()
}

/// A policy as restic's options write it: `--keep-last 3 --keep-within 7d`.
pub fn policy(options: &str) -> Policy {
    let mut policy = Policy::nothing();
    let words: Vec<&str> = options.split_whitespace().collect();
    for pair in words.chunks(2) {
        let count = match pair[1] {
            "unlimited" => Some(Count::Unlimited),
            number => number
                .parse()
                .ok()
                .and_then(NonZeroUsize::new)
                .map(Count::Number),
        };
        match pair[0] {
            "--keep-last" => policy.last = count,
            "--keep-hourly" => policy.hourly = count,
            "--keep-daily" => policy.daily = count,
            "--keep-weekly" => policy.weekly = count,
            "--keep-monthly" => policy.monthly = count,
            "--keep-yearly" => policy.yearly = count,
            "--keep-within" => policy.within = Some(Span::parse(pair[1]).expect("a span")),
            "--max-total" => policy.max_total = Some(pair[1].parse().expect("bytes")),
            "--timezone" => policy.zone = Zone::parse(pair[1]).expect("a zone"),
            other => panic!("{other}"),
        }
    }
    policy
}

/// The verdicts at [`NOW`], with nothing beside.
pub fn judged(policy: &Policy, candidates: &[Candidate]) -> Vec<Verdict> {
    judge(policy, candidates, Stamp::at_unix(unix(NOW)), 0)
}

/// The names of what stays.
pub fn kept(policy: &Policy, candidates: &[Candidate]) -> Vec<String> {
    let verdicts = judged(policy, candidates);
    let stays = candidates.iter().zip(verdicts).filter(|(_, v)| v.stays());
    stays.map(|(candidate, _)| candidate.name.clone()).collect()
}
