//! What a plan would do to a database, found out without changing it.
//!
//! The files run on a twin in memory that has the schema and no rows (`twin`); what they mean for the rows is followed
//! as queries (`rows`), which the live database answers, opened read-only.

mod binding;
mod constraints;
mod effects;
mod estimate;
mod facts;
mod foreign_keys;
mod index;
mod live;
mod meaning;
mod rows;
mod twin;

use std::collections::{BTreeMap, BTreeSet};

use self::constraints::Demands;
use self::effects::Seen;
use self::rows::AllRows;
use self::twin::{Tried, Twin};
use crate::enums::EnumMap;
use crate::error::{Error, Problem, Result};
use crate::grammar::TableText;
use crate::migration::Declarations;
use crate::migrator::{Plan, Step};
use crate::schema::Schema;
use crate::sqlite::{Connection, FileFacts, Touch, quoted};
use crate::verify::{Footprint, Inventory, undeclared_losses};

pub use effects::{Effect, Loss, LossKind, TableEffects};
pub use estimate::Estimate;
pub use facts::{FileForecast, Finding, Forecast, Statement};

/// In a file of a thousand UPDATEs the rows of the others are not counted: each count may read a table.
const COUNTED_STATEMENTS: usize = 50;

/// Works out what a plan would do to the database that `live` has open read-only.
pub async fn forecast(live: &mut Connection, plan: &Plan<'_>, enums: &EnumMap) -> Result<Forecast> {
    let facts = FileFacts::read(live).await?;
    let before = Inventory::take(live).await?;
    let mut twin = Twin::of(live).await?;
    let without_rowid = live::without_rowid(live).await?;
    let mut looker = Looker {
        rows: AllRows::live(before.schema(), &without_rowid),
        before,
        forecast: Forecast::default(),
        footprints: Vec::new(),
        shadows: live::shadow_tables(live).await?,
        copied_bytes: 0,
        database_bytes: facts.size_bytes(),
    };
    let missing = twin.missing.iter().cloned().map(Finding::may);
    looker.forecast.findings.extend(missing);
    for step in &plan.steps {
        if looker.forecast.failure.is_none() {
            looker.file(&mut twin, live, step).await?;
        }
    }
    if looker.forecast.failure.is_none() {
        looker.losses(&mut twin, live, &plan.declared()).await?;
        looker.enum_values(&twin.schema, live, enums).await?;
    }
    let mut forecast = looker.forecast;
    forecast.estimate = Estimate::of(
        facts.size_bytes(),
        looker.copied_bytes,
        facts.is_wal() && !plan.is_non_transactional(),
    );
    twin.connection.close().await?;
    Ok(forecast)
}

/// Where a file fails; its name is said already.
fn failed_at(error: &Error) -> Problem {
    match error {
        Error::MigrationFailed(failed) if failed.statement == 0 => {
            Problem::new("at its end", failed.cause.clone())
        }
        Error::MigrationFailed(failed) => Problem::new(
            format!("statement {}, line {}", failed.statement, failed.line),
            format!("{}: {}", failed.cause, failed.excerpt),
        ),
        other => Problem::new("the file", other.to_string()),
    }
}

fn footprint(step: &Step<'_>, schema: &Schema) -> Footprint {
    let script = step.script();
    Footprint {
        file: script.path.clone(),
        no_transaction: script.no_transaction,
        declared: script.declared.clone(),
        schema: schema.clone(),
        deleted: BTreeMap::new(),
        taken_from: BTreeSet::new(),
    }
}

/// Takes down from which tables a statement takes rows, and how many.
fn leave(footprint: &mut Footprint, tried: &Tried, rows: Option<i64>) {
    for touch in &tried.touches {
        match touch {
            Touch::Delete(table) => {
                footprint.taken_from.insert(table.clone());
                *footprint.deleted.entry(table.clone()).or_default() += rows.unwrap_or(0);
            }
            Touch::DropTable(table) => {
                footprint.taken_from.insert(table.clone());
            }
            _ => {}
        }
    }
}

/// A forecast in the making.
struct Looker {
    before: Inventory,
    rows: AllRows,
    forecast: Forecast,
    /// What the files leave behind on the twin.
    footprints: Vec<Footprint>,
    shadows: Vec<String>,
    copied_bytes: u64,
    database_bytes: u64,
}

impl Looker {
    async fn file(
        &mut self,
        twin: &mut Twin,
        live: &mut Connection,
        step: &Step<'_>,
    ) -> Result<()> {
        let then = twin.schema.clone();
        let texts = effects::texts(&mut twin.connection, &then).await?;
        let rows_then = self.rows.clone();
        let (tried, failure) = twin.try_file(step).await?;
        let mut file = FileForecast::of(step);
        let mut footprint = footprint(step, &twin.schema);
        for statement in &tried {
            let rows = self.statement(statement, live, &mut file).await?;
            leave(&mut footprint, statement, rows);
        }
        self.footprints.push(footprint);
        let seen = Seen {
            tried: &tried,
            then: &then,
            now: &twin.schema,
            rows_then: &rows_then,
            rows_now: &self.rows,
            declared: &step.script().declared,
        };
        file.tables = seen.tables(live).await?;
        file.losses = seen.losses(live).await?;
        self.copied_bytes += seen.copied_bytes(&file.tables, &file.losses, self.database_bytes);
        let renames = seen.renames();
        if let Some(error) = failure {
            file.findings.push(Finding::fails(failed_at(&error)));
            self.forecast.failure = Some(error);
        } else {
            let found = self.demands(twin, live, &then, &texts, &renames).await?;
            file.findings.extend(found);
        }
        self.forecast.files.push(file);
        Ok(())
    }

