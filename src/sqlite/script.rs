//! Running a migration's SQL statement by statement, so that a failure has a place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use libsqlite3_sys as sys;

use super::authorizer::{self, Scope};
use super::connection::Connection;
use super::ffi::{Action, Raw};
use crate::error::{Result, SqliteFailure};

const EXCERPT_LIMIT: usize = 160;

/// Where and why a script stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFailure {
    /// Which statement, from 1.
    pub statement: usize,
    /// Line in the script, from 1.
    pub line: usize,
    /// The statement's first words.
    pub excerpt: String,
    /// What SQLite said, or our authorizer.
    pub failure: SqliteFailure,
}

/// What a script did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptDone {
    /// How many statements it has.
    pub statements: usize,
    /// Rows that its DELETE statements deleted, by table. What triggers and REPLACE delete is not in it.
    pub deleted: BTreeMap<String, i64>,
    /// Tables that some statement could take rows from: with DELETE, also in a trigger, or DROP TABLE.
    pub taken_from: BTreeSet<String>,
}

/// Runs every statement of `sql`.
///
/// The outer error is one of the connection, the inner one of the script.
pub async fn run_script(
    connection: &mut Connection,
    sql: &str,
    scope: Scope,
) -> Result<std::result::Result<ScriptDone, ScriptFailure>> {
    connection.raw(|raw| run(raw, sql, scope)).await
}

fn run(raw: &Raw<'_>, sql: &str, scope: Scope) -> std::result::Result<ScriptDone, ScriptFailure> {
    let mut refusal = None;
    let seen = RefCell::new(Seen::default());
    let mut judge = |action: &Action<'_>| {
        seen.borrow_mut().take(action);
        let reason = authorizer::refusal(scope, action);
        let allowed = reason.is_none();
        refusal = reason.or(refusal.take());
        allowed
    };
    let outcome = raw.with_authorizer(&mut judge, || run_all(raw, sql, &seen));
    outcome.map_err(|mut failed| {
        if let (true, Some(reason)) = (failed.failure.is_refused(), refusal) {
            failed.failure.message = reason;
        }
        failed
    })
}

/// What the authorizer has seen of one statement.
#[derive(Default)]
struct Seen {
    deletes_from: BTreeSet<String>,
    taken_from: BTreeSet<String>,
    drops: bool,
}

impl Seen {
    fn take(&mut self, action: &Action<'_>) {
        if action.database != "main" || action.first.starts_with("sqlite_") {
            return;
        }
        match action.code {
            sys::SQLITE_DROP_TABLE | sys::SQLITE_DROP_VTABLE => {
                self.drops = true;
                self.taken_from.insert(action.first.to_owned());
            }
            sys::SQLITE_DELETE => {
                self.taken_from.insert(action.first.to_owned());
                if action.within.is_empty() {
                    self.deletes_from.insert(action.first.to_owned());
                }
            }
            _ => {}
        }
    }
}

impl ScriptDone {
    /// Adds a statement that has run to its end. DROP TABLE is announced as a DELETE, too, and changes no count.
    fn add(&mut self, seen: Seen, changes: impl FnOnce() -> i64) {
        self.statements += 1;
        self.taken_from.extend(seen.taken_from);
        if seen.drops || seen.deletes_from.is_empty() {
            return;
        }
        let rows = changes();
        for table in seen.deletes_from {
            *self.deleted.entry(table).or_default() += rows;
        }
    }
}

fn run_all(
    raw: &Raw<'_>,
    sql: &str,
    seen: &RefCell<Seen>,
) -> std::result::Result<ScriptDone, ScriptFailure> {
    let mut start = 0;
    let mut done = ScriptDone::default();
    while start < sql.len() {
        let rest = &sql[start..];
        let place = |failure, offset, count| locate(sql, start, offset, count + 1, failure);
        seen.take();
        let (statement, consumed) = raw
            .prepare(rest)
            .map_err(|failure| place(failure, raw.error_offset(), done.statements))?;
        if let Some(mut statement) = statement {
            if let Some(name) = statement.first_parameter() {
                return Err(place(parameter(&name), None, done.statements));
            }
            while statement
                .step()
                .map_err(|failure| place(failure, None, done.statements))?
            {}
            done.add(seen.take(), || raw.changes());
        }
        if consumed == 0 {
            break;
        }
        start += consumed;
    }
    Ok(done)
}

