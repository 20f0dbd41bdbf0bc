//! Reading and checking a folder of migrations.

use std::collections::BTreeMap;
use std::path::Path;

use super::directives::{self, Header};
use super::{Checksum, Migration, Script, Version};
use crate::error::{Error, Problem, Result};
use crate::storage::{self, PathKind};

/// No migration that a person wrote is larger.
pub(super) const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// Numbers above this are timestamps, which have no gaps.
pub const LARGEST_COUNTED: i64 = 999_999;

#[derive(Default)]
struct Pair {
    up: Option<Found>,
    down: Option<Found>,
}

struct Found {
    name: String,
    script: Script,
    alembic: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// What a file holds, or everything that is wrong with it.
type Judged<T> = std::result::Result<T, Vec<String>>;

pub(super) fn read(folder: &Path) -> Result<Vec<Migration>> {
    let list = read_any(folder)?;
    if !list.is_empty() {
        return Ok(list);
    }
    Err(Error::Migrations {
        folder: folder.to_path_buf(),
        problems: vec![Problem::new(
            folder.display().to_string(),
            "there is no migration in it",
        )],
    })
}

/// As [`read`], but for a folder in which there is no migration yet.
pub(super) fn read_any(folder: &Path) -> Result<Vec<Migration>> {
    if storage::kind(folder)? != PathKind::Folder {
        return Err(Error::Usage {
            message: format!("{} is not a folder of migrations", folder.display()),
            hint: "Give the folder with --migrations.".into(),
        });
    }
    let mut problems = Vec::new();
    let mut pairs = BTreeMap::<i64, Pair>::new();
    for path in storage::list(folder)? {
        if let Err(problem) = take_file(&path, &mut pairs)? {
            problems.extend(problem);
        }
    }
    let list = join(pairs, &mut problems);
    find_gaps(&list, &mut problems);
    find_twins(&list, &mut problems);
    if problems.is_empty() {
        Ok(list)
    } else {
        Err(Error::Migrations {
            folder: folder.to_path_buf(),
            problems,
        })
    }
}

/// What is wrong with the file itself; an error where it could not be read.
fn take_file(
    path: &Path,
    pairs: &mut BTreeMap<i64, Pair>,
) -> Result<std::result::Result<(), Vec<Problem>>> {
    let file = storage::name_of(path);
    let complain = |messages: Vec<String>| {
        messages
            .into_iter()
            .map(|message| Problem::new(file.clone(), message))
            .collect::<Vec<_>>()
    };
    let (version, name, direction) = match parse_name(&file) {
        Ok(Some(parts)) => parts,
        Ok(None) => return Ok(Ok(())),
        Err(message) => return Ok(Err(complain(vec![message]))),
    };
    let (script, alembic) = match read_script(path)? {
        Ok(script) => script,
        Err(messages) => return Ok(Err(complain(messages))),
    };
    let pair = pairs.entry(version).or_default();
    let slot = match direction {
        Direction::Up => &mut pair.up,
        Direction::Down => &mut pair.down,
    };
    if let Some(other) = slot {
        let twin = storage::name_of(&other.script.path);
        let message = format!("has the same number as {twin}");
        return Ok(Err(complain(vec![message])));
    }
    *slot = Some(Found {
        name,
        script,
        alembic,
    });
    Ok(Ok(()))
}

/// `None` for files that are no migrations: `schema.sql`, `enums.toml`, a README.
pub(super) fn parse_name(
    file: &str,
) -> std::result::Result<Option<(i64, String, Direction)>, String> {
    let Some(name) = file.strip_suffix(".sql").filter(|name| *name != "schema") else {
        return Ok(None);
    };
    let (number, rest) = name.split_once('_').unwrap_or(("", name));
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a migration's name is <number>_<name>.up.sql or .down.sql".into());
    }
    let version: i64 = number
        .parse()
        .map_err(|_| "its number is too large".to_owned())?;
    if let Some(name) = rest.strip_suffix(".up") {
        Ok(Some((version, name.to_owned(), Direction::Up)))
    } else if let Some(name) = rest.strip_suffix(".down") {
        Ok(Some((version, name.to_owned(), Direction::Down)))
    } else {
        Err("must end in .up.sql or .down.sql: every migration has a way back".into())
    }
}

