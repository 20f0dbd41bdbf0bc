//! How the archives are compressed, as an operator says it.

use std::path::Path;
use std::str::FromStr;

use crate::encryption;
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

/// What the names of all kinds of archives end with.
pub const SUFFIXES: [&str; 6] = [
    ".tar.gz",
    ".tar.zst",
    ".tar",
    ".tar.gz.age",
    ".tar.zst.age",
    ".tar.age",
];

/// What is done to an archive, as its name tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// What it is compressed with.
    pub compression: Compression,
    /// Whether it is encrypted then.
    pub encrypted: bool,
}

impl Packing {
    /// What the name of such an archive ends with.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        let [gzip, zstd, none, gzip_age, zstd_age, none_age] = SUFFIXES;
        match (self.compression, self.encrypted) {
            (Compression::Gzip(_), false) => gzip,
            (Compression::Zstd(_), false) => zstd,
            (Compression::None, false) => none,
            (Compression::Gzip(_), true) => gzip_age,
            (Compression::Zstd(_), true) => zstd_age,
            (Compression::None, true) => none_age,
        }
    }
}

/// The command with which plain `tar` prints a file out of an archive, behind the one that decrypts it, where that is needed.
#[must_use]
pub fn print_command(path: &Path, decrypt: Option<&str>, file: &str) -> String {
    let name = storage::name_of(path);
    let name = name.strip_suffix(encryption::SUFFIX).unwrap_or(&name);
    let [gzip, zstd, ..] = SUFFIXES;
    let tar = if name.ends_with(gzip) {
        "tar xOzf"
    } else if name.ends_with(zstd) {
        "tar --zstd -xOf"
    } else {
        "tar xOf"
    };
    match decrypt {
        Some(decrypt) => format!("{decrypt} {} | {tar} - {file}", path.display()),
        None => format!("{tar} {} {file}", path.display()),
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
