//! The JSON document. Its schema is `docs/json.md`; `schema_version` changes when a member changes its meaning.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Answer;
use crate::error::{Error, TimeLimit};

const SCHEMA_VERSION: u32 = 1;

pub(super) fn document(
    command: &str,
    answer: Option<&Answer>,
    error: Option<&Error>,
    exit_code: u8,
    flags: &str,
) -> String {
    let mut own = Map::new();
    own.insert("schema_version".into(), json!(SCHEMA_VERSION));
    own.insert(
        "tool".into(),
        json!(concat!("safestep ", env!("CARGO_PKG_VERSION"))),
    );
    own.insert("command".into(), json!(command));
    let word = answer.map_or("failed", |answer| answer.outcome.as_str());
    conclude(&mut own, word, error, json!(exit_code), flags);
    // Not copied: those of many databases are large.
    let facts = answer.into_iter().flat_map(|answer| &answer.facts);
    let members: BTreeMap<&String, &Value> = facts.chain(&own).collect();
    let mut text = serde_json::to_string_pretty(&members).unwrap_or_default();
    text.push('\n');
    text
}

/// The members of every ending: of the command, and of each of many jobs.
pub(super) fn conclude(
    members: &mut Map<String, Value>,
    outcome: &str,
    error: Option<&Error>,
    exit_code: Value,
    flags: &str,
) {
    members.insert("outcome".into(), json!(outcome));
    members.insert("exit_code".into(), exit_code);
    members.insert(
        "error".into(),
        error.map_or(Value::Null, |error| error_value(error, flags)),
    );
}

fn error_value(error: &Error, flags: &str) -> Value {
    let mut value = json!({
        "code": error.code(),
        "message": error.to_string(),
        "hint": error.hint_for(flags),
    });
    let holders = match error {
        Error::Locked { holders, .. } => Some(holders),
        Error::OutOfTime(facts) if !facts.holders.is_empty() => Some(&facts.holders),
        _ => None,
    };
    if let Some(object) = value.as_object_mut() {
        object.extend(time_value(error));
    }
    if let (Some(holders), Some(object)) = (holders, value.as_object_mut()) {
        object.insert("holders".into(), json!(holders));
    }
    let problems = match error {
        Error::Migrations { problems, .. }
        | Error::ChangedMigrations { problems }
        | Error::UnknownEnumValues { problems }
        | Error::VerificationFailed { problems }
        | Error::WouldFail { problems }
        | Error::BackupsUnusable { problems, .. }
        | Error::NotAtHead { problems, .. }
        | Error::Unplaceable {
            differences: problems,
            ..
        }
        | Error::SchemaDiffers {
            differences: problems,
            ..
        } => Some(problems),
        _ => None,
    };
    if let (Some(problems), Some(object)) = (problems, value.as_object_mut()) {
        object.insert("problems".into(), json!(problems));
    }
    if let (Error::UnknownRevision(newer), Some(object)) = (error, value.as_object_mut()) {
        object.insert("newer".into(), json!(newer));
    }
    if let (Error::MigrationFailed(failure), Some(object)) = (error, value.as_object_mut()) {
        object.insert("file".into(), json!(failure.file));
        object.insert("statement".into(), json!(failure.statement));
        object.insert("line".into(), json!(failure.line));
    }
    value
}

/// What an error about time is made of.
fn time_value(error: &Error) -> Map<String, Value> {
    let of_limit = |limit: &TimeLimit| match limit {
        TimeLimit::Deadline(text) => json!({ "deadline": text }),
        TimeLimit::Window {
            window,
            timezone,
            closes,
        } => json!({ "window": window, "timezone": timezone, "closes": closes }),
    };
    let (facts, more) = match error {
        Error::OutsideWindow(facts) => (json!(facts), json!({})),
        Error::OutOfTime(facts) => (of_limit(&facts.limit), json!({ "during": facts.during })),
        Error::WouldNotFinish(facts) => (
            of_limit(&facts.limit),
            json!({ "estimate_ms": facts.estimate_ms, "left_ms": facts.left_ms }),
        ),
        _ => return Map::new(),
    };
    let members = [facts, more].into_iter().filter_map(|value| match value {
        Value::Object(members) => Some(members),
        _ => None,
    });
    members.flatten().collect()
}
