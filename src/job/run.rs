//! What the ways through a migration job have in common.

use std::path::Path;

use super::Context;
use super::report::{Applied, Report};
use super::task::Task;
use crate::beside::Beside;
use crate::enums::{self, EnumMap, Survey, Surveys};
use crate::error::{Error, Problem, Result};
use crate::fault::{self, Point};
use crate::history::Timing;
use crate::migration::{Migrations, Version, version_name};
use crate::migrator::{self, Plan, Protection, Ran};
use crate::schema::{self, Schema, Weight};
use crate::sqlite::{self, Access, Connection, Depth};
use crate::verify::{Footprint, ForeignKeys, Inventory, Touched, undeclared_losses};

const NS_PER_MS: i64 = 1_000_000;

/// What jobs read from the folder of migrations: read once where many databases have the same.
#[derive(Debug, Clone)]
pub struct Files {
    migrations: Migrations,
    enums: EnumMap,
}

impl Files {
    /// Reads and checks the folder.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            migrations: Migrations::read(folder)?,
            enums: EnumMap::read(folder)?,
        })
    }
}

/// One job under way.
pub(super) struct Run<'a> {
    pub(super) context: Context<'a>,
    /// The folder's.
    pub(super) files: Migrations,
    /// Those that the job works with: the files', for a way down also those that only the database keeps.
    pub(super) migrations: Migrations,
    pub(super) enums: EnumMap,
    pub(super) task: Task<'a>,
    pub(super) report: &'a mut Report,
    /// The schema before and after: where a way down leads is looked at when writers are let in again.
    schemas: Option<(Schema, Schema)>,
}

/// What the checks after the migrations compare with.
pub(super) struct Before {
    pub(super) inventory: Inventory,
    foreign_keys: ForeignKeys,
    /// What is wrong in the enum columns, where that was looked at under the lock already.
    enums: Option<Surveys>,
}

impl Before {
    pub(super) async fn take(connection: &mut Connection) -> Result<Self> {
        Ok(Self {
            inventory: Inventory::take(connection).await?,
            foreign_keys: ForeignKeys::before(connection).await?,
            enums: None,
        })
    }

    /// Looks at the enum columns through another connection, while the database is copied.
    pub(super) fn survey_beside(&self, run: &Run<'_>) -> Beside<Surveys> {
        let (database, enums) = (run.context.database().to_path_buf(), run.enums.clone());
        let schema = self.inventory.schema().clone();
        Beside::start(async move |stop| {
            let mut reader = Connection::open(&database, Access::ReadOnly, &stop).await?;
            let surveys = enums.survey_tables(&mut reader, &schema, |_| true).await;
            reader.close().await?;
            surveys
        })
    }

    pub(super) fn add_enums(&mut self, surveys: Surveys) {
        self.enums = Some(surveys);
    }
}

impl<'a> Run<'a> {
    /// Reads and checks everything that can be checked without the database, unless that was done already.
    pub(super) fn prepare(
        context: Context<'a>,
        task: Task<'a>,
        files: Option<&Files>,
        report: &'a mut Report,
    ) -> Result<Self> {
        report.begin(context.monitor, "files");
        let Files { migrations, enums } = match files {
            Some(files) => files.clone(),
            None => Files::read(&context.settings.migrations)?,
        };
        Ok(Self {
            files: migrations.clone(),
            migrations,
            enums,
            context,
            task,
            report,
            schemas: None,
        })
    }

    pub(super) fn phase(&mut self, name: &'static str) {
        self.report.begin(self.context.monitor, name);
    }

    pub(super) fn announce(&mut self, from: String, to: Option<Version>) {
        self.report.from = Some(from);
        self.report.to = Some(version_name(to));
    }

    /// Looks at the enum columns of the database as it stands.
    pub(super) async fn survey(&self, connection: &mut Connection) -> Result<Survey> {
        let schema = schema::read(connection).await?;
        self.enums.survey(connection, &schema).await
    }

    /// Runs a transactional plan in the open transaction, then the rest that belongs to it.
    pub(super) async fn apply(
        &mut self,
        connection: &mut Connection,
        plan: &Plan<'_>,
        protection: Protection<'_>,
        before: &Before,
    ) -> Result<Vec<Timing>> {
        self.phase("migrate");
        let ran = migrator::apply_in_transaction(
            connection,
            plan,
            protection,
            self.context.interrupt,
            self.context.monitor,
        )
        .await?;
        self.normalise_and_verify(connection, ran, before).await
    }

    /// The enum normalisation and every check of the result.
    pub(super) async fn normalise_and_verify(
        &mut self,
        connection: &mut Connection,
        ran: Ran,
        before: &Before,
    ) -> Result<Vec<Timing>> {
        let Ran {
            timings,
            footprints,
            mut touched,
        } = ran;
        if self.context.settings.verify == Depth::Full {
            touched = Touched::everything();
        }
        self.phase("normalise");
        self.normalise(connection, &mut touched, before).await?;
        fault::reach(Point::EnumsDone);
        self.phase("verify");
        self.verify(connection, &footprints, &touched, before)
            .await?;
        fault::reach(Point::VerifyDone);
        Ok(timings)
    }

