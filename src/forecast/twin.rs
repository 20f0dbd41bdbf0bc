//! The twin: the schema of the live database in memory, without its rows. What a plan does to it, it would do to the
//! live one; nothing is ever run there.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::Row;

use crate::error::{Error, Problem, Result};
use crate::migrator::{self, Step};
use crate::schema::{self, Schema};
use crate::sqlite::{Connection, Ran, Scope, Touch, Walk, excerpt, failure_of};

const DOING: &str = "build the schema in memory";
/// Virtual tables first, since they make their shadow tables themselves.
const TEXTS: &str = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                     ORDER BY type <> 'table', sql NOT LIKE 'CREATE VIRTUAL%', type <> 'index', type <> 'view', rowid";

/// A statement of a file as it ran on the twin.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) number: usize,
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) touches: BTreeSet<Touch>,
    pub(super) before: Arc<Schema>,
    pub(super) after: Arc<Schema>,
    /// It was compiled, but a constraint stopped it, for lack of rows perhaps.
    pub(super) stopped: Option<String>,
}

/// The twin of a live database.
pub(super) struct Twin {
    pub(super) connection: Connection,
    pub(super) schema: Arc<Schema>,
    /// What could not be built.
    pub(super) missing: Vec<Problem>,
}

impl Twin {
    /// Builds it.
    pub(super) async fn of(live: &mut Connection) -> Result<Self> {
        let mut connection = Connection::in_memory(live.interrupt()).await?;
        // Without a journal a statement that fails could not be undone.
        connection
            .run(DOING, "PRAGMA journal_mode = MEMORY")
            .await?;
        let mut missing = Vec::new();
        for row in live.rows(DOING, TEXTS).await? {
            let text = |index| {
                row.try_get::<String, _>(index)
                    .map_err(|error| Error::sqlite(DOING)(failure_of(&error)))
            };
            let (name, sql) = (text(0)?, text(1)?);
            if let Err(failure) = connection.execute(&sql).await
                && !failure.message.ends_with("already exists")
            {
                let message = format!("is left out of this plan: {failure}");
                missing.push(Problem::new(name, message));
            }
        }
        let statistics = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
        if live.scalar::<i64>(DOING, statistics).await? > 0 {
            connection.run(DOING, "ANALYZE").await?;
        }
        let schema = Arc::new(schema::read(&mut connection).await?);
        Ok(Self {
            connection,
            schema,
            missing,
        })
    }

    /// Whether a loss is of something that was left out from the beginning: `index ix_own vanished …`.
    pub(super) fn lacks(&self, loss: &Problem) -> bool {
        let lost = loss.message.split(' ').nth(1).unwrap_or_default();
        let is_of = |name: &str| {
            let rest = lost.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.missing.iter().any(|problem| is_of(&problem.subject))
    }

    /// Runs a file, as the job would; the failure is one that the job would end with.
    pub(super) async fn try_file(
        &mut self,
        step: &Step<'_>,
    ) -> Result<(Vec<Tried>, Option<Error>)> {
        let script = step.script();
        let scope = if script.no_transaction {
            Scope::NonTransactional
        } else {
            self.connection.run(DOING, "BEGIN").await?;
            Scope::Transactional
        };
        let mut walk = Walk::new(&script.sql);
        let mut tried = Vec::new();
        loop {
            let changes = |ran: &Ran<'_>| ran.touches.iter().any(changes_the_schema);
            let some = walk.until(&mut self.connection, scope, changes).await?;
            let before = self.schema.clone();
            if some.is_empty() {
                break;
            }
            if some.last().is_some_and(changes) {
                self.schema = Arc::new(schema::read(&mut self.connection).await?);
            }
            for ran in some {
                let line = walk.line_of(&ran);
                let after = if changes(&ran) { &self.schema } else { &before };
                let mut stopped = None;
                if let Some(failed) = ran.failure {
                    if !failed.failure.is_constraint() {
                        self.connection.interrupt().check()?;
                        return Ok((tried, Some(migrator::failed(script, failed))));
                    }
                    stopped = Some(failed.failure.message);
                }
                tried.push(Tried {
                    number: ran.number,
                    line,
                    text: ran.text.to_owned(),
                    touches: ran.touches,
                    before: before.clone(),
                    after: after.clone(),
                    stopped,
                });
            }
        }
        let failure = self.end_file(step).await?;
        Ok((tried, failure))
    }

    async fn end_file(&mut self, step: &Step<'_>) -> Result<Option<Error>> {
        if let Err(error) = migrator::require_nothing_hidden(&mut self.connection, step).await {
            return Ok(Some(error));
        }
        if step.script().no_transaction {
            if let Err(error) = migrator::require_no_transaction(&mut self.connection, step).await {
                return Ok(Some(error));
            }
        } else {
            self.connection.run(DOING, "COMMIT").await?;
        }
        migrator::restore_settings(&mut self.connection).await?;
        Ok(None)
    }
}

fn changes_the_schema(touch: &Touch) -> bool {
    match touch {
        Touch::CreateTable(_)
        | Touch::DropTable(_)
        | Touch::AlterTable(_)
        | Touch::CreateIndex(_)
        | Touch::DropIndex(_)
        | Touch::Define(_) => true,
        Touch::Insert(_) | Touch::Update(..) | Touch::Delete(_) | Touch::Vacuum => false,
    }
}

impl Tried {
    /// The old and the new name of the table that it renamed.
    pub(super) fn rename(&self) -> Option<(&String, &String)> {
        let gone = self.before.tables_not_in(&self.after);
        let new = self.after.tables_not_in(&self.before);
        match (gone.as_slice(), new.as_slice()) {
            ([gone], [new]) => Some((*gone, *new)),
            _ => None,
        }
    }

    /// Its first words.
    pub(super) fn excerpt(&self) -> String {
        excerpt(&self.text)
    }

    /// Where it is, for a message.
    pub(super) fn place(&self) -> String {
        format!("statement {}, line {}", self.number, self.line)
    }
}
