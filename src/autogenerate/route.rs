//! The way from one schema to another, found by going it: every statement is run on an empty copy of the schema as soon
//! as it is written down, and the way is good when the copy has become the target.

use std::collections::{BTreeMap, BTreeSet};

use super::blueprint::{Blueprint, Kind, Object};
use super::decisions::lower;
use super::table::TableChange;
use super::way::Way;
use crate::error::{Error, Problem, Result};
use crate::grammar::{TableText, canonical_name, identifier};
use crate::sqlite::{Connection, Interrupt};

/// Statements that belong together, and what to say about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) comments: Vec<String>,
    pub(super) statements: Vec<String>,
}

/// A finished way.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) pieces: Vec<Piece>,
    /// What it really leads to: the target, but perhaps for the order of columns.
    pub(super) end: Blueprint,
    /// Whether tables are dropped, if only for a moment.
    pub(super) drops_tables: bool,
    /// Dropped tables to which others refer with an ON DELETE action.
    pub(super) acted_on: BTreeSet<String>,
}

/// How far to go. ALTER TABLE looks at every view and trigger of the schema, also at those that are valid only before
/// or only after the whole change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effort {
    Least,
    WithoutViews,
    RebuildAll,
}

/// Why an attempt ended.
enum Obstacle {
    Here(String),
    Ours(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

type Attempt<T> = std::result::Result<T, Obstacle>;

/// Finds the way.
///
/// # Errors
/// [`Error::Usage`] where a value is missing, or no way was found.
pub(super) async fn find(from: &Blueprint, to: &Blueprint, way: &Way) -> Result<Route> {
    let mut problem = String::new();
    for effort in [Effort::Least, Effort::WithoutViews, Effort::RebuildAll] {
        match attempt(from, to, way, effort).await {
            Ok(route) => return Ok(route),
            Err(Obstacle::Ours(error)) => return Err(error),
            Err(Obstacle::Here(message)) => problem = message,
        }
    }
    Err(Error::Usage {
        message: format!("no migration could be made of this change: {problem}"),
        hint: "Write this migration by hand: `safestep revision -m <message>` makes the pair of files."
            .into(),
    })
}

async fn attempt(from: &Blueprint, to: &Blueprint, way: &Way, effort: Effort) -> Attempt<Route> {
    let mut scratch = Connection::in_memory(&Interrupt::default()).await?;
    // Savepoints need a journal, which a scratch connection does without.
    scratch
        .run("prepare a schema", "PRAGMA journal_mode = MEMORY")
        .await?;
    let mut router = Router {
        scratch,
        to,
        way,
        effort,
        pieces: Vec::new(),
        drops_tables: false,
        acted_on: BTreeSet::new(),
    };
    let result = router.go(from).await;
    let Router {
        scratch,
        pieces,
        drops_tables,
        acted_on,
        ..
    } = router;
    scratch.close().await?;
    Ok(Route {
        end: result?,
        pieces,
        drops_tables,
        acted_on,
    })
}

struct Router<'a> {
    scratch: Connection,
    to: &'a Blueprint,
    way: &'a Way,
    effort: Effort,
    pieces: Vec<Piece>,
    drops_tables: bool,
    acted_on: BTreeSet<String>,
}

impl Router<'_> {
    async fn go(&mut self, from: &Blueprint) -> Attempt<Blueprint> {
        for object in from.objects() {
            self.run(&object.sql).await?;
        }
        self.drop_views_and_triggers().await?;
        self.drop_tables().await?;
        self.rename().await?;
        self.create_tables().await?;
        self.change_tables().await?;
        for kind in [Kind::Index, Kind::View, Kind::Trigger] {
            self.create(kind).await?;
        }
        let end = self.now().await?;
        match end.differences(self.to, self.way.order).first() {
            None => Ok(end),
            Some((kind, name, _)) => Err(Obstacle::Here(format!(
                "{} {name} would not become what it should be",
                kind.word().to_ascii_lowercase()
            ))),
        }
    }

    async fn now(&mut self) -> Result<Blueprint> {
        Blueprint::read(&mut self.scratch).await
    }

