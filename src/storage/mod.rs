//! Durable files. The only module that touches the file system.
//!
//! Files that hold copies of a database are created anew (never overwritten),
//! with mode 0600 in folders of mode 0700 whatever the umask, and are synced
//! together with their folder before anything depends on them.

mod holders;
mod lock;
mod room;
mod shared;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::fault::{self, Point};

pub use holders::holders_of;
pub use lock::{JobLock, SharedLock};
pub use room::{
    bytes_below, free_bytes, require_free, require_readable, require_writable, same_file_system,
};
pub use shared::replace_shared;

/// Opening a pipe that nobody writes to would wait for ever.
const WITHOUT_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();
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

/// Whether nothing stands at `path`, not even a link that leads nowhere.
#[must_use]
pub fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether a link stands at `path`.
#[must_use]
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
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

/// When a file was last written to, in seconds since 1970, where that can be known.
#[must_use]
pub fn modified(path: &Path) -> Option<u64> {
    let meta = fs::symlink_metadata(path).ok()?;
    u64::try_from(meta.mtime()).ok()
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
        .map_err(Error::io("set the mode of", path))?;
    fault::reach(Point::FileOwned);
    Ok(())
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
    if !missing.is_empty() {
        fault::reach(Point::FolderMade);
    }
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
    fault::reach(Point::FileCreated);
    Ok(file)
}

/// Writes a source file that must not exist yet, readable for everybody.
pub fn create_source(path: &Path, text: &str) -> Result<()> {
    let mut file = create_new(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(SOURCE_FILE)))
        .and_then(|()| sync_written(&file))
        .map_err(Error::io("write", path))?;
    settle(path)
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

/// Opens a regular file for reading. A pipe or device is refused: nobody may ever write to it, or it never ends.
pub fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(WITHOUT_WAITING)
        .open(path)
        .and_then(regular)
        .map_err(Error::io("open", path))
}

/// The file, if it is one.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file",
    ))
}

/// Reads a file that must not be larger than `limit_bytes`.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let expected = file
        .metadata()
        .map_err(Error::io("look at", path))?
        .len()
        .min(limit_bytes);
    // One byte more than there should be, or reading would grow the buffer to see that there is none.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    file.take(limit_bytes + 1)
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
        .and_then(|()| sync_written(&file))
        .map_err(Error::io("write", &draft))?;
    fs::rename(&draft, path).map_err(Error::io("replace", path))?;
    fault::reach(Point::FileRenamed);
    settle(path)
}

/// Copies a file into a new private one, durably.
pub fn copy_durably(from: &Path, to: &Path) -> Result<()> {
    let mut source = open(from)?;
    let mut target = create_new(to)?;
    io::copy(&mut source, &mut target)
        .and_then(|_| sync_written(&target))
        .map_err(Error::io("copy to", to))?;
    settle(to)
}

/// Moves a file of ours to where nothing is, into another file system if need be. Whether it is still the same file, and no
/// copy of it.
pub fn relocate(from: &Path, to: &Path) -> Result<bool> {
    match rename_to_new(from, to) {
        Ok(()) => {
            fault::reach(Point::FileRenamed);
            settle(to).map(|()| true)
        }
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_durably(from, to)?;
            remove(from).map(|()| false)
        }
        Err(error) => Err(Error::io("move to", to)(error)),
    }
}

/// Gives a finished file its final name, never replacing what is there, and makes that durable.
pub fn publish(draft: &Path, path: &Path) -> Result<()> {
    sync_file(draft)?;
    fault::reach(Point::FileSynced);
    rename_to_new(draft, path).map_err(Error::io("publish", path))?;
    fault::reach(Point::FileRenamed);
    settle(path)
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
    fault::reach(Point::FileSynced);
    fs::rename(draft, path).map_err(Error::io("replace", path))?;
    fault::reach(Point::FileRenamed);
    settle(path)
}

fn sync_written(file: &File) -> io::Result<()> {
    fault::reach(Point::FileWritten);
    file.sync_all()?;
    fault::reach(Point::FileSynced);
    Ok(())
}

fn settle(path: &Path) -> Result<()> {
    sync_folder_of(path)?;
    fault::reach(Point::FileSettled);
    Ok(())
}

/// Waits until a file's content is on disk.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(Error::io("sync", path))
}

/// Waits until the entries of the folder that holds `path` are on disk.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync the folder", &folder))
}

/// Removes a file; that it is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        Err(_) => Ok(()),
        Ok(()) => {
            fault::reach(Point::FileRemoved);
            Ok(())
        }
    }
}

/// Removes a folder of ours with all that is in it.
pub fn remove_folder(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).map_err(Error::io("remove the folder", path))
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