    /// Brings the enum columns to their exact values. What was seen before the migrations holds for the tables that they
    /// have not touched: each table is read once.
    async fn normalise(
        &mut self,
        connection: &mut Connection,
        touched: &mut Touched,
        before: &Before,
    ) -> Result<()> {
        let schema = schema::read(connection).await?;
        let old = before.inventory.schema();
        let is_stale = |table: &str| before.enums.is_none() || touched.holds(table, old, &schema);
        let mut surveys = before.enums.clone().unwrap_or_default();
        surveys.retain(|table, _| !is_stale(table));
        surveys.extend(
            self.enums
                .survey_tables(connection, &schema, is_stale)
                .await?,
        );
        let survey = Survey::sum(surveys);
        if !survey.unknown.is_empty() {
            return Err(Error::UnknownEnumValues {
                problems: survey.unknown,
            });
        }
        self.report.warnings.extend(survey.kept);
        let resisting = enums::normalise(connection, &survey.changes).await?;
        for change in &survey.changes {
            touched.add_table(&change.table);
        }
        self.require_normalised(connection, &schema, |table| {
            resisting.contains(table) || schema.has_trigger_on(table)
        })
        .await?;
        self.report.normalised = survey.changes;
        Ok(())
    }

    /// Looks once more at tables that may not be as they were told to be.
    async fn require_normalised(
        &self,
        connection: &mut Connection,
        schema: &Schema,
        suspects: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let surveys = self
            .enums
            .survey_tables(connection, schema, suspects)
            .await?;
        match Survey::sum(surveys).changes.first() {
            None => Ok(()),
            Some(change) => Err(Error::VerificationFailed {
                problems: vec![Problem::new(
                    format!("{}.{}", change.table, change.column),
                    format!("'{}' is still there after normalising it", change.from),
                )],
            }),
        }
    }

    async fn verify(
        &mut self,
        connection: &mut Connection,
        footprints: &[Footprint],
        touched: &Touched,
        before: &Before,
    ) -> Result<()> {
        self.context.interrupt.check()?;
        self.context.monitor.step("what is there now");
        let after = Inventory::take(connection).await?;
        let (old, new) = (before.inventory.schema().clone(), after.schema().clone());
        let mut problems = undeclared_losses(&before.inventory, &after, footprints);
        self.context.monitor.step("foreign keys");
        problems.extend(
            before
                .foreign_keys
                .new_violations(connection, footprints)
                .await?,
        );
        self.context
            .monitor
            .step(self.context.settings.verify.pragma());
        for finding in self.check(connection, touched, (&old, &new)).await? {
            problems.push(Problem::new(self.context.settings.verify.pragma(), finding));
        }
        self.schemas = Some((old, new));
        if !problems.is_empty() {
            return Err(Error::VerificationFailed { problems });
        }
        let old = before.foreign_keys.old_violations;
        if old > 0 {
            self.report.warnings.push(Problem::new(
                "foreign keys",
                format!("{old} row(s) refer to rows that are not there; they did so before, and were left alone"),
            ));
        }
        Ok(())
    }

    /// Checks the database where it may have changed. The rest was checked when the snapshot was taken, under the same lock.
    async fn check(
        &self,
        connection: &mut Connection,
        touched: &Touched,
        (old, new): (&Schema, &Schema),
    ) -> Result<Vec<String>> {
        let depth = self.context.settings.verify;
        if new
            .tables
            .keys()
            .all(|table| touched.holds(table, old, new))
        {
            return sqlite::check(connection, depth).await;
        }
        let mut findings = Vec::new();
        for table in new.tables.keys() {
            if touched.holds(table, old, new) {
                findings.extend(sqlite::check_table(connection, depth, table).await?);
            }
        }
        Ok(findings)
    }

    /// A way down that does not lead to the schema of its revision loses nothing, but the next way up may fail on it.
    pub(super) async fn note_stray_way_down(&mut self) -> Result<()> {
        let Some((before, after)) = self.schemas.take() else {
            return Ok(());
        };
        let number = |name: &Option<String>| name.as_ref()?.parse().ok().map(Version);
        let (from, to) = (number(&self.report.from), number(&self.report.to));
        if to.is_none() || to >= from {
            return Ok(());
        }
        let revisions = schema::build_all(&self.migrations, self.context.interrupt).await?;
        let gaps = |version: Option<Version>, found: &Schema| {
            let revision = revisions
                .iter()
                .find(|revision| Some(revision.version) == version)?;
            let mut list = schema::differences(&revision.schema, found);
            list.retain(|difference| difference.weight == Weight::Structure);
            Some(list)
        };
        if gaps(from, &before).is_none_or(|gaps| !gaps.is_empty()) {
            return Ok(());
        }
        let strays = gaps(to, &after).unwrap_or_default();
        self.report.warnings.extend(strays.into_iter().map(|stray| {
            let message = format!(
                "{}: the way down did not lead back to the schema of {}; correct its down file before going up again",
                stray.problem.message,
                version_name(to)
            );
            Problem::new(stray.problem.subject, message)
        }));
        Ok(())
    }

    pub(super) fn record_applied(&mut self, plan: &Plan<'_>, timings: &[Timing]) {
        for (step, timing) in plan.steps.iter().zip(timings) {
            self.report.applied.push(Applied {
                version: step.migration.version.to_string(),
                description: step.migration.description.clone(),
                direction: step.direction,
                ms: u64::try_from(timing.elapsed_ns / NS_PER_MS).unwrap_or(0),
            });
        }
    }
}
