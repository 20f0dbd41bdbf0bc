//! What a file demands of the rows that it did not demand before: NOT NULL, UNIQUE, CHECK, foreign keys.

use std::collections::BTreeMap;

use sqlx::Row;

use super::rows::{AllRows, Rows};
use super::{Finding, foreign_keys, index, live};
use crate::error::{Problem, Result};
use crate::grammar::{Kind, TableText, literal};
use crate::schema::{Column, ForeignKey, Table};
use crate::sqlite::{Connection, quoted};

const DOING: &str = "read the schema in memory";

/// One table at the end of a file.
pub(super) struct Demands<'a> {
    pub(super) name: &'a str,
    pub(super) then: Option<&'a Table>,
    /// From old names of tables to new ones.
    pub(super) renames: &'a BTreeMap<String, String>,
    pub(super) now: &'a Table,
    /// CREATE TABLE before the file, and after it.
    pub(super) texts: (Option<&'a TableText>, Option<&'a TableText>),
    pub(super) rows: &'a Rows,
    pub(super) all: &'a AllRows,
}

/// CREATE TABLE of a table in the twin, read.
pub(super) async fn text_of(twin: &mut Connection, name: &str) -> Result<Option<TableText>> {
    let sql = create_sql(twin, "table", name).await?;
    Ok(sql.and_then(|sql| TableText::parse(&sql).ok()))
}

async fn create_sql(twin: &mut Connection, kind: &str, name: &str) -> Result<Option<String>> {
    let name = literal(name);
    let sql = format!("SELECT sql FROM sqlite_schema WHERE type = '{kind}' AND name = {name}");
    let rows = twin.rows(DOING, &sql).await?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()))
}

