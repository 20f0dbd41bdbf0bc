//! Files that were changed after they were applied, with what was changed.

use similar::TextDiff;

use super::rows::SqlxRow;
use super::stored;
use crate::error::{Problem, Result};
use crate::migration::{Checksum, Migration, Migrations};
use crate::sqlite::Connection;

/// More lines than this are not compared: it would take long, and nobody would read it.
const COMPARED_LINES: usize = 10_000;
const SHOWN_LINES: usize = 200;

/// A problem for each row whose checksum is not that of its file.
pub(super) async fn find(
    connection: &mut Connection,
    rows: &[SqlxRow],
    files: &Migrations,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for row in rows {
        let changed = files
            .get(row.version)
            .filter(|migration| !migration.up.matches(&row.checksum));
        if let Some(migration) = changed {
            problems.push(problem(connection, row, migration).await?);
        }
    }
    Ok(problems)
}

async fn problem(
    connection: &mut Connection,
    row: &SqlxRow,
    migration: &Migration,
) -> Result<Problem> {
    let file = migration.up.path.display().to_string();
    let applied = stored::read_one(connection, row.version)
        .await?
        .and_then(|text| String::from_utf8(text.up).ok())
        .filter(|text| Checksum::fits(text, &row.checksum));
    let diff = applied.map(|applied| diff(&applied, &migration.up.sql, &file));
    let unknown = if diff.is_some() {
        ""
    } else {
        " (the database does not keep the text that was applied, so the change cannot be shown)"
    };
    Ok(Problem {
        diff,
        ..Problem::new(
            row.version.to_string(),
            format!("{file} was changed after it was applied{unknown}"),
        )
    })
}

/// A unified diff; line endings are not compared.
fn diff(applied: &str, file: &str, name: &str) -> String {
    let (old, new) = (applied.replace("\r\n", "\n"), file.replace("\r\n", "\n"));
    if old.lines().count() + new.lines().count() > COMPARED_LINES {
        return "too long to be compared here".into();
    }
    let diff = TextDiff::from_lines(old.as_str(), new.as_str());
    let text = diff
        .unified_diff()
        .header("as it was applied", name)
        .to_string();
    let mut lines: Vec<String> = text.lines().take(SHOWN_LINES).map(printable).collect();
    let more = text.lines().count().saturating_sub(SHOWN_LINES);
    if more > 0 {
        lines.push(format!("… and {more} more lines"));
    }
    lines.join("\n")
}

/// A script may hold anything; a terminal must not be told to do anything.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| match c {
            '\t' => c.to_string(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_was_taken_away_and_what_was_added() {
        let text = diff("a\nb\nc\n", "a\nB\nc\n", "f.sql");
        assert_eq!(
            text,
            "--- as it was applied\n+++ f.sql\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"
        );
    }

    #[test]
    fn line_endings_are_no_change_and_control_characters_are_not_printed() {
        let text = diff("a\r\nb\r\n", "a\nb\x1b[2J\n", "f.sql");
        assert!(text.ends_with(" a\n-b\n+b\\u{1b}[2J"), "{text}");
    }

    #[test]
    fn a_long_diff_is_cut_and_a_very_long_one_is_not_made() {
        let lines = |count: usize| (0..count).map(|n| format!("{n}\n")).collect::<String>();
        let text = diff("", &lines(300), "f.sql");
        assert_eq!(text.lines().count(), SHOWN_LINES + 1);
        assert!(text.ends_with("… and 103 more lines"), "{text}");
        assert!(diff("", &lines(COMPARED_LINES + 1), "f.sql").starts_with("too long"));
    }
}
