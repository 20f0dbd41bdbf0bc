//! Looking into archives: what they say they are, and what is in them. An encrypted one is known by its label, which needs no
//! key; when it is opened, it must be the one that its label was made for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::names::{COPIED, LABEL, is_archive, stem_of};
use super::{Backup, Catalog, Label, Manifest, Slot};
use crate::archive;
use crate::encryption::{self, Encryption, Keys};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::monitor::Monitor;
use crate::sqlite::Interrupt;
use crate::storage::{self, PathKind};

const LABEL_LIMIT_BYTES: u64 = 1024 * 1024;

impl Catalog {
    /// What an archive is, without reading more of it than its beginning.
    pub(super) fn read_backup(&self, path: &Path) -> Result<Backup> {
        let encrypted = archive::is_encrypted(path)?;
        if !encrypted && storage::name_of(path).ends_with(encryption::SUFFIX) {
            let reason = "it is called as an encrypted one, and is not encrypted: somebody has put another file in its place";
            return Err(unusable(path, reason));
        }
        let archive_bytes = match storage::kind(path)? {
            PathKind::File(bytes) => bytes,
            _ => 0,
        };
        let (manifest, label) = match encrypted.then(|| read_label(path)) {
            None => (self.read_manifest(path)?, None),
            Some(Ok(label)) => {
                require_size(path, archive_bytes, &label)?;
                (label.manifest.clone(), Some(label))
            }
            Some(Err(error)) => (self.manifest_without_label(path, &error)?, None),
        };
        Ok(Backup {
            path: path.to_path_buf(),
            archive_bytes,
            encrypted,
            manifest,
            label,
        })
    }

    fn read_manifest(&self, path: &Path) -> Result<Manifest> {
        Manifest::parse(&archive::read_manifest(path, &self.keys)?, path)
    }

    fn manifest_without_label(&self, path: &Path, error: &Error) -> Result<Manifest> {
        let manifest = self.read_manifest(path).map_err(|opening| match opening {
            Error::KeyNeeded {
                backup,
                reason,
                tried,
            } => Error::KeyNeeded {
                backup,
                reason: format!("{reason}; and its label does not tell what it is: {error}"),
                tried,
            },
            other => other,
        })?;
        let stem = stem_of(path);
        let named = stem
            .rsplit('_')
            .next()
            .filter(|id| id.len() == manifest.id.len());
        if stem.contains('_') && named.is_some_and(|id| id != manifest.id) {
            let reason = format!("it is the backup {} under another name", manifest.id);
            return Err(unusable(path, reason));
        }
        Ok(manifest)
    }

    /// Rows by table. The label of an encrypted backup does not have them; nobody has without the key.
    ///
    /// # Errors
    /// [`Error::KeyNeeded`] where a key is given that does not open it.
    pub fn rows_of(&self, backup: &Backup) -> Result<BTreeMap<String, i64>> {
        if backup.label.is_none() || !self.keys.are_given() {
            return Ok(backup.manifest.rows.clone());
        }
        Ok(self.read_manifest(&backup.path)?.rows)
    }

    /// Refuses a backup that holds something else than its manifest promises, before room is looked for to unpack it.
    ///
    /// # Errors
    /// [`Error::BackupUnusable`]; [`Error::KeyNeeded`] where it is encrypted and no key at hand opens it.
    pub fn require_promised(&self, backup: &Backup) -> Result<()> {
        let manifest = &backup.manifest;
        let (name, bytes) = (&manifest.file, manifest.size_bytes);
        let found = archive::require_promised(&backup.path, &self.keys, name, bytes)
            .map_err(|error| blame(backup, error))?;
        require_same(&backup.path, &found, manifest)
    }

    /// Reads an archive to its end and compares its database with the manifest: through the same code that unpacks it for a
    /// restore.
    pub fn verify(
        &self,
        backup: &Backup,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        self.unpack_into(backup, &mut std::io::sink(), interrupt, monitor)
    }

    /// Compares an archive with its label, which needs no key. What is in it was read back when it was made.
    ///
    /// # Errors
    /// [`Error::BackupUnusable`] where it is another one by now; where there is no label, [`Error::KeyNeeded`].
    pub fn verify_sealed(&self, backup: &Backup) -> Result<()> {
        let Some(label) = &backup.label else {
            return Err(Error::KeyNeeded {
                backup: backup.path.clone(),
                reason: "it has no label, and without a key nothing can be said of it".into(),
                tried: false,
            });
        };
        let digest = archive::sha256_of(&backup.path)?;
        require_digest(&backup.path, &digest, label)
    }

    /// Unpacks a backup into a new private file, compared with the manifest.
    pub fn unpack(
        &self,
        backup: &Backup,
        target: &Path,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let mut file = storage::create_new(target)?;
        let unpacked = self.unpack_into(backup, &mut file, interrupt, monitor);
        if unpacked.is_err() {
            storage::remove(target)?;
        }
        unpacked
    }

    fn unpack_into(
        &self,
        backup: &Backup,
        target: &mut impl Write,
        interrupt: &Interrupt,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let path = &backup.path;
        let wanted = wanted(&backup.manifest, &self.keys, interrupt, monitor);
        let found = extract(path, target, wanted, &backup.manifest)
            .map_err(|error| blame(backup, error))?;
        match (&backup.label, found) {
            (Some(label), Some(digest)) => require_digest(path, &digest, label),
            _ => Ok(()),
        }
    }

