//! The job lock: one safestep job at a time for a database.
//!
//! An advisory lock of the operating system on a file beside the database. It
//! dies with the process, so it can never be stale. The file stays: removing
//! it would let two jobs lock two different files of the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::{folder_of, holders, name_of};
use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::fault::{self, Point};

/// A link would have us write into a file of somebody else's choice.
const IN_ITS_PLACE: i32 = super::WITHOUT_WAITING | OFlags::NOFOLLOW.bits().cast_signed();
const POLL: Duration = Duration::from_millis(20);

/// Held for the length of a job; released when dropped.
#[derive(Debug)]
pub struct JobLock {
    _file: File,
}

impl JobLock {
    /// Waits for the lock on a database until the deadline.
    ///
    /// # Errors
    /// [`Error::JobRunning`] past the deadline; whatever `tick` returns, which is told the holder while waiting.
    pub async fn acquire(
        database: &Path,
        deadline: Deadline,
        tick: impl FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        Self::wait(lock_path(database), database, deadline, tick).await
    }

    /// As [`Self::acquire`], for a backups folder: databases of the same name may share one.
    pub async fn acquire_folder(
        folder: &Path,
        deadline: Deadline,
        tick: impl FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        Self::wait(folder.join(".safestep-lock"), folder, deadline, tick).await
    }

    /// As [`Self::acquire_folder`], for what is done one at a time in a folder without keeping other jobs out; `name` is the
    /// lock file's.
    pub async fn acquire_named(
        folder: &Path,
        name: &str,
        deadline: Deadline,
        tick: impl FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        Self::wait(folder.join(name), folder, deadline, tick).await
    }

    async fn wait(
        path: PathBuf,
        subject: &Path,
        deadline: Deadline,
        mut tick: impl FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        let mut file = open(&path)?;
        while !try_lock(&file, &path)? {
            tick(&read_holder(&mut file))?;
            let Some(left) = deadline.remaining() else {
                return Err(Error::JobRunning {
                    path: subject.to_path_buf(),
                    waited_ms: deadline.waited_ms(),
                    holder: read_holder(&mut file),
                });
            };
            tokio::time::sleep(left.min(POLL)).await;
        }
        write_holder(&mut file).map_err(Error::io("write", &path))?;
        fault::reach(Point::LockTaken);
        Ok(Self { _file: file })
    }

    /// Who holds the lock now, if anybody does.
    pub fn holder(database: &Path) -> Result<Option<String>> {
        holder_of(&lock_path(database))
    }

    /// As [`Self::holder`], of a lock of [`Self::acquire_named`].
    pub fn holder_named(folder: &Path, name: &str) -> Result<Option<String>> {
        holder_of(&folder.join(name))
    }
}

/// A lock that many may hold at once, or one [alone](Self::alone).
#[derive(Debug)]
pub struct SharedLock {
    _file: File,
}

impl SharedLock {
    /// Holds it with others. Nobody keeps it from others for longer than a look.
    pub fn hold(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = open(&path)?;
        file.lock_shared().map_err(Error::io("lock", &path))?;
        Ok(Self { _file: file })
    }

    /// Holds it alone; `None` where others hold it.
    pub fn alone(folder: &Path, name: &str) -> Result<Option<Self>> {
        let path = folder.join(name);
        let file = open(&path)?;
        Ok(try_lock(&file, &path)?.then_some(Self { _file: file }))
    }
}

fn holder_of(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut file = super::open(path)?;
    let free = match file.try_lock_shared() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
    };
    Ok((!free).then(|| read_holder(&mut file)))
}

fn lock_path(database: &Path) -> PathBuf {
    folder_of(database).join(format!(".{}.safestep-lock", name_of(database)))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(IN_ITS_PLACE)
        .open(path)
        .and_then(super::regular)
        .map_err(Error::io("open the lock file", path))
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "pid {}", std::process::id())
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(64).read_to_string(&mut text));
    match read {
        Ok(_) if !text.is_empty() => match command_of_holder(file, &text) {
            Some(command) => format!("{text} ({command})"),
            None => text,
        },
        _ => "pid unknown".into(),
    }
}

/// A pid of another container may be somebody else's here: only a process that has the lock file open is named.
fn command_of_holder(file: &File, text: &str) -> Option<String> {
    let pid = text.strip_prefix("pid ")?.parse().ok()?;
    holders::command_of_one_with(file, pid)
}
