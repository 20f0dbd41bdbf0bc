//! What to run, as a pure plan; then running it, which needs a [`Protection`].

use std::path::Path;

use crate::clock::{Deadline, Stopwatch};
use crate::error::{Error, Result, StatementFailure};
use crate::fault::{self, Point};
use crate::grammar;
use crate::history::Timing;
use crate::migration::{Declarations, Migration, Migrations, Script, Version};
use crate::monitor::Monitor;
use crate::schema;
use crate::snapshot::Snapshot;
use crate::sqlite::{self, Begin, Connection, Interrupt, Scope, ScriptDone, ScriptFailure};
use crate::verify::{Footprint, Touched};

const SAVEPOINT: &str = "safestep_migration";

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards head.
    Up,
    /// Towards base.
    Down,
}

/// One migration, one way.
#[derive(Debug, Clone, Copy)]
pub struct Step<'m> {
    /// The migration.
    pub migration: &'m Migration,
    /// Which of its files.
    pub direction: Direction,
}

impl<'m> Step<'m> {
    /// The file that is run.
    #[must_use]
    pub fn script(&self) -> &'m Script {
        match self.direction {
            Direction::Up => &self.migration.up,
            Direction::Down => &self.migration.down,
        }
    }
}

/// The migrations between two revisions, in the order in which they run.
#[derive(Debug, Clone)]
pub struct Plan<'m> {
    /// Where the database stands.
    pub from: Option<Version>,
    /// Where it will stand.
    pub to: Option<Version>,
    /// Everything in between.
    pub steps: Vec<Step<'m>>,
}

impl<'m> Plan<'m> {
    /// Works it out.
    #[must_use]
    pub fn new(migrations: &'m Migrations, from: Option<Version>, to: Option<Version>) -> Self {
        let step = |direction| {
            move |migration| Step {
                migration,
                direction,
            }
        };
        let steps = if to >= from {
            migrations
                .between(from, to)
                .map(step(Direction::Up))
                .collect()
        } else {
            migrations
                .between(to, from)
                .rev()
                .map(step(Direction::Down))
                .collect()
        };
        Self { from, to, steps }
    }

    /// Whether one of its files runs outside a transaction.
    #[must_use]
    pub fn is_non_transactional(&self) -> bool {
        self.steps.iter().any(|step| step.script().no_transaction)
    }

    /// What its files declare to take away.
    #[must_use]
    pub fn declared(&self) -> Declarations {
        let mut all = Declarations::default();
        for step in &self.steps {
            all.extend(&step.script().declared);
        }
        all
    }
}

/// What running a plan came to.
#[derive(Debug, Default)]
pub struct Ran {
    /// How long each file took.
    pub timings: Vec<Timing>,
    /// What each file left behind.
    pub footprints: Vec<Footprint>,
    /// The tables that they may have changed.
    pub touched: Touched,
}

impl Ran {
    async fn add(
        &mut self,
        connection: &mut Connection,
        step: &Step<'_>,
        done: ScriptDone,
        watch: Stopwatch,
    ) -> Result<()> {
        self.timings.push(timing(step, watch));
        self.touched.add(&done);
        let script = step.script();
        self.footprints.push(Footprint {
            file: script.path.clone(),
            no_transaction: script.no_transaction,
            declared: script.declared.clone(),
            schema: schema::read(connection).await?,
            deleted: done.deleted,
            taken_from: done.taken_from,
        });
        Ok(())
    }
}

/// Tells which statement of which file is running.
struct Telling<'t> {
    monitor: &'t dyn Monitor,
    file: String,
    name: String,
    statements: Option<usize>,
}

impl<'t> Telling<'t> {
    fn new(monitor: &'t dyn Monitor, plan: &Plan<'_>, index: usize) -> Self {
        let step = &plan.steps[index];
        let migration = step.migration;
        Self {
            monitor,
            file: format!("file {} of {}", index + 1, plan.steps.len()),
            name: format!("{} {}", migration.version, migration.description),
            // SQLite says in its own words where a script cannot be read.
            statements: grammar::count_statements(&step.script().sql).ok(),
        }
    }

    /// The numbers first, which have to be seen on a narrow terminal, too.
    fn statement(&self, number: usize) {
        let (file, name) = (&self.file, &self.name);
        let statement = match self.statements {
            Some(all) => format!("statement {} of {all}", number.min(all)),
            None => format!("statement {number}"),
        };
        self.monitor.step(&format!("{file}, {statement}, {name}"));
    }
}

