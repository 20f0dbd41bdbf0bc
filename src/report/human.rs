//! Text for an operator at 2 a.m.: what happened, where things are, what to do next.

use std::fmt::Write;

use serde_json::Value;

use super::time::{duration, times};
use super::{Answer, Told};
use crate::error::Error;
use crate::job::{Copies, Report};
use crate::migrator::Direction;
use crate::restore::{Method, Proof};

const SHORT_DIGEST: usize = 16;
/// A job that takes so long says where the time went.
const WORTH_A_LINE_MS: u64 = 1000;

pub(super) fn job(report: &Report, failed: bool, verbose: bool) -> String {
    let mut text = String::new();
    for line in &report.recovered {
        let _ = writeln!(text, "recovered  {line}");
    }
    if !failed {
        applied(&mut text, report);
        for change in &report.normalised {
            let _ = writeln!(
                text,
                "normalised {}.{}: '{}' -> '{}' ({})",
                change.table,
                change.column,
                change.from,
                change.to,
                amount(change.rows, "row")
            );
        }
    }
    for changed in &report.changed {
        let _ = writeln!(text, "changed    {changed}");
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "note       {warning}");
    }
    if !failed {
        success(&mut text, report);
    }
    if verbose || report.elapsed_ms >= WORTH_A_LINE_MS {
        text.push_str(&times(report, verbose));
    }
    printable(&text)
}

fn applied(text: &mut String, report: &Report) {
    for step in &report.applied {
        let word = match step.direction {
            Direction::Up => "applied",
            Direction::Down => "undone",
        };
        let _ = writeln!(
            text,
            "{word:<10} {} {} ({})",
            step.version,
            step.description,
            duration(step.ms)
        );
    }
}

/// What was left out to be quick.
fn not_surveyed(tables: &[String]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    format!(
        "\nThe enum values of {} were not looked at, since there are many rows; `safestep run --verify full` does.",
        tables.join(" and ")
    )
}

fn success(text: &mut String, report: &Report) {
    let database = &report.database;
    let to = report.to.as_deref().unwrap_or("");
    let _ = match report.outcome {
        "nothing_to_do" => writeln!(
            text,
            "Nothing to do: {database} is at {to}.{}",
            not_surveyed(&report.not_surveyed)
        ),
        "created" => writeln!(text, "Done: {database} was created and is at {to}."),
        "normalised" => writeln!(
            text,
            "Done: enum values of {database} were normalised; it is still at {to}. Writers were locked out for {}.",
            duration(report.blocked_ms)
        ),
        "restored" => writeln!(
            text,
            "Done: {database} holds the backup {} again (revision {to}).",
            report.restored.as_deref().unwrap_or("")
        ),
        "backed_up" => Ok(()),
        "stamped" => writeln!(
            text,
            "Done: {database} is recorded as {to} (before: {}); no migration was run.",
            report.from.as_deref().unwrap_or("")
        ),
        "repaired" => writeln!(
            text,
            "Done: what {database} has recorded of its migrations is in line with the files again; it is still at {to}."
        ),
        "adopted" => writeln!(
            text,
            "Done: {database} was found at {to} and is taken over; its history is written."
        ),
        _ => writeln!(
            text,
            "Done: {database} went from {} to {to}. Writers were locked out for {}.",
            report.from.as_deref().unwrap_or(""),
            duration(report.blocked_ms)
        ),
    };
    if let Some(proof) = report
        .proof
        .as_ref()
        .filter(|_| report.outcome == "restored")
    {
        let _ = writeln!(text, "{}", proof_line(proof));
    }
    if let Some(backup) = &report.backup {
        let kept = if backup.reused {
            "Backup (already there)"
        } else {
            "Backup"
        };
        let _ = writeln!(
            text,
            "{kept}: {} ({}, unpacked {})",
            backup.path,
            bytes(backup.archive_bytes),
            bytes(backup.database_bytes)
        );
        let back = if report.outcome == "backed_up" {
            "To put it back"
        } else {
            "To go back"
        };
        let _ = writeln!(
            text,
            "{back}: safestep restore {}{}",
            backup.id, report.flags
        );
    }
    if let Some(copies) = &report.offsite {
        off_site(text, copies);
    }
}

