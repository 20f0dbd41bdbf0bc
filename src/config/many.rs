//! Many databases: which, how many side by side, and which share of them.

use std::path::PathBuf;
use std::thread::available_parallelism;

use super::source::{Source, Value};
use super::{Given, usage};
use crate::error::Result;
use crate::fleet::{Fleet, Shard};

const MOST_BY_DEFAULT: usize = 8;
/// Each job has some dozen files open, and a process may have 1,024 in most places.
const MOST_JOBS: usize = 32;
/// What Kubernetes tells each pod of an Indexed Job.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// As the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct GivenMany {
    /// `--all`; several where a shell has expanded the pattern.
    pub all: Vec<String>,
    /// `--jobs`
    pub jobs: Option<String>,
    /// `--max-failures`
    pub max_failures: Option<String>,
    /// `--shard`
    pub shard: Option<String>,
    /// `--shards`
    pub shards: Option<String>,
}

/// The fleet, where the verb can be run on many databases and that is asked for. `--database` on the command line means one.
pub(super) fn fleet(given: &Given, source: &Source<'_>) -> Result<Option<Fleet>> {
    let Some(many) = &given.many else {
        return Ok(None);
    };
    let patterns = patterns(given, many, source)?;
    if patterns.is_empty() {
        return refuse_without_all(many).map(|()| None);
    }
    Ok(Some(Fleet {
        patterns,
        jobs: jobs(source.text(many.jobs.as_deref(), "jobs", source.file.jobs.as_deref()))?,
        max_failures: max_failures(source.text(
            many.max_failures.as_deref(),
            "max-failures",
            source.file.max_failures.as_deref(),
        ))?,
        shard: shard(many, source)?,
    }))
}

fn patterns(given: &Given, many: &GivenMany, source: &Source<'_>) -> Result<Vec<String>> {
    if given.database.is_some() && !many.all.is_empty() {
        return Err(usage(
            "--database names one database, and --all many",
            "Give one of them.",
        ));
    }
    if !many.all.is_empty() || given.database.is_some() {
        return Ok(many.all.clone());
    }
    if let Some(pattern) = (source.env)("SAFESTEP_ALL") {
        return Ok(vec![pattern]);
    }
    let in_file = source.file.all.as_ref().map(|pattern| {
        let folder = glob::Pattern::escape(&source.file.folder.to_string_lossy());
        PathBuf::from(folder)
            .join(pattern)
            .to_string_lossy()
            .into_owned()
    });
    Ok(in_file.into_iter().collect())
}

/// Whoever asks for a share of one database has forgotten something.
fn refuse_without_all(many: &GivenMany) -> Result<()> {
    let flags = [
        ("--jobs", &many.jobs),
        ("--max-failures", &many.max_failures),
        ("--shard", &many.shard),
        ("--shards", &many.shards),
    ];
    match flags.iter().find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((flag, _)) => Err(usage(
            format!("{flag} is for many databases, and only one is asked for"),
            "Give --all a pattern, such as --all 'tenants/*/app.db'.",
        )),
    }
}

fn jobs(value: Option<Value>) -> Result<usize> {
    let Some(value) = value else {
        return Ok(available_parallelism().map_or(1, |cores| cores.get().min(MOST_BY_DEFAULT)));
    };
    match value.text.parse() {
        Ok(jobs @ 1..=MOST_JOBS) => Ok(jobs),
        _ => Err(value.wrong(
            format!("'{}' is no number of jobs side by side", value.text),
            &format!("Give --jobs a number from 1 to {MOST_JOBS}."),
        )),
    }
}

fn max_failures(value: Option<Value>) -> Result<Option<usize>> {
    let Some(value) = value else {
        return Ok(None);
    };
    value.text.parse().map(Some).map_err(|_| {
        value.wrong(
            format!("'{}' is no number of failures", value.text),
            "Give --max-failures a number; with 0 the first failure is the last.",
        )
    })
}

/// A flag of either kind comes before the variables of both.
fn shard(many: &GivenMany, source: &Source<'_>) -> Result<Option<Shard>> {
    let one = source.text(many.shard.as_deref(), "shard", None);
    let of = source.text(
        many.shards.as_deref(),
        "shards",
        source.file.shards.as_deref(),
    );
    let (one, of) = match (&many.shard, &many.shards) {
        (Some(_), _) => (one, None),
        (None, Some(_)) => (None, of),
        (None, None) => (one, of),
    };
    match (one, of) {
        (None, None) => Ok(None),
        (Some(one), Some(_)) => Err(one.wrong(
            "is one share, and a number of shares is set as well",
            "Set either the shard, as in 3/10, or the number of shards.",
        )),
        (Some(one), None) => one.text.parse().map(Some).map_err(|message: String| {
            one.wrong(
                message,
                "Give the shard as index and number, from 0 on: 0/4, 1/4, 2/4 and 3/4.",
            )
        }),
        (None, Some(of)) => by_index(&of, source).map(Some),
    }
}

fn by_index(of: &Value, source: &Source<'_>) -> Result<Shard> {
    let Ok(count) = of.text.parse() else {
        return Err(of.wrong(
            format!("'{}' is no number of shards", of.text),
            "Give --shards the number of pods that share the databases.",
        ));
    };
    let Some(index) = (source.env)(INDEX) else {
        return Err(of.wrong(
            format!("which of the {count} is this one? {INDEX} is not set"),
            "Kubernetes sets it in an Indexed Job; elsewhere say which: --shard 0/4.",
        ));
    };
    let hint = "The completions of the Indexed Job and --shards are the same number.";
    let index = index
        .parse()
        .map_err(|_| usage(format!("{INDEX}: '{index}' is no index"), hint))?;
    Shard::new(index, count).map_err(|message| usage(format!("{INDEX}: {message}"), hint))
}
