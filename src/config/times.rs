//! When a migration may run, and for how long.

use std::time::Duration;

use super::source::{Source, Value};
use super::{Given, usage};
use crate::clock::{Stamp, Window, Zone, parse_duration};
use crate::error::Result;
use crate::job::Times;

/// As the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct GivenTimes {
    /// `--window`
    pub window: Option<String>,
    /// `--timezone`
    pub timezone: Option<String>,
    /// `--wait`
    pub wait: bool,
    /// `--start-anyway`
    pub start_anyway: bool,
    /// `--deadline`
    pub deadline: Option<String>,
}

pub(super) fn times(given: &GivenTimes, source: &Source<'_>) -> Result<Times> {
    let file = source.file;
    let zone = timezone(given, source)?;
    let window = source.text(given.window.as_deref(), "window", file.window.as_deref());
    let wait = given.wait.then_some("true");
    let deadline = given.deadline.as_deref();
    if given.wait && window.is_none() {
        return Err(usage(
            "--wait is for a window, and none is set",
            "Give the window as well, such as --window \"Sun 02:00-04:00\"; without one the migration would begin at once.",
        ));
    }
    Ok(Times {
        window: window.map(|value| read(&value, zone)).transpose()?,
        wait: switch(source.text(wait, "wait", file.wait.as_deref()))?,
        deadline: source
            .text(deadline, "deadline", file.deadline.as_deref())
            .map(|value| limit(&value))
            .transpose()?,
        start_anyway: given.start_anyway,
    })
}

/// The moment before which a backup is to be made, read by the clock of the zone where it has no offset.
pub(super) fn before(given: &Given, source: &Source<'_>) -> Result<Option<Stamp>> {
    let Some(text) = &given.before else {
        return Ok(None);
    };
    let zone = timezone(&given.times, source)?;
    let wrong = |message: String| usage(format!("--before: {message}"), "Give --before a moment.");
    Stamp::as_written(text, zone).map(Some).map_err(wrong)
}

/// The zone in which all times are meant that are written as a clock shows them.
pub(super) fn timezone(given: &GivenTimes, source: &Source<'_>) -> Result<Zone> {
    zone(source.text(
        given.timezone.as_deref(),
        "timezone",
        source.file.timezone.as_deref(),
    ))
}

fn zone(value: Option<Value>) -> Result<Zone> {
    let Some(value) = value else {
        return Ok(Zone::default());
    };
    let hint = "Set the time zone to one of the IANA names, which are compiled in.";
    Zone::parse(&value.text).map_err(|message| value.wrong(message, hint))
}

fn read(value: &Value, zone: Zone) -> Result<Window> {
    let hint = "Days are Mon to Sun, Mon-Fri or daily; times are HH:MM-HH:MM by the clock of --timezone; several windows are separated by commas.";
    Window::parse(&value.text, zone).map_err(|message| value.wrong(message, hint))
}

pub(super) fn switch(value: Option<Value>) -> Result<bool> {
    let Some(value) = value else {
        return Ok(false);
    };
    match value.text.as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(value.wrong(
            format!("'{other}' is neither true nor false"),
            "Set it to true or false.",
        )),
    }
}

fn limit(value: &Value) -> Result<Duration> {
    let hint = "Set the deadline, for example --deadline 10m.";
    match parse_duration(&value.text) {
        Ok(limit) if limit.is_zero() => Err(value.wrong("nothing can be done in no time", hint)),
        limit => limit.map_err(|message| value.wrong(message, hint)),
    }
}
