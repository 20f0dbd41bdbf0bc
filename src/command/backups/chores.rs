//! `backups verify` and `prune`: what becomes of their reports.

use crate::catalog::{DIGEST, Purpose};
use crate::command::Outcome;
use crate::error::Result;
use crate::job::{Judged, Pruning, Upload, Verification};
use crate::report::{Answer, Told, bytes, duration, table};

pub(super) fn of_verification(report: &Verification, told: Told, result: Result<()>) -> Outcome {
    let answer = Answer {
        told: Some(told),
        ..Answer::new(report.outcome, report, verified(report))
    };
    (Some(answer), result)
}

fn verified(report: &Verification) -> String {
    if report.checked.is_empty() && report.outcome == "verified" {
        return format!("There are no backups in {}.\n", report.folder);
    }
    let mut text = String::new();
    for checked in &report.checked {
        let name = checked.id.as_deref().unwrap_or(&checked.path);
        let word = match (&checked.finding, checked.check) {
            (Some(finding), _) => format!("BAD: {finding}"),
            (None, Some(DIGEST)) => "unchanged since it was made, not opened".to_owned(),
            (None, _) => "sound".to_owned(),
        };
        text.push_str(&format!("{name}  {word} ({})\n", duration(checked.ms)));
    }
    for warning in &report.warnings {
        text.push_str(&format!("note      {warning}\n"));
    }
    text
}

pub(super) fn of_upload(report: &Upload, result: Result<()>) -> Outcome {
    let line = |words: &str, id: &String| vec![words.to_owned(), id.clone()];
    let new = report.uploaded.iter().map(|id| line("uploaded", id));
    let old = report.already_there.iter().map(|id| line("was there", id));
    let rows: Vec<Vec<String>> = new.chain(old).collect();
    let mut text = table(&rows);
    for warning in &report.warnings {
        text.push_str(&format!("note      {warning}\n"));
    }
    if result.is_ok() {
        text.push_str(&match report.pending {
            0 => format!("All backups are in {}.\n", report.place),
            left => format!(
                "{left} more are not in {} yet: safestep backups upload --all\n",
                report.place
            ),
        });
    }
    (Some(Answer::new(report.outcome, report, text)), result)
}

pub(super) fn of_pruning(report: &Pruning, result: Result<()>) -> Outcome {
    let text = if result.is_ok() {
        pruned(report)
    } else {
        String::new()
    };
    (Some(Answer::new(report.outcome, report, text)), result)
}

fn pruned(report: &Pruning) -> String {
    let word = if report.dry_run {
        "would go"
    } else {
        "removed"
    };
    let gone = report.removed.iter().map(|one| {
        let why = one.goes.map_or_else(String::new, |why| why.to_string());
        judged(word, one, &why)
    });
    let kept = report.kept.iter().map(|one| {
        let reasons: Vec<String> = one.stays.iter().map(ToString::to_string).collect();
        judged("stays", one, &reasons.join(", "))
    });
    let rows: Vec<Vec<String>> = gone.chain(kept).collect();
    let mut text = table(&rows);
    for locked in &report.locked {
        text.push_str(&format!("stays     LOCKED  {locked}\n"));
    }
    for error in &report.unusable {
        text.push_str(&format!("stays     UNUSABLE  {error}\n"));
    }
    if report.removed.is_empty() {
        text.push_str(&format!("Nothing to remove in {}.\n", report.folder));
    }
    if let Some(most) = report.max_total_bytes {
        text.push_str(&ceiling(report, most));
    }
    text
}

fn ceiling(report: &Pruning, most: u64) -> String {
    let would_go = report.removed.iter().map(|one| one.archive_bytes);
    let freed = if report.dry_run { would_go.sum() } else { 0 };
    let taken = report.folder_bytes.saturating_sub(freed);
    let takes = format!("The folder takes {}", bytes(report.folder_bytes));
    if taken > most {
        format!(
            "{takes}, and may take {}: what has to stay is above that, so for the ceiling nothing goes.\n",
            bytes(most)
        )
    } else {
        format!("{takes}; it may take {}.\n", bytes(most))
    }
}

fn judged(word: &str, backup: &Judged, why: &str) -> Vec<String> {
    let of = match backup.purpose {
        Purpose::BeforeRestore => "before a restore: ",
        Purpose::Migration | Purpose::Manual => "",
    };
    vec![
        word.to_owned(),
        backup.id.clone(),
        backup.created_at.clone(),
        bytes(backup.archive_bytes),
        format!("{of}{why}"),
    ]
}
