//! Which backups stay, in the folder and off site.

use std::num::NonZeroUsize;

use super::file::{File, OffsiteFile};
use super::source::{Source, Value};
use crate::clock::{Span, Zone};
use crate::error::Result;
use crate::retention::{Count, Policy};

/// The flags; keys and variables are called the same.
const FLAGS: [&str; 8] = [
    "keep-last",
    "keep-hourly",
    "keep-daily",
    "keep-weekly",
    "keep-monthly",
    "keep-yearly",
    "keep-within",
    "max-total",
];

/// As the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct GivenRetention {
    /// `--keep-last`
    pub last: Option<String>,
    /// `--keep-hourly`
    pub hourly: Option<String>,
    /// `--keep-daily`
    pub daily: Option<String>,
    /// `--keep-weekly`
    pub weekly: Option<String>,
    /// `--keep-monthly`
    pub monthly: Option<String>,
    /// `--keep-yearly`
    pub yearly: Option<String>,
    /// `--keep-within`
    pub within: Option<String>,
    /// `--max-total`
    pub max_total: Option<String>,
}

/// The policy of the backups folder.
pub(super) fn local(given: &GivenRetention, source: &Source<'_>, zone: Zone) -> Result<Policy> {
    let (typed, written) = (typed(given), written(source.file));
    let value = |at: usize| source.text(typed[at], FLAGS[at], written[at]);
    let otherwise = Policy {
        zone,
        ..Policy::default()
    };
    policy(std::array::from_fn(value), &otherwise)
}

/// The policy off site: what nothing is said of there is as in the folder.
pub(super) fn offsite(source: &Source<'_>, local: &Policy) -> Result<Policy> {
    let written = written_offsite(&source.file.offsite);
    let value = |at: usize| source.of_offsite(None, &FLAGS[at].replace('-', "_"), written[at]);
    policy(std::array::from_fn(value), local)
}

/// Of the values of [`FLAGS`]. Where there is no rule among them, those of `otherwise` count.
fn policy(values: [Option<Value>; 8], otherwise: &Policy) -> Result<Policy> {
    let [
        last,
        hourly,
        daily,
        weekly,
        monthly,
        yearly,
        within,
        max_total,
    ] = values;
    let rules = [&last, &hourly, &daily, &weekly, &monthly, &yearly, &within];
    let Some(first) = rules.into_iter().flatten().next() else {
        return Ok(Policy {
            max_total: match &max_total {
                Some(value) => Some(bytes(value)?),
                None => otherwise.max_total,
            },
            ..otherwise.clone()
        });
    };
    let policy = Policy {
        last: count(last.as_ref())?,
        hourly: count(hourly.as_ref())?,
        daily: count(daily.as_ref())?,
        weekly: count(weekly.as_ref())?,
        monthly: count(monthly.as_ref())?,
        yearly: count(yearly.as_ref())?,
        within: span(within.as_ref())?,
        max_total: max_total.as_ref().map(bytes).transpose()?,
        zone: otherwise.zone,
    };
    if policy.rules().is_empty() && policy.within.is_none() {
        let words = "0 backups cannot be kept: the newest good one always stays";
        return Err(first.wrong(words, "Give --keep-last a number of 1 or more."));
    }
    Ok(policy)
}

/// 0 switches a rule off, as with restic.
fn count(value: Option<&Value>) -> Result<Option<Count>> {
    let Some(value) = value else {
        return Ok(None);
    };
    match value.text.as_str() {
        "unlimited" | "-1" => Ok(Some(Count::Unlimited)),
        text => match text.parse::<usize>() {
            Ok(number) => Ok(NonZeroUsize::new(number).map(Count::Number)),
            Err(_) => Err(value.wrong(
                format!("'{text}' is not a number of backups"),
                "Give a number, or 'unlimited', for example --keep-daily 7.",
            )),
        },
    }
}

fn span(value: Option<&Value>) -> Result<Option<Span>> {
    let Some(value) = value else {
        return Ok(None);
    };
    let hint = "Set it in years, months, days and hours, for example --keep-within 1y5m7d2h.";
    let span = Span::parse(&value.text).map_err(|message| value.wrong(message, hint))?;
    Ok((!span.is_zero()).then_some(span))
}

