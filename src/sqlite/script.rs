//! Running a migration's SQL statement by statement, so that a failure has a place.

use std::collections::{BTreeMap, BTreeSet};

use libsqlite3_sys as sys;

use super::authorizer::{self, Scope, Touch};
use super::connection::Connection;
use super::ffi::{Action, Raw, Statement};
use crate::error::{Result, SqliteFailure};
use crate::fault::{self, Point};

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
    /// Tables whose rows or indexes it may have changed.
    pub touched: BTreeSet<String>,
    /// It may have changed those of any table: it rebuilds the file, or indexes by their names alone.
    pub touched_all: bool,
}

/// Runs every statement of `sql`.
///
/// The outer error is one of the connection, the inner one of the script.
pub async fn run_script(
    connection: &mut Connection,
    sql: &str,
    scope: Scope,
) -> Result<std::result::Result<ScriptDone, ScriptFailure>> {
    run_watched(connection, sql, scope, |_| ()).await
}

/// As [`run_script`]; `begins` is told the number of each statement, from 1, before it runs.
pub async fn run_watched(
    connection: &mut Connection,
    sql: &str,
    scope: Scope,
    begins: impl Fn(usize),
) -> Result<std::result::Result<ScriptDone, ScriptFailure>> {
    let path = connection.path().to_path_buf();
    let ran = || fault::reach_on_disk(&path, Point::MigrateStatement);
    connection
        .raw(|raw| run(raw, sql, scope, begins, ran))
        .await
}

fn run(
    raw: &Raw<'_>,
    sql: &str,
    scope: Scope,
    before_each: impl Fn(usize),
    after_each: impl Fn(),
) -> std::result::Result<ScriptDone, ScriptFailure> {
    let mut walk = Walk::new(sql);
    let mut done = ScriptDone::default();
    before_each(1);
    while let Some(ran) = walk.next(raw, scope) {
        ran.failure.map_or(Ok(()), Err)?;
        done.add(ran.seen, || raw.changes());
        after_each();
        before_each(done.statements + 1);
    }
    Ok(done)
}

/// What the authorizer has seen of one statement.
#[derive(Debug, Default)]
struct Seen {
    touched: BTreeSet<String>,
    touched_all: bool,
    /// Indexes that are created, and those that are filled anew: by CREATE INDEX, too.
    created: BTreeSet<String>,
    filled: BTreeSet<String>,
    deletes_from: BTreeSet<String>,
    taken_from: BTreeSet<String>,
    drops: bool,
}

impl Seen {
    fn take(&mut self, action: &Action<'_>) {
        match action.code {
            // VACUUM attaches the file that it builds.
            sys::SQLITE_ATTACH => self.touched_all = true,
            sys::SQLITE_REINDEX => {
                self.filled.insert(action.first.to_owned());
            }
            sys::SQLITE_CREATE_INDEX => {
                self.created.insert(action.first.to_owned());
            }
            _ => {}
        }
        if let Some(table) = authorizer::touch(action).as_ref().and_then(Touch::table) {
            self.touched.insert(table.to_owned());
        }
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
        self.touched.extend(seen.touched);
        self.touched_all |= seen.touched_all || !seen.filled.is_subset(&seen.created);
        if seen.drops || seen.deletes_from.is_empty() {
            return;
        }
        let rows = changes();
        for table in seen.deletes_from {
            *self.deleted.entry(table).or_default() += rows;
        }
    }
}

/// A script that is run one statement at a time, to see what each of them does.
#[derive(Debug)]
pub struct Walk<'s> {
    sql: &'s str,
    /// The same with a NUL at its end.
    terminated: Vec<u8>,
    start: usize,
    count: usize,
}

/// A statement that was run.
#[derive(Debug)]
pub struct Ran<'s> {
    /// Which of the script, from 1.
    pub number: usize,
    /// Its text from its first word on, with what follows it up to the semicolon.
    pub text: &'s str,
    /// What it did, or would have done.
    pub touches: BTreeSet<Touch>,
    /// Why it did not.
    pub failure: Option<ScriptFailure>,
    seen: Seen,
}

impl<'s> Walk<'s> {
    /// Before the first statement.
    #[must_use]
    pub fn new(sql: &'s str) -> Self {
        Self {
            sql,
            terminated: [sql.as_bytes(), b"\0"].concat(),
            start: 0,
            count: 0,
        }
    }

    /// Runs statements up to and with one that `stops` the walk, or to the end. Behind a failure that came when the
    /// statement ran, and not when it was compiled, the walk goes on.
    ///
    /// The handle is taken once for all of them: sqlx can hang where it is taken again and again without a query between.
    pub async fn until(
        &mut self,
        connection: &mut Connection,
        scope: Scope,
        stops: impl Fn(&Ran<'s>) -> bool,
    ) -> Result<Vec<Ran<'s>>> {
        connection
            .raw(|raw| {
                let mut list = Vec::new();
                while let Some(ran) = self.next(raw, scope) {
                    let is_last = stops(&ran);
                    list.push(ran);
                    if is_last {
                        break;
                    }
                }
                list
            })
            .await
    }

    /// The line on which a statement begins, from 1.
    #[must_use]
    pub fn line_of(&self, ran: &Ran<'s>) -> usize {
        let offset = (ran.text.as_ptr() as usize).saturating_sub(self.sql.as_ptr() as usize);
        line_at(self.sql, offset)
    }

