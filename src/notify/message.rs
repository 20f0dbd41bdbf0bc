//! What a webhook is told of a job that has ended: nothing of a database's content, and no text that may quote it.

use serde::Serialize;

use crate::error::Error;
use crate::fleet::Summary;
use crate::job::Report;

const MS_PER_SECOND: f64 = 1e3;

/// The JSON document that is sent.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// One sentence. Chats show this member.
    pub text: String,
    /// Name and version of the program.
    pub tool: &'static str,
    /// As in the report and the logs; missing where no job began.
    pub job: Option<String>,
    /// The verb.
    pub command: &'static str,
    /// The database's path, where the configuration told it.
    pub database: Option<String>,
    /// How many databases, where there are many.
    pub databases: Option<usize>,
    /// How many of them failed.
    pub failed: Option<usize>,
    /// As in the JSON document.
    pub outcome: &'static str,
    /// The process's exit code.
    pub exit_code: u8,
    /// The revision before.
    pub from: Option<String>,
    /// The revision after; on failure, where it was going.
    pub to: Option<String>,
    /// How long the job took.
    pub duration_seconds: f64,
    /// Of a failure.
    pub error: Option<Failure>,
}

/// A failure, in words that are the same for every database.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// As in the JSON document.
    pub code: &'static str,
    /// What to do next.
    pub hint: String,
}

impl Message {
    /// Of a job that has ended.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a job takes less than 2^53 ms
    pub fn of_job(command: &'static str, report: &Report, error: Option<&Error>) -> Self {
        Self {
            text: sentence(command, &report.database, error),
            job: Some(report.job.to_string()),
            database: Some(report.database.clone()),
            outcome: report.outcome,
            from: report.from.clone(),
            to: report.to.clone(),
            duration_seconds: report.elapsed_ms as f64 / MS_PER_SECOND,
            ..Self::bare(command, error)
        }
    }

    /// Of jobs on many databases.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // they take less than 2^53 ms
    pub fn of_fleet(command: &'static str, summary: &Summary) -> Self {
        let error = summary.error();
        let failed = summary.count("failed");
        let databases = format!("{} databases, {failed} failed", summary.done.len());
        Self {
            text: sentence(command, &databases, error.as_ref()),
            outcome: summary.outcome(),
            databases: Some(summary.done.len()),
            failed: Some(failed),
            duration_seconds: summary.elapsed_ms as f64 / MS_PER_SECOND,
            ..Self::bare(command, error.as_ref())
        }
    }

    /// Of a command that did not get as far as to a job, or that looked after the backups.
    #[must_use]
    pub fn of_chore(command: &'static str, database: Option<&str>, error: Option<&Error>) -> Self {
        Self {
            text: sentence(command, database.unwrap_or("a database"), error),
            database: database.map(str::to_owned),
            ..Self::bare(command, error)
        }
    }

    fn bare(command: &'static str, error: Option<&Error>) -> Self {
        Self {
            text: String::new(),
            tool: concat!("safestep ", env!("CARGO_PKG_VERSION")),
            job: None,
            command,
            database: None,
            databases: None,
            failed: None,
            outcome: if error.is_some() { "failed" } else { "done" },
            exit_code: error.map_or(0, Error::exit_code),
            from: None,
            to: None,
            duration_seconds: 0.0,
            error: error.map(|error| Failure {
                code: error.code(),
                hint: error.hint(),
            }),
        }
    }
}

fn sentence(command: &str, database: &str, error: Option<&Error>) -> String {
    match error {
        None => format!("safestep {command}: {database}: done."),
        Some(error) => format!(
            "safestep {command}: {database}: FAILED with exit code {} ({}). {}",
            error.exit_code(),
            error.code(),
            error.hint()
        ),
    }
}