/// As GNU's tools read it: 20GB are 20,000,000,000 bytes, 20GiB and 20G are 1024³ each.
fn bytes(value: &Value) -> Result<u64> {
    const HINT: &str = "Set it for example to --max-total 20GB; the units are K, M, G and T (1024), KB and so on (1000), KiB and so on (1024).";
    let text = value.text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: Option<u64> = text[..text.len() - unit.len()].parse().ok();
    let factor = match unit {
        "" | "B" => Some(1),
        "KB" | "kB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "K" | "k" | "KiB" => Some(1 << 10),
        "M" | "MiB" => Some(1 << 20),
        "G" | "GiB" => Some(1 << 30),
        "T" | "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes = number.zip(factor).and_then(|(n, f)| n.checked_mul(f));
    match bytes {
        Some(0) => Err(value.wrong("nothing fits below a ceiling of nothing", HINT)),
        Some(bytes) => Ok(bytes),
        None => Err(value.wrong(format!("'{text}' is not a size"), HINT)),
    }
}

fn typed(given: &GivenRetention) -> [Option<&str>; 8] {
    [
        given.last.as_deref(),
        given.hourly.as_deref(),
        given.daily.as_deref(),
        given.weekly.as_deref(),
        given.monthly.as_deref(),
        given.yearly.as_deref(),
        given.within.as_deref(),
        given.max_total.as_deref(),
    ]
}

fn written(file: &File) -> [Option<&str>; 8] {
    [
        file.keep_last.as_deref(),
        file.keep_hourly.as_deref(),
        file.keep_daily.as_deref(),
        file.keep_weekly.as_deref(),
        file.keep_monthly.as_deref(),
        file.keep_yearly.as_deref(),
        file.keep_within.as_deref(),
        file.max_total.as_deref(),
    ]
}

fn written_offsite(file: &OffsiteFile) -> [Option<&str>; 8] {
    [
        file.keep_last.as_deref(),
        file.keep_hourly.as_deref(),
        file.keep_daily.as_deref(),
        file.keep_weekly.as_deref(),
        file.keep_monthly.as_deref(),
        file.keep_yearly.as_deref(),
        file.keep_within.as_deref(),
        file.max_total.as_deref(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Given};
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> (Policy, Policy) {
        let env = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = Config::resolve(&Given::default(), &env)
            .expect("good")
            .settings;
        (settings.retention, settings.offsite_retention)
    }

    fn number(number: usize) -> Option<Count> {
        NonZeroUsize::new(number).map(Count::Number)
    }

    #[test]
    fn without_a_rule_ten_stay_here_and_off_site() {
        let (here, there) = resolved(&[]);
        assert_eq!(here, Policy::default());
        assert_eq!(here.last, number(10));
        assert_eq!(there, here);
    }

    #[test]
    fn off_site_the_rules_of_the_folder_count_until_it_has_one_of_its_own() {
        let local = [
            ("SAFESTEP_KEEP_DAILY", "7"),
            ("SAFESTEP_MAX_TOTAL", "20GB"),
            ("SAFESTEP_TIMEZONE", "Europe/Berlin"),
        ];
        let (here, there) = resolved(&local);
        assert_eq!((here.last, here.daily), (None, number(7)));
        assert_eq!(there, here);
        let ceiling = [&local[..], &[("SAFESTEP_OFFSITE_MAX_TOTAL", "1TiB")]].concat();
        let (_, there) = resolved(&ceiling);
        assert_eq!(there.max_total, Some(1 << 40));
        assert_eq!(there.daily, number(7));
        let own = [
            &local[..],
            &[("SAFESTEP_OFFSITE_KEEP_MONTHLY", "unlimited")],
        ]
        .concat();
        let (here, there) = resolved(&own);
        assert_eq!(here.monthly, None);
        assert_eq!(there.monthly, Some(Count::Unlimited));
        assert_eq!((there.daily, there.max_total), (None, None));
        assert_eq!(there.zone, here.zone);
    }

    #[test]
    fn a_ceiling_is_no_rule_and_its_units_are_those_of_gnu() {
        let cases = [
            ("1", 1),
            ("20B", 20),
            ("20kB", 20_000),
            ("20GB", 20_000_000_000),
            ("20G", 20 << 30),
            ("20GiB", 20 << 30),
        ];
        for (text, bytes) in cases {
            let (here, _) = resolved(&[("SAFESTEP_MAX_TOTAL", text)]);
            assert_eq!(here.max_total, Some(bytes), "{text}");
            assert_eq!(here.last, number(10));
        }
    }
}
