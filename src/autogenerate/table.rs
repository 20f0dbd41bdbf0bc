//! The SQL that changes one table: by ALTER TABLE where SQLite has it, else by making it anew.

use std::collections::BTreeMap;

use super::decisions::lower;
use crate::grammar::{ColumnText, Kind, TableText, identifier, literal, unordered};

/// One table before and after, and how its new columns get their values.
pub(super) struct TableChange<'a> {
    pub(super) before: &'a TableText,
    pub(super) after: &'a TableText,
    /// The target's own text.
    pub(super) after_sql: &'a str,
    /// Values by column, as SQL expressions on the old table.
    pub(super) fills: BTreeMap<String, String>,
    /// Whether a column that must have a value and has none is given a zero: on the way down only.
    pub(super) placeholders: bool,
    /// A free name for the copy of the rows.
    pub(super) kept: String,
}

/// A column that cannot be NULL is new, and nothing says what it is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoValue {
    pub(super) column: String,
}

/// A column of the new table with the expression that it is filled from.
struct Copied {
    column: String,
    from: String,
    placeholder: bool,
}

impl TableChange<'_> {
    /// The ALTER TABLE statements, where nothing but columns without constraints of their own come and go.
    pub(super) fn alterations(&self) -> Option<Vec<String>> {
        let (before, after) = (self.before, self.after);
        let same_frame = unordered(&before.constraints) == unordered(&after.constraints)
            && before.strict == after.strict
            && before.without_rowid == after.without_rowid;
        let same_columns = after.columns.iter().all(|column| {
            before
                .column(&column.name)
                .is_none_or(|old| old.same_as(column))
        });
        let added: Vec<&ColumnText> = self.added().collect();
        if !same_frame || !same_columns || !added.iter().all(|column| self.can_be_added(column)) {
            return None;
        }
        let table = identifier(&after.name);
        let drops = self.dropped().map(|column| {
            format!(
                "ALTER TABLE {table} DROP COLUMN {}",
                identifier(&column.name)
            )
        });
        let adds = added
            .iter()
            .map(|column| format!("ALTER TABLE {table} ADD COLUMN {}", column.text));
        Some(drops.chain(adds).collect())
    }

    fn added(&self) -> impl Iterator<Item = &ColumnText> {
        let before = self.before;
        self.after
            .columns
            .iter()
            .filter(move |column| before.column(&column.name).is_none())
    }

    fn dropped(&self) -> impl Iterator<Item = &ColumnText> {
        let after = self.after;
        self.before
            .columns
            .iter()
            .filter(move |column| after.column(&column.name).is_none())
    }

    /// What ADD COLUMN refuses where there are rows: <https://www.sqlite.org/lang_altertable.html#altertabaddcol>.
    fn can_be_added(&self, column: &ColumnText) -> bool {
        let default = column.constraint(Kind::Default);
        let is_constant = default.is_none_or(|default| {
            !default.text.contains('(') && !default.text.starts_with("default current_")
        });
        let refers_to_default =
            column.constraint(Kind::ForeignKey).is_some() && has_default(column);
        let is_stored = column
            .constraint(Kind::Generated)
            .is_some_and(|generated| generated.text.ends_with("stored"));
        is_constant
            && !refers_to_default
            && !is_stored
            && !must_be_given(self.after, column)
            && !self.fills.contains_key(&lower(&column.name))
    }

    /// Why the table cannot simply be altered.
    pub(super) fn reasons(&self) -> Vec<String> {
        let (before, after) = (self.before, self.after);
        let mut reasons = Vec::new();
        for column in &after.columns {
            match before.column(&column.name) {
                Some(old) if !old.same_as(column) => {
                    reasons.push(format!("{} was: {}", column.name, one_line(&old.text)));
                }
                None => reasons.push(format!("{} is new", column.name)),
                Some(_) => {}
            }
        }
        for column in self.dropped() {
            reasons.push(format!("{} goes", column.name));
        }
        for constraint in &after.constraints {
            if !before.constraints.contains(constraint) {
                reasons.push(format!("new: {}", constraint.full_text()));
            }
        }
        for constraint in &before.constraints {
            if !after.constraints.contains(constraint) {
                reasons.push(format!("gone: {}", constraint.full_text()));
            }
        }
        for (name, was, is) in [
            ("STRICT", before.strict, after.strict),
            ("WITHOUT ROWID", before.without_rowid, after.without_rowid),
        ] {
            if was != is {
                reasons.push(format!("{} {name}", if is { "new:" } else { "gone:" }));
            }
        }
        if reasons.is_empty() {
            reasons.push("its columns stand in another order".into());
        }
        reasons
    }

    /// The statements that make the table anew with every row and its rowid. The rows go out and come back, and nothing
    /// is renamed: the target's text stays as it is written, names in CHECKs and references from other tables stay
    /// valid, and with deferred foreign keys every reference is satisfied again when the rows are back.
    pub(super) fn rebuild(&self) -> Result<Vec<String>, NoValue> {
        let columns = self.copied()?;
        let rowid = self.rowid(&columns);
        let old_table = identifier(&self.before.name);
        let table = identifier(&self.after.name);
        let kept = identifier(&self.kept);
        let kept_sequence = identifier(&format!("{}_sequence", self.kept));
        let sequence = self.before.is_autoincrement() && self.after.is_autoincrement();
        let name = literal(&self.after.name);

        let mut list = vec![format!(
            "CREATE TABLE {kept} AS SELECT {} FROM {old_table}",
            self.kept_columns(&columns, rowid.as_ref())
        )];
        if sequence {
            list.push(format!(
                "CREATE TABLE {kept_sequence} AS SELECT seq FROM sqlite_sequence WHERE name = {name}"
            ));
        }
        list.push(format!("DROP TABLE {old_table}"));
        list.push(self.after_sql.to_owned());
        list.push(self.insert(&columns, rowid.as_ref(), &table, &kept));
        if sequence {
            list.push(format!("DELETE FROM sqlite_sequence WHERE name = {name}"));
            list.push(format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT {name}, seq FROM {kept_sequence}"
            ));
            list.push(format!("DROP TABLE {kept_sequence}"));
        }
        list.push(format!("DROP TABLE {kept}"));
        Ok(list)
    }

    fn copied(&self) -> Result<Vec<Copied>, NoValue> {
        let alias = rowid_alias(self.after);
        let mut list = Vec::new();
        for column in &self.after.columns {
            if column.constraint(Kind::Generated).is_some() {
                continue;
            }
            let fill = self.fills.get(&lower(&column.name));
            let old = self.before.column(&column.name);
            let (from, placeholder) = match (old, fill) {
                (Some(old), Some(fill)) => (
                    format!("coalesce({}, {fill})", identifier(&old.name)),
                    false,
                ),
                (Some(old), None) => (identifier(&old.name), false),
                (None, Some(fill)) => (fill.clone(), false),
                (None, None) if alias == Some(column.name.as_str()) => continue,
                (None, None) if !must_be_given(self.after, column) => continue,
                (None, None) if self.placeholders => (zero(&column.declared_type).into(), true),
                (None, None) => {
                    return Err(NoValue {
                        column: column.name.clone(),
                    });
                }
            };
            list.push(Copied {
                column: column.name.clone(),
                from,
                placeholder,
            });
        }
        Ok(list)
    }

    /// The columns that are given a zero.
    pub(super) fn placeholder_columns(&self) -> Vec<String> {
        let copied = self.copied().unwrap_or_default();
        let placeholders = copied.into_iter().filter(|copied| copied.placeholder);
        placeholders.map(|copied| copied.column).collect()
    }

    /// The names of the rowid in the old and the new table, where it must be copied by itself.
    fn rowid(&self, columns: &[Copied]) -> Option<(&'static str, String)> {
        if self.before.without_rowid || self.after.without_rowid {
            return None;
        }
        let old = rowid_name(self.before)?;
        match rowid_alias(self.after) {
            Some(alias) if columns.iter().any(|copied| copied.column == alias) => None,
            Some(alias) => Some((old, identifier(alias))),
            None => rowid_name(self.after).map(|new| (old, new.to_owned())),
        }
    }

    fn kept_rowid(&self) -> String {
        let mut name = "kept_rowid".to_owned();
        while self.before.column(&name).is_some() {
            name.push('_');
        }
        name
    }

    /// Expressions may use every column of the old table.
    fn kept_columns(&self, columns: &[Copied], rowid: Option<&(&'static str, String)>) -> String {
        let rowid = rowid.map(|(old, _)| format!("{old} AS {}", self.kept_rowid()));
        if !self.fills.is_empty() {
            return rowid
                .into_iter()
                .chain(["*".to_owned()])
                .collect::<Vec<_>>()
                .join(", ");
        }
        let copied = columns
            .iter()
            .filter(|copied| self.before.column(&copied.column).is_some())
            .map(|copied| copied.from.clone());
        let list: Vec<String> = rowid.into_iter().chain(copied).collect();
        if list.is_empty() {
            "NULL AS nothing".into()
        } else {
            list.join(", ")
        }
    }

    /// `OR ABORT`: an ON CONFLICT clause of the new table must not drop or replace rows in silence.
    fn insert(
        &self,
        columns: &[Copied],
        rowid: Option<&(&'static str, String)>,
        table: &str,
        kept: &str,
    ) -> String {
        let has_conflict_clause = self
            .after
            .all_constraints()
            .any(|constraint| constraint.text.contains("on conflict"));
        let verb = if has_conflict_clause {
            "INSERT OR ABORT INTO"
        } else {
            "INSERT INTO"
        };
        let rowid = rowid.map(|(_, new)| (new.clone(), self.kept_rowid()));
        let copied = columns
            .iter()
            .map(|copied| (identifier(&copied.column), copied.from.clone()));
        let (names, values): (Vec<String>, Vec<String>) = rowid.into_iter().chain(copied).unzip();
        let (names, values) = (names.join(", "), values.join(", "));
        format!("{verb} {table} ({names})\nSELECT {values}\nFROM {kept}")
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn has_default(column: &ColumnText) -> bool {
    column
        .constraint(Kind::Default)
        .is_some_and(|default| default.text != "default null")
}

/// Whether a row cannot be made without saying what is in this column.
fn must_be_given(table: &TableText, column: &ColumnText) -> bool {
    let not_null = column.constraint(Kind::NotNull).is_some()
        || (table.without_rowid && is_in_primary_key(table, column));
    let is_generated = column.constraint(Kind::Generated).is_some();
    not_null
        && !is_generated
        && !has_default(column)
        && rowid_alias(table) != Some(column.name.as_str())
}

fn is_in_primary_key(table: &TableText, column: &ColumnText) -> bool {
    let name = lower(&column.name);
    column.constraint(Kind::PrimaryKey).is_some()
        || table.constraints.iter().any(|constraint| {
            constraint.kind == Kind::PrimaryKey
                && constraint.text.split(' ').any(|word| word == name)
        })
}

/// The column that is the rowid's other name: <https://www.sqlite.org/lang_createtable.html#rowid>.
fn rowid_alias(table: &TableText) -> Option<&str> {
    if table.without_rowid {
        return None;
    }
    let integer = |column: &&ColumnText| column.declared_type == "integer";
    let by_itself = table.columns.iter().filter(integer).find(|column| {
        column.constraints.iter().any(|constraint| {
            matches!(constraint.kind, Kind::PrimaryKey | Kind::Autoincrement)
                && !constraint.text.contains(" desc")
        })
    });
    let by_table = || {
        table.columns.iter().filter(integer).find(|column| {
            let name = lower(&column.name);
            table.constraints.iter().any(|constraint| {
                let keys = constraint.text.strip_prefix("primary key ( ");
                let only = keys.and_then(|keys| keys.split(" )").next());
                let only = only.map(|only| {
                    only.trim_end_matches(" autoincr")
                        .trim_end_matches(" autoincrement")
                        .trim_end_matches(" asc")
                        .trim_end_matches(" desc")
                });
                only == Some(name.as_str())
            })
        })
    };
    by_itself
        .or_else(by_table)
        .map(|column| column.name.as_str())
}

/// A name by which the rowid can be reached.
fn rowid_name(table: &TableText) -> Option<&'static str> {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| table.column(name).is_none())
}

/// A value of the column's affinity (<https://www.sqlite.org/datatype3.html#determination_of_column_affinity>).
fn zero(declared_type: &str) -> &'static str {
    let is = |parts: &[&str]| parts.iter().any(|part| declared_type.contains(part));
    if is(&["int"]) {
        "0"
    } else if is(&["char", "clob", "text"]) {
        "''"
    } else if declared_type.is_empty() || is(&["blob"]) {
        "x''"
    } else {
        "0"
    }
}
