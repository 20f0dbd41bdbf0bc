//! Writing into a folder, such as a share that is mounted: as durable as the local backups, and as private.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::catalog::Label;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::storage;

use super::archive::{PART_BYTES, Source};
use super::failure::Act;
use super::patience::Patience;

/// Behind the name of a file, until it is finished.
const DRAFT: &str = ".upload";

/// Copies an archive there; that it is what its label says is known before it has its name.
pub(super) async fn copy(
    source: &mut Source,
    label: &Label,
    to: &Path,
    act: &Act,
    patience: &Patience<'_>,
    monitor: &dyn Monitor,
) -> Result<()> {
    let draft = prepare(to)?;
    let copied = async {
        let mut file = storage::create_new(&draft)?;
        while let Some(chunk) = source.next(PART_BYTES)? {
            file.write_all(&chunk).map_err(Error::io("write", &draft))?;
            monitor.progress(source.read_bytes(), label.archive_bytes);
            patience.pause(act, Duration::ZERO).await?;
        }
        source.require(label)?;
        storage::publish(&draft, to)
    };
    let copied = copied.await;
    if copied.is_err() {
        storage::remove(&draft)?;
    }
    copied
}

/// Writes a small file there, never over another.
pub(super) fn write(bytes: &[u8], to: &Path) -> Result<()> {
    let draft = prepare(to)?;
    let mut file = storage::create_new(&draft)?;
    file.write_all(bytes).map_err(Error::io("write", &draft))?;
    let published = storage::publish(&draft, to);
    if published.is_err() {
        storage::remove(&draft)?;
    }
    published
}

/// The folder is made; what a killed process has left of the same file is removed.
fn prepare(to: &Path) -> Result<PathBuf> {
    storage::make_private_folder(&storage::folder_of(to))?;
    let draft = storage::sibling(to, DRAFT);
    storage::remove(&draft)?;
    Ok(draft)
}

/// Removes what killed processes have left of files that are `own`, and of others that is old.
pub(super) fn clear(
    folder: &Path,
    own: &[String],
    is_old: impl Fn(Option<u64>) -> bool,
) -> Result<usize> {
    let mut cleared = 0;
    for path in storage::list(folder)? {
        let name = storage::name_of(&path);
        let Some(file) = name.strip_suffix(DRAFT) else {
            continue;
        };
        if own.iter().any(|own| own == file) || is_old(storage::modified(&path)) {
            storage::remove(&path)?;
            cleared += 1;
        }
    }
    Ok(cleared)
}
