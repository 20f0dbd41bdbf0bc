//! Files that are written for other programs to read.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{create_new, remove, sibling};
use crate::error::{Error, Result};

const READABLE: u32 = 0o644;

/// Replaces a file that everybody may read, wholly or not at all. After a power cut it may be the old one again.
pub fn replace_shared(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = sibling(path, ".tmp");
    remove(&draft)?;
    let mut file = create_new(&draft)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(READABLE)))
        // Or the name could be there after a power cut, and nothing in it.
        .and_then(|()| file.sync_data())
        .map_err(Error::io("write", &draft))
        .and_then(|()| fs::rename(&draft, path).map_err(Error::io("replace", path)));
    if written.is_err() {
        remove(&draft)?;
    }
    written
}
