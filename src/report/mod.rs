//! What the user reads: the human text and the JSON document, from the same facts.

mod fleet;
mod human;
mod json;
mod plan;
mod time;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::fleet::Summary;
use crate::job;

pub use human::{amount, bytes, table};
pub use plan::{plan, roughly};
pub use time::{duration, rate, time_left, whole_seconds};

/// The answer of a command: a word, facts for machines, a text for people.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The `outcome` of the document.
    pub outcome: String,
    /// Further members of the document.
    pub facts: Map<String, Value>,
    /// For people.
    pub text: String,
    /// Of jobs: what they did, for whoever else is told.
    pub told: Option<Told>,
}

/// What was done to databases.
#[derive(Debug, Clone)]
pub enum Told {
    /// To one.
    Job(Box<job::Report>),
    /// To many.
    Fleet(Arc<Summary>),
    /// Backups of this database were read back; all of them, or one.
    Verified {
        /// Its path.
        database: String,
        /// Whether it was all of them.
        all: bool,
    },
}

impl Told {
    /// What the log lines about it say that they belong to; those about many belong to none.
    #[must_use]
    pub fn span(&self) -> Option<tracing::Span> {
        match self {
            Self::Job(report) => Some(report.span()),
            Self::Fleet(_) | Self::Verified { .. } => None,
        }
    }
}

impl Answer {
    /// An answer with facts that serialise to an object.
    #[must_use]
    pub fn new(outcome: &str, facts: &impl serde::Serialize, text: String) -> Self {
        let facts = match serde_json::to_value(facts) {
            Ok(Value::Object(facts)) => facts,
            _ => Map::new(),
        };
        Self {
            outcome: outcome.to_owned(),
            facts,
            text,
            told: None,
        }
    }

    /// The answer of a job; with all its times where it is to be `verbose`.
    #[must_use]
    pub fn of_job(report: &job::Report, failed: bool, verbose: bool) -> Self {
        let text = human::job(report, failed, verbose);
        Self {
            told: Some(Told::Job(Box::new(report.clone()))),
            ..Self::new(report.outcome, report, text)
        }
    }

    /// The answer of jobs on many databases; with a line for each of them where it is to be `verbose`.
    #[must_use]
    pub fn of_fleet(summary: Arc<Summary>, verbose: bool) -> Self {
        Self {
            outcome: summary.outcome().to_owned(),
            facts: fleet::facts(&summary),
            text: fleet::text(&summary, verbose),
            told: Some(Told::Fleet(summary)),
        }
    }
}

/// The JSON document for an answer, an error, or a failed job's answer with its error.
#[must_use]
pub fn document(
    command: &str,
    answer: Option<&Answer>,
    error: Option<&Error>,
    exit_code: u8,
    flags: &str,
) -> String {
    json::document(command, answer, error, exit_code, flags)
}

/// The error for people: what, in what state everything is, what to do next, with commands that have these flags behind them.
#[must_use]
pub fn error_text(error: &Error, answer: Option<&Answer>, flags: &str) -> String {
    human::error(error, answer, flags)
}
