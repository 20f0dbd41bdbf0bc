//! The rows that the tables will have, as queries on the live database.
//!
//! Nothing has run when a plan is made, and yet it should say how many rows a new NOT NULL would break, behind an
//! UPDATE, an added column and a rebuild. So every statement that is understood turns the query for the rows of its
//! table into the next one; the live database answers it. Where one is not understood, its table is unknown from there.

use std::collections::{BTreeMap, BTreeSet};

use super::meaning::{Meaning, meaning};
use crate::schema::{Column, Schema, Table};
use crate::sqlite::{Touch, quoted};

/// Longer and deeper queries than these take SQLite too long to compile; every statement that is followed adds a level.
const QUERY_LIMIT_BYTES: usize = 32 * 1024;
const QUERY_LIMIT_LEVELS: usize = 40;

/// The rows of one table at a moment of the plan.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// A complete SELECT on the live database, with the column `rowid` where `has_rowid`.
    pub(super) sql: String,
    pub(super) columns: Vec<String>,
    pub(super) has_rowid: bool,
    /// Whether the SELECT is what the rows will be.
    pub(super) known: bool,
    /// Whether it is the live table as it stands, but for columns that were added, dropped or renamed.
    pub(super) in_place: bool,
}

impl Rows {
    /// A query with these rows as its table `t`.
    pub(super) fn query(&self, select: &str, tail: &str) -> String {
        format!("SELECT {select} FROM ({}) AS t {tail}", self.sql)
    }

    /// A file of a thousand UPDATEs is not followed to its end.
    fn bounded(self) -> Self {
        let levels = self.sql.matches("FROM (").count();
        if self.sql.len() <= QUERY_LIMIT_BYTES && levels <= QUERY_LIMIT_LEVELS {
            return self;
        }
        Self {
            known: false,
            ..Self::none(self.columns)
        }
    }

    /// Whether one of them, called `alias`, meets a condition.
    pub(super) fn exists(&self, alias: &str, condition: &str) -> String {
        format!(
            "EXISTS (SELECT 1 FROM ({}) AS {alias} WHERE {condition})",
            self.sql
        )
    }

    /// The query for them under the columns that the table shows.
    pub(super) fn visible(&self, with_rowid: bool) -> String {
        let rowid = (with_rowid && self.has_rowid).then(|| "rowid".to_owned());
        let names: Vec<String> = rowid
            .into_iter()
            .chain(self.columns.iter().map(|column| quoted(column)))
            .collect();
        format!("SELECT {} FROM ({})", names.join(", "), self.sql)
    }

    fn none(columns: Vec<String>) -> Self {
        let values: Vec<String> = columns
            .iter()
            .map(|column| format!("NULL AS {}", quoted(column)))
            .collect();
        Self {
            sql: format!("SELECT {} WHERE FALSE", values.join(", ")),
            columns,
            has_rowid: false,
            known: true,
            in_place: false,
        }
    }
}

/// The rows of all tables.
#[derive(Debug, Clone, Default)]
pub(super) struct AllRows(pub(super) BTreeMap<String, Rows>);

/// What a trigger does to the rows of its own table is not followed.
fn has_trigger(schema: &Schema, table: &str) -> bool {
    schema
        .triggers
        .values()
        .any(|trigger| key(&trigger.table) == table)
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn shown(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.hidden != 1)
}

fn names(table: &Table) -> Vec<String> {
    shown(table).map(|column| column.name.clone()).collect()
}

/// The value of a column that an INSERT or ALTER TABLE does not name.
fn default_of(table: &Table, name: &str) -> String {
    let column = table.columns.iter().find(|column| column.name == name);
    let text = column.and_then(|column| column.default.as_deref());
    format!("({})", text.unwrap_or("NULL"))
}

