//! What is found out about a plan, as facts.

use serde::Serialize;

use super::effects::{Loss, TableEffects};
use super::estimate::Estimate;
use crate::enums::Normalised;
use crate::error::{Error, Problem};
use crate::migrator::{Direction, Step};

/// What a plan would do.
#[derive(Debug, Default, Serialize)]
pub struct Forecast {
    /// File by file, up to the first that does not compile.
    pub files: Vec<FileForecast>,
    /// Enum values that would be normalised.
    pub normalise: Vec<Normalised>,
    /// What is worth knowing of the plan as a whole.
    pub findings: Vec<Finding>,
    /// How long it would take.
    pub estimate: Estimate,
    /// The failure of the file that does not compile.
    #[serde(skip)]
    pub failure: Option<Error>,
}

/// What one file would do.
#[derive(Debug, Serialize)]
pub struct FileForecast {
    /// Its number.
    pub version: String,
    /// What its name says.
    pub description: String,
    /// Which way.
    pub direction: Direction,
    /// Its path.
    pub file: String,
    /// Whether it runs outside the job's transaction.
    pub no_transaction: bool,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// The tables that it touches.
    pub tables: Vec<TableEffects>,
    /// What it takes away for good.
    pub losses: Vec<Loss>,
    /// What is wrong with it, or may be.
    pub findings: Vec<Finding>,
}

/// One statement.
#[derive(Debug, Serialize)]
pub struct Statement {
    /// Which of the file, from 1.
    pub number: usize,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its first words.
    pub text: String,
    /// How many rows an UPDATE or DELETE meets, where that can be told.
    pub rows: Option<i64>,
}

/// Something that a plan found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Whether the job would surely fail of it.
    pub fatal: bool,
    /// In words.
    #[serde(flatten)]
    pub problem: Problem,
}

impl Finding {
    /// The job would fail.
    #[must_use]
    pub fn fails(problem: Problem) -> Self {
        Self {
            fatal: true,
            problem,
        }
    }

    /// The job may fail, or it is worth knowing.
    #[must_use]
    pub fn may(problem: Problem) -> Self {
        Self {
            fatal: false,
            problem,
        }
    }
}

impl Forecast {
    /// Everything that would make the job fail.
    #[must_use]
    pub fn fatal(&self) -> Vec<Problem> {
        let of_files = self.files.iter().flat_map(|file| {
            file.findings.iter().filter(|f| f.fatal).map(|finding| {
                let problem = &finding.problem;
                Problem::new(
                    format!("{}: {}", file.version, problem.subject),
                    &problem.message,
                )
            })
        });
        let of_all = self
            .findings
            .iter()
            .filter(|f| f.fatal)
            .map(|f| f.problem.clone());
        of_files.chain(of_all).collect()
    }
}

impl FileForecast {
    /// Before anything is known of it.
    pub(super) fn of(step: &Step<'_>) -> Self {
        let script = step.script();
        Self {
            version: step.migration.version.to_string(),
            description: step.migration.description.clone(),
            direction: step.direction,
            file: script.path.display().to_string(),
            no_transaction: script.no_transaction,
            statements: Vec::new(),
            tables: Vec::new(),
            losses: Vec::new(),
            findings: Vec::new(),
        }
    }
}
