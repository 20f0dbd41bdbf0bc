//! To whom new backups are encrypted, and what opens those that are. Secrets come from files or from the environment.

use std::path::PathBuf;

use super::source::Source;
use super::{Given, usage};
use crate::encryption::{Encryption, Keys, Passphrase};
use crate::error::{Error, Result};

const RECIPIENTS_FILE: &str = "SAFESTEP_RECIPIENTS_FILE";
const PASSPHRASE: &str = "SAFESTEP_PASSPHRASE";
const PASSPHRASE_FILE: &str = "SAFESTEP_PASSPHRASE_FILE";
/// An empty one of these has not arrived: taken for unset, backups would be written for everybody to read.
pub(super) const NEVER_EMPTY: [&str; 3] = [RECIPIENTS_FILE, PASSPHRASE, PASSPHRASE_FILE];

/// Where the keys are, as the command line says it.
#[derive(Debug, Clone, Default)]
pub struct GivenKeys {
    /// `--recipients-file`
    pub recipients_file: Option<PathBuf>,
    /// `--identity-file`
    pub identity_file: Option<PathBuf>,
    /// `--passphrase-file`
    pub passphrase_file: Option<PathBuf>,
}

/// What is needed to write is read now, before anything is touched; identities when an archive is opened, which a job
/// hardly ever has to.
pub(super) fn keys(given: &Given, source: &Source<'_>) -> Result<(Option<Encryption>, Keys)> {
    let (given, file) = (&given.keys, source.file);
    require_filled(source)?;
    let recipients = source.path(
        given.recipients_file.as_deref(),
        RECIPIENTS_FILE,
        file.recipients.as_deref(),
    );
    let identities = source.path(
        given.identity_file.as_deref(),
        "SAFESTEP_IDENTITY_FILE",
        file.identities.as_deref(),
    );
    let passphrase = passphrase(given, source)?;
    let encryption = match (recipients, &passphrase) {
        (Some(_), Some(_)) => return Err(both()),
        (Some(file), None) => Some(Encryption::to_recipients(&file)?),
        (None, Some(passphrase)) => Some(Encryption::with_passphrase(passphrase.clone())),
        (None, None) => None,
    };
    Ok((encryption, Keys::new(identities, passphrase)))
}

fn require_filled(source: &Source<'_>) -> Result<()> {
    let is_empty = |name: &&&str| (source.env)(name).is_some_and(|value| value.is_empty());
    match NEVER_EMPTY.iter().find(is_empty) {
        None => Ok(()),
        Some(name) => Err(usage(
            format!("{name} is empty"),
            "Unset it, so that backups are not encrypted, or see why its value did not arrive.",
        )),
    }
}

fn both() -> Error {
    usage(
        "recipients and a passphrase are both given: a backup is encrypted to recipients or with a passphrase",
        "Leave out --recipients-file, or --passphrase-file and SAFESTEP_PASSPHRASE. To open an old backup that was encrypted in the other way, unset this one for that command.",
    )
}

fn passphrase(given: &GivenKeys, source: &Source<'_>) -> Result<Option<Passphrase>> {
    if let Some(path) = &given.passphrase_file {
        return Passphrase::in_file(path).map(Some);
    }
    match ((source.env)(PASSPHRASE_FILE), (source.env)(PASSPHRASE)) {
        (Some(_), Some(_)) => Err(usage(
            format!("{PASSPHRASE} and {PASSPHRASE_FILE} are both set"),
            "Unset one of them.",
        )),
        (Some(path), None) => Passphrase::in_file(path.as_ref()).map(Some),
        (None, Some(text)) => Passphrase::given(text, PASSPHRASE).map(Some),
        (None, None) => {
            let path = source.file.passphrase.as_deref();
            path.map(Passphrase::in_file).transpose()
        }
    }
}