/// Why it is safe to change the file: there is a snapshot of it, or nobody else knows of it yet.
#[derive(Debug, Clone, Copy)]
pub enum Protection<'s> {
    /// The state before is safe.
    Snapshot(&'s Snapshot),
    /// A new file under a temporary name, which is thrown away if anything fails.
    Draft(&'s Path),
}

/// Runs a transactional plan inside the transaction that the connection has open.
pub async fn apply_in_transaction(
    connection: &mut Connection,
    plan: &Plan<'_>,
    _protection: Protection<'_>,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Ran> {
    let mut ran = Ran::default();
    for (index, step) in plan.steps.iter().enumerate() {
        interrupt.check()?;
        let telling = Telling::new(monitor, plan, index);
        let watch = Stopwatch::start();
        let set = format!("SAVEPOINT {SAVEPOINT}");
        connection.run("set a savepoint", &set).await?;
        fault::reach(Point::MigrateSavepoint);
        let done = run(connection, step, Scope::Transactional, interrupt, &telling).await?;
        let release = format!("RELEASE {SAVEPOINT}");
        connection.run("release a savepoint", &release).await?;
        restore_settings(connection).await?;
        ran.add(connection, step, done, watch).await?;
        fault::reach(Point::MigrateDone);
    }
    Ok(ran)
}

/// Runs a plan with files that must run outside a transaction. The connection must own the file exclusively; each
/// file that can be in a transaction is in one of its own.
pub async fn apply_outside_transaction(
    connection: &mut Connection,
    plan: &Plan<'_>,
    _protection: Protection<'_>,
    deadline: Deadline,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Ran> {
    let mut ran = Ran {
        // VACUUM and the like rebuild the file.
        touched: Touched::everything(),
        ..Ran::default()
    };
    for (index, step) in plan.steps.iter().enumerate() {
        interrupt.check()?;
        let telling = Telling::new(monitor, plan, index);
        let watch = Stopwatch::start();
        let done = if step.script().no_transaction {
            let done = run(
                connection,
                step,
                Scope::NonTransactional,
                interrupt,
                &telling,
            )
            .await?;
            require_no_transaction(connection, step).await?;
            done
        } else {
            sqlite::begin(connection, Begin::Immediate, deadline, interrupt, || ()).await?;
            fault::reach(Point::StepBegun);
            let done = run(connection, step, Scope::Transactional, interrupt, &telling).await?;
            fault::reach(Point::StepCommitting);
            sqlite::commit(connection, deadline, interrupt, || ()).await?;
            done
        };
        fault::reach(Point::StepDone);
        restore_settings(connection).await?;
        ran.add(connection, step, done, watch).await?;
    }
    Ok(ran)
}

fn timing(step: &Step<'_>, watch: Stopwatch) -> Timing {
    Timing {
        version: step.migration.version,
        elapsed_ns: watch.elapsed_ns(),
    }
}

/// A script may set these; the next one must not inherit them.
pub(crate) async fn restore_settings(connection: &mut Connection) -> Result<()> {
    let sql = "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = OFF";
    connection
        .run("reset the connection", sql)
        .await
        .map(|_| ())
}

/// A file outside a transaction of ours must not leave one of its own open.
pub(crate) async fn require_no_transaction(
    connection: &mut Connection,
    step: &Step<'_>,
) -> Result<()> {
    if !connection.in_transaction().await? {
        return Ok(());
    }
    let cause = "it begins a transaction and does not end it";
    Err(failed_at_its_end(step, cause.into()))
}

/// A temporary table or view stands before one of the database that has the same name: whatever comes after the file
/// would read and write the wrong one.
pub(crate) async fn require_nothing_hidden(
    connection: &mut Connection,
    step: &Step<'_>,
) -> Result<()> {
    let sql = "SELECT min(t.name) FROM temp.sqlite_schema AS t JOIN main.sqlite_schema AS m ON lower(t.name) = lower(m.name) \
               WHERE t.type IN ('table', 'view') AND m.type IN ('table', 'view')";
    let hidden: Option<String> = connection.scalar("look for temporary tables", sql).await?;
    match hidden {
        None => Ok(()),
        Some(name) => Err(failed_at_its_end(
            step,
            format!(
                "it leaves a temporary '{name}' that hides the database's own; drop it at the end of the file"
            ),
        )),
    }
}

fn failed_at_its_end(step: &Step<'_>, cause: String) -> Error {
    let script = step.script();
    Error::MigrationFailed(Box::new(StatementFailure {
        file: script.path.clone(),
        stored: script.stored,
        statement: 0,
        line: script.sql.lines().count(),
        excerpt: String::new(),
        cause,
        raised: false,
    }))
}

async fn run(
    connection: &mut Connection,
    step: &Step<'_>,
    scope: Scope,
    interrupt: &Interrupt,
    telling: &Telling<'_>,
) -> Result<ScriptDone> {
    let script = step.script();
    let begins = |statement| telling.statement(statement);
    match sqlite::run_watched(connection, &script.sql, scope, begins).await? {
        Ok(done) => {
            require_nothing_hidden(connection, step).await?;
            Ok(done)
        }
        Err(failed) => Err(classify(script, failed, interrupt)),
    }
}

/// A full or failing disk or an interrupt is not the migration's fault.
fn classify(script: &Script, failed: ScriptFailure, interrupt: &Interrupt) -> Error {
    if failed.failure.is_interrupt()
        && let Err(interrupted) = interrupt.check()
    {
        let (path, statement, line) = (script.path.display(), failed.statement, failed.line);
        return interrupted
            .during(|| format!("while {path} ran, statement {statement}, line {line}"));
    }
    if failed.failure.is_of_the_machine() {
        return Error::sqlite(format!("run {}", script.path.display()))(failed.failure);
    }
    self::failed(script, failed)
}

/// The failure of a script, with its place.
pub(crate) fn failed(script: &Script, failed: ScriptFailure) -> Error {
    Error::MigrationFailed(Box::new(StatementFailure {
        file: script.path.clone(),
        stored: script.stored,
        statement: failed.statement,
        line: failed.line,
        excerpt: failed.excerpt,
        raised: failed.failure.code == libsqlite3_sys::SQLITE_CONSTRAINT_TRIGGER,
        cause: failed.failure.message,
    }))
}
