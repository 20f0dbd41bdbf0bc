//! A passphrase, from a file or from the environment.

use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::files::read;
use crate::error::{Error, Result};

const LIMIT_BYTES: u64 = 4096;
const HINT: &str = "Put the passphrase in one line, and nothing else.";

/// A passphrase. Nothing prints it.
#[derive(Debug, Clone)]
pub struct Passphrase {
    secret: SecretString,
    file: Option<PathBuf>,
}

impl Passphrase {
    /// The passphrase in a file. An end of line behind it does not count.
    ///
    /// # Errors
    /// [`Error::Usage`]
    pub fn in_file(path: &Path) -> Result<Self> {
        let bytes = read(path, LIMIT_BYTES, "--passphrase-file", HINT)?;
        let whose = format!("the passphrase file {}", path.display());
        let parsed = Self::parse(bytes.expose_secret(), &whose)?;
        Ok(Self {
            file: Some(path.to_path_buf()),
            ..parsed
        })
    }

    /// A passphrase as it stands in `whose`.
    ///
    /// # Errors
    /// [`Error::Usage`], without a word of it.
    pub fn given(text: String, whose: &str) -> Result<Self> {
        let bytes = SecretSlice::from(text.into_bytes());
        Self::parse(bytes.expose_secret(), whose)
    }

    fn parse(bytes: &[u8], whose: &str) -> Result<Self> {
        let wrong = |what: &str| Error::Usage {
            message: format!("{whose} {what}"),
            hint: HINT.to_owned(),
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(wrong("is empty"));
        }
        if text.contains(char::is_control) {
            return Err(wrong("holds more than one line, or control characters"));
        }
        Ok(Self {
            secret: SecretString::from(text),
            file: None,
        })
    }

    pub(super) fn secret(&self) -> SecretString {
        self.secret.clone()
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}