fn read_script(path: &Path) -> Result<Judged<(Script, Option<String>)>> {
    Ok(match read_bytes(path)? {
        Ok(bytes) => script(path, bytes, false),
        Err(message) => Err(vec![message]),
    })
}

/// A script out of its bytes, wherever they come from.
pub(super) fn script(
    path: &Path,
    bytes: Vec<u8>,
    stored: bool,
) -> Judged<(Script, Option<String>)> {
    let checksum = Checksum::of(&bytes);
    let sql = text(bytes).map_err(|message| vec![message])?;
    let Header {
        no_transaction,
        alembic,
        declared,
    } = directives::parse(&sql)?;
    let script = Script {
        path: path.to_path_buf(),
        stored,
        sql,
        checksum,
        no_transaction,
        declared,
    };
    Ok((script, alembic))
}

/// A disk that fails says nothing about the file.
fn read_bytes(path: &Path) -> Result<std::result::Result<Vec<u8>, String>> {
    let bytes = storage::kind(path).and_then(|kind| match kind {
        PathKind::File(_) => storage::read_bounded(path, FILE_LIMIT_BYTES).map(Ok),
        _ => Ok(Err("is not a regular file".into())),
    });
    match bytes {
        Err(error) if error.is_of_the_path() => Ok(Err(error.to_string())),
        other => other,
    }
}

fn text(bytes: Vec<u8>) -> std::result::Result<String, String> {
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err("begins with a byte order mark; save it as UTF-8 without BOM".into());
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("has a NUL byte at offset {at}"));
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "is not UTF-8 at offset {}",
            error.utf8_error().valid_up_to()
        )
    })
}

fn join(pairs: BTreeMap<i64, Pair>, problems: &mut Vec<Problem>) -> Vec<Migration> {
    let mut list = Vec::new();
    for (number, pair) in pairs {
        match (pair.up, pair.down) {
            (Some(up), Some(down)) => {
                if up.name != down.name {
                    problems.push(Problem::new(
                        storage::name_of(&down.script.path),
                        format!(
                            "has another name than {}",
                            storage::name_of(&up.script.path)
                        ),
                    ));
                }
                list.push(Migration {
                    version: Version(number),
                    description: up.name.replace('_', " "),
                    alembic: up.alembic,
                    up: up.script,
                    down: down.script,
                });
            }
            (Some(up), None) => find_lonely(&up, ".up.sql", ".down.sql", problems),
            (None, Some(down)) => find_lonely(&down, ".down.sql", ".up.sql", problems),
            (None, None) => {}
        }
    }
    list
}

/// The other file is missing, unless it was refused already.
fn find_lonely(found: &Found, own: &str, other: &str, problems: &mut Vec<Problem>) {
    let name = storage::name_of(&found.script.path);
    let twin = name.replace(own, other);
    if !problems.iter().any(|problem| problem.subject == twin) {
        problems.push(Problem::new(name, format!("its {twin} is missing")));
    }
}

pub(super) fn find_gaps(list: &[Migration], problems: &mut Vec<Problem>) {
    for pair in list.windows(2) {
        let (before, after) = (pair[0].version.0, pair[1].version.0);
        if after <= LARGEST_COUNTED && after != before + 1 {
            problems.push(Problem::new(
                storage::name_of(&pair[1].up.path),
                format!("{} is missing before it", Version(before + 1)),
            ));
        }
    }
}

pub(super) fn find_twins(list: &[Migration], problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for migration in list {
        let Some(id) = &migration.alembic else {
            continue;
        };
        if let Some(first) = seen.insert(id.clone(), migration.version) {
            problems.push(Problem::new(
                storage::name_of(&migration.up.path),
                format!("has the same Alembic id '{id}' as {first}"),
            ));
        }
    }
}
