//! How the archives are compressed, as an operator says it.

use std::path::Path;
use std::str::FromStr;

use crate::storage;

/// Higher ones cost much time and memory for a few percent: a zstd of level 19 needs 5 MiB a thread.
const HIGHEST_LEVEL: u8 = 9;
/// By measurement, see `docs/design.md`: of both libraries the fastest level, and on databases nearly the smallest.
const DEFAULT_LEVEL: u8 = 1;

/// What an archive is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.tar.gz`, of this level.
    Gzip(u8),
    /// `.tar.zst`, of this level.
    Zstd(u8),
    /// `.tar`
    None,
}

impl Compression {
    /// What the names of all kinds of archives end with.
    pub const SUFFIXES: [&str; 3] = [".tar.gz", ".tar.zst", ".tar"];

    /// What the name of such an archive ends with.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        let [gzip, zstd, none] = Self::SUFFIXES;
        match self {
            Self::Gzip(_) => gzip,
            Self::Zstd(_) => zstd,
            Self::None => none,
        }
    }
}

/// The command with which plain `tar` prints a file out of an archive of this name.
#[must_use]
pub fn tar_command(path: &Path) -> &'static str {
    let [gzip, zstd, _] = Compression::SUFFIXES;
    let is_called = |suffix| storage::name_of(path).ends_with(suffix);
    if is_called(gzip) {
        "tar xOzf"
    } else if is_called(zstd) {
        "tar --zstd -xOf"
    } else {
        "tar xOf"
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(DEFAULT_LEVEL)
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        match name {
            "gzip" => level_of(name, level).map(Self::Gzip),
            "zstd" => level_of(name, level).map(Self::Zstd),
            "none" if level.is_none() => Ok(Self::None),
            "none" => Err(format!("'{text}': without compression there is no level")),
            _ => Err(format!("'{text}' is no compression")),
        }
    }
}

fn level_of(name: &str, level: Option<&str>) -> Result<u8, String> {
    let Some(text) = level else {
        return Ok(DEFAULT_LEVEL);
    };
    match text.parse() {
        Ok(level @ 1..=HIGHEST_LEVEL) => Ok(level),
        _ => Err(format!(
            "'{text}' is no level of {name}: they go from 1 to {HIGHEST_LEVEL}"
        )),
    }
}