impl AllRows {
    /// The live tables as they stand. `without_rowid` are those that have none.
    pub(super) fn live(schema: &Schema, without_rowid: &[String]) -> Self {
        let rows = schema.tables.iter().map(|(name, table)| {
            let columns = names(table);
            let has_rowid = !without_rowid.contains(name)
                && !columns
                    .iter()
                    .any(|column| column.eq_ignore_ascii_case("rowid"));
            let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let rowid = if has_rowid { "rowid AS rowid, " } else { "" };
            let sql = format!(
                "SELECT {rowid}{} FROM main.{}",
                list.join(", "),
                quoted(name)
            );
            let rows = Rows {
                sql,
                columns,
                has_rowid,
                known: true,
                in_place: true,
            };
            (key(name), rows)
        });
        // What a view shows is not followed through the plan.
        let views = schema.views.keys().map(|name| {
            let rows = Rows {
                known: false,
                ..Rows::none(vec!["unknown".into()])
            };
            (key(name), rows)
        });
        Self(rows.chain(views).collect())
    }

    pub(super) fn of(&self, table: &str) -> Option<&Rows> {
        self.0.get(&key(table))
    }

    /// The query that counts the rows a statement will change or remove.
    pub(super) fn count_of(&self, text: &str) -> Option<String> {
        let (Meaning::Update {
            table, condition, ..
        }
        | Meaning::Delete { table, condition }) = meaning(text)
        else {
            return None;
        };
        let condition = condition.unwrap_or("TRUE");
        let select = format!("SELECT count(*) FROM {} WHERE {condition}", quoted(&table));
        self.bound(&select)
    }

    /// Takes in what a statement did, with the schemas before and after it.
    pub(super) fn follow(
        &mut self,
        text: &str,
        touches: &BTreeSet<Touch>,
        before: &Schema,
        after: &Schema,
    ) {
        let mut understood = None;
        if let Some((table, rows)) = self.next(&meaning(text), touches, after)
            && !has_trigger(before, &table)
        {
            understood = Some(table.clone());
            self.0.insert(table, rows.bounded());
        }
        for touch in touches {
            if let Touch::Insert(table) | Touch::Update(table, _) | Touch::Delete(table) = touch
                && understood != Some(key(table))
                && let Some(rows) = self.0.get_mut(&key(table))
            {
                rows.known = false;
                rows.in_place = false;
            }
        }
        self.follow_names(before, after, understood.as_deref());
        self.follow_columns(before, after);
    }

    /// Tables that were created, dropped and renamed.
    fn follow_names(&mut self, before: &Schema, after: &Schema, understood: Option<&str>) {
        let gone = before.tables_not_in(after);
        let new = after.tables_not_in(before);
        if let ([old], [new]) = (gone.as_slice(), new.as_slice()) {
            if let Some(rows) = self.0.remove(&key(old)) {
                self.0.insert(key(new), rows);
            }
            return;
        }
        for name in gone {
            self.0.remove(&key(name));
        }
        for name in new {
            if understood != Some(&key(name)) {
                let rows = Rows::none(names(&after.tables[name]));
                self.0.insert(key(name), rows);
            }
        }
    }

    /// Columns that ALTER TABLE added, dropped or renamed.
    fn follow_columns(&mut self, before: &Schema, after: &Schema) {
        for (name, now) in &after.tables {
            let Some(then) = before.tables.get(name) else {
                continue;
            };
            let (old, new) = (names(then), names(now));
            if old == new {
                continue;
            }
            let Some(rows) = self.0.get_mut(&key(name)) else {
                continue;
            };
            let is_rename = old.len() == new.len();
            let list = new.iter().enumerate().map(|(index, column)| {
                let value = if old.contains(column) {
                    quoted(column)
                } else if is_rename {
                    quoted(&old[index])
                } else {
                    default_of(now, column)
                };
                format!("{value} AS {}", quoted(column))
            });
            let list: Vec<String> = list.collect();
            let rowid = if rows.has_rowid { "rowid, " } else { "" };
            rows.sql = format!("SELECT {rowid}{} FROM ({})", list.join(", "), rows.sql);
            rows.columns = new;
        }
    }

