//! The rules as `restic forget` applies them to one group
//! (<https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy>).

use super::{Count, Policy, Reason, Rule};
use crate::clock::{Span, Stamp, Zone};

/// What the rules keep of the times of a group, which are given newest first: places and reasons.
pub(super) fn keep(policy: &Policy, times: &[Stamp], now: Stamp) -> Vec<(usize, Reason)> {
    let within = policy
        .within
        .map(|span| within(policy.zone, times, span, now));
    let counted = policy
        .rules()
        .into_iter()
        .map(|(rule, count)| counted(policy.zone, times, rule, count));
    within.into_iter().chain(counted).flatten().collect()
}

/// Counted from the newest that is not ahead of the clock: one stamped far in the future would have all others go.
fn within(zone: Zone, times: &[Stamp], span: Span, now: Stamp) -> Vec<(usize, Reason)> {
    let newest = times.iter().find(|time| **time <= now);
    let begin = newest.map(|newest| zone.before(*newest, span));
    let is_within = |(_, time): &(usize, &Stamp)| begin.is_none_or(|begin| **time > begin);
    times
        .iter()
        .enumerate()
        .filter(is_within)
        .map(|(place, _)| (place, Reason::Within(span)))
        .collect()
}

/// The newest of each period until there are enough; the oldest as well, where there are not.
fn counted(zone: Zone, times: &[Stamp], rule: Rule, count: Count) -> Vec<(usize, Reason)> {
    let mut left = match count {
        Count::Number(number) => Some(number.get()),
        Count::Unlimited => None,
    };
    let mut kept = Vec::new();
    let mut last = None;
    for (place, time) in times.iter().enumerate() {
        if left == Some(0) {
            break;
        }
        let period = rule.period().map(|period| zone.period(*time, period));
        let is_new = period.is_none() || period != last;
        if is_new {
            kept.push((place, Reason::Rule(rule)));
        } else if place + 1 == times.len() {
            kept.push((place, Reason::Oldest(rule)));
        } else {
            continue;
        }
        last = period;
        left = left.map(|left| left - 1);
    }
    kept
}
