//! Where copies of the backups go off site.

use std::sync::Arc;
use std::time::Duration;

use super::source::{Source, Value};
use super::times::switch;
use crate::clock::parse_duration;
use crate::error::Result;
use crate::offsite::{Access, Offsite, Place};

/// Long enough for some gigabytes, and short enough for a job that somebody waits for.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(15);

/// As the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct GivenOffsite {
    /// `--offsite`: a URL.
    pub url: Option<String>,
    /// `--offsite-required`
    pub required: bool,
    /// `--offsite-timeout`
    pub timeout: Option<String>,
}

/// How any store is reached, also one that is named only for one command.
pub(super) fn access(source: &Source<'_>) -> Access {
    let file = &source.file.offsite;
    let mut access = Access::of(source.env);
    access.endpoint.clone_from(&file.endpoint);
    access.region.clone_from(&file.region);
    access.path_style = file.path_style;
    access
}

pub(super) fn offsite(
    given: &GivenOffsite,
    source: &Source<'_>,
    access: &Access,
) -> Result<Option<Offsite>> {
    let file = &source.file.offsite;
    let required = given.required.then_some("true");
    let required = source.of_offsite(required, "required", file.required.as_deref());
    let timeout = source.of_offsite(given.timeout.as_deref(), "timeout", file.timeout.as_deref());
    let Some(url) = source.of_offsite(given.url.as_deref(), "url", file.url.as_deref()) else {
        return match required {
            Some(required) if switch(Some(required.clone()))? => Err(required.wrong(
                "copies off site are required, and no place is set for them",
                "Set it as well: --offsite s3://bucket/prefix, SAFESTEP_OFFSITE, or url below [offsite] in safestep.toml.",
            )),
            _ => Ok(None),
        };
    };
    Ok(Some(Offsite {
        place: place(&url, access)?,
        required: switch(required)?,
        timeout: timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| limit(&value))?,
        given_up: Arc::default(),
    }))
}

/// The value is not repeated: it may hold a password.
fn place(value: &Value, access: &Access) -> Result<Place> {
    Place::parse(&value.text, access).map_err(|message| {
        value.wrong(
            message,
            "Write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder.",
        )
    })
}

fn limit(value: &Value) -> Result<Duration> {
    let hint = "Set how long the uploads of a command may take, for example --offsite-timeout 15m.";
    match parse_duration(&value.text) {
        Ok(limit) if limit.is_zero() => {
            Err(value.wrong("nothing can be uploaded in no time", hint))
        }
        limit => limit.map_err(|message| value.wrong(message, hint)),
    }
}
