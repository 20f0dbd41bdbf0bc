//! The metrics file, as `node_exporter`'s textfile collector reads it. It is also the memory of jobs that end: what one of
//! them counts is added to what stands there.

use std::path::Path;

use super::{Facts, Registry};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::storage::{self, PathKind};

const LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// Adds these jobs to the file, which is made where it is missing. What is in it of other databases stays.
///
/// # Errors
/// When it cannot be read or written, or when it is none of ours; then it is left as it is.
pub fn update(path: &Path, jobs: &[Facts]) -> Result<Registry> {
    let mut registry = read(path)?;
    for job in jobs {
        registry.record(job);
    }
    write(path, &registry)?;
    Ok(registry)
}

/// As [`update`], of a database whose backups were all read back and are good.
pub fn update_verified(path: &Path, database: &str) -> Result<()> {
    let mut registry = read(path)?;
    registry.verified(database, Stamp::now());
    write(path, &registry)
}

/// What the file says; nothing where it is missing.
///
/// # Errors
/// As [`update`].
pub fn read(path: &Path) -> Result<Registry> {
    if storage::kind(path)? == PathKind::Missing {
        return Ok(Registry::default());
    }
    let refuse = |message: String| Error::Usage {
        message: format!(
            "{} is no metrics file of safestep's: {message}",
            path.display()
        ),
        hint: "Name another file with --metrics-file, or move away what is there.".into(),
    };
    let bytes = storage::read_bounded(path, LIMIT_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".into()))?;
    Registry::parse(&text).map_err(refuse)
}

/// Puts the file in place at once, readable for everybody: the collector runs as another user.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, registry: &Registry) -> Result<()> {
    storage::replace_shared(path, registry.render().as_bytes())
}
