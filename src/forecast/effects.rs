//! What a file does to tables, and what is gone behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::live;
use super::rows::AllRows;
use super::twin::Tried;
use crate::error::Result;
use crate::grammar::TableText;
use crate::migration::{Declarations, Dropped, What};
use crate::schema::Schema;
use crate::sqlite::{Connection, Touch, quoted};

/// What happens to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is new.
    Created,
    /// It goes.
    Dropped,
    /// It gets another name.
    Renamed,
    /// It is dropped and created again under the same name.
    Rebuilt,
    /// ALTER TABLE
    Altered,
    /// Indexes are made or dropped.
    Indexed,
    /// Rows come.
    Inserted,
    /// Rows change.
    Updated,
    /// Rows go.
    Deleted,
}

/// What happens to one table.
#[derive(Debug, Clone, Serialize)]
pub struct TableEffects {
    /// Its name, before the file where it has one there.
    pub table: String,
    /// What happens, in this order.
    pub effects: BTreeSet<Effect>,
    /// Its rows when the file begins; `None` where it is new, or where that cannot be told.
    pub rows: Option<i64>,
    /// Its size in the live database, with its indexes; `None` where it is not there or SQLite cannot tell.
    pub bytes: Option<u64>,
}

/// Something that is gone for good behind a file.
#[derive(Debug, Clone, Serialize)]
pub struct Loss {
    /// What kind.
    pub kind: LossKind,
    /// `table` or `table.column`.
    pub name: String,
    /// Values or rows that go with it; `None` where that cannot be told.
    pub count: Option<i64>,
    /// Whether the file says so in its header.
    pub declared: bool,
}

/// What can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// A table with its rows.
    Table,
    /// A column with its values.
    Column,
    /// Rows of a table that stays.
    Rows,
}

/// CREATE TABLE of every table, read.
pub(super) async fn texts(
    twin: &mut Connection,
    schema: &Schema,
) -> Result<BTreeMap<String, TableText>> {
    let mut texts = BTreeMap::new();
    for name in schema.tables.keys() {
        if let Some(text) = super::constraints::text_of(twin, name).await? {
            texts.insert(name.clone(), text);
        }
    }
    Ok(texts)
}

/// A file that ran on the twin.
pub(super) struct Seen<'a> {
    pub(super) tried: &'a [Tried],
    pub(super) then: &'a Schema,
    pub(super) now: &'a Schema,
    pub(super) rows_then: &'a AllRows,
    pub(super) rows_now: &'a AllRows,
    pub(super) declared: &'a Declarations,
}

