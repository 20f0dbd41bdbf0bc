//! `check`: whether the database is at head, and its schema is that of head.

use serde_json::json;

use super::Outcome;
use super::current::pending_problems;
use super::open::open;
use crate::authoring::{self, Source};
use crate::autogenerate::{Change, ColumnOrder};
use crate::error::{Error, Problem, Result};
use crate::history::History;
use crate::job::Context;
use crate::migration::{Migration, Migrations, version_name};
use crate::report::{Answer, amount};
use crate::schema::{self, Schema, Weight};
use crate::sqlite::Connection;

/// What was found, each kind by itself.
#[derive(Default)]
struct Findings {
    pending: Vec<Problem>,
    differences: Vec<Problem>,
    /// What `schema.sql` has otherwise than the migrations.
    unwritten: Vec<Problem>,
    /// Things to know that are no failure.
    notes: Vec<Problem>,
}

impl Findings {
    fn word(&self) -> &'static str {
        if !self.differences.is_empty() {
            "drifted"
        } else if !self.pending.is_empty() {
            "pending"
        } else if !self.unwritten.is_empty() {
            "unwritten"
        } else {
            "clean"
        }
    }
}

pub(super) async fn check(context: Context<'_>) -> Outcome {
    match look(&context).await {
        Ok((answer, failure)) => (Some(answer), failure.map_or(Ok(()), Err)),
        Err(error) => (None, Err(context.interrupt.explain(error))),
    }
}

async fn look(context: &Context<'_>) -> Result<(Answer, Option<Error>)> {
    let migrations = Migrations::read(&context.settings.migrations)?;
    let mut connection = open(context).await?;
    let history = History::read(&mut connection, &migrations).await?;
    let findings = collect(context, &mut connection, &migrations, &history).await?;
    connection.close().await?;
    Ok(answer(context, &migrations, &history, findings))
}

/// Everything that keeps the database from being what the files say.
async fn collect(
    context: &Context<'_>,
    connection: &mut Connection,
    migrations: &Migrations,
    history: &History,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let pending: Vec<&Migration> = migrations
        .between(history.current, migrations.head())
        .collect();
    findings.pending = pending_problems(&pending);
    if !history.in_step && history.current.is_some() {
        let message = "do not say yet what the schema says; the next run writes them";
        findings.notes.push(Problem::new("history tables", message));
    }
    compare_schema(connection, migrations, history, &mut findings).await?;
    findings.unwritten = unwritten(context, migrations).await?;
    Ok(findings)
}

/// What `revision --autogenerate` would write a migration for.
async fn unwritten(context: &Context<'_>, migrations: &Migrations) -> Result<Vec<Problem>> {
    let Some(source) = Source::schema_file_if_there(migrations.folder())? else {
        return Ok(Vec::new());
    };
    let target = source.read(context.interrupt).await?;
    let head = authoring::head(migrations, context.interrupt).await?;
    let list = head.differences(&target, ColumnOrder::Free);
    Ok(list
        .into_iter()
        .map(|(_, name, change)| {
            let words = match change {
                Change::Missing => "schema.sql has it, and no migration makes it",
                Change::Different => "schema.sql has it otherwise than the migrations make it",
                Change::Extra => "the migrations make it, and schema.sql does not have it",
            };
            Problem::new(name, words)
        })
        .collect())
}

/// The schema against that of the revision at which the database stands: what is pending is no drift.
async fn compare_schema(
    connection: &mut Connection,
    migrations: &Migrations,
    history: &History,
    findings: &mut Findings,
) -> Result<()> {
    let found = schema::read(connection).await?;
    let revisions = schema::build_all(migrations, connection.interrupt()).await?;
    let expected = revisions
        .iter()
        .find(|revision| Some(revision.version) == history.current);
    match expected {
        Some(revision) => {
            let differences = schema::differences(&revision.schema, &found);
            for difference in differences {
                match difference.weight {
                    Weight::Wording => findings.notes.push(difference.problem),
                    _ => findings.differences.push(difference.problem),
                }
            }
            findings.notes.extend(extras(&revision.schema, &found));
        }
        None if history.current.is_some() => {
            let message =
                "its schema cannot be built from the files: one of them fails on an empty database";
            let subject = version_name(history.current);
            findings.differences.push(Problem::new(subject, message));
        }
        None => {}
    }
    Ok(())
}

/// What no migration made: an application's or an operator's own business.
fn extras(expected: &Schema, found: &Schema) -> Vec<Problem> {
    let mut list = Vec::new();
    for (name, table) in &found.tables {
        let Some(known) = expected.tables.get(name) else {
            list.push(Problem::new(name, "no migration made this table"));
            continue;
        };
        for (index, terms) in &table.indexes {
            if !known.indexes.values().any(|other| other == terms) {
                list.push(Problem::new(
                    format!("{name}: {index}"),
                    "no migration made this index",
                ));
            }
        }
    }
    list
}

fn answer(
    context: &Context<'_>,
    migrations: &Migrations,
    history: &History,
    findings: Findings,
) -> (Answer, Option<Error>) {
    let word = findings.word();
    let database = context.settings.database.display();
    let at = version_name(history.current);
    let mut text = String::new();
    if word == "clean" {
        text.push_str(&format!(
            "Clean: {database} is at {at}, and its schema is that of {at}.\n"
        ));
    }
    for note in &findings.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let facts = json!({
        "database": context.settings.database,
        "revision": at,
        "head": version_name(migrations.head()),
        "pending": findings.pending.iter().map(|p| &p.subject).collect::<Vec<_>>(),
        "differences": findings.differences,
        "unwritten": findings.unwritten,
        "notes": findings.notes,
    });
    let failure = (word != "clean").then(|| failure(&at, word, findings));
    (Answer::new(word, &facts, text), failure)
}

fn failure(at: &str, word: &str, findings: Findings) -> Error {
    let count =
        |list: &[Problem], noun| amount(i64::try_from(list.len()).unwrap_or(i64::MAX), noun);
    let drift = count(&findings.differences, "difference");
    let pending = count(&findings.pending, "migration");
    let (message, next) = match (word, findings.pending.is_empty()) {
        ("pending", _) => (
            format!("the database is at {at}: {pending} pending"),
            "`safestep plan` shows what is pending, `safestep run` does it.",
        ),
        ("unwritten", _) => (
            format!(
                "schema.sql is not what the migrations lead to: {}",
                count(&findings.unwritten, "difference")
            ),
            "If schema.sql is the newer of the two, `safestep revision --autogenerate -m <message>` writes the migration. If the migrations are, \
             `safestep heads --schema` prints what schema.sql should be.",
        ),
        (_, true) => (
            format!("the schema is not that of {at}: {drift}"),
            "Somebody changed the schema by hand. Take the change back, or write a migration that makes it.",
        ),
        (_, false) => (
            format!("the schema is not that of {at}: {drift}; and {pending} pending"),
            "Put the schema right first: a pending migration may fail on it. `safestep plan` shows whether it would.",
        ),
    };
    Error::NotAtHead {
        message,
        problems: [findings.differences, findings.pending, findings.unwritten].concat(),
        next: next.into(),
    }
}
