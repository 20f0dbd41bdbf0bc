//! From patterns to databases.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};
use crate::storage::{self, PathKind};

/// SQLite's own files beside a database, and the lock of a job.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".safestep-lock"];
/// As in a shell: hidden files have to be meant.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A database that a pattern found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// As the pattern writes it.
    pub(super) path: PathBuf,
    /// What the wildcards matched: the path from the first one on. Without wildcards, or where they might match the same
    /// in several patterns, the whole path.
    pub(super) name: PathBuf,
}

/// Everything that was found, and how the files are called.
#[derive(Debug)]
pub(super) struct Catch {
    /// Sorted; each database once, whichever links lead to it.
    pub(super) found: Vec<Found>,
    /// The extension that all of them have by what was asked for.
    pub(super) extension: Option<OsString>,
}

/// Finds the databases. What lies in `backups` is none.
pub(super) fn find(patterns: &[String], backups: &Path) -> Result<Catch> {
    let asked: Vec<Asked> = patterns
        .iter()
        .map(|text| Asked::parse(text))
        .collect::<Result<_>>()?;
    let mut paths = BTreeSet::new();
    for asked in &asked {
        asked.expand(backups, &mut paths)?;
    }
    let (prefix, extension) = match asked.as_slice() {
        [only] if only.is_pattern() => (only.start.as_path(), only.extension()),
        _ => (Path::new(""), Some("db".into())),
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for path in paths {
        if seen.insert(storage::absolute(&path)?) {
            let name = path.strip_prefix(prefix).unwrap_or(&path).to_path_buf();
            found.push(Found { path, name });
        }
    }
    if found.is_empty() {
        return Err(Error::NoneFound {
            patterns: patterns.join(" "),
            folder: match asked.first() {
                Some(first) => storage::absolute(&here(&first.start))?,
                None => PathBuf::new(),
            },
        });
    }
    Ok(Catch { found, extension })
}

/// A pattern, or a path as a shell has made it out of one.
struct Asked {
    /// Up to the first wildcard; a path, all of it.
    start: PathBuf,
    rest: Vec<Part>,
}

enum Part {
    Literal(String),
    Wild(Pattern),
    /// `**`: any number of folders.
    Deep,
}

impl Asked {
    fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(wrong("the pattern is empty"));
        }
        // What a shell has found may be called like a pattern.
        if !matches!(storage::kind(Path::new(text)), Ok(PathKind::Missing)) {
            return Ok(Self {
                start: tidy(Path::new(text)),
                rest: Vec::new(),
            });
        }
        let mut start = PathBuf::new();
        let mut rest = Vec::new();
        for component in tidy(Path::new(text)).components() {
            let words = component.as_os_str().to_string_lossy();
            if rest.is_empty() && !is_wild(&words) {
                start.push(component);
            } else {
                rest.push(part(&words)?);
            }
        }
        Ok(Self { start, rest })
    }

    fn is_pattern(&self) -> bool {
        !self.rest.is_empty()
    }

    /// What the last part says of it.
    fn extension(&self) -> Option<OsString> {
        let last = match self.rest.last()? {
            Part::Literal(name) => name,
            Part::Wild(pattern) => pattern.as_str(),
            Part::Deep => return None,
        };
        Path::new(last).extension().map(Into::into)
    }

    fn expand(&self, backups: &Path, paths: &mut BTreeSet<PathBuf>) -> Result<()> {
        if !self.is_pattern() {
            // That there is nothing is for the job to say: somebody has named it.
            if !is_companion(&self.start) {
                paths.insert(self.start.clone());
            }
            return Ok(());
        }
        let mut matched = BTreeSet::new();
        walk(&self.start, &self.rest, &mut matched);
        let looks_inside = storage::absolute(&here(&self.start))?.starts_with(backups);
        for path in matched {
            let is_backup = !looks_inside && storage::absolute(&path)?.starts_with(backups);
            if !is_backup && !is_companion(&path) {
                paths.insert(path);
            }
        }
        Ok(())
    }
}

/// A folder that may not be read is no reason to leave out the others: it is taken for a database, and the job on it says
/// what is the matter.
fn walk(base: &Path, parts: &[Part], matched: &mut BTreeSet<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        if matches!(storage::kind(base), Ok(PathKind::File(_)) | Err(_)) {
            matched.insert(base.to_path_buf());
        }
        return;
    };
    let pattern = match part {
        Part::Literal(name) => return walk(&base.join(name), rest, matched),
        Part::Wild(pattern) => Some(pattern),
        Part::Deep => {
            walk(base, rest, matched);
            None
        }
    };
    let folder = here(base);
    let entries = match storage::kind(&folder) {
        Ok(PathKind::Folder) => storage::list(&folder),
        Ok(_) => return,
        Err(error) => Err(error),
    };
    let Ok(entries) = entries else {
        matched.insert(unread(base, parts));
        return;
    };
    for entry in entries {
        let name = storage::name_of(&entry);
        let entry = base.join(entry.file_name().unwrap_or_default());
        match pattern {
            Some(pattern) if pattern.matches_with(&name, OPTIONS) => walk(&entry, rest, matched),
            // A link to a folder above would lead round in circles.
            None if !name.starts_with('.') && !storage::is_link(&entry) => {
                if entry.is_dir() {
                    walk(&entry, parts, matched);
                }
            }
            _ => {}
        }
    }
}

/// The path of what could not be looked for.
fn unread(base: &Path, parts: &[Part]) -> PathBuf {
    parts.iter().fold(base.to_path_buf(), |path, part| {
        path.join(match part {
            Part::Literal(name) => name,
            Part::Wild(pattern) => pattern.as_str(),
            Part::Deep => "**",
        })
    })
}

fn is_wild(words: &str) -> bool {
    words.contains(['*', '?', '['])
}

fn part(words: &str) -> Result<Part> {
    if words == "**" {
        return Ok(Part::Deep);
    }
    if !is_wild(words) {
        return Ok(Part::Literal(words.to_owned()));
    }
    Pattern::new(words)
        .map(Part::Wild)
        .map_err(|error| wrong(&format!("'{words}' is no pattern: {}", error.msg)))
}

fn wrong(message: &str) -> Error {
    Error::Usage {
        message: message.to_owned(),
        hint: "Give --all a pattern in quotes, such as --all 'tenants/*/app.db'.".into(),
    }
}

/// Without `.` and doubled slashes, so that a database has one name however its path is written.
fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir))
        .collect()
}

fn here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        path.to_path_buf()
    }
}

fn is_companion(path: &Path) -> bool {
    let name = storage::name_of(path);
    COMPANIONS.iter().any(|suffix| name.ends_with(suffix))
}
