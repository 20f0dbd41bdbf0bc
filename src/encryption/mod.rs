//! Archives that strangers cannot read, in the format of age (<https://age-encryption.org/v1>); nothing else uses its library.
//!
//! [`Encryption`] says to whom new archives are encrypted, [`Keys`] is what opens them. Secrets are never printed, also not
//! by `Debug`, and stand in no error.

mod files;
mod header;
mod open;
mod passphrase;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::stream::StreamWriter;
use age::{Encryptor, Recipient, scrypt, x25519};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::sqlite::hex;

pub use open::Decrypted;
pub use passphrase::Passphrase;

/// Behind the name of an archive that is encrypted.
pub const SUFFIX: &str = ".age";
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// The same in letters, for mail; nothing that we write.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// scrypt takes 2^this KiB of memory, here 16 MiB, and some hundredths of a second: besides what a job takes, which is promised to
/// be less than 64 MiB. The 2^17 that OWASP names first would be 128 MiB, age's own 2^18 twice that. To who guesses, 2^18 is 4 bits
/// more, less than a letter of the passphrase. It is also the most that is accepted: who can put a file into the folder must not be
/// able to take more memory than that.
const WORK_FACTOR: u8 = 14;

/// Whether a file with these first bytes is one of age.
#[must_use]
pub fn is_encrypted(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Whether a file with these first bytes is one of age in letters.
#[must_use]
pub fn is_armored(head: &[u8]) -> bool {
    head.starts_with(ARMOR)
}

/// To whom new archives are encrypted.
#[derive(Debug, Clone)]
pub struct Encryption {
    to: To,
}

#[derive(Debug, Clone)]
enum To {
    Recipients(Vec<x25519::Recipient>),
    Passphrase(Passphrase),
}

impl Encryption {
    /// To whoever has the identity of one of the recipients in this file.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where it holds something else, or nothing.
    pub fn to_recipients(file: &Path) -> Result<Self> {
        let to = To::Recipients(files::recipients(file)?);
        Ok(Self { to })
    }

    /// To whoever knows the passphrase.
    #[must_use]
    pub fn with_passphrase(passphrase: Passphrase) -> Self {
        let to = To::Passphrase(passphrase);
        Self { to }
    }

    /// SHA-256 of the recipients, whatever their order: tells whether two archives are for the same people. Of a passphrase
    /// there is none.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        let To::Recipients(recipients) = &self.to else {
            return None;
        };
        let names: BTreeSet<String> = recipients.iter().map(ToString::to_string).collect();
        let names: Vec<String> = names.into_iter().collect();
        Some(hex(&Sha256::digest(names.join("\n"))))
    }

    /// Begins a file, and makes the keys with which it can be read back at once: for recipients, whose identities are
    /// elsewhere, one of its own that nobody else ever has.
    pub fn start<W: Write>(&self, to: W) -> io::Result<(Encrypted<W>, Keys)> {
        let (encryptor, keys) = match &self.to {
            To::Recipients(recipients) => {
                let mine = x25519::Identity::generate();
                let own = mine.to_public();
                let all = recipients.iter().chain([&own]);
                let all = all.map(|recipient| recipient as &dyn Recipient);
                (Encryptor::with_recipients(all), Keys::of(mine))
            }
            To::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.secret());
                recipient.set_work_factor(WORK_FACTOR);
                let all = [&recipient as &dyn Recipient].into_iter();
                let keys = Keys::new(None, Some(passphrase.clone()));
                (Encryptor::with_recipients(all), keys)
            }
        };
        let stream = encryptor.map_err(io::Error::other)?.wrap_output(to)?;
        Ok((Encrypted { stream }, keys))
    }
}

/// Encrypts what is written to it.
pub struct Encrypted<W: Write> {
    stream: StreamWriter<W>,
}

impl<W: Write> Encrypted<W> {
    /// Writes the end: without it the file counts as cut off.
    pub fn finish(self) -> io::Result<()> {
        self.stream.finish().map(drop)
    }
}

impl<W: Write> Write for Encrypted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What opens encrypted archives. The identities are read when they are needed: the file may lie where it is only for a
/// restore.
#[derive(Clone, Default)]
pub struct Keys {
    file: Option<PathBuf>,
    /// Of an archive that is being made.
    own: Option<x25519::Identity>,
    passphrase: Option<Passphrase>,
}

impl Keys {
    /// The identities in this file, and this passphrase.
    #[must_use]
    pub fn new(identity_file: Option<PathBuf>, passphrase: Option<Passphrase>) -> Self {
        Self {
            file: identity_file,
            own: None,
            passphrase,
        }
    }

    fn of(own: x25519::Identity) -> Self {
        Self {
            own: Some(own),
            ..Self::default()
        }
    }

    /// Whether there are any.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.file.is_some() || self.own.is_some() || self.passphrase.is_some()
    }

    /// The files that hold secrets.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let passphrase = self.passphrase.as_ref().and_then(Passphrase::file);
        self.file.as_deref().into_iter().chain(passphrase)
    }

    /// Whether what opens backups can be read now.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where the file of identities holds something else, or nothing.
    pub fn require_readable(&self) -> Result<()> {
        self.identities().map(drop)
    }

    fn identities(&self) -> Result<Vec<x25519::Identity>> {
        let mut identities = match &self.file {
            Some(file) => files::identities(file)?,
            None => Vec::new(),
        };
        identities.extend(self.own.clone());
        Ok(identities)
    }

    fn secret(&self) -> Option<SecretString> {
        self.passphrase.as_ref().map(Passphrase::secret)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("file", &self.file)
            .field("passphrase", &self.passphrase)
            .finish_non_exhaustive()
    }
}
