//! Files of recipients and of identities: one a line, empty lines and those with `#` do not count.
//!
//! No error repeats a line: it may be a secret in the wrong file.

use std::path::Path;
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretSlice};
use age::x25519;

use super::{is_armored, is_encrypted};
use crate::error::{Error, Result};
use crate::storage;

const LIMIT_BYTES: u64 = 256 * 1024;
/// Each has its share of the header, which is bounded when it is read.
const MOST_RECIPIENTS: usize = 64;
/// Each is tried on each archive.
const MOST_IDENTITIES: usize = 64;
const RECIPIENTS_FLAG: &str = "--recipients-file";
const RECIPIENTS_HINT: &str =
    "Write one recipient a line: what `age-keygen -y KEY` prints, beginning with age1.";
const IDENTITIES_FLAG: &str = "--identity-file";
const IDENTITIES_HINT: &str =
    "Give the file that `age-keygen -o KEY` made: a line beginning with AGE-SECRET-KEY-1.";

pub(super) fn recipients(path: &Path) -> Result<Vec<x25519::Recipient>> {
    let text = read(path, LIMIT_BYTES, RECIPIENTS_FLAG, RECIPIENTS_HINT)?;
    let refuse = |what: &str| usage(format!("{} {what}", path.display()), RECIPIENTS_HINT);
    let found = lines(text.expose_secret(), strange_recipient).map_err(|what| refuse(&what))?;
    match found.len() {
        0 => Err(refuse("holds no recipient")),
        1..=MOST_RECIPIENTS => Ok(found),
        _ => Err(refuse(&format!(
            "holds more than {MOST_RECIPIENTS} recipients"
        ))),
    }
}

pub(super) fn identities(path: &Path) -> Result<Vec<x25519::Identity>> {
    let text = read(path, LIMIT_BYTES, IDENTITIES_FLAG, IDENTITIES_HINT)?;
    let bytes = text.expose_secret();
    let refuse = |what: &str| usage(format!("{} {what}", path.display()), IDENTITIES_HINT);
    if is_encrypted(bytes) || is_armored(bytes) {
        return Err(refuse(
            "is encrypted itself, and nobody is there to be asked for its passphrase: decrypt it with `age -d` to where only this job can read it",
        ));
    }
    let found = lines(bytes, strange_identity).map_err(|what| refuse(&what))?;
    match found.len() {
        0 => Err(refuse("holds no identity")),
        1..=MOST_IDENTITIES => Ok(found),
        _ => Err(refuse(&format!(
            "holds more than {MOST_IDENTITIES} identities"
        ))),
    }
}

/// Reads a file with a secret in it; the buffer is wiped when it is dropped.
pub(super) fn read(
    path: &Path,
    limit_bytes: u64,
    flag: &str,
    hint: &str,
) -> Result<SecretSlice<u8>> {
    match storage::read_bounded(path, limit_bytes) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(usage(format!("{flag}: {error}"), hint)),
    }
}

fn usage(message: String, hint: &str) -> Error {
    Error::Usage {
        message,
        hint: hint.to_owned(),
    }
}

/// The lines that count; where one is something else, what `strange` says of it.
fn lines<T: FromStr>(
    bytes: &[u8],
    strange: fn(&str) -> &'static str,
) -> std::result::Result<Vec<T>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let numbered = text.lines().map(str::trim).zip(1..);
    numbered
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| {
            let wrong = |_| format!("is of no use in line {number}: {}", strange(line));
            T::from_str(line).map_err(wrong)
        })
        .collect()
}

fn strange_recipient(line: &str) -> &'static str {
    if line.starts_with("ssh-") {
        "SSH keys are not supported"
    } else if line.starts_with("AGE-SECRET-KEY-") {
        "that is an identity, which is secret, and no recipient"
    } else if line.starts_with("age1") && line.rfind('1') > Some(3) {
        "recipients of plugins and of other kinds than X25519 are not supported"
    } else {
        "that is no recipient of age"
    }
}

fn strange_identity(line: &str) -> &'static str {
    if line.starts_with("AGE-PLUGIN-") {
        "identities of plugins are not supported"
    } else if line.starts_with("-----BEGIN") {
        "SSH keys are not supported"
    } else if line.starts_with("AGE-SECRET-KEY-PQ-") {
        "identities of other kinds than X25519 are not supported"
    } else if line.starts_with("age1") {
        "that is a recipient, and no identity"
    } else {
        "that is no identity of age"
    }
}
