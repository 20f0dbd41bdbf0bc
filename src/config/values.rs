//! What the values of settings mean.

use std::time::Duration;

use super::Value;
use crate::archive::Compression;
use crate::clock::parse_duration;
use crate::error::Result;
use crate::notify::Endpoint;
use crate::sqlite::Depth;

const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn lock_timeout(value: Option<Value>) -> Result<Duration> {
    let Some(value) = value else {
        return Ok(DEFAULT_LOCK_TIMEOUT);
    };
    parse_duration(&value.text).map_err(|message| {
        value.wrong(
            message,
            "Set the lock timeout, for example --lock-timeout 30s.",
        )
    })
}

pub(super) fn verify(value: Option<Value>) -> Result<Depth> {
    let Some(value) = value else {
        return Ok(Depth::Quick);
    };
    match value.text.as_str() {
        "quick" => Ok(Depth::Quick),
        "full" => Ok(Depth::Full),
        other => Err(value.wrong(
            format!("'{other}' is no way to verify"),
            "Set --verify to quick or full.",
        )),
    }
}

pub(super) fn compression(value: Option<Value>) -> Result<Compression> {
    let Some(value) = value else {
        return Ok(Compression::default());
    };
    value.text.parse().map_err(|message: String| {
        value.wrong(
            message,
            "Set the compression to gzip, zstd or none; a level may follow, as in --compression zstd:9.",
        )
    })
}

/// The value is not repeated: it may hold a token.
pub(super) fn endpoint(value: Option<Value>) -> Result<Option<Endpoint>> {
    let Some(value) = value else {
        return Ok(None);
    };
    Endpoint::parse(&value.text).map(Some).map_err(|message| {
        value.wrong(
            message,
            "Give the whole address, for example http://pushgateway:9091 or https://hc-ping.com/<uuid>/fail.",
        )
    })
}
