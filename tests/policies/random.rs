//! Random backups under random policies.

use std::collections::BTreeMap;

use safestep::clock::{Period, Stamp};
use safestep::retention::{Candidate, Count, Policy, Reason, Rule, Verdict, judge};

use crate::support::{Random, full};
use crate::world::{candidate, policy, unix};

const CASES: usize = 3_000;
const ALL_CASES: usize = 100_000;
const HOUR: u64 = 60 * 60;

struct Case {
    policy: Policy,
    all: Vec<Candidate>,
    now: Stamp,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let now = unix("2026-03-29 12:00:00") + random.below(300 * 24) * HOUR;
        let all = (0..random.below(40))
            .map(|number| backup(random, now, number))
            .collect();
        Self {
            policy: rules(random),
            all,
            now: Stamp::at_unix(now),
        }
    }

    fn judge(&self, policy: &Policy, all: &[Candidate]) -> Vec<Verdict> {
        judge(policy, all, self.now, 0)
    }

    /// What is left of a policy.
    fn survivors(&self, policy: &Policy) -> Vec<Candidate> {
        let verdicts = self.judge(policy, &self.all);
        let stays = self.all.iter().zip(verdicts).filter(|(_, v)| v.stays());
        stays.map(|(candidate, _)| candidate.clone()).collect()
    }

    /// The good ones of each group, newest first.
    fn groups(&self) -> Vec<Vec<&Candidate>> {
        let mut groups: BTreeMap<_, Vec<&Candidate>> = BTreeMap::new();
        for candidate in self.all.iter().filter(|candidate| candidate.is_good) {
            groups.entry(&candidate.group).or_default().push(candidate);
        }
        for group in groups.values_mut() {
            group.sort_by(|a, b| (b.made, &b.name).cmp(&(a.made, &a.name)));
        }
        groups.into_values().collect()
    }
}

fn backup(random: &mut Random, now: u64, number: u64) -> Candidate {
    let span = [3, 24, 24 * 30, 24 * 365 * 4][usize::try_from(random.below(4)).unwrap()];
    let ago = random.below(span * HOUR);
    let at = if random.below(40) == 0 {
        now + ago
    } else {
        now - ago
    };
    let mut made = candidate(at);
    made.name = format!("{}_{number}", made.name);
    made.bytes = 1 + random.below(1000);
    made.is_good = random.below(5) > 0;
    made.group.is_replaced = random.below(4) == 0;
    if random.below(6) == 0 {
        "/srv/other.db".clone_into(&mut made.group.source);
    }
    if random.below(20) == 0 {
        made.held = vec![Reason::Needed];
    }
    made
}

fn rules(random: &mut Random) -> Policy {
    let mut options = String::new();
    for rule in ["last", "hourly", "daily", "weekly", "monthly", "yearly"] {
        match random.below(10) {
            0..=5 => {}
            6 => options.push_str(&format!("--keep-{rule} unlimited ")),
            _ => options.push_str(&format!("--keep-{rule} {} ", 1 + random.below(8))),
        }
    }
    if random.below(4) == 0 {
        let [months, days, hours] = [3, 40, 50].map(|limit| random.below(limit));
        options.push_str(&format!("--keep-within {months}m{days}d{hours}h "));
    }
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"];
    let zone = zones[usize::try_from(random.below(4)).unwrap()];
    policy(&format!("{options}--timezone {zone}"))
}

fn each(what: &str, check: impl Fn(&Case, &mut Random)) {
    let mut random = Random::new(what);
    for _ in 0..if full() { ALL_CASES } else { CASES } {
        let case = Case::random(&mut random);
        check(&case, &mut random);
    }
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn the_newest_good_one_is_always_there_and_so_is_what_is_needed() {
    each("newest good", |case, random| {
        let ceiling = Policy {
            max_total: Some(1 + random.below(5000)),
            ..case.policy.clone()
        };
        for policy in [&case.policy, &ceiling, &Policy::nothing()] {
            let left = case.survivors(policy);
            for group in case.groups() {
                let past = group.iter().find(|one| one.made <= case.now);
                let newest = past.or(group.first()).unwrap();
                assert!(left.contains(newest), "{} {policy:?}", newest.name);
            }
            let needed = case.all.iter().filter(|one| !one.held.is_empty());
            needed.for_each(|one| assert!(left.contains(one), "{}", one.name));
        }
    });
}

#[test]
fn no_rule_ever_keeps_fewer_than_it_says() {
    each("rules", |case, _| {
        let left = case.survivors(&case.policy);
        for group in case.groups() {
            for (rule, count) in case.policy.rules() {
                let wanted = match count {
                    Count::Number(number) => number.get(),
                    Count::Unlimited => usize::MAX,
                };
                let mut newest: Vec<&Candidate> = Vec::new();
                for one in &group {
                    let is_same = |other: &&Candidate| {
                        period(rule).is_some_and(|period| {
                            let of = |at| case.policy.zone.period(at, period);
                            of(other.made) == of(one.made)
                        })
                    };
                    if !newest.last().is_some_and(is_same) {
                        newest.push(one);
                    }
                }
                for one in newest.iter().take(wanted) {
                    assert!(left.contains(one), "{rule} {count:?}: {}", one.name);
                }
                if newest.len() < wanted {
                    assert!(left.contains(group.last().unwrap()), "{rule}: the oldest");
                }
            }
        }
    });
}

fn period(rule: Rule) -> Option<Period> {
    match rule {
        Rule::Last => None,
        Rule::Hourly => Some(Period::Hour),
        Rule::Daily => Some(Period::Day),
        Rule::Weekly => Some(Period::Week),
        Rule::Monthly => Some(Period::Month),
        Rule::Yearly => Some(Period::Year),
    }
}

#[test]
fn another_rule_never_removes_more() {
    each("another rule", |case, random| {
        let more = rules(random);
        let both = Policy {
            last: case.policy.last.or(more.last),
            hourly: case.policy.hourly.or(more.hourly),
            daily: case.policy.daily.or(more.daily),
            weekly: case.policy.weekly.or(more.weekly),
            monthly: case.policy.monthly.or(more.monthly),
            yearly: case.policy.yearly.or(more.yearly),
            within: case.policy.within.or(more.within),
            ..case.policy.clone()
        };
        let (fewer, left) = (case.survivors(&case.policy), case.survivors(&both));
        for one in &fewer {
            assert!(left.contains(one), "{} {both:?}", one.name);
        }
    });
}

#[test]
fn judging_twice_after_removing_changes_nothing() {
    each("twice", |case, random| {
        let ceiling = Policy {
            max_total: Some(1 + random.below(5000)),
            ..case.policy.clone()
        };
        for policy in [&case.policy, &ceiling] {
            let left = case.survivors(policy);
            let again = case.judge(policy, &left);
            assert!(again.iter().all(Verdict::stays), "{policy:?}: {again:?}");
        }
    });
}

#[test]
fn the_order_in_which_backups_are_listed_changes_nothing() {
    each("order", |case, random| {
        let before = case.survivors(&case.policy);
        let mut shuffled = case.all.clone();
        for place in (1..shuffled.len()).rev() {
            let other = random.below(u64::try_from(place).unwrap() + 1);
            shuffled.swap(place, usize::try_from(other).unwrap());
        }
        let case = Case {
            policy: case.policy.clone(),
            all: shuffled,
            now: case.now,
        };
        let mut after = case.survivors(&case.policy);
        let mut before = before;
        before.sort_by(|a, b| a.name.cmp(&b.name));
        after.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(names(&before), names(&after));
    });
}