    async fn run(&mut self, sql: &str) -> Attempt<()> {
        match self.scratch.execute(sql).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(Obstacle::Here(format!("{}: {sql}", failure.message))),
        }
    }

    async fn emit(&mut self, comments: Vec<String>, statements: Vec<String>) -> Attempt<()> {
        for statement in &statements {
            self.run(statement).await?;
        }
        if !statements.is_empty() {
            self.pieces.push(Piece {
                comments,
                statements,
            });
        }
        Ok(())
    }

    /// Those that change, and those that would be in the way of an ALTER TABLE.
    async fn drop_views_and_triggers(&mut self) -> Attempt<()> {
        let now = self.now().await?;
        let touched = self.touched(&now);
        let is_stale = |object: &Object| {
            self.effort > Effort::Least
                || touched.iter().any(|name| object.mentions(name))
                || !self.stays(object)
        };
        let views: Vec<&Object> = now
            .of_kind(Kind::View)
            .filter(|view| is_stale(view))
            .collect();
        let goes_along = |trigger: &Object| {
            views.iter().any(|view| view.is_named(&trigger.table))
                || now
                    .table(&trigger.table)
                    .is_some_and(|table| self.is_gone(table))
        };
        let triggers = now
            .of_kind(Kind::Trigger)
            .filter(|trigger| is_stale(trigger) && !goes_along(trigger));
        let statements = triggers.chain(views.iter().copied()).map(drop).collect();
        self.emit(Vec::new(), statements).await
    }

    /// The names of tables that are renamed or lose or rename columns, and of the views on them.
    fn touched(&self, now: &Blueprint) -> BTreeSet<String> {
        let loses_columns = |table: &Object| {
            let texts = (
                TableText::parse(&table.sql),
                self.to.table(&table.name).map(|t| TableText::parse(&t.sql)),
            );
            match texts {
                (Ok(before), Some(Ok(after))) => before
                    .columns
                    .iter()
                    .any(|column| after.column(&column.name).is_none()),
                _ => false,
            }
        };
        let mut names: BTreeSet<String> = now
            .of_kind(Kind::Table)
            .filter(|table| {
                self.way.tables.contains_key(&lower(&table.name)) || loses_columns(table)
            })
            .map(|table| lower(&table.name))
            .collect();
        loop {
            let more: Vec<String> = now
                .of_kind(Kind::View)
                .filter(|view| names.iter().any(|name| view.mentions(name)))
                .map(|view| lower(&view.name))
                .filter(|name| !names.contains(name))
                .collect();
            if more.is_empty() {
                return names;
            }
            names.extend(more);
        }
    }

    fn stays(&self, object: &Object) -> bool {
        self.to
            .get(object.kind, &object.name)
            .is_some_and(|wanted| wanted.same_as(object, self.way.order))
    }

    fn is_gone(&self, table: &Object) -> bool {
        self.to.table(&table.name).is_none() && !self.way.tables.contains_key(&lower(&table.name))
    }

    /// The youngest first: they refer to the older ones.
    async fn drop_tables(&mut self) -> Attempt<()> {
        let before = self.now().await?;
        for table in before.objects().iter().rev() {
            if matches!(table.kind, Kind::Table | Kind::Virtual) && self.is_gone(table) {
                let now = self.now().await?;
                self.note_drop(&now, &table.name);
                self.emit(Vec::new(), vec![drop(table)]).await?;
            }
        }
        Ok(())
    }

    fn note_drop(&mut self, now: &Blueprint, table: &str) {
        self.drops_tables = true;
        let refers = format!("references {} ", canonical_name(table));
        let acts = |text: &str| {
            text.contains(&refers)
                && ["cascade", "set null", "set default"]
                    .iter()
                    .any(|action| text.contains(&format!("on delete {action}")))
        };
        let is_acted_on = now
            .of_kind(Kind::Table)
            .filter_map(|table| TableText::parse(&table.sql).ok())
            .any(|text| {
                text.all_constraints()
                    .any(|c| acts(&format!("{} ", c.text)))
            });
        if is_acted_on {
            self.acted_on.insert(table.to_owned());
        }
    }

    async fn rename(&mut self) -> Attempt<()> {
        let way = self.way;
        for (old, new) in &way.tables {
            let sql = format!(
                "ALTER TABLE {} RENAME TO {}",
                identifier(old),
                identifier(new)
            );
            self.emit(Vec::new(), vec![sql]).await?;
        }
        for ((table, old), new) in &way.columns {
            let table = way.tables.get(table).unwrap_or(table);
            let sql = format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                identifier(table),
                identifier(old),
                identifier(new)
            );
            self.emit(Vec::new(), vec![sql]).await?;
        }
        Ok(())
    }

    async fn create_tables(&mut self) -> Attempt<()> {
        let now = self.now().await?;
        for table in self.to.objects() {
            let is_table = matches!(table.kind, Kind::Table | Kind::Virtual);
            if is_table && now.table(&table.name).is_none() {
                self.emit(Vec::new(), vec![table.sql.clone()]).await?;
            }
        }
        Ok(())
    }

    async fn change_tables(&mut self) -> Attempt<()> {
        let tables: Vec<&Object> = self
            .to
            .objects()
            .iter()
            .filter(|object| matches!(object.kind, Kind::Table | Kind::Virtual))
            .collect();
        for wanted in tables {
            let now = self.now().await?;
            let Some(found) = now.table(&wanted.name) else {
                continue;
            };
            let stale: Vec<String> = now
                .of_kind(Kind::Index)
                .filter(|index| index.table.eq_ignore_ascii_case(&wanted.name))
                .filter(|index| !self.stays(index))
                .map(drop)
                .collect();
            if found.same_as(wanted, self.way.order) {
                self.emit(Vec::new(), stale).await?;
            } else {
                self.change_table(&now, found, wanted, stale).await?;
            }
        }
        Ok(())
    }

    async fn change_table(
        &mut self,
        now: &Blueprint,
        found: &Object,
        wanted: &Object,
        stale: Vec<String>,
    ) -> Attempt<()> {
        if found.kind != Kind::Table || wanted.kind != Kind::Table {
            return Err(Obstacle::Here(format!(
                "the virtual table {} differs, and what is in it is its module's own business",
                wanted.name
            )));
        }
        let understood = |object: &Object| {
            TableText::parse(&object.sql)
                .map_err(|error| Obstacle::Here(format!("table {}: {error}", object.name)))
        };
        let (before, after) = (understood(found)?, understood(wanted)?);
        let change = TableChange {
            before: &before,
            after: &after,
            after_sql: &wanted.sql,
            fills: self.fills_of(&wanted.name),
            placeholders: self.way.placeholders,
            kept: free_name(&format!("{}_kept", wanted.name), now, self.to),
        };
        if self.effort < Effort::RebuildAll
            && let Some(alterations) = change.alterations()
        {
            let statements: Vec<String> = stale.into_iter().chain(alterations).collect();
            if self.leads_to(&statements, wanted).await? {
                return self.emit(Vec::new(), statements).await;
            }
        }
        let statements = change
            .rebuild()
            .map_err(|missing| Obstacle::Ours(no_value(&wanted.name, &missing.column)))?;
        self.note_drop(now, &wanted.name);
        self.emit(rebuild_comments(&change), statements).await
    }

    fn fills_of(&self, table: &str) -> BTreeMap<String, String> {
        let table = lower(table);
        let fills = self.way.fills.iter().filter(|((of, _), _)| *of == table);
        fills
            .map(|((_, column), value)| (column.clone(), value.clone()))
            .collect()
    }

    /// Tries statements and takes them back.
    async fn leads_to(&mut self, statements: &[String], wanted: &Object) -> Attempt<bool> {
        self.run("SAVEPOINT trial").await?;
        let mut works = true;
        for statement in statements {
            works = works && self.run(statement).await.is_ok();
        }
        let now = self.now().await?;
        let reached = now
            .table(&wanted.name)
            .is_some_and(|table| table.same_as(wanted, self.way.order));
        self.run("ROLLBACK TO trial").await?;
        self.run("RELEASE trial").await?;
        Ok(works && reached)
    }

    /// Makes what is missing of a kind, in the target's order.
    async fn create(&mut self, kind: Kind) -> Attempt<()> {
        let now = self.now().await?;
        let mut statements = Vec::new();
        for wanted in self.to.of_kind(kind) {
            match now.get(kind, &wanted.name) {
                Some(found) if found.same_as(wanted, self.way.order) => {}
                Some(found) => statements.extend([drop(found), wanted.sql.clone()]),
                None => statements.push(wanted.sql.clone()),
            }
        }
        self.emit(Vec::new(), statements).await
    }
}

