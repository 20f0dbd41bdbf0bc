//! Many databases in one report.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::human::{amount, printable};
use super::json;
use super::time::duration;
use crate::error::Error;
use crate::fleet::{Done, Summary};

/// Lines of one kind that a person reads to the end.
const READABLE: usize = 20;
/// What is counted even where there is none.
const ALWAYS: [&str; 4] = ["migrated", "nothing_to_do", "failed", "not_started"];

pub(super) fn facts(summary: &Summary) -> Map<String, Value> {
    let mut facts = Map::new();
    let slowest = most(summary, |done| done.report.elapsed_ms);
    let blocked = most(summary, |done| done.report.blocked_ms);
    let path = |done: &Done| done.report.database.clone();
    facts.insert("shard".into(), json!(summary.shard));
    facts.insert("found".into(), json!(summary.found));
    facts.insert("jobs".into(), json!(summary.jobs));
    facts.insert("counts".into(), json!(counts(summary)));
    facts.insert("slowest".into(), json!(slowest.map(path)));
    facts.insert("elapsed_ms".into(), json!(summary.elapsed_ms));
    let blocked_ms = blocked.map_or(0, |done| done.report.blocked_ms);
    facts.insert("blocked_ms_max".into(), json!(blocked_ms));
    // Moved and not copied: there may be thousands.
    let databases = summary.done.iter().map(database).collect();
    facts.insert("databases".into(), Value::Array(databases));
    facts
}

/// The document of a single job, and by what it is found again.
fn database(done: &Done) -> Value {
    let mut members = match serde_json::to_value(&done.report) {
        Ok(Value::Object(members)) if done.result.is_some() => members,
        _ => Map::new(),
    };
    let member = &done.member;
    let absolute = member.settings.database.display().to_string();
    members.insert("database".into(), json!(absolute));
    members.insert("name".into(), json!(member.name.display().to_string()));
    members.insert("way_back".into(), json!(done.way_back()));
    let error = done.error();
    let code = done
        .result
        .as_ref()
        .map(|_| error.map_or(0, Error::exit_code));
    let flags = done.member.settings.flags();
    json::conclude(&mut members, done.outcome(), error, json!(code), &flags);
    Value::Object(members)
}

fn counts(summary: &Summary) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&str, usize> = ALWAYS.map(|outcome| (outcome, 0)).into();
    for done in &summary.done {
        *counts.entry(done.outcome()).or_default() += 1;
    }
    counts.insert("total", summary.done.len());
    counts
}

fn most(summary: &Summary, of: impl Fn(&Done) -> u64) -> Option<&Done> {
    let started = summary.done.iter().filter(|done| done.result.is_some());
    started.max_by_key(|done| of(done))
}

/// For people. The failures are in the error.
pub(super) fn text(summary: &Summary, verbose: bool) -> String {
    let limit = if verbose { usize::MAX } else { READABLE };
    let mut text = String::new();
    let each = |of: &dyn Fn(&Done) -> Vec<String>| -> Vec<String> {
        summary.done.iter().flat_map(of).collect()
    };
    for lines in [each(&recovered), each(&notes), each(&changed)] {
        list(&mut text, &lines, limit);
    }
    let _ = writeln!(text, "{}", totals(summary));
    let _ = writeln!(text, "{}", times(summary));
    printable(&text)
}

fn list(text: &mut String, lines: &[String], limit: usize) {
    for line in lines.iter().take(limit) {
        let _ = writeln!(text, "{line}");
    }
    let more = lines.len().saturating_sub(limit);
    if more > 0 {
        let _ = writeln!(
            text,
            "… and {more} more such lines; --verbose prints them, and --output json has them all"
        );
    }
}

fn recovered(done: &Done) -> Vec<String> {
    let path = done.member.path.display();
    let lines = done.report.recovered.iter();
    lines
        .map(|line| format!("recovered  {path}: {line}"))
        .collect()
}

fn notes(done: &Done) -> Vec<String> {
    let path = done.member.path.display();
    let lines = done.report.warnings.iter();
    lines
        .map(|warning| format!("note       {path}: {warning}"))
        .collect()
}

fn changed(done: &Done) -> Vec<String> {
    let outcome = done.outcome();
    if matches!(outcome, "failed" | "nothing_to_do" | "not_started") {
        return Vec::new();
    }
    let report = &done.report;
    let revision = |name: &Option<String>| name.clone().unwrap_or_default();
    let (from, to) = (revision(&report.from), revision(&report.to));
    // A backup leads nowhere.
    let way = if to.is_empty() {
        from
    } else if from == to {
        to
    } else {
        format!("{from} -> {to}")
    };
    let back = done
        .way_back()
        .map_or_else(String::new, |command| format!("; to go back: {command}"));
    vec![format!(
        "{:<10} {}: {way}{back}",
        outcome.replace('_', " "),
        done.member.path.display()
    )]
}

fn totals(summary: &Summary) -> String {
    let mut words: Vec<String> = counts(summary)
        .into_iter()
        .filter(|(outcome, count)| *outcome != "total" && *count > 0)
        .map(|(outcome, count)| match outcome {
            "nothing_to_do" => format!("{count} with nothing to do"),
            outcome => format!("{count} {}", outcome.replace('_', " ")),
        })
        .collect();
    if words.is_empty() {
        words.push("nothing to do".into());
    }
    let databases = amount(i64::try_from(summary.done.len()).unwrap_or(0), "database");
    let share = summary.shard.map_or_else(String::new, |shard| {
        format!(
            " (shard {} of {}; there are {} in all)",
            shard.index, shard.of, summary.found
        )
    });
    format!("{databases}{share}: {}.", words.join(", "))
}

fn times(summary: &Summary) -> String {
    let mut words = format!(
        "Time: {}, {} side by side.",
        duration(summary.elapsed_ms),
        summary.jobs
    );
    if let Some(slowest) = most(summary, |done| done.report.elapsed_ms) {
        let _ = write!(
            words,
            " The slowest: {}, {}.",
            slowest.member.path.display(),
            duration(slowest.report.elapsed_ms)
        );
    }
    if let Some(blocked) = most(summary, |done| done.report.blocked_ms) {
        let _ = write!(
            words,
            " Writers were locked out for at most {} ({}).",
            duration(blocked.report.blocked_ms),
            blocked.member.path.display()
        );
    }
    words
}
