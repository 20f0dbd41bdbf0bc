//! What a job is asked for, and what that means for the database as it stands.

use super::report::Report;
use super::run::Run;
use crate::error::{Error, Problem, Result};
use crate::history::{self, History, Origin};
use crate::migration::{Migrations, Target, Version, version_name};
use crate::migrator::{Direction, Plan};
use crate::sqlite::{Connection, Depth};

/// A database that cannot be placed.
const UNKNOWN: &str = "unknown";

/// Where a job is asked to bring the database.
#[derive(Debug, Clone)]
pub struct Goal {
    /// The revision.
    pub target: Target,
    /// Refuse the other way; `None` for either.
    pub direction: Option<Direction>,
}

impl Goal {
    /// Up to head.
    #[must_use]
    pub fn head() -> Self {
        Self {
            target: Target::Head,
            direction: Some(Direction::Up),
        }
    }

    /// The version that it means for a database at `current`.
    pub fn resolve(
        &self,
        migrations: &Migrations,
        current: Option<Version>,
    ) -> Result<Option<Version>> {
        let target = self.target.resolve(migrations, current)?;
        let wrong_way = match self.direction {
            Some(Direction::Up) if target < current => Some("downgrade"),
            Some(Direction::Down) if target > current => Some("upgrade"),
            _ => None,
        };
        match wrong_way {
            None => Ok(target),
            Some(command) => Err(Error::Usage {
                message: format!(
                    "the database is at {}, and {} lies the other way",
                    version_name(current),
                    version_name(target)
                ),
                hint: format!("Use `safestep {command} {}`.", version_name(target)),
            }),
        }
    }
}

/// Which revision to record without running a migration.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The revision.
    pub target: Target,
    /// Also where the schema is another.
    pub force: bool,
}

/// What a job is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task<'a> {
    /// Run the migrations between here and there.
    Migrate(&'a Goal),
    /// Record a revision.
    Stamp(&'a Stamp),
    /// Record the text of files that were changed after they were applied: these, as they were shown.
    Repair(&'a [Problem]),
}

impl Task<'_> {
    /// Whether nothing but the history tables may change.
    pub(super) fn is_history_only(self) -> bool {
        !matches!(self, Self::Migrate(_))
    }

    /// The word for what was done.
    pub(super) fn outcome(self, report: &Report) -> &'static str {
        match self {
            Self::Stamp(_) => "stamped",
            Self::Repair(_) => "repaired",
            Self::Migrate(_) if !report.applied.is_empty() => "migrated",
            Self::Migrate(_) if !report.normalised.is_empty() => "normalised",
            Self::Migrate(_) => "adopted",
        }
    }
}

/// What there is to do.
pub(super) struct Decision {
    from: Option<Version>,
    /// The name of `from`, or that it is not known.
    pub(super) from_name: String,
    pub(super) to: Option<Version>,
    /// Nothing is left to do.
    pub(super) done: bool,
    /// Things to know that are no failure.
    pub(super) notes: Vec<Problem>,
    /// Large tables whose enum columns were not looked at.
    not_surveyed: Vec<String>,
    history_only: bool,
}

impl Decision {
    fn new(from: Option<Version>, to: Option<Version>) -> Self {
        Self {
            from,
            from_name: version_name(from),
            to,
            done: false,
            notes: Vec::new(),
            not_surveyed: Vec::new(),
            history_only: false,
        }
    }

    pub(super) fn plan<'m>(&self, migrations: &'m Migrations) -> Plan<'m> {
        if self.history_only {
            return Plan {
                from: self.from,
                to: self.to,
                steps: Vec::new(),
            };
        }
        Plan::new(migrations, self.from, self.to)
    }
}

