//! `safestep.toml`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Given, usage};
use crate::error::{Result, toml_words};
use crate::storage;

const NAME: &str = "safestep.toml";
const LIMIT_BYTES: u64 = 1024 * 1024;

/// What it says; without one, nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) database: Option<String>,
    pub(super) migrations: Option<PathBuf>,
    pub(super) backups: Option<PathBuf>,
    pub(super) lock_timeout: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_last: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_hourly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_daily: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_weekly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_monthly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_yearly: Option<String>,
    pub(super) keep_within: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) max_total: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) compression: Option<String>,
    #[serde(rename = "recipients_file")]
    pub(super) recipients: Option<PathBuf>,
    #[serde(rename = "identity_file")]
    pub(super) identities: Option<PathBuf>,
    #[serde(rename = "passphrase_file")]
    pub(super) passphrase: Option<PathBuf>,
    pub(super) log_dir: Option<PathBuf>,
    pub(super) window: Option<String>,
    pub(super) timezone: Option<String>,
    #[serde(default, deserialize_with = "switch")]
    pub(super) wait: Option<String>,
    pub(super) deadline: Option<String>,
    pub(super) all: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) jobs: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) max_failures: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(super) shards: Option<String>,
    #[serde(default)]
    pub(super) daemon: DaemonFile,
    #[serde(default)]
    pub(super) offsite: OffsiteFile,
    #[serde(rename = "metrics_file")]
    pub(super) metrics: Option<PathBuf>,
    pub(super) pushgateway: Option<String>,
    pub(super) on_success: Option<String>,
    pub(super) on_failure: Option<String>,
    /// Its folder, which its paths are relative to.
    #[serde(skip)]
    pub(super) folder: PathBuf,
    #[serde(skip)]
    pub(super) path: PathBuf,
}

/// Its part `[daemon]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DaemonFile {
    pub(super) run: Option<String>,
    pub(super) backup: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) prune: Option<String>,
    pub(super) missed: Option<String>,
    pub(super) listen: Option<String>,
}

/// Its part `[offsite]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OffsiteFile {
    pub(super) url: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) path_style: Option<bool>,
    #[serde(default, deserialize_with = "switch")]
    pub(super) required: Option<String>,
    pub(super) timeout: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_last: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_hourly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_daily: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_weekly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_monthly: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) keep_yearly: Option<String>,
    pub(super) keep_within: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    pub(super) max_total: Option<String>,
}

/// A number or text, such as `unlimited` or `20GB`, kept as text.
fn amount<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    struct Amount;
    impl serde::de::Visitor<'_> for Amount {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number or text")
        }
        fn visit_i64<E>(self, number: i64) -> std::result::Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_str<E>(self, text: &str) -> std::result::Result<String, E> {
            Ok(text.to_owned())
        }
    }
    from.deserialize_any(Amount).map(Some)
}

/// A number, kept as text like the values of flags.
fn number<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    Option::<usize>::deserialize(from).map(|number| number.map(|number| number.to_string()))
}

/// True or false, kept as text likewise.
fn switch<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    Option::<bool>::deserialize(from).map(|switch| switch.map(|switch| switch.to_string()))
}

/// What is wrong with it, without the line where that is one with a URL, which may hold a token.
fn words(error: &toml::de::Error) -> String {
    let words = toml_words(error);
    if words.contains("://") {
        return error.message().to_owned();
    }
    words
}

impl File {
    pub(super) fn read(given: &Given, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let named = given
            .config
            .clone()
            .or_else(|| env("SAFESTEP_CONFIG").map(PathBuf::from));
        let path = match named {
            Some(path) => path,
            None if storage::is_absent(Path::new(NAME)) => return Ok(Self::default()),
            None => NAME.into(),
        };
        let wrong = |message: String| {
            usage(
                format!("{}: {message}", path.display()),
                "The keys are database, migrations, backups, lock_timeout, keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within, max_total, verify, compression, recipients_file, identity_file, passphrase_file, log_dir, window, timezone, wait, deadline, metrics_file, pushgateway, on_success, on_failure, all, jobs, max_failures and shards; those of [daemon] are run, backup, verify, prune, missed and listen; those of [offsite] are url, endpoint, region, path_style, required, timeout, keep_last and its like, keep_within and max_total.",
            )
        };
        let bytes = storage::read_bounded(&path, LIMIT_BYTES).map_err(|error| {
            usage(
                error.to_string(),
                "This is the configuration file: correct --config or SAFESTEP_CONFIG, or what stands there.",
            )
        })?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".into()))?;
        let mut file: Self = toml::from_str(&text).map_err(|error| wrong(words(&error)))?;
        let folder = storage::folder_of(&path);
        for entry in [
            &mut file.migrations,
            &mut file.backups,
            &mut file.log_dir,
            &mut file.recipients,
            &mut file.identities,
            &mut file.passphrase,
            &mut file.metrics,
        ] {
            *entry = entry.take().map(|path| folder.join(path));
        }
        file.folder = folder;
        file.path = path;
        Ok(file)
    }
}
