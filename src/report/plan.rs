//! A forecast for a person: file by file, what it touches, what goes with it, and whether it would go through.

use std::fmt::Write;

use super::{amount, bytes};
use crate::forecast::{Effect, FileForecast, Finding, Forecast, Loss, LossKind, TableEffects};
use crate::migrator::Direction;

/// Longest excerpt of a statement; with number and line it fits a terminal.
const EXCERPT_LIMIT: usize = 84;
/// `alter+index` and the like.
const WORD_WIDTH: usize = 11;
/// Longer names are not waited for.
const NAME_LIMIT: usize = 48;
/// Statements of one file that are listed.
const STATEMENTS_LIMIT: usize = 60;
const MS_PER_SECOND: u64 = 1000;
const SECONDS_PER_MINUTE: u64 = 60;

/// The text, without its heading.
#[must_use]
pub fn plan(forecast: &Forecast) -> String {
    let mut text = String::new();
    let width = width(forecast);
    for file in &forecast.files {
        let _ = writeln!(text);
        one_file(&mut text, file, width);
    }
    if !forecast.normalise.is_empty() || !forecast.findings.is_empty() {
        let _ = writeln!(text, "\nafter all files");
    }
    for change in &forecast.normalise {
        let what = format!("{}.{}", change.table, change.column);
        let rows = amount(change.rows, "row");
        let rest = format!("'{}' -> '{}' ({rows})", change.from, change.to);
        line(&mut text, "normalise", &what, width, &rest);
    }
    findings(&mut text, &forecast.findings);
    text
}

/// Of the column of names.
fn width(forecast: &Forecast) -> usize {
    let of_files = forecast.files.iter().flat_map(|file| {
        let tables = file.tables.iter().map(|table| table.table.len());
        tables.chain(file.losses.iter().map(|loss| loss_name(loss).len()))
    });
    let of_enums = forecast
        .normalise
        .iter()
        .map(|change| change.table.len() + change.column.len() + 1);
    of_files.chain(of_enums).max().unwrap_or(0).min(NAME_LIMIT)
}

/// What happens, to what, and how much of it.
fn line(text: &mut String, word: &str, name: &str, width: usize, rest: &str) {
    let line = format!("  {word:<WORD_WIDTH$}  {name:<width$}  {rest}");
    let _ = writeln!(text, "{}", line.trim_end());
}

fn one_file(text: &mut String, file: &FileForecast, width: usize) {
    let word = match file.direction {
        Direction::Up => "",
        Direction::Down => " (down)",
    };
    let outside = if file.no_transaction {
        ", outside a transaction"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "{} {}{word}: {}{outside}",
        file.version, file.description, file.file
    );
    for table in &file.tables {
        one_table(text, table, width);
    }
    for loss in &file.losses {
        one_loss(text, loss, width);
    }
    findings(text, &file.findings);
    for statement in file.statements.iter().take(STATEMENTS_LIMIT) {
        let rows = statement
            .rows
            .map_or_else(String::new, |rows| format!("  -- {}", amount(rows, "row")));
        let words = shortened(&statement.text);
        let _ = writeln!(
            text,
            "  {:>WORD_WIDTH$}  line {:<4} {words}{rows}",
            statement.number, statement.line
        );
    }
    let more = file.statements.len().saturating_sub(STATEMENTS_LIMIT);
    if more > 0 {
        let _ = writeln!(text, "  {:>WORD_WIDTH$}  … and {more} more", "");
    }
}

fn one_table(text: &mut String, table: &TableEffects, width: usize) {
    let words: Vec<&str> = table.effects.iter().map(|effect| word(*effect)).collect();
    let mut size = Vec::new();
    size.extend(table.rows.map(|rows| amount(rows, "row")));
    size.extend(table.bytes.map(bytes));
    if table.rows.is_some() && table.bytes.is_none() {
        size.push("size unknown".into());
    }
    line(
        text,
        &words.join("+"),
        &table.table,
        width,
        &size.join(", "),
    );
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Created => "create",
        Effect::Dropped => "drop",
        Effect::Renamed => "rename",
        Effect::Rebuilt => "rebuild",
        Effect::Altered => "alter",
        Effect::Indexed => "index",
        Effect::Inserted => "insert",
        Effect::Updated => "update",
        Effect::Deleted => "delete",
    }
}

fn one_loss(text: &mut String, loss: &Loss, width: usize) {
    let noun = match loss.kind {
        LossKind::Column => "value",
        LossKind::Table | LossKind::Rows => "row",
    };
    let count = loss.count.map_or_else(
        || "how much cannot be told".to_owned(),
        |count| amount(count, noun),
    );
    let declared = if loss.declared { "" } else { ", NOT declared" };
    // What is empty is no loss; it should not shout.
    let word = if loss.count == Some(0) {
        "drop"
    } else {
        "LOSE"
    };
    line(
        text,
        word,
        &loss_name(loss),
        width,
        &format!("{count}{declared}"),
    );
}

fn loss_name(loss: &Loss) -> String {
    let kind = match loss.kind {
        LossKind::Table => "table",
        LossKind::Column => "column",
        LossKind::Rows => "rows of",
    };
    format!("{kind} {}", loss.name)
}

fn findings(text: &mut String, list: &[Finding]) {
    let (fatal, rest): (Vec<_>, Vec<_>) = list.iter().partition(|finding| finding.fatal);
    for finding in fatal.into_iter().chain(rest) {
        let word = if finding.fatal { "FAIL" } else { "note" };
        let message = finding.problem.to_string();
        let mut lines = message.lines();
        let _ = writeln!(
            text,
            "  {word:<WORD_WIDTH$}  {}",
            lines.next().unwrap_or("")
        );
        for line in lines {
            let _ = writeln!(text, "  {:<WORD_WIDTH$}  {}", "", line.trim());
        }
    }
}

fn shortened(words: &str) -> String {
    match words.char_indices().nth(EXCERPT_LIMIT) {
        Some((end, _)) => format!("{}…", words[..end].trim_end_matches('…')),
        None => words.to_owned(),
    }
}

/// `less than a second`, `about 12 s`, `about 3 min`.
#[must_use]
pub fn roughly(ms: u64) -> String {
    let seconds = ms.div_ceil(MS_PER_SECOND);
    if ms < MS_PER_SECOND {
        "less than a second".into()
    } else if seconds < 2 * SECONDS_PER_MINUTE {
        format!("about {seconds} s")
    } else {
        format!("about {} min", seconds.div_ceil(SECONDS_PER_MINUTE))
    }
}
