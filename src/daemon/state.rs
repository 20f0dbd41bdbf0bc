//! What outlives the daemon: up to when the times of each task are settled, and when it last ended well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Task;
use crate::clock::Stamp;
use crate::error::Result;
use crate::storage;

const FORMAT_VERSION: u32 = 1;
const LIMIT_BYTES: u64 = 64 * 1024;
/// Of the digest of a database's path: others of the same name may share the folder.
const SHORT_DIGEST: usize = 4;

/// The state of a daemon, and the file in the backups folder that it is kept in.
#[derive(Debug, Clone)]
pub struct State {
    path: PathBuf,
    text: Text,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Text {
    format_version: u32,
    database: String,
    tasks: BTreeMap<String, Known>,
}

/// RFC 3339, UTC.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    settled_to: Option<String>,
    last_success: Option<String>,
}

impl State {
    /// That of a database below a folder of backups, and what is wrong with it: then all of it counts as unknown.
    #[must_use]
    pub fn read(folder: &Path, database: &Path) -> (Self, Option<String>) {
        let path = folder.join(format!("{}.json", stem(database)));
        let (text, wrong) = match Self::text_of(&path, database) {
            Ok(text) => (text, None),
            Err(wrong) => (None, Some(format!("{}: {wrong}", path.display()))),
        };
        let fresh = Text {
            format_version: FORMAT_VERSION,
            database: database.display().to_string(),
            tasks: BTreeMap::new(),
        };
        let text = text.unwrap_or(fresh);
        (Self { path, text }, wrong)
    }

    fn text_of(path: &Path, database: &Path) -> std::result::Result<Option<Text>, String> {
        if storage::is_absent(path) {
            return Ok(None);
        }
        let bytes = storage::read_bounded(path, LIMIT_BYTES).map_err(|error| error.to_string())?;
        let text: Text = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if text.format_version != FORMAT_VERSION {
            return Err(format!("its format version is {}", text.format_version));
        }
        if Path::new(&text.database) != database {
            return Err(format!("it is the state of {}", text.database));
        }
        let written = text
            .tasks
            .values()
            .flat_map(|known| [&known.settled_to, &known.last_success]);
        if let Some(wrong) = written.flatten().find(|text| Stamp::parse(text).is_none()) {
            return Err(format!("'{wrong}' is no moment"));
        }
        Ok(Some(text))
    }

    /// The name of the lock file of the daemon that serves a database.
    #[must_use]
    pub fn lock_name(database: &Path) -> String {
        format!("{}-lock", stem(database))
    }

    /// What is known that lies after `limit`, a moment in the future.
    #[must_use]
    pub fn from_the_future(&self, limit: Stamp) -> Vec<&str> {
        let known = self.text.tasks.iter();
        let ahead = known
            .filter(|(_, known)| moment(known.settled_to.as_ref()).is_some_and(|at| at > limit));
        ahead.map(|(task, _)| task.as_str()).collect()
    }

    /// Up to when the times of a task are settled; `None` where that is not known, or lies after `limit`.
    #[must_use]
    pub fn since(&self, task: Task, limit: Stamp) -> Option<Stamp> {
        let known = self.text.tasks.get(task.name())?;
        moment(known.settled_to.as_ref()).filter(|at| *at <= limit)
    }

    /// When a task last ended well.
    #[must_use]
    pub fn last_success(&self, task: Task) -> Option<Stamp> {
        moment(self.text.tasks.get(task.name())?.last_success.as_ref())
    }

    /// Takes down how far a task is, durably. `success` is when it ended well, where it did.
    ///
    /// # Errors
    /// When it cannot be written; it counts for this process all the same.
    pub fn settle(&mut self, task: Task, since: Stamp, success: Option<Stamp>) -> Result<()> {
        let known = self.text.tasks.entry(task.name().to_owned()).or_default();
        known.settled_to = Some(since.rfc3339());
        if let Some(success) = success {
            known.last_success = Some(success.rfc3339());
        }
        let mut text = serde_json::to_vec_pretty(&self.text).unwrap_or_default();
        text.push(b'\n');
        storage::replace_durably(&self.path, &text)
    }
}

fn moment(text: Option<&String>) -> Option<Stamp> {
    Stamp::parse(text?)
}

fn stem(database: &Path) -> String {
    let digest = Sha256::digest(database.as_os_str().as_encoded_bytes());
    let short: String = digest[..SHORT_DIGEST]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(".safestep-daemon-{short}")
}