/// SQLite would take the parameter for NULL.
fn parameter(name: &str) -> SqliteFailure {
    SqliteFailure {
        code: 0,
        message: format!("it contains the parameter '{name}', which has no value here"),
    }
}

fn locate(
    sql: &str,
    start: usize,
    offset: Option<usize>,
    statement: usize,
    failure: SqliteFailure,
) -> ScriptFailure {
    let text = skip_blanks_and_comments(&sql[start..]);
    let first = sql.len() - text.len();
    let at = offset.map_or(first, |offset| start + offset).max(first);
    ScriptFailure {
        statement,
        line: sql.as_bytes()[..at.min(sql.len())]
            .split(|byte| *byte == b'\n')
            .count(),
        excerpt: excerpt(text),
        failure,
    }
}

/// The text from its first word on.
fn skip_blanks_and_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        text = if let Some(rest) = text.strip_prefix("--") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(rest) = text.strip_prefix("/*") {
            rest.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
    }
}

fn excerpt(text: &str) -> String {
    let line = text.split(';').next().unwrap_or("");
    let words: Vec<&str> = line.split_whitespace().collect();
    let joined = words.join(" ");
    match joined.char_indices().nth(EXCERPT_LIMIT) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run_in_memory(sql: &str) -> std::result::Result<ScriptDone, ScriptFailure> {
        let mut connection = Connection::in_memory().await.expect("in-memory database");
        run_script(&mut connection, sql, Scope::Transactional)
            .await
            .expect("connection works")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statements_are_counted_and_triggers_are_one_statement() {
        let sql = "-- head\nCREATE TABLE t (a);\nCREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END;\n\
                   INSERT INTO t VALUES (';');\n-- the end\n";
        let done = run_in_memory(sql).await.expect("it runs");
        assert_eq!(done.statements, 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn deleted_rows_are_counted_and_those_of_dropped_tables_are_not() {
        let sql = "CREATE TABLE t (a); CREATE TABLE u (a); CREATE TABLE k (a) WITHOUT ROWID;"
            .replace("k (a)", "k (a PRIMARY KEY)");
        let done = run_in_memory(&format!(
            "{sql} INSERT INTO t VALUES (1), (2), (3); INSERT INTO u VALUES (1); INSERT INTO k VALUES (1), (2);\n\
             DELETE FROM t WHERE a = 1; DELETE FROM k; DELETE FROM t; DELETE FROM u WHERE a = 9; DROP TABLE u; DROP TABLE t"
        ))
        .await
        .expect("it runs");
        let counts: Vec<(&str, i64)> = done.deleted.iter().map(|(t, n)| (t.as_str(), *n)).collect();
        assert_eq!(counts, [("k", 2), ("t", 3), ("u", 0)]);
        let tables: Vec<&str> = done.taken_from.iter().map(String::as_str).collect();
        assert_eq!(tables, ["k", "t", "u"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failure_names_the_statement_and_the_line_of_the_failing_word() {
        let sql =
            "CREATE TABLE t (a);\n\n-- two lines of\n-- comment\nINSERT INTO t\n  VALUES (nope);\n";
        let failed = run_in_memory(sql)
            .await
            .expect_err("column nope does not exist");
        assert_eq!((failed.statement, failed.line), (2, 6));
        assert_eq!(failed.excerpt, "INSERT INTO t VALUES (nope)");
        assert!(failed.failure.message.contains("nope"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_parameter_is_refused_and_not_taken_for_null() {
        for parameter in [":tier", "?", "@a", "$b"] {
            let sql = format!("CREATE TABLE t (a);\nINSERT INTO t VALUES ({parameter});");
            let failed = run_in_memory(&sql).await.expect_err("refused");
            assert_eq!((failed.statement, failed.line), (2, 2));
            assert!(failed.failure.message.contains(parameter), "{failed:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_statement_says_why_in_our_words() {
        let failed = run_in_memory("CREATE TABLE t (a); COMMIT;")
            .await
            .expect_err("refused");
        assert_eq!(failed.statement, 2);
        assert!(failed.failure.message.contains("COMMIT is not allowed"));
    }
}
