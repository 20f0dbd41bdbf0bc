//! The entries of a tar that may stand in an archive, and no others.

use std::io::{self, Read};
use std::path::Path;

use super::{refuse, unusable};
use crate::error::Result;

pub(super) const MANIFEST: &str = "manifest.json";
const MANIFEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// A path of a tar is no longer than this.
const NAME_LIMIT_BYTES: u64 = 4096;

/// The text of the manifest, which stands first.
pub(super) fn manifest_entry<R: Read>(
    entries: &mut tar::Entries<'_, R>,
    path: &Path,
) -> Result<Vec<u8>> {
    let entry = next_entry(entries, path, MANIFEST)?;
    if entry.size() > MANIFEST_LIMIT_BYTES {
        return Err(refuse(path, "its manifest is too large"));
    }
    let mut text = Vec::new();
    entry
        .take(MANIFEST_LIMIT_BYTES)
        .read_to_end(&mut text)
        .map_err(unusable(path))?;
    Ok(text)
}

/// The members as they stand there: what pax headers and the like would make of them is nothing that we write, and reading
/// them would not be bounded.
pub(super) fn entries_of<'a, R: Read>(
    tar: &'a mut tar::Archive<R>,
    path: &Path,
) -> Result<tar::Entries<'a, R>> {
    let entries = tar.entries().map_err(unusable(path))?;
    Ok(entries.raw(true))
}

/// The text of the manifest, and the database behind it, if that is what is wanted.
pub(super) fn database_entry<'a, R: Read>(
    entries: &mut tar::Entries<'a, R>,
    path: &Path,
    name: &str,
    bytes: u64,
) -> Result<(Vec<u8>, tar::Entry<'a, R>)> {
    let manifest = manifest_entry(entries, path)?;
    let entry = next_entry(entries, path, name)?;
    if entry.size() == bytes {
        return Ok((manifest, entry));
    }
    Err(refuse(
        path,
        format!(
            "the manifest promises {bytes} bytes, the archive holds {}",
            entry.size()
        ),
    ))
}

fn next_entry<'a, R: Read>(
    entries: &mut tar::Entries<'a, R>,
    path: &Path,
    name: &str,
) -> Result<tar::Entry<'a, R>> {
    let mut member = || {
        entries
            .next()
            .ok_or_else(|| refuse(path, format!("it has no '{name}'")))?
            .map_err(unusable(path))
    };
    let mut entry = member()?;
    let mut found = entry.path_bytes().into_owned();
    // A name that does not fit into the header stands before it.
    if entry.header().entry_type() == tar::EntryType::GNULongName
        && entry.size() <= NAME_LIMIT_BYTES
    {
        found = long_name(entry).map_err(unusable(path))?;
        entry = member()?;
    }
    if found != name.as_bytes() {
        let found = String::from_utf8_lossy(&found);
        return Err(refuse(
            path,
            format!("where '{name}' should be there is '{found}'"),
        ));
    }
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Err(refuse(
            path,
            format!("'{name}' is not a regular file in it"),
        ));
    }
    Ok(entry)
}

/// A name that does not fit into a header stands in an entry of its own before it, with a NUL at its end.
fn long_name(mut entry: impl Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.read_to_end(&mut name)?;
    name.truncate(
        name.iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len()),
    );
    Ok(name)
}
