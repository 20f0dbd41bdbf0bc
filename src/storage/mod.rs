//! Durable files. The only module that touches the file system.
//!
//! Files that hold copies of a database are created anew (never overwritten),
//! with mode 0600 in folders of mode 0700 whatever the umask, and are synced
//! together with their folder before anything depends on them.

mod holders;
mod lock;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub use holders::holders_of;
pub use lock::JobLock;

const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// Migrations are sources: others build and run them.
const SOURCE_FILE: u32 = 0o644;
const SOURCE_FOLDER: u32 = 0o755;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing, or a link that leads nowhere.
    Missing,
    /// A regular file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A pipe, socket or device.
    Special,
}

/// Who may use a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ownership {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What stands at `path`, links followed.
pub fn kind(path: &Path) -> Result<PathKind> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(PathKind::File(meta.len())),
        Ok(meta) if meta.is_dir() => Ok(PathKind::Folder),
        Ok(_) => Ok(PathKind::Special),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PathKind::Missing),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// The absolute path with links resolved. The last part need not exist.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    if let Ok(real) = fs::canonicalize(path) {
        return Ok(real);
    }
    let full = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    match (full.parent().map(fs::canonicalize), full.file_name()) {
        (Some(Ok(parent)), Some(name)) => Ok(parent.join(name)),
        _ => Ok(full),
    }
}

/// Mode and owner of a file.
pub fn ownership(path: &Path) -> Result<Ownership> {
    let meta = fs::metadata(path).map_err(Error::io("look at", path))?;
    Ok(Ownership {
        mode: meta.permissions().mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// Gives a file this mode and owner. Without the privilege to give a file away the owner stays ours.
pub fn set_ownership(path: &Path, wanted: Ownership) -> Result<()> {
    let now = ownership(path)?;
    if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
        match std::os::unix::fs::chown(path, Some(wanted.uid), Some(wanted.gid)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(Error::io("set the owner of", path)(error));
            }
            _ => {}
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(wanted.mode))
        .map_err(Error::io("set the mode of", path))
}

/// Makes a folder with mode 0700, and its parents where they are missing.
pub fn make_private_folder(path: &Path) -> Result<()> {
    make_folder(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_FOLDER))
        .map_err(Error::io("set the mode of", path))
}

/// Makes a folder and its parents where they are missing, durably; what exists keeps its mode.
pub fn make_folder(path: &Path) -> Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(path)
        .map_err(Error::io("create the folder", path))?;
    missing.into_iter().rev().try_for_each(sync_folder_of)
}

/// Creates a private file that must not exist yet.
pub fn create_new(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(Error::io("create", path))?;
    file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE))
        .map_err(Error::io("set the mode of", path))?;
    Ok(file)
}

/// Writes a source file that must not exist yet, readable for everybody.
pub fn create_source(path: &Path, text: &str) -> Result<()> {
    let mut file = create_new(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(SOURCE_FILE)))
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", path))?;
    sync_folder_of(path)
}

/// Writes a source file, wholly or not at all; it keeps its mode and owner.
pub fn replace_source(path: &Path, text: &str) -> Result<()> {
    if kind(path)? == PathKind::Missing {
        return create_source(path, text);
    }
    let before = ownership(path)?;
    replace_durably(path, text.as_bytes())?;
    set_ownership(path, before)
}

/// Makes a folder for source files.
pub fn make_source_folder(path: &Path) -> Result<()> {
    make_folder(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOURCE_FOLDER))
        .map_err(Error::io("set the mode of", path))
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io("open", path))
}

/// Reads a file that must not be larger than `limit_bytes`.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit_bytes {
        let too_large = io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than the {limit_bytes} bytes that such a file may have"),
        );
        return Err(Error::io("read", path)(too_large));
    }
    Ok(bytes)
}

/// Overwrites a few bytes in place.
pub fn patch(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)
        })
        .map_err(Error::io("write", path))
}

/// Writes a small file so that after a crash it is wholly the old one or wholly the new one.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = sibling(path, ".tmp");
    remove(&draft)?;
    let mut file = create_new(&draft)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", &draft))?;
    fs::rename(&draft, path).map_err(Error::io("replace", path))?;
    sync_folder_of(path)
}

/// Copies a file into a new private one, durably.
pub fn copy_durably(from: &Path, to: &Path) -> Result<()> {
    let mut source = open(from)?;
    let mut target = create_new(to)?;
    io::copy(&mut source, &mut target)
        .and_then(|_| target.sync_all())
        .map_err(Error::io("copy to", to))?;
    sync_folder_of(to)
}

/// Gives a finished file its final name, never replacing what is there, and makes that durable.
pub fn publish(draft: &Path, path: &Path) -> Result<()> {
    sync_file(draft)?;
    rename_to_new(draft, path).map_err(Error::io("publish", path))?;
    sync_folder_of(path)
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // File systems without RENAME_NOREPLACE: a hard link refuses to replace, too.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

/// Replaces `path` by the finished file `draft`, durably.
pub fn replace_with(draft: &Path, path: &Path) -> Result<()> {
    sync_file(draft)?;
    fs::rename(draft, path).map_err(Error::io("replace", path))?;
    sync_folder_of(path)
}

/// Waits until a file's content is on disk.
pub fn sync_file(path: &Path) -> Result<()> {
    open(path)?.sync_all().map_err(Error::io("sync", path))
}

/// Waits until the entries of the folder that holds `path` are on disk.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    open(&folder)?
        .sync_all()
        .map_err(Error::io("sync the folder", &folder))
}

/// Removes a file; that it is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The names in a folder, sorted; none when the folder is missing.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// Bytes that we may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(path);
    let stat = rustix::fs::statvfs(existing)
        .map_err(io::Error::from)
        .map_err(Error::io("ask for the free space at", existing))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether two paths lie on the same file system.
pub fn same_file_system(a: &Path, b: &Path) -> Result<bool> {
    let device = |path: &Path| {
        let existing = path.ancestors().find(|p| p.exists()).unwrap_or(path);
        fs::metadata(existing)
            .map(|meta| meta.dev())
            .map_err(Error::io("look at", existing))
    };
    Ok(device(a)? == device(b)?)
}

/// Refuses where no file could be made in `folder`, or in what is there of the way to it.
pub fn require_writable(folder: &Path) -> Result<()> {
    use rustix::fs::{Access, access};
    let existing = folder.ancestors().find(|p| p.exists()).unwrap_or(folder);
    access(existing, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(io::Error::from)
        .map_err(Error::io("write in", existing))
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

/// Appends to a file that must exist already, as `/dev/termination-log` does in Kubernetes.
pub fn write_existing(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::io("write", path))
}

/// The path with `suffix` appended to its last part: `app.db` -> `app.db-wal`.
#[must_use]
pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The last part of a path, for names and messages.
#[must_use]
pub fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
