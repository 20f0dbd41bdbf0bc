//! What only the texts in `sqlite_schema` tell: SQLite has no PRAGMA for it.

use super::{Check, ForeignKey, Index, Table};
use crate::grammar::{self, ColumnText, Constraint, Kind, TableText};

/// A text in canonical form; as it is, but for blanks, where it cannot be read.
pub(super) fn canonical(sql: &str) -> String {
    grammar::canonical(sql).unwrap_or_else(|_| sql.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Adds what the text of an ordinary table tells. `keys` are its foreign keys in the order of the text.
pub(super) fn add_details(table: &mut Table, sql: &str, mut keys: Vec<ForeignKey>) {
    table.details.text = canonical(sql);
    match TableText::parse(sql) {
        Ok(text) if text.columns.len() == table.columns.len() => {
            add_columns(table, &text);
            add_constraints(table, &text);
            let deferred = deferred_keys(&text);
            if deferred.len() == keys.len() {
                for (key, deferred) in keys.iter_mut().zip(deferred) {
                    key.deferred = deferred;
                }
            } else {
                table.details.unread =
                    Some("its foreign keys are not those that SQLite reads".into());
            }
        }
        Ok(_) => {
            table.details.unread = Some("its columns are not those that SQLite reads".into());
        }
        Err(error) => table.details.unread = Some(error.to_string()),
    }
    table.foreign_keys = keys.into_iter().collect();
}

fn add_columns(table: &mut Table, text: &TableText) {
    for column in &mut table.columns {
        let Some(text) = text.column(&column.name) else {
            continue;
        };
        // SQLite takes the last one.
        column.collation = last(text, Kind::Collate)
            .and_then(|collate| collate.text.strip_prefix("collate "))
            .filter(|name| *name != "binary")
            .map(str::to_owned);
        column.generated = last(text, Kind::Generated).map(|generated| generated.text.clone());
    }
}

fn last(column: &ColumnText, kind: Kind) -> Option<&Constraint> {
    column
        .constraints
        .iter()
        .rev()
        .find(|constraint| constraint.kind == kind)
}

fn add_constraints(table: &mut Table, text: &TableText) {
    let details = &mut table.details;
    details.autoincrement = text.is_autoincrement();
    details.checks = text.all_constraints().filter_map(check).collect();
    for column in &text.columns {
        for constraint in &column.constraints {
            details
                .conflicts
                .extend(conflict(constraint).map(|what| (column.name.to_ascii_lowercase(), what)));
        }
    }
    for constraint in &text.constraints {
        details
            .conflicts
            .extend(conflict(constraint).map(|what| (listed_columns(&constraint.text), what)));
    }
}

fn check(constraint: &Constraint) -> Option<Check> {
    let expression = constraint
        .text
        .strip_prefix("check ( ")?
        .strip_suffix(" )")?;
    Some(Check {
        name: constraint.name.clone(),
        expression: expression.to_owned(),
    })
}

/// What its ON CONFLICT says, if that is not what SQLite does anyway.
fn conflict(constraint: &Constraint) -> Option<String> {
    let has_one = matches!(
        constraint.kind,
        Kind::PrimaryKey | Kind::Autoincrement | Kind::NotNull | Kind::Unique
    );
    let (_, what) = constraint.text.rsplit_once("on conflict ")?;
    let what = what.split(' ').next().unwrap_or(what);
    (has_one && what != "abort").then(|| what.to_owned())
}

/// The columns of `unique ( a , b desc ) …` as `a, b`.
fn listed_columns(constraint: &str) -> String {
    let inner = constraint
        .split_once("( ")
        .and_then(|(_, rest)| rest.split_once(" )"))
        .map_or("", |(inner, _)| inner);
    let names: Vec<&str> = inner
        .split(" , ")
        .filter_map(|term| term.split(' ').next())
        .collect();
    names.join(", ")
}

/// For each foreign key in the order of the text, whether it is checked only at the COMMIT.
fn deferred_keys(text: &TableText) -> Vec<bool> {
    let mut list: Vec<bool> = Vec::new();
    for constraint in text.all_constraints() {
        match constraint.kind {
            Kind::ForeignKey => list.push(is_deferred(&constraint.text)),
            Kind::Deferrable => {
                if let Some(last) = list.last_mut() {
                    *last = is_deferred(&constraint.text);
                }
            }
            _ => {}
        }
    }
    list
}

fn is_deferred(text: &str) -> bool {
    text.ends_with("deferrable initially deferred")
        && !text.ends_with("not deferrable initially deferred")
}

/// Adds expressions and WHERE from the text of a CREATE INDEX.
pub(super) fn add_expressions(index: &mut Index, sql: &str) {
    let Some((terms, filter)) = split_index(sql) else {
        return;
    };
    for (term, text) in index.terms.iter_mut().zip(terms) {
        if term.is_expression {
            let bare = text.strip_suffix(" desc").or(text.strip_suffix(" asc"));
            bare.unwrap_or(&text).clone_into(&mut term.what);
        }
    }
    index.filter = filter.or(index.filter.take());
}

/// The terms between the first parentheses, and what follows WHERE behind them.
fn split_index(sql: &str) -> Option<(Vec<String>, Option<String>)> {
    let words = grammar::words(sql).ok()?;
    let mut words = words.into_iter().map(|word| word.canonical);
    words.by_ref().find(|word| word == "(")?;
    let mut terms = vec![Vec::new()];
    let mut depth = 1_usize;
    for word in words.by_ref() {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        match (depth, word.as_str()) {
            (0, _) => break,
            (1, ",") => terms.push(Vec::new()),
            _ => terms.last_mut()?.push(word),
        }
    }
    let terms = terms.into_iter().map(|words| words.join(" ")).collect();
    let rest: Vec<String> = words.collect();
    let filter = (rest.first().is_some_and(|word| word == "where")).then(|| rest[1..].join(" "));
    Some((terms, filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_read_says_so() {
        let mut table = Table::default();
        add_details(&mut table, "CREATE TABLE t (a new thing, (", Vec::new());
        assert!(table.details.unread.is_some());
        assert_eq!(table.details.text, "create table t ( a new thing , (");
        let mut other = Table::default();
        add_details(&mut other, "CREATE TABLE t (a)", Vec::new());
        assert!(
            other
                .details
                .unread
                .is_some_and(|why| why.contains("columns"))
        );
    }

    #[test]
    fn an_index_is_read_with_its_expressions_and_its_condition() {
        let sql =
            "CREATE INDEX i ON t (lower(a, 'x,(y') COLLATE nocase DESC, b) WHERE a > 0 AND (b)";
        let (terms, filter) = split_index(sql).expect("an index");
        assert_eq!(terms, ["lower ( a , 'x,(y' ) collate nocase desc", "b"]);
        assert_eq!(filter.as_deref(), Some("a > 0 and ( b )"));
    }
}