    /// What the file demands of the rows that was not demanded before.
    async fn demands(
        &self,
        twin: &mut Twin,
        live: &mut Connection,
        then: &Schema,
        texts: &BTreeMap<String, TableText>,
        renames: &BTreeMap<String, String>,
    ) -> Result<Vec<Finding>> {
        let now = twin.schema.clone();
        let new_texts = effects::texts(&mut twin.connection, &now).await?;
        let mut findings = Vec::new();
        for (name, table) in &now.tables {
            let Some(rows) = self.rows.of(name) else {
                continue;
            };
            let renamed = renames.iter().find(|(_, new)| *new == name);
            let old_name = renamed.map_or(name, |(old, _)| old);
            let demands = Demands {
                name,
                then: then.tables.get(old_name),
                renames,
                now: table,
                texts: (texts.get(old_name), new_texts.get(name)),
                rows,
                all: &self.rows,
            };
            if demands.are_new() {
                findings.extend(demands.check(&mut twin.connection, live).await?);
            }
        }
        Ok(findings)
    }

    async fn statement(
        &mut self,
        tried: &Tried,
        live: &mut Connection,
        file: &mut FileForecast,
    ) -> Result<Option<i64>> {
        let counted = file.statements.len() < COUNTED_STATEMENTS;
        let rows = match self.rows.count_of(&tried.text).filter(|_| counted) {
            Some(sql) => live::count(live, &sql).await?,
            None => None,
        };
        if let Some(message) = &tried.stopped {
            let message = format!("fails on empty tables: {message}; with rows it may not");
            file.findings
                .push(Finding::may(Problem::new(tried.place(), message)));
        }
        file.statements.push(Statement {
            number: tried.number,
            line: tried.line,
            text: tried.excerpt(),
            rows,
        });
        self.rows
            .follow(&tried.text, &tried.touches, &tried.before, &tried.after);
        Ok(rows)
    }

    /// What the loss gate of the job would say.
    async fn losses(
        &mut self,
        twin: &mut Twin,
        live: &mut Connection,
        declared: &Declarations,
    ) -> Result<()> {
        let mut after = Inventory::take(&mut twin.connection).await?;
        for table in std::mem::take(&mut after.rows).into_keys() {
            let rows = self.rows.of(&table).filter(|rows| rows.known);
            let expected = match (rows, self.before.rows.get(&table)) {
                (Some(rows), Some(old)) if rows.in_place => Some(*old),
                (Some(rows), _) => live::count(live, &rows.query("count(*)", "")).await?,
                (None, _) => None,
            };
            match expected {
                Some(expected) => {
                    after.rows.insert(table, expected);
                }
                None => self.unknown_rows(&table, declared),
            }
        }
        let mut problems = undeclared_losses(&self.before, &after, &self.footprints);
        problems.retain(|problem| !twin.lacks(problem));
        let found = problems.into_iter().map(Finding::fails);
        self.forecast.findings.extend(found);
        Ok(())
    }

    /// Only what was deleted from or dropped can have fewer rows than before.
    fn unknown_rows(&mut self, table: &str, declared: &Declarations) {
        let mut prints = self.footprints.iter();
        let may_lose = self.before.rows.contains_key(table)
            && prints.any(|print| print.taken_from.contains(table))
            && !self.shadows.iter().any(|shadow| shadow == table);
        if may_lose && !declared.deletes.contains(table) {
            let message = "how many rows it will have cannot be told before the plan runs";
            let finding = Finding::may(Problem::new(table, message));
            self.forecast.findings.push(finding);
        }
    }

    /// What the enum normalisation would find in the columns that stay.
    async fn enum_values(
        &mut self,
        after: &Schema,
        live: &mut Connection,
        enums: &EnumMap,
    ) -> Result<()> {
        let mut common = self.before.schema().clone();
        common.tables.retain(|name, table| {
            table
                .columns
                .retain(|column| after.has_column(name, &column.name));
            after.tables.contains_key(name)
        });
        let survey = enums.survey(live, &common).await?;
        self.forecast.normalise = survey.changes;
        let kept = survey.kept.into_iter().map(Finding::may);
        self.forecast.findings.extend(kept);
        for problem in survey.unknown {
            let finding = if self.keeps_values(live, &problem.subject).await? {
                Finding::fails(problem)
            } else {
                // An UPDATE or a rebuild of the plan may put them right.
                Finding::may(problem)
            };
            self.forecast.findings.push(finding);
        }
        Ok(())
    }

    /// Whether every value of `table.column` is still there behind the plan.
    async fn keeps_values(&self, live: &mut Connection, path: &str) -> Result<bool> {
        let Some((table, column)) = path.split_once('.') else {
            return Ok(true);
        };
        let Some(rows) = self.rows.of(table).filter(|rows| rows.known) else {
            return Ok(false);
        };
        let value = format!("CAST({} AS BLOB)", quoted(column));
        let gone = format!(
            "SELECT count(*) FROM (SELECT {value} FROM main.{} EXCEPT {})",
            quoted(table),
            rows.query(&value, "")
        );
        Ok(live::count(live, &gone).await? == Some(0))
    }
}