fn drop(object: &Object) -> String {
    format!("DROP {} {}", object.kind.word(), identifier(&object.name))
}

fn free_name(wish: &str, now: &Blueprint, to: &Blueprint) -> String {
    let is_taken = |name: &str| {
        let objects = now.objects().iter().chain(to.objects());
        let mut names = objects.map(|object| object.name.as_str());
        names.any(|other| {
            other.eq_ignore_ascii_case(name)
                || other.eq_ignore_ascii_case(&format!("{name}_sequence"))
        })
    };
    let mut name = wish.to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    name
}

fn rebuild_comments(change: &TableChange<'_>) -> Vec<String> {
    let table = &change.after.name;
    let rowids = if change.before.without_rowid || change.after.without_rowid {
        ""
    } else {
        " and its rowid"
    };
    let mut comments = vec![format!(
        "{table} is made anew, with every row{rowids}, since ALTER TABLE cannot do this: {}.",
        change.reasons().join("; ")
    )];
    comments.extend(change.placeholder_columns().into_iter().map(|column| {
        format!("The values of {table}.{column} are not to be had any more: the rows get a zero. A backup has them.")
    }));
    comments
}

fn no_value(table: &str, column: &str) -> Error {
    Error::Usage {
        message: format!(
            "{}: it is NOT NULL and has no default, so the rows that are there need a value",
            Problem::new(format!("{table}.{column}"), "the column is new")
        ),
        hint: format!(
            "Give it a DEFAULT in the target, or say the value for the rows that are there: --fill \"{table}.{column}=<SQL expression>\"."
        ),
    }
}
