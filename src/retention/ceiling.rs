//! What goes although a rule keeps it, since all together are above the ceiling.

use super::{Candidate, Policy, Reason};

/// The places of those that go: what was found bad first, then the oldest, until the rest is within the ceiling. Never the
/// newest good one, nor what is held.
pub(super) fn beyond(
    policy: &Policy,
    candidates: &[Candidate],
    stays: &[Vec<Reason>],
    beside: u64,
) -> Vec<usize> {
    let Some(most) = policy.max_total else {
        return Vec::new();
    };
    let kept = (0..candidates.len()).filter(|place| !stays[*place].is_empty());
    let mut total = kept.clone().fold(beside, |sum, place| {
        sum.saturating_add(candidates[place].bytes)
    });
    let is_safe = |reason: &Reason| matches!(reason, Reason::NewestGood | Reason::Newest);
    let may_go =
        |place: &usize| candidates[*place].held.is_empty() && !stays[*place].iter().any(is_safe);
    let mut order: Vec<usize> = kept.filter(may_go).collect();
    order.sort_by_key(|place| {
        let candidate = &candidates[*place];
        (candidate.is_good, candidate.made, &candidate.name)
    });
    let mut gone = Vec::new();
    for place in order {
        if total <= most {
            break;
        }
        total = total.saturating_sub(candidates[place].bytes);
        gone.push(place);
    }
    gone
}