    fn next(&mut self, raw: &Raw<'_>, scope: Scope) -> Option<Ran<'s>> {
        let mut refusal = None;
        let mut touches = BTreeSet::new();
        let mut seen = Seen::default();
        let mut judge = |action: &Action<'_>| {
            seen.take(action);
            touches.extend(authorizer::touch(action));
            let reason = authorizer::refusal(scope, action);
            let allowed = reason.is_none();
            refusal = reason.or(refusal.take());
            allowed
        };
        let (text, outcome) = raw.with_authorizer(&mut judge, || self.run_one(raw))?;
        let failure = outcome.err().map(|mut failed| {
            if let (true, Some(reason)) = (failed.failure.is_refused(), refusal) {
                failed.failure.message = reason;
            }
            failed
        });
        // SQLite asks whether the rows of a table that is dropped may be deleted, too.
        let dropped = |touch: &Touch| matches!(touch, Touch::Delete(t) if touches.contains(&Touch::DropTable(t.clone())));
        let touches = touches.iter().filter(|t| !dropped(t)).cloned().collect();
        Some(Ran {
            number: failure.as_ref().map_or(self.count, |f| f.statement),
            text,
            touches,
            failure,
            seen,
        })
    }

    /// Compiles and runs the next statement; `None` where only blanks and comments are left.
    fn run_one(
        &mut self,
        raw: &Raw<'_>,
    ) -> Option<(&'s str, std::result::Result<(), ScriptFailure>)> {
        while self.start < self.sql.len() {
            let (sql, start) = (self.sql, self.start);
            let rest = &sql[start..];
            let place = |failure, offset| locate(sql, start, offset, self.count + 1, failure);
            let (statement, consumed) = match raw.prepare(&self.terminated[start..]) {
                Ok(prepared) => prepared,
                Err(failure) => {
                    let failed = place(failure, raw.error_offset());
                    self.start = sql.len();
                    return Some((skip_blanks_and_comments(rest), Err(failed)));
                }
            };
            self.start = if consumed == 0 {
                sql.len()
            } else {
                start + consumed
            };
            if let Some(mut statement) = statement {
                let text = skip_blanks_and_comments(&sql[start..self.start]);
                let result = match statement.first_parameter() {
                    Some(name) => Err(place(parameter(&name), None)),
                    None => step_to_end(&mut statement).map_err(|failure| place(failure, None)),
                };
                self.count += 1;
                return Some((text, result));
            }
        }
        None
    }
}

fn step_to_end(statement: &mut Statement<'_>) -> std::result::Result<(), SqliteFailure> {
    while statement.step()? {}
    Ok(())
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
        line: line_at(sql, at),
        excerpt: excerpt(text),
        failure,
    }
}

fn line_at(sql: &str, offset: usize) -> usize {
    sql.as_bytes()[..offset.min(sql.len())]
        .split(|byte| *byte == b'\n')
        .count()
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

/// The first words of a statement, on one line.
#[must_use]
pub fn excerpt(text: &str) -> String {
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
    use crate::sqlite::Interrupt;

    async fn run_in_memory(sql: &str) -> std::result::Result<ScriptDone, ScriptFailure> {
        let mut connection = Connection::in_memory(&Interrupt::default())
            .await
            .expect("in-memory database");
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
    async fn a_script_tells_the_tables_whose_rows_or_indexes_it_may_have_changed() {
        let base = "CREATE TABLE t (a); CREATE TABLE u (a); CREATE TABLE log (a); \
                    CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO log VALUES (1); END;";
        let touched = async |sql: &str| {
            let mut connection = Connection::in_memory(&Interrupt::default())
                .await
                .expect("in-memory database");
            for script in [base, sql] {
                let done = run_script(&mut connection, script, Scope::NonTransactional).await;
                let done = done.expect("connection works").expect("it runs");
                if script == sql {
                    let names: Vec<String> = done.touched.into_iter().collect();
                    return (names.join(" "), done.touched_all);
                }
            }
            unreachable!()
        };
        let some = |tables: &str| (tables.to_owned(), false);
        assert_eq!(touched("SELECT * FROM t").await, some(""));
        assert_eq!(touched("CREATE INDEX i ON t (a)").await, some("t"));
        assert_eq!(touched("INSERT INTO u VALUES (1)").await, some("log u"));
        assert_eq!(
            touched("UPDATE t SET a = 1; DELETE FROM u").await,
            some("t u")
        );
        assert_eq!(touched("ALTER TABLE t ADD COLUMN b").await, some("t"));
        assert_eq!(touched("DROP TABLE log").await, some("log"));
        assert!(touched("CREATE INDEX i ON t (a); REINDEX i").await.1);
        assert!(touched("VACUUM").await.1);
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
    async fn a_walk_tells_what_each_statement_touches_and_goes_on_behind_one_that_failed() {
        let mut connection = Connection::in_memory(&Interrupt::default())
            .await
            .expect("in-memory database");
        let sql =
            "CREATE TABLE t (a NOT NULL);\n-- why\nINSERT INTO t VALUES (NULL);\nDROP TABLE t;";
        let mut walk = Walk::new(sql);
        let all = walk
            .until(&mut connection, Scope::Transactional, |_| false)
            .await
            .expect("connection works");
        let mut seen = Vec::new();
        for ran in all {
            seen.push((ran.number, walk.line_of(&ran), ran.failure.is_some()));
            let table = || "t".to_owned();
            let expected = match ran.number {
                1 => Touch::CreateTable(table()),
                2 => Touch::Insert(table()),
                _ => Touch::DropTable(table()),
            };
            assert_eq!(ran.touches, BTreeSet::from([expected]));
        }
        assert_eq!(seen, [(1, 1, false), (2, 3, true), (3, 4, false)]);
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
