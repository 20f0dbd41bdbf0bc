//! Who else is told how a job ended, once whoever started it has the answer.

use std::path::Path;

use crate::config::Config;
use crate::error::Error;
use crate::job::Settings;
use crate::metrics::{self, Facts};
use crate::notify::{self, Message, Outlets};
use crate::report::Told;

/// Of jobs that have begun. What cannot be told is a warning.
pub async fn of_jobs(verb: &'static str, config: &Config, told: &Told, error: Option<&Error>) {
    if config.outlets.is_empty() {
        return;
    }
    // Nothing was tried, and nothing is amiss.
    if let Some(Error::OutsideWindow(_)) = error {
        return;
    }
    let _span = told.span().map(tracing::Span::entered);
    if let Told::Verified {
        database,
        all: true,
    } = told
        && let (Some(path), None) = (&config.outlets.metrics_file, error)
        && let Err(error) = metrics::update_verified(path, database)
    {
        tracing::warn!("the metrics file was not written: {error}");
    }
    let facts = facts(&config.settings, told, error);
    let message = match told {
        Told::Job(report) => Message::of_job(verb, report, error),
        Told::Fleet(summary) => Message::of_fleet(verb, summary),
        Told::Verified { database, .. } => Message::of_chore(verb, Some(database), error),
    };
    for line in notify::tell(&config.outlets, &facts, &message).await {
        tracing::warn!("{line}");
    }
}

/// Of a command that did not get as far as to a job. Gives what could not be told.
pub async fn of_refusal(
    verb: &'static str,
    outlets: &Outlets,
    database: Option<&Path>,
    error: &Error,
) -> Vec<String> {
    if outlets.is_empty() {
        return Vec::new();
    }
    let facts = database.map(|path| Facts::of_refusal(path, error));
    let database = facts.as_ref().map(Facts::database);
    let message = Message::of_chore(verb, database, Some(error));
    notify::tell(outlets, facts.as_slice(), &message).await
}

/// One of each database that was worked on.
fn facts(settings: &Settings, told: &Told, error: Option<&Error>) -> Vec<Facts> {
    match told {
        Told::Job(report) => vec![Facts::gather(settings, report, error)],
        Told::Fleet(summary) => summary
            .done
            .iter()
            .filter(|done| done.result.is_some())
            .map(|done| Facts::gather(&done.member.settings, &done.report, done.error()))
            .collect(),
        Told::Verified { .. } => Vec::new(),
    }
}
