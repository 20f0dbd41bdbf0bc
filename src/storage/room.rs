//! How much room is left, and what we may read and write.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};

/// What is there of the way to `path`.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|part| part.exists()).unwrap_or(path)
}

/// Bytes that we may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let existing = existing(path);
    let stat = rustix::fs::statvfs(existing)
        .map_err(io::Error::from)
        .map_err(Error::io("ask for the free space at", existing))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether two paths lie on the same file system.
pub fn same_file_system(a: &Path, b: &Path) -> Result<bool> {
    let device = |path: &Path| {
        let existing = existing(path);
        fs::metadata(existing)
            .map(|meta| meta.dev())
            .map_err(Error::io("look at", existing))
    };
    Ok(device(a)? == device(b)?)
}

/// Refuses where no file could be made in `folder`, or in what is there of the way to it.
pub fn require_writable(folder: &Path) -> Result<()> {
    use rustix::fs::{Access, access};
    let existing = existing(folder);
    access(existing, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(io::Error::from)
        .map_err(Error::io("write in", existing))
}

/// Refuses a file that we have no right to read. That it is not there is for others to say.
pub fn require_readable(path: &Path) -> Result<()> {
    use rustix::fs::{Access, access};
    match access(path, Access::READ_OK) {
        Err(errno) if errno == rustix::io::Errno::ACCESS => {
            Err(Error::io("read", path)(io::Error::from(errno)))
        }
        _ => Ok(()),
    }
}

/// Refuses with [`Error::DiskSpace`] where fewer than `needed_bytes` are free.
pub fn require_free(path: &Path, needed_bytes: u64) -> Result<()> {
    let free_bytes = free_bytes(path)?;
    if free_bytes < needed_bytes {
        return Err(Error::DiskSpace {
            path: path.to_path_buf(),
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}

/// What the files of a folder take, with the folders in it. What vanishes meanwhile does not count.
pub fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in super::list(&folder)? {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}
