//! Which backups stay, and why: the rules of `restic forget`, a ceiling, and what no rule takes away. It only judges: the
//! same way for a folder and for a list of what lies off site.

mod ceiling;
mod policy;
mod rules;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::clock::{Span, Stamp};

pub use policy::{Count, Policy, Rule};

/// A backup as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name of its archive, by which those of one second are told apart.
    pub name: String,
    /// When it was made.
    pub made: Stamp,
    /// What it takes.
    pub bytes: u64,
    /// What it is counted with.
    pub group: Group,
    /// Not found bad when it was last verified.
    pub is_good: bool,
    /// Why it has to stay, whatever the rules say.
    pub held: Vec<Reason>,
}

/// Backups that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The database that they were made of.
    pub source: String,
    /// They are copies of what restores replaced: however many there are, they push out no other backup.
    pub is_replaced: bool,
}

/// What becomes of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for all these reasons.
    Stays(Vec<Reason>),
    /// It goes.
    Goes(Cause),
}

impl Verdict {
    /// Whether it stays.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self, Self::Stays(_))
    }
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is not older than that, counted from the newest.
    Within(Span),
    /// A rule keeps it.
    Rule(Rule),
    /// It is the oldest, and the rule has not yet found as many as it keeps.
    Oldest(Rule),
    /// It is the newest good one.
    NewestGood,
    /// It is the newest, and none is good: better that than nothing.
    Newest,
    /// It has just been used or made.
    Used,
    /// A job that was cut short needs it for its recovery.
    Needed,
    /// It was made of another database of the same name, which judges for itself.
    AnotherDatabase,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(span) => write!(f, "within {span}"),
            Self::Rule(rule) => write!(f, "{rule} snapshot"),
            Self::Oldest(rule) => write!(f, "oldest {rule} snapshot"),
            Self::NewestGood => f.write_str("newest good one"),
            Self::Newest => f.write_str("newest one, and none is good"),
            Self::Used => f.write_str("just used"),
            Self::Needed => f.write_str("a job that was cut short needs it"),
            Self::AnotherDatabase => f.write_str("of another database"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Why a backup goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No rule keeps it.
    NoRule,
    /// Rules would keep it, but all together are above the ceiling.
    OverMaxTotal,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRule => "no rule keeps it",
            Self::OverMaxTotal => "above the ceiling",
        })
    }
}

/// Judges all backups of one place; the verdicts are in the order of the candidates. `beside` is what else counts towards
/// the ceiling: other files that are there, and what is about to be written.
///
/// A backup that was found bad takes no place from a good one: it stays for as long as a good one of its age would.
#[must_use]
pub fn judge(policy: &Policy, candidates: &[Candidate], now: Stamp, beside: u64) -> Vec<Verdict> {
    let mut stays: Vec<Vec<Reason>> = vec![Vec::new(); candidates.len()];
    for group in groups(candidates) {
        let is_good = |index: &usize| candidates[*index].is_good;
        let good: Vec<usize> = group.iter().copied().filter(is_good).collect();
        let made = |index: &usize| candidates[*index].made;
        for (place, reason) in rules::keep(policy, &times(&good, made), now) {
            stays[good[place]].push(reason);
        }
        for (place, reason) in rules::keep(policy, &times(&group, made), now) {
            if !is_good(&group[place]) {
                stays[group[place]].push(reason);
            }
        }
        let (index, reason) = newest(&group, &good, |index| made(index) <= now);
        stays[index].push(reason);
    }
    for (reasons, candidate) in stays.iter_mut().zip(candidates) {
        reasons.extend(&candidate.held);
    }
    let over = ceiling::beyond(policy, candidates, &stays, beside);
    let verdict = |(index, reasons): (usize, Vec<Reason>)| match reasons.is_empty() {
        true => Verdict::Goes(Cause::NoRule),
        false if over.contains(&index) => Verdict::Goes(Cause::OverMaxTotal),
        false => Verdict::Stays(reasons),
    };
    stays.into_iter().enumerate().map(verdict).collect()
}

/// The one that stays whatever the rules say. One whose clock was ahead must not pass for the newest.
fn newest(group: &[usize], good: &[usize], is_past: impl Fn(&usize) -> bool) -> (usize, Reason) {
    let of = |places: &[usize]| {
        let past = places.iter().copied().find(|place| is_past(place));
        past.or(places.first().copied())
    };
    match of(good) {
        Some(place) => (place, Reason::NewestGood),
        None => (of(group).unwrap_or_default(), Reason::Newest),
    }
}

fn times(group: &[usize], made: impl Fn(&usize) -> Stamp) -> Vec<Stamp> {
    group.iter().map(made).collect()
}

/// The places of the candidates of each group, newest first.
fn groups(candidates: &[Candidate]) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..candidates.len()).collect();
    let key = |place: usize| {
        let candidate = &candidates[place];
        (&candidate.group, candidate.made, &candidate.name)
    };
    places.sort_by(|a, b| key(*b).cmp(&key(*a)));
    places
        .chunk_by(|a, b| candidates[*a].group == candidates[*b].group)
        .map(<[usize]>::to_vec)
        .collect()
}