impl Demands<'_> {
    /// Whether there is anything to ask: the table is another one, or its rows are.
    pub(super) fn are_new(&self) -> bool {
        self.then != Some(self.now) || self.texts.0 != self.texts.1 || !self.rows.in_place
    }

    fn now_of<'n>(&'n self, table: &'n str) -> &'n str {
        self.renames.get(table).map_or(table, String::as_str)
    }

    /// Asks the live database about each new demand.
    pub(super) async fn check(
        &self,
        twin: &mut Connection,
        live: &mut Connection,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        self.not_null(live, &mut findings).await?;
        self.added_columns(live, &mut findings).await?;
        self.unique(twin, live, &mut findings).await?;
        self.checks(live, &mut findings).await?;
        self.foreign_keys(twin, live, &mut findings).await?;
        Ok(findings)
    }

    /// How many rows there will be for which `tail` holds.
    async fn count(&self, live: &mut Connection, select: &str, tail: &str) -> Result<Option<i64>> {
        if !self.rows.known {
            return Ok(None);
        }
        live::count(live, &self.rows.query(select, tail)).await
    }

    /// Takes down what a count says about a demand.
    fn judge(
        &self,
        findings: &mut Vec<Finding>,
        subject: &str,
        count: Option<i64>,
        words: impl FnOnce(i64) -> String,
        demand: &str,
    ) {
        match count {
            Some(0) => {}
            // Rows that break it may be skipped or mended.
            Some(count) if self.has_conflict_clause() => {
                findings.push(Finding::may(Problem::new(subject, words(count))));
            }
            Some(count) => findings.push(Finding::fails(Problem::new(subject, words(count)))),
            // The rows of a table that the plan itself makes are the script's own business.
            None if self.then.is_none() => {}
            None => findings.push(Finding::may(Problem::new(
                subject,
                format!("{demand} is new; which rows break it cannot be told before the file runs"),
            ))),
        }
    }

    /// `ON CONFLICT` in a constraint of the table.
    fn has_conflict_clause(&self) -> bool {
        self.texts.1.is_some_and(|text| {
            text.all_constraints()
                .any(|constraint| constraint.text.contains("on conflict"))
        })
    }

    async fn not_null(&self, live: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
        for column in self
            .now
            .columns
            .iter()
            .filter(|c| c.not_null && c.hidden == 0)
        {
            if is_rowid(self.now, column) {
                continue;
            }
            let was_so = self.then.is_some_and(|table| {
                table
                    .columns
                    .iter()
                    .any(|c| c.name == column.name && c.not_null)
            });
            if was_so && self.rows.in_place {
                continue;
            }
            let tail = format!("WHERE {} IS NULL", quoted(&column.name));
            let count = self.count(live, "count(*)", &tail).await?;
            if was_so && count.is_none() {
                continue;
            }
            let subject = format!("{}.{}", self.name, column.name);
            let words =
                |count| format!("becomes NOT NULL, and {count} row(s) would have no value in it");
            self.judge(findings, &subject, count, words, "NOT NULL");
        }
        Ok(())
    }

    /// Columns that SQLite adds to an empty table only.
    async fn added_columns(
        &self,
        live: &mut Connection,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let (Some(then), Some(text)) = (self.then, self.texts.1) else {
            return Ok(());
        };
        if !self.rows.in_place || self.count(live, "count(*)", "").await? == Some(0) {
            return Ok(());
        }
        for column in &text.columns {
            let is_new = !then.columns.iter().any(|c| c.name == column.name);
            let is_reported = column.constraint(Kind::NotNull).is_some()
                && column.constraint(Kind::Default).is_none();
            if is_new
                && !is_reported
                && let Some(reason) = live::refuses_column(&column.text).await?
            {
                let subject = format!("{}.{}", self.name, column.name);
                let message = format!("{reason} to a table that has rows");
                findings.push(Finding::fails(Problem::new(subject, message)));
            }
        }
        Ok(())
    }

    async fn unique(
        &self,
        twin: &mut Connection,
        live: &mut Connection,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        for (name, made) in self.now.indexes.iter().filter(|(_, made)| made.unique) {
            let was_so = self
                .then
                .is_some_and(|table| table.indexes.values().any(|old| old == made));
            if was_so && (self.rows.in_place || !self.rows.known) {
                continue;
            }
            let written = if made.created {
                let sql = create_sql(twin, "index", name).await?;
                sql.as_deref().and_then(index::parts).unwrap_or_default()
            } else {
                (Vec::new(), None)
            };
            let condition = written.1;
            let terms = index::columns_of(made).unwrap_or(written.0);
            let count = if terms.is_empty() || !self.rows.known {
                None
            } else {
                let sql = self.duplicates(&terms, condition.as_deref());
                live::pair(live, &sql).await?
            };
            let what = if made.created {
                format!("the index {name}")
            } else {
                name.clone()
            };
            let (groups, rows) = count.map_or((None, 0), |(groups, rows)| (Some(groups), rows));
            let words =
                |groups| format!("{what} is unique, and {rows} row(s) share {groups} value(s)");
            self.judge(findings, self.name, groups, words, &what);
        }
        Ok(())
    }

    fn duplicates(&self, terms: &[String], condition: Option<&str>) -> String {
        let mut filled: Vec<String> = terms.iter().map(|t| format!("({t}) IS NOT NULL")).collect();
        filled.extend(condition.map(|condition| format!("({condition})")));
        let tail = format!(
            "WHERE {} GROUP BY {} HAVING count(*) > 1",
            filled.join(" AND "),
            terms.join(", ")
        );
        let groups = self.rows.query("count(*) AS n", &tail);
        format!("SELECT count(*), coalesce(sum(n), 0) FROM ({groups})")
    }

    async fn checks(&self, live: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
        let (then, Some(now)) = self.texts else {
            return Ok(());
        };
        for check in now.all_constraints().filter(|c| c.kind == Kind::Check) {
            let was_so = then.is_some_and(|then| {
                then.all_constraints()
                    .any(|old| old.kind == Kind::Check && old.text == check.text)
            });
            if was_so && (self.rows.in_place || !self.rows.known) {
                continue;
            }
            let Some(expression) = check.text.strip_prefix("check") else {
                continue;
            };
            let tail = format!("WHERE NOT ({expression})");
            let count = self.count(live, "count(*)", &tail).await?;
            let what = check
                .text
                .replacen("check ( ", "CHECK (", 1)
                .replace(" )", ")");
            let words = |count| format!("{what} would be false for {count} row(s)");
            self.judge(findings, self.name, count, words, &what);
        }
        Ok(())
    }

    async fn foreign_keys(
        &self,
        twin: &mut Connection,
        live: &mut Connection,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let old = self.then.map(|table| &table.foreign_keys);
        let is_new = |key: &ForeignKey| !old.is_some_and(|old| old.contains(key));
        if !self.now.foreign_keys.iter().any(is_new) {
            return Ok(());
        }
        for key in foreign_keys::keys(twin, self.name).await? {
            let what = format!(
                "FOREIGN KEY ({}) to {}",
                key.columns().join(", "),
                key.parent
            );
            let is_old = old.is_some_and(|old| {
                old.iter().any(|old| {
                    old.columns == key.columns() && self.now_of(&old.parent) == key.parent
                })
            });
            if is_old {
                continue;
            }
            let count = match self.all.of(&key.parent).filter(|rows| rows.known) {
                Some(parent) => self.count(live, "count(*)", &key.orphans(parent)).await?,
                None => None,
            };
            let words = |count| {
                format!("{what} is new, and {count} row(s) refer to a row that is not there")
            };
            self.judge(findings, self.name, count, words, &what);
        }
        Ok(())
    }
}

/// `INTEGER PRIMARY KEY`: SQLite gives it a value where there is none.
fn is_rowid(table: &Table, column: &Column) -> bool {
    let keys = table.columns.iter().filter(|c| c.key > 0).count();
    column.key == 1 && keys == 1 && column.declared_type.eq_ignore_ascii_case("INTEGER")
}
