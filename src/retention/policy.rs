//! What is to be kept.

use std::fmt;
use std::num::NonZeroUsize;

use crate::clock::{Period, Span, Zone};

/// How many are kept where nothing is said.
const DEFAULT_LAST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

/// A rule that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Of all.
    Last,
    /// One an hour.
    Hourly,
    /// One a day.
    Daily,
    /// One a week.
    Weekly,
    /// One a month.
    Monthly,
    /// One a year.
    Yearly,
}

impl Rule {
    /// Of which it keeps the newest; `None` where it keeps every one.
    pub(super) fn period(self) -> Option<Period> {
        match self {
            Self::Last => None,
            Self::Hourly => Some(Period::Hour),
            Self::Daily => Some(Period::Day),
            Self::Weekly => Some(Period::Week),
            Self::Monthly => Some(Period::Month),
            Self::Yearly => Some(Period::Year),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}

/// How many a rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Number(NonZeroUsize),
    /// As many as there are.
    Unlimited,
}

/// What is to be kept: all that any rule keeps. A rule that is `None` keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The newest.
    pub last: Option<Count>,
    /// The newest of each of the last hours that have one.
    pub hourly: Option<Count>,
    /// Of the last days.
    pub daily: Option<Count>,
    /// Of the last weeks.
    pub weekly: Option<Count>,
    /// Of the last months.
    pub monthly: Option<Count>,
    /// Of the last years.
    pub yearly: Option<Count>,
    /// All that are newer than that, counted from the newest.
    pub within: Option<Span>,
    /// What all together may take.
    pub max_total: Option<u64>,
    /// By whose calendar periods are counted.
    pub zone: Zone,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            last: Some(Count::Number(DEFAULT_LAST)),
            ..Self::nothing()
        }
    }
}

impl Policy {
    /// Without any rule. The newest good one stays even so.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            last: None,
            hourly: None,
            daily: None,
            weekly: None,
            monthly: None,
            yearly: None,
            within: None,
            max_total: None,
            zone: Zone::default(),
        }
    }

    /// The rules that count, and how many each keeps.
    #[must_use]
    pub fn rules(&self) -> Vec<(Rule, Count)> {
        let all = [
            (Rule::Last, self.last),
            (Rule::Hourly, self.hourly),
            (Rule::Daily, self.daily),
            (Rule::Weekly, self.weekly),
            (Rule::Monthly, self.monthly),
            (Rule::Yearly, self.yearly),
        ];
        all.into_iter()
            .filter_map(|(rule, count)| Some((rule, count?)))
            .collect()
    }
}