impl Seen<'_> {
    /// Tables that got another name: old and new, of those that are there before or behind the file.
    pub(super) fn renames(&self) -> BTreeMap<String, String> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (gone, new) in self.tried.iter().filter_map(Tried::rename) {
            let first = names
                .iter()
                .find(|(_, now)| *now == gone)
                .map_or_else(|| gone.clone(), |(first, _)| first.clone());
            names.insert(first, new.clone());
        }
        names.retain(|old, new| {
            self.then.tables.contains_key(old)
                && !self.now.tables.contains_key(old)
                && self.now.tables.contains_key(new)
                && !self.then.tables.contains_key(new)
        });
        names
    }

    fn touches(&self) -> impl Iterator<Item = &Touch> {
        self.tried.iter().flat_map(|tried| &tried.touches)
    }

    fn is_rebuilt(&self, table: &str) -> bool {
        self.then.tables.contains_key(table)
            && self.now.tables.contains_key(table)
            && self.touches().any(|touch| {
                matches!(touch, Touch::CreateTable(name) | Touch::DropTable(name) if name == table)
            })
            || self.is_replaced_by_rename(table)
    }

    /// The pattern of Alembic: a table under another name is filled and takes the place of the dropped one.
    fn is_replaced_by_rename(&self, table: &str) -> bool {
        let stays = self.then.tables.contains_key(table) && self.now.tables.contains_key(table);
        stays
            && self
                .tried
                .iter()
                .any(|tried| !tried.after.tables.contains_key(table))
    }

    /// The effects on every table that is there before or behind the file.
    fn effects(&self) -> BTreeMap<String, BTreeSet<Effect>> {
        let renames = self.renames();
        let mut list: BTreeMap<String, BTreeSet<Effect>> = BTreeMap::new();
        let mut add = |table: &str, effect| {
            list.entry(table.to_owned()).or_default().insert(effect);
        };
        for old in renames.keys() {
            add(old, Effect::Renamed);
        }
        for table in self.then.tables.keys() {
            if self.is_rebuilt(table) {
                add(table, Effect::Rebuilt);
            } else if !self.now.tables.contains_key(table) && !renames.contains_key(table) {
                add(table, Effect::Dropped);
            }
        }
        for table in self.now.tables.keys() {
            let is_renamed = renames.values().any(|new| new == table);
            if !self.then.tables.contains_key(table) && !is_renamed {
                add(table, Effect::Created);
            }
        }
        for touch in self.touches() {
            let (table, effect) = match touch {
                Touch::AlterTable(table) => (table, Effect::Altered),
                Touch::CreateIndex(table) | Touch::DropIndex(table) => (table, Effect::Indexed),
                Touch::Insert(table) => (table, Effect::Inserted),
                Touch::Update(table, _) => (table, Effect::Updated),
                Touch::Delete(table) => (table, Effect::Deleted),
                Touch::CreateTable(_) | Touch::DropTable(_) | Touch::Define(_) | Touch::Vacuum => {
                    continue;
                }
            };
            let old = renames
                .iter()
                .find(|(_, new)| *new == table)
                .map_or(table, |(old, _)| old);
            let stays = self.then.tables.contains_key(old) || self.now.tables.contains_key(old);
            if stays && !self.is_part_of_more(old, effect) {
                add(old, effect);
            }
        }
        list
    }

    /// The copying of a rebuild, the indexes of a new table, the ALTER of a rename.
    fn is_part_of_more(&self, table: &str, effect: Effect) -> bool {
        let is_new = !self.then.tables.contains_key(table);
        let is_gone = !self.now.tables.contains_key(table);
        match effect {
            Effect::Inserted => self.is_rebuilt(table),
            Effect::Indexed => is_new || is_gone || self.is_rebuilt(table),
            Effect::Altered => self.is_rebuilt(table) || is_gone,
            _ => false,
        }
    }

    /// The effects with sizes.
    pub(super) async fn tables(&self, live: &mut Connection) -> Result<Vec<TableEffects>> {
        let mut list = Vec::new();
        for (table, effects) in self.effects() {
            let rows = match self.rows_then.of(&table).filter(|rows| rows.known) {
                Some(rows) => live::count(live, &rows.query("count(*)", "")).await?,
                None => None,
            };
            let bytes = match rows {
                Some(_) => live::bytes(live, &table).await?,
                None => None,
            };
            list.push(TableEffects {
                table,
                effects,
                rows,
                bytes: bytes.filter(|bytes| *bytes > 0),
            });
        }
        Ok(list)
    }

    /// Columns, tables and rows that are there before the file and not behind it.
    pub(super) async fn losses(&self, live: &mut Connection) -> Result<Vec<Loss>> {
        let renames = self.renames();
        let mut losses = Vec::new();
        for (name, then) in &self.then.tables {
            let behind = renames.get(name).unwrap_or(name);
            let Some(now) = self.now.tables.get(behind) else {
                let count = self.count(live, name, "count(*)").await?;
                let declared = self
                    .declared
                    .drops
                    .contains(&Dropped::whole(What::Table, name));
                losses.push(Loss {
                    kind: LossKind::Table,
                    name: name.clone(),
                    count,
                    declared,
                });
                continue;
            };
            for column in &then.columns {
                let stays = now.columns.iter().any(|c| c.name == column.name);
                if stays || self.is_renamed_column(name, &column.name) {
                    continue;
                }
                let select = format!("count({})", quoted(&column.name));
                let path = format!("{name}.{}", column.name);
                losses.push(Loss {
                    kind: LossKind::Column,
                    count: self.count(live, name, &select).await?,
                    declared: self.declared.drops.contains(&Dropped::member(
                        What::Column,
                        name,
                        &column.name,
                    )),
                    name: path,
                });
            }
            losses.extend(self.lost_rows(live, name, behind).await?);
        }
        Ok(losses)
    }

    async fn lost_rows(
        &self,
        live: &mut Connection,
        name: &str,
        behind: &str,
    ) -> Result<Option<Loss>> {
        let rows = self
            .rows_now
            .of(behind)
            .filter(|rows| rows.known && !rows.in_place);
        let (Some(before), Some(rows)) = (self.count(live, name, "count(*)").await?, rows) else {
            return Ok(None);
        };
        let after = live::count(live, &rows.query("count(*)", "")).await?;
        let lost = after.map_or(0, |after| before - after);
        Ok((lost > 0).then(|| Loss {
            kind: LossKind::Rows,
            name: name.to_owned(),
            count: Some(lost),
            declared: self.declared.deletes.contains(name),
        }))
    }

    async fn count(&self, live: &mut Connection, table: &str, select: &str) -> Result<Option<i64>> {
        match self.rows_then.of(table).filter(|rows| rows.known) {
            Some(rows) => live::count(live, &rows.query(select, "")).await,
            None => Ok(None),
        }
    }

    /// ALTER TABLE … RENAME COLUMN: as many columns as before, and this one has another name. The table may be renamed, too.
    fn is_renamed_column(&self, table: &str, column: &str) -> bool {
        let mut name = table.to_owned();
        self.tried.iter().any(|tried| {
            if let Some((old, new)) = tried.rename()
                && *old == name
            {
                name.clone_from(new);
                return false;
            }
            let columns = |schema: &Schema| -> Option<Vec<String>> {
                let table = schema.tables.get(&name)?;
                Some(
                    table
                        .columns
                        .iter()
                        .map(|column| column.name.clone())
                        .collect(),
                )
            };
            match (columns(&tried.before), columns(&tried.after)) {
                (Some(then), Some(now)) => {
                    let has = |list: &[String]| list.iter().any(|name| name == column);
                    then.len() == now.len() && has(&then) && !has(&now)
                }
                _ => false,
            }
        })
    }

    /// Bytes that the file makes SQLite write anew.
    pub(super) fn copied_bytes(
        &self,
        tables: &[TableEffects],
        losses: &[Loss],
        database: u64,
    ) -> u64 {
        let vacuums = self.touches().filter(|t| **t == Touch::Vacuum).count() as u64;
        let tables = tables.iter().map(|table| {
            let columns = losses.iter().filter(|loss| {
                loss.kind == LossKind::Column && loss.name.split('.').next() == Some(&table.table)
            });
            let dropped = columns.count() as u64;
            let bytes = table.bytes.unwrap_or(0);
            let of = |effect: &Effect| written(*effect, bytes, dropped);
            table.effects.iter().map(of).max().unwrap_or(0)
        });
        tables.sum::<u64>() + vacuums * database
    }
}

/// Bytes that an effect on a table of this size writes.
fn written(effect: Effect, bytes: u64, dropped_columns: u64) -> u64 {
    match effect {
        // To a table that is kept aside, and back again.
        Effect::Rebuilt => 2 * bytes,
        // DROP COLUMN writes every row anew, ADD COLUMN and the renames none.
        Effect::Altered => dropped_columns * bytes / 2,
        Effect::Updated | Effect::Deleted => bytes,
        Effect::Indexed => bytes / 4,
        Effect::Created | Effect::Dropped | Effect::Renamed | Effect::Inserted => 0,
    }
}
