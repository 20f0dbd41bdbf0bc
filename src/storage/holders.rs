//! Which processes have a database open, read from `/proc`.
//!
//! Only the processes that this one may see are found: those of other
//! containers and hosts are not, and the messages say so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::sibling;
use crate::error::Holder;

const COMMAND_LIMIT: usize = 80;

/// The other processes that have the database, its WAL or its shared memory open, those with a write lock first.
#[must_use]
pub fn holders_of(database: &Path) -> Vec<Holder> {
    let files = identities(database);
    let writers = lock_holders(&files);
    let mut holders: Vec<Holder> = processes()
        .filter(|pid| *pid != std::process::id() && has_open(*pid, &files))
        .map(|pid| Holder {
            pid,
            command: command_of(pid),
            writing: writers.contains(&pid),
        })
        .collect();
    holders.sort_by_key(|holder| (!holder.writing, holder.pid));
    holders
}

/// The command of a process, if it has this file open.
pub(super) fn command_of_one_with(file: &fs::File, pid: u32) -> Option<String> {
    let identity = file.metadata().map(|meta| (meta.dev(), meta.ino())).ok()?;
    has_open(pid, &BTreeSet::from([identity])).then(|| command_of(pid))
}

type Identity = (u64, u64);

fn identities(database: &Path) -> BTreeSet<Identity> {
    [
        database.to_path_buf(),
        sibling(database, "-wal"),
        sibling(database, "-shm"),
    ]
    .iter()
    .filter_map(|path| fs::metadata(path).ok())
    .map(|meta| (meta.dev(), meta.ino()))
    .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn has_open(pid: u32, files: &BTreeSet<Identity>) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::metadata(entry.ok()?.path()).ok())
        .any(|meta| files.contains(&(meta.dev(), meta.ino())))
}

fn command_of(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let raw = String::from_utf8_lossy(&raw);
    let text = without_secrets(raw.split('\0'));
    let text = text.trim();
    match text.char_indices().nth(COMMAND_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "unknown command".into(),
        None => text.to_owned(),
    }
}

/// A command line is told to people and logs: the process is known by its program, not by the password that it was given.
fn without_secrets<'a>(arguments: impl Iterator<Item = &'a str>) -> String {
    let mut hide_next = false;
    let mut words = Vec::new();
    for argument in arguments {
        let hide = std::mem::replace(&mut hide_next, is_secret_flag(argument));
        words.push(
            match (argument.split_once("://"), argument.split_once('=')) {
                _ if hide => "…".to_owned(),
                (Some((before, _)), _) => format!("{before}://…"),
                (None, Some((name, _))) if is_secret(name) => format!("{name}=…"),
                _ => argument.to_owned(),
            },
        );
    }
    words.join(" ")
}

fn is_secret_flag(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && is_secret(argument)
}

fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 6] = ["pass", "secret", "token", "key", "auth", "credential"];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Pids with a POSIX write lock on one of the files: `1: POSIX ADVISORY WRITE 4711 fe:01:1234 120 120`.
fn lock_holders(files: &BTreeSet<Identity>) -> BTreeSet<u32> {
    let inodes: BTreeSet<u64> = files.iter().map(|(_, inode)| *inode).collect();
    fs::read_to_string("/proc/locks")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let write = words.get(1) == Some(&"POSIX") && words.get(3) == Some(&"WRITE");
            let inode: u64 = words.get(5)?.rsplit(':').next()?.parse().ok()?;
            let pid = words.get(4)?.parse().ok()?;
            (write && inodes.contains(&inode)).then_some(pid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_told_without_the_secrets_in_it() {
        for (line, told) in [
            ("python3 hold.py 4", "python3 hold.py 4"),
            ("app --api-key hush --port 80", "app --api-key … --port 80"),
            (
                "app --DB_PASSWORD=hush --name=n",
                "app --DB_PASSWORD=… --name=n",
            ),
            ("app --dsn=https://u:hush@h/?t=hush", "app --dsn=https://…"),
        ] {
            assert_eq!(without_secrets(line.split(' ')), told);
        }
    }
}