    /// The table and its rows after a statement that is understood.
    fn next(
        &self,
        meant: &Meaning<'_>,
        touches: &BTreeSet<Touch>,
        after: &Schema,
    ) -> Option<(String, Rows)> {
        match meant {
            Meaning::CreateAs { select } => {
                let table = touches.iter().find_map(|touch| match touch {
                    Touch::CreateTable(name) => Some(name),
                    _ => None,
                })?;
                let columns = names(after.tables.get(table)?);
                let rows = self.listed(select, &columns)?;
                Some((key(table), rows))
            }
            Meaning::Insert {
                table,
                columns,
                select,
            } => {
                let rows = self.inserted(table, columns.as_deref(), select, after)?;
                Some((key(table), rows))
            }
            Meaning::Update {
                table,
                sets,
                condition,
            } => self.updated(table, sets, condition.unwrap_or("TRUE")),
            Meaning::Delete { table, condition } => self.deleted(table, *condition),
            Meaning::Other => None,
        }
    }

    fn deleted(&self, table: &str, condition: Option<&str>) -> Option<(String, Rows)> {
        let old = self.of(table).filter(|rows| rows.known)?;
        let kept = condition.map_or_else(
            || "FALSE".to_owned(),
            |condition| format!("({condition}) IS NOT TRUE"),
        );
        let list: Vec<String> = old.columns.iter().map(|column| quoted(column)).collect();
        Some((key(table), self.changed(table, old, &list, &kept)?))
    }

    /// The rows of a table after a statement that keeps those of `kept`, with these values.
    fn changed(&self, table: &str, old: &Rows, values: &[String], kept: &str) -> Option<Rows> {
        let rowid = if old.has_rowid { "rowid, " } else { "" };
        let select = format!(
            "SELECT {rowid}{} FROM {} WHERE {kept}",
            values.join(", "),
            quoted(table)
        );
        Some(Rows {
            sql: self.bound(&select)?,
            in_place: false,
            ..old.clone()
        })
    }

    fn updated(
        &self,
        table: &str,
        sets: &[(String, &str)],
        condition: &str,
    ) -> Option<(String, Rows)> {
        let old = self.of(table).filter(|rows| rows.known)?;
        let list = old.columns.iter().map(|column| {
            let name = quoted(column);
            sets.iter()
                .find(|(set, _)| set.eq_ignore_ascii_case(column))
                .map_or(name.clone(), |(_, value)| {
                    format!("CASE WHEN {condition} THEN {value} ELSE {name} END AS {name}")
                })
        });
        let list: Vec<String> = list.collect();
        Some((key(table), self.changed(table, old, &list, "TRUE")?))
    }

    fn inserted(
        &self,
        table: &str,
        columns: Option<&[String]>,
        select: &str,
        after: &Schema,
    ) -> Option<Rows> {
        let old = self.of(table).filter(|rows| rows.known)?;
        let target = after
            .tables
            .iter()
            .find(|(name, _)| key(name) == key(table))?
            .1;
        let stored = || shown(target).filter(|column| column.hidden == 0);
        let listed: Vec<String> = columns.map_or_else(
            || stored().map(|column| column.name.clone()).collect(),
            <[String]>::to_vec,
        );
        let new = self.listed(select, &listed)?;
        let value = |column: &String| {
            let is_listed = listed.iter().any(|name| name.eq_ignore_ascii_case(column));
            let value = if is_listed {
                quoted(column)
            } else {
                default_of(target, column)
            };
            format!("{value} AS {}", quoted(column))
        };
        let list: Vec<String> = old.columns.iter().map(value).collect();
        let is_first = old.sql.ends_with("WHERE FALSE");
        let has_rowid = new.has_rowid && (is_first || old.has_rowid);
        let rowid = if has_rowid { "rowid, " } else { "" };
        let added = format!("SELECT {rowid}{} FROM ({})", list.join(", "), new.sql);
        let sql = if is_first {
            added
        } else {
            format!("{} UNION ALL {added}", old.visible(has_rowid))
        };
        Some(Rows {
            sql,
            columns: old.columns.clone(),
            has_rowid,
            known: true,
            in_place: false,
        })
    }
}
