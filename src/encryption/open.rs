//! Opening an encrypted file with what there is.

use std::io::{self, BufRead, Chain, Cursor, Read};
use std::path::Path;

use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Identity, scrypt};

use super::{Keys, WORK_FACTOR, header};
use crate::error::{Error, Result};

/// The content of an encrypted file. Each piece of it is authenticated before it is handed out, and the end as well: whoever has
/// read up to it has read what was encrypted, all of it.
pub struct Decrypted<R> {
    stream: StreamReader<Chain<Cursor<Vec<u8>>, R>>,
}

impl<R: Read> Read for Decrypted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Keys {
    /// Opens a file of age; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::KeyNeeded`] where none of these keys opens it, [`Error::BackupUnusable`] where none can.
    pub fn open<R: BufRead>(&self, mut from: R, path: &Path) -> Result<Decrypted<R>> {
        let damaged = |error: &dyn std::fmt::Display| Error::BackupUnusable {
            backup: path.to_path_buf(),
            reason: format!("it is damaged: {error}"),
        };
        let front = header::front(&mut from).map_err(|error| damaged(&error))?;
        let decryptor = Decryptor::new_buffered(Cursor::new(front).chain(from))
            .map_err(|error| damaged(&words_of(&error)))?;
        let opened = if decryptor.is_scrypt() {
            let secret = self.secret();
            let secret = secret.ok_or_else(|| {
                needed(
                    path,
                    "it is encrypted with a passphrase, and none was given",
                    false,
                )
            })?;
            let mut identity = scrypt::Identity::new(secret);
            identity.set_max_work_factor(WORK_FACTOR);
            decryptor.decrypt([&identity as &dyn Identity].into_iter())
        } else {
            let identities = self.identities()?;
            if identities.is_empty() {
                let words = "it is encrypted to recipients, and no identity was given";
                return Err(needed(path, words, false));
            }
            let all = identities.iter().map(|identity| identity as &dyn Identity);
            decryptor.decrypt(all)
        };
        match opened {
            Ok(stream) => Ok(Decrypted { stream }),
            Err(DecryptError::NoMatchingKeys) => {
                Err(needed(path, &format!("{} opens it", self.none()), true))
            }
            Err(DecryptError::DecryptionFailed) => {
                let words = "the passphrase is not the one that it was encrypted with";
                Err(needed(path, words, true))
            }
            Err(DecryptError::ExcessiveWork { required, .. }) => Err(Error::BackupUnusable {
                backup: path.to_path_buf(),
                reason: format!(
                    "its passphrase takes 2^{required} KiB of memory, and at most 2^{WORK_FACTOR} are spent on one: decrypt it with `age -d`, and use what comes out"
                ),
            }),
            Err(error) => Err(damaged(&words_of(&error))),
        }
    }

    fn none(&self) -> String {
        match &self.file {
            Some(file) => format!("no identity in {}", file.display()),
            None => "no identity at hand".to_owned(),
        }
    }
}

fn words_of(error: &DecryptError) -> String {
    match error {
        DecryptError::Io(error) => error.to_string(),
        DecryptError::InvalidMac => "its age header was changed".into(),
        _ => "its age header cannot be read".into(),
    }
}

fn needed(path: &Path, reason: &str, tried: bool) -> Error {
    Error::KeyNeeded {
        backup: path.to_path_buf(),
        reason: reason.to_owned(),
        tried,
    }
}