    /// Durable before the archive has its name.
    pub(super) fn write_label(
        &self,
        slot: &Slot,
        manifest: &Manifest,
        sha256: String,
    ) -> Result<()> {
        let bytes = match storage::kind(&slot.draft())? {
            PathKind::File(bytes) => bytes,
            _ => 0,
        };
        let label = Label {
            recipients: self.encryption.as_ref().and_then(Encryption::fingerprint),
            ..Label::new(storage::name_of(&slot.archive()), bytes, sha256, manifest)
        };
        storage::replace_durably(&slot.label(), &label.to_json())?;
        fault::reach(Point::ArchiveLabelled);
        Ok(())
    }

    /// Labels, and notes of copies, whose archive never got its name, or is pruned.
    pub(super) fn lone_notes(&self) -> Result<Vec<PathBuf>> {
        let archives: BTreeSet<String> = storage::list(&self.folder)?
            .iter()
            .filter(|path| is_archive(path))
            .map(|path| stem_of(path))
            .collect();
        let mut lone = Vec::new();
        for suffix in [LABEL, COPIED] {
            let mut paths = self.leftovers(suffix)?;
            paths.retain(|path| {
                let name = storage::name_of(path);
                !archives.contains(name.strip_suffix(suffix).unwrap_or(&name))
            });
            lone.extend(paths);
        }
        Ok(lone)
    }
}

/// Reads a draft to its end, with the keys that are there for that alone, and compares its database with the manifest: through
/// the same code that unpacks it for a restore, so that whatever was written wrong shows. It is read from the kernel's cache
/// and not from the disk, of which it proves nothing. Returns SHA-256 of a draft that is encrypted.
pub(super) fn read_back(
    draft: &Path,
    manifest: &Manifest,
    keys: &Keys,
    interrupt: &Interrupt,
    monitor: &dyn Monitor,
) -> Result<Option<String>> {
    let wanted = wanted(manifest, keys, interrupt, monitor);
    extract(draft, &mut std::io::sink(), wanted, manifest)
}

fn wanted<'a>(
    manifest: &'a Manifest,
    keys: &'a Keys,
    interrupt: &'a Interrupt,
    monitor: &'a dyn Monitor,
) -> archive::Wanted<'a> {
    archive::Wanted {
        name: &manifest.file,
        bytes: manifest.size_bytes,
        keys,
        interrupt,
        monitor,
    }
}

/// SHA-256 of the archive, where it is encrypted.
fn extract(
    path: &Path,
    target: &mut impl Write,
    wanted: archive::Wanted<'_>,
    manifest: &Manifest,
) -> Result<Option<String>> {
    let found = archive::extract(path, target, wanted)?;
    require_same(path, &found.manifest, manifest)?;
    if found.sha256 != manifest.sha256 {
        let (digest, promised) = (found.sha256, &manifest.sha256);
        let reason =
            format!("its database has the SHA-256 {digest}, the manifest says '{promised}'");
        return Err(unusable(path, reason));
    }
    Ok(found.archive_sha256)
}

/// What is inside must be what was chosen.
fn require_same(path: &Path, inside: &[u8], chosen: &Manifest) -> Result<()> {
    if Manifest::parse(inside, path)?.is_alike(chosen) {
        return Ok(());
    }
    let reason = "what is in it is another backup than was chosen: it was put in the place of another, or its label was";
    Err(unusable(path, reason))
}

fn require_digest(path: &Path, digest: &str, label: &Label) -> Result<()> {
    if digest == label.archive_sha256 {
        return Ok(());
    }
    let reason = format!(
        "its label says that it has the SHA-256 {}, and it has {digest}: it was changed since it was made, or the label was",
        label.archive_sha256
    );
    Err(unusable(path, reason))
}

/// An archive that no key opens any more may be damaged where the keys are kept: its label tells.
fn blame(backup: &Backup, error: Error) -> Error {
    let (Error::KeyNeeded { tried: true, .. }, Some(label)) = (&error, &backup.label) else {
        return error;
    };
    match archive::sha256_of(&backup.path) {
        Ok(digest) => {
            require_digest(&backup.path, &digest, label).map_or_else(|damage| damage, |()| error)
        }
        Err(_) => error,
    }
}

fn require_size(path: &Path, bytes: u64, label: &Label) -> Result<()> {
    let promised = label.archive_bytes;
    if bytes == promised {
        return Ok(());
    }
    let reason = format!(
        "its label says that it has {promised} bytes, and it has {bytes}: it was changed since it was made, or the label was"
    );
    Err(unusable(path, reason))
}

fn read_label(archive: &Path) -> Result<Label> {
    let path = label_of(archive);
    let label = Label::parse(&storage::read_bounded(&path, LABEL_LIMIT_BYTES)?, &path)?;
    let name = storage::name_of(archive);
    if label.archive != name {
        return Err(unusable(
            &path,
            format!("it is the label of '{}'", label.archive),
        ));
    }
    Ok(label)
}

fn label_of(archive: &Path) -> PathBuf {
    archive.with_file_name(format!("{}{LABEL}", stem_of(archive)))
}

fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::BackupUnusable {
        backup: path.to_path_buf(),
        reason: reason.into(),
    }
}