impl Run<'_> {
    /// Reports that there was nothing to do.
    pub(super) fn conclude(&mut self, decision: Decision) {
        self.announce(decision.from_name, decision.to);
        self.report.warnings.extend(decision.notes);
        self.report.not_surveyed = decision.not_surveyed;
        self.report.outcome = "nothing_to_do";
    }

    /// The revision that the history tables agree on.
    pub(super) async fn recorded(&self, connection: &mut Connection) -> Result<String> {
        // A stamp of "nothing" beside tables says something that no other job would believe.
        let nothing = version_name(None);
        if self.task.is_history_only() && self.report.to.as_ref() == Some(&nothing) {
            return Ok(version_name(history::last_recorded(connection).await?));
        }
        let history = History::read(connection, &self.migrations).await?;
        // Where nothing is applied any more, there is no row to be in step.
        Ok(if history.in_step || history.current.is_none() {
            version_name(history.current)
        } else {
            format!(
                "{} in only one of its tables",
                version_name(history.current)
            )
        })
    }

    /// Compares the database with what is asked for.
    pub(super) async fn decide(&mut self, connection: &mut Connection) -> Result<Decision> {
        match self.task {
            Task::Migrate(goal) => self.decide_migration(connection, goal).await,
            Task::Stamp(stamp) => self.decide_stamp(connection, stamp).await,
            Task::Repair(seen) => self.decide_repair(connection, seen).await,
        }
    }

    async fn decide_migration(
        &mut self,
        connection: &mut Connection,
        goal: &Goal,
    ) -> Result<Decision> {
        if goal.direction == Some(Direction::Down) {
            self.migrations = history::with_stored(connection, &self.files).await?;
        }
        let history = History::read(connection, &self.migrations).await?;
        let target = goal.resolve(&self.migrations, history.current)?;
        let mut decision = Decision::new(history.current, target);
        if target != history.current || !history.in_step {
            return Ok(decision);
        }
        if self.context.settings.verify == Depth::Quick {
            let glance = self.enums.glance(connection).await?;
            if !glance.suspect {
                decision.done = true;
                decision.not_surveyed = glance.large;
                return Ok(decision);
            }
        }
        self.context.monitor.step("enum values");
        let survey = self.survey(connection).await?;
        if !survey.unknown.is_empty() {
            return Err(Error::UnknownEnumValues {
                problems: survey.unknown,
            });
        }
        if survey.changes.is_empty() {
            decision.done = true;
            decision.notes = survey.kept;
        }
        Ok(decision)
    }

    async fn decide_stamp(
        &mut self,
        connection: &mut Connection,
        stamp: &Stamp,
    ) -> Result<Decision> {
        let history = match History::read(connection, &self.files).await {
            Ok(history) => Some(history),
            Err(Error::Unplaceable { .. } | Error::UnknownRevision(_)) => None,
            Err(error) => return Err(error),
        };
        if history.is_none() && matches!(stamp.target, Target::Relative { from: None, .. }) {
            return Err(Error::Usage {
                message: "where the database stands is not known, so there are no steps from there"
                    .into(),
                hint: "Name the revision; `safestep history` lists them.".into(),
            });
        }
        let current = history.as_ref().and_then(|history| history.current);
        let to = stamp.target.resolve(&self.files, current)?;
        let mut decision = Decision::new(current, to);
        decision.history_only = true;
        match history {
            None => decision.from_name = UNKNOWN.into(),
            Some(history) => {
                let recorded = matches!(history.origin, Origin::Recorded | Origin::Fresh);
                decision.done = to == current && recorded && history.in_step;
            }
        }
        if decision.done {
            return Ok(decision);
        }
        let differences = history::misfits(connection, &self.files, to).await?;
        if !differences.is_empty() && !stamp.force {
            let name = to.map_or_else(|| "base".into(), |version| version.to_string());
            return Err(Error::SchemaDiffers {
                message: format!("the schema is not that of {name}, so it was not recorded"),
                differences,
                force: Some(name),
            });
        }
        decision.notes = differences;
        Ok(decision)
    }

    async fn decide_repair(
        &mut self,
        connection: &mut Connection,
        seen: &[Problem],
    ) -> Result<Decision> {
        let (history, changed) = History::read_with_changes(connection, &self.files).await?;
        let mut decision = Decision::new(history.current, history.current);
        decision.history_only = true;
        decision.done = changed.is_empty();
        if decision.done {
            return Ok(decision);
        }
        if changed != seen {
            return Err(Error::Usage {
                message: "the files or the database are not as they were shown any more".into(),
                hint: "Run `safestep repair` again and look at the changes anew.".into(),
            });
        }
        match history::changed_schema(connection, &self.files, history.current).await? {
            Some(differences) if !differences.is_empty() => Err(Error::SchemaDiffers {
                message: format!(
                    "the changed files build another schema at {} than the database has, so they were not recorded",
                    decision.from_name
                ),
                differences,
                force: None,
            }),
            Some(_) => Ok(decision),
            None => {
                let message =
                    "the schema could not be compared: one of the files fails on an empty database";
                decision
                    .notes
                    .push(Problem::new(decision.from_name.clone(), message));
                Ok(decision)
            }
        }
    }
}
