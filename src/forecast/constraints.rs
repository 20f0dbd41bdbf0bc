//! What a file demands of the rows that it did not demand before: NOT NULL, UNIQUE, CHECK, foreign keys.

use sqlx::Row;

use super::rows::{AllRows, Rows};
use super::{Finding, live};
use crate::error::{Problem, Result};
use crate::grammar::{Kind, TableText, words};
use crate::schema::{Column, Index, Table};
use crate::sqlite::{Connection, quoted};

const DOING: &str = "read the schema in memory";

/// One table at the end of a file.
pub(super) struct Demands<'a> {
    pub(super) name: &'a str,
    pub(super) then: Option<&'a Table>,
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
    let name = name.replace('\'', "''");
    let sql = format!("SELECT sql FROM sqlite_schema WHERE type = '{kind}' AND name = '{name}'");
    let rows = twin.rows(DOING, &sql).await?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()))
}

impl Demands<'_> {
    /// Whether there is anything to ask: the table is another one, or its rows are.
    pub(super) fn are_new(&self) -> bool {
        self.then != Some(self.now) || self.texts.0 != self.texts.1 || !self.rows.in_place
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
            Some(count) => findings.push(Finding::fails(Problem::new(subject, words(count)))),
            // The rows of a table that the plan itself makes are the script's own business.
            None if self.then.is_none() => {}
            None => findings.push(Finding::may(Problem::new(
                subject,
                format!("{demand} is new; which rows break it cannot be told before the file runs"),
            ))),
        }
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
        for (name, index) in self.now.indexes.iter().filter(|(_, index)| index.unique) {
            let was_so = self
                .then
                .is_some_and(|table| table.indexes.values().any(|old| old == index));
            if was_so && (self.rows.in_place || !self.rows.known) {
                continue;
            }
            let (terms, condition) = if index.created {
                let sql = create_sql(twin, "index", name).await?;
                sql.as_deref().and_then(index_parts).unwrap_or_default()
            } else {
                (columns_of(index), None)
            };
            let count = if terms.is_empty() || !self.rows.known {
                None
            } else {
                let sql = self.duplicates(&terms, condition.as_deref());
                live::pair(live, &sql).await?
            };
            let what = if index.created {
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
        let is_new = |key: &String| !old.is_some_and(|old| old.contains(key));
        if !self.now.foreign_keys.iter().any(is_new) {
            return Ok(());
        }
        for key in keys(twin, self.name).await? {
            let what = format!(
                "FOREIGN KEY ({}) to {}",
                key.columns().join(", "),
                key.parent
            );
            let is_old = old.is_some_and(|old| {
                let begins = format!("({}) -> {} (", key.columns().join(", "), key.parent);
                old.iter().any(|text| text.starts_with(&begins))
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

struct ForeignKey {
    parent: String,
    /// Child column and parent column.
    pairs: Vec<(String, String)>,
}

impl ForeignKey {
    fn columns(&self) -> Vec<&str> {
        self.pairs.iter().map(|(from, _)| from.as_str()).collect()
    }

    /// The WHERE of the rows of `t` that have no parent.
    fn orphans(&self, parent: &Rows) -> String {
        let filled = self
            .pairs
            .iter()
            .map(|(from, _)| format!("t.{} IS NOT NULL", quoted(from)));
        let filled: Vec<String> = filled.collect();
        let equal = self
            .pairs
            .iter()
            .map(|(from, to)| format!("p.{} = t.{}", quoted(to), quoted(from)));
        let equal: Vec<String> = equal.collect();
        let found = parent.exists("p", &equal.join(" AND "));
        format!("WHERE {} AND NOT {found}", filled.join(" AND "))
    }
}

async fn keys(twin: &mut Connection, table: &str) -> Result<Vec<ForeignKey>> {
    let name = table.replace('\'', "''");
    let sql = format!(
        "SELECT f.id, f.\"table\", f.\"from\", \
         coalesce(f.\"to\", (SELECT p.name FROM pragma_table_info(f.\"table\") AS p WHERE p.pk = f.seq + 1), '') \
         FROM pragma_foreign_key_list('{name}', 'main') AS f ORDER BY f.id, f.seq"
    );
    let mut list: Vec<(i64, ForeignKey)> = Vec::new();
    for row in twin.rows(DOING, &sql).await? {
        let (Ok(id), Ok(parent), Ok(from), Ok(to)) = (
            row.try_get(0),
            row.try_get(1),
            row.try_get(2),
            row.try_get(3),
        ) else {
            continue;
        };
        match list.last_mut() {
            Some((last, key)) if *last == id => key.pairs.push((from, to)),
            _ => list.push((
                id,
                ForeignKey {
                    parent,
                    pairs: vec![(from, to)],
                },
            )),
        }
    }
    Ok(list.into_iter().map(|(_, key)| key).collect())
}

/// The columns of an index that a constraint made, each with its collation.
fn columns_of(index: &Index) -> Vec<String> {
    let term = |term: &String| {
        let term = term.strip_suffix(" DESC").unwrap_or(term);
        match term.rsplit_once(' ') {
            Some((column, collation)) => format!("{} COLLATE {collation}", quoted(column)),
            None => quoted(term),
        }
    };
    index.terms.iter().map(term).collect()
}

/// The terms of a CREATE INDEX without their directions, and its WHERE.
fn index_parts(sql: &str) -> Option<(Vec<String>, Option<String>)> {
    let list = words(sql).ok()?;
    let (mut depth, mut start, mut terms) = (0_usize, None, Vec::new());
    for (at, word) in list.iter().enumerate() {
        let ends = depth == 1 && matches!(word.canonical.as_str(), "," | ")");
        if let (true, Some(from)) = (ends, start) {
            let last: &crate::grammar::Word = &list[at - 1];
            let directed = matches!(last.canonical.as_str(), "asc" | "desc");
            let end = if directed { list[at - 2].end } else { last.end };
            terms.push(sql.get(from..end)?.to_owned());
            start = None;
        } else if depth == 1 && start.is_none() {
            start = Some(word.start);
        }
        match word.canonical.as_str() {
            "(" => depth += 1,
            ")" if depth == 1 => {
                let condition = list.get(at + 1).filter(|next| next.canonical == "where");
                let text = condition.and_then(|next| sql.get(next.end..));
                return Some((terms, text.map(str::to_owned)));
            }
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_and_the_condition_of_an_index_are_read_as_they_are_written() {
        let sql = "CREATE UNIQUE INDEX i ON t (lower(a) DESC, \"b c\" COLLATE NOCASE, d asc) WHERE a > 'x'";
        let (terms, condition) = index_parts(sql).expect("an index");
        assert_eq!(terms, ["lower(a)", "\"b c\" COLLATE NOCASE", "d"]);
        assert_eq!(condition.as_deref(), Some(" a > 'x'"));
    }
}