/// What failed is among the warnings.
fn off_site(text: &mut String, copies: &Copies) {
    let count = |count: usize| amount(i64::try_from(count).unwrap_or(i64::MAX), "backup");
    if !copies.uploaded.is_empty() {
        let sent = count(copies.uploaded.len());
        let _ = writeln!(text, "Off site: {sent} copied to {}", copies.place);
    }
    if let (None, Some(left @ 1..)) = (&copies.error, copies.pending) {
        let left = count(left);
        let _ = writeln!(
            text,
            "Off site: {left} on the way to {}, by another job",
            copies.place
        );
    }
}

fn proof_line(proof: &Proof) -> String {
    let digest = &proof.live_digest[..SHORT_DIGEST.min(proof.live_digest.len())];
    let how = match proof.method {
        Method::RolledBack => "rolled back".to_owned(),
        Method::PagesRestored => format!(
            "the snapshot was put back, {}",
            amount(proof.pages_written.map_or(0, i64::from), "page")
        ),
        Method::Copied => "the snapshot was copied back".to_owned(),
        Method::Replaced => "a new file was put in place".to_owned(),
        Method::OthersWroteSince => {
            return "Another process has written since; its rows are kept, so there is nothing to compare with any more."
                .to_owned();
        }
    };
    format!("Proven: content digest {digest}… equals the snapshot's ({how}).")
}

pub(super) fn error(error: &Error, answer: Option<&Answer>, flags: &str) -> String {
    let mut text = format!("error: {error}\n");
    if let Some(state) = state(error, answer) {
        let _ = writeln!(text, "state: {state}");
    }
    if let Some(path) = fact(answer, "backup", "path") {
        let _ = writeln!(text, "backup: {path}");
    }
    // What is wrong is not all in the message: this is what its log lines are found by.
    let told = answer.and_then(|answer| answer.told.as_ref());
    if let (1 | 6, Some(Told::Job(report))) = (error.exit_code(), told) {
        let _ = writeln!(text, "job: {}", report.job);
    }
    let _ = writeln!(text, "next: {}", error.hint_for(flags));
    printable(&text)
}

/// Names come from files that anybody may have made: what would steer a terminal is shown as what it is.
pub(super) fn printable(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars().fold(String::new(), |mut text, letter| {
        if steers(letter) {
            text.extend(letter.escape_debug());
        } else {
            text.push(letter);
        }
        text
    })
}

fn fact<'a>(answer: Option<&'a Answer>, outer: &str, inner: &str) -> Option<&'a str> {
    answer?.facts.get(outer)?.get(inner)?.as_str()
}

/// In what state the database is left.
fn state(error: &Error, answer: Option<&Answer>) -> Option<String> {
    let proof: Option<&Value> = answer
        .and_then(|answer| answer.facts.get("proof"))
        .filter(|proof| !proof.is_null());
    let from = answer.and_then(|answer| answer.facts.get("from")?.as_str());
    let cut_short = answer.and_then(|answer| answer.facts.get("cut_short")?.as_str());
    if let Some(cut_short) = cut_short {
        return Some(cut_short.to_owned());
    }
    match (error.exit_code(), proof) {
        // The message says it.
        (6, _) => None,
        _ if matches!(error, Error::Halfway { .. } | Error::SomeFailed { .. }) => None,
        (_, Some(proof)) => Some(proven_state(proof, from)),
        (2 | 3 | 4 | 7, None) => Some("The database was not touched.".into()),
        _ => Some("The database is unchanged.".into()),
    }
}

fn proven_state(proof: &Value, from: Option<&str>) -> String {
    let at = from.map_or_else(String::new, |from| format!(" (revision {from})"));
    let digest = proof
        .get("live_digest")
        .and_then(Value::as_str)
        .unwrap_or("");
    let digest = &digest[..SHORT_DIGEST.min(digest.len())];
    let how = match proof.get("method").and_then(Value::as_str) {
        Some("others_wrote_since") => {
            return format!(
                "Put back{at}; another process has written since, and its rows are kept."
            );
        }
        Some("rolled_back") => "rolled back",
        _ => "the snapshot was put back",
    };
    format!(
        "The database is as it was before{at}: {how}, content digest {digest}… equals the snapshot's."
    )
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn amount(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A size as people read it: `1.5 MiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // two digits are shown
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit < UNITS.len() - 1 {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Rows in columns, the first row as the heading.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_rounded() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 * 1024 * 1024), "5.0 MiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}
