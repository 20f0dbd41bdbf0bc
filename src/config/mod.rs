//! Where the settings come from: flags, then `SAFESTEP_*`, then `safestep.toml`, then `DATABASE_URL` or `DATA_DIR`,
//! then `data/fastflow.db`. All environment variables are read here.

mod daemon;
mod database;
mod file;
mod keys;
mod many;
mod offsite;
mod retention;
mod source;
mod times;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::job::Settings;
use crate::notify::Outlets;
use crate::offsite::VARIABLES as OF_STORES;
use crate::storage;

pub use daemon::{DaemonConfig, GivenDaemon};
use database::database_path;
use file::File;
pub use keys::GivenKeys;
pub use many::GivenMany;
pub use offsite::GivenOffsite;
pub use retention::GivenRetention;
use source::{Source, Value};
pub use times::GivenTimes;

const DEFAULT_DATABASE: &str = "data/fastflow.db";
const DEFAULT_MIGRATIONS: &str = "migrations";
const DEFAULT_BACKUPS: &str = "backups";
/// The environment variables that are read, besides those by which stores are found.
const VARIABLES: [&str; 53] = [
    "SAFESTEP_DATABASE",
    "SAFESTEP_MIGRATIONS",
    "SAFESTEP_BACKUPS",
    "SAFESTEP_LOCK_TIMEOUT",
    "SAFESTEP_KEEP_LAST",
    "SAFESTEP_KEEP_HOURLY",
    "SAFESTEP_KEEP_DAILY",
    "SAFESTEP_KEEP_WEEKLY",
    "SAFESTEP_KEEP_MONTHLY",
    "SAFESTEP_KEEP_YEARLY",
    "SAFESTEP_KEEP_WITHIN",
    "SAFESTEP_MAX_TOTAL",
    "SAFESTEP_OFFSITE_KEEP_LAST",
    "SAFESTEP_OFFSITE_KEEP_HOURLY",
    "SAFESTEP_OFFSITE_KEEP_DAILY",
    "SAFESTEP_OFFSITE_KEEP_WEEKLY",
    "SAFESTEP_OFFSITE_KEEP_MONTHLY",
    "SAFESTEP_OFFSITE_KEEP_YEARLY",
    "SAFESTEP_OFFSITE_KEEP_WITHIN",
    "SAFESTEP_OFFSITE_MAX_TOTAL",
    "SAFESTEP_VERIFY",
    "SAFESTEP_COMPRESSION",
    "SAFESTEP_RECIPIENTS_FILE",
    "SAFESTEP_IDENTITY_FILE",
    "SAFESTEP_PASSPHRASE_FILE",
    "SAFESTEP_PASSPHRASE",
    "SAFESTEP_LOG_DIR",
    "SAFESTEP_METRICS_FILE",
    "SAFESTEP_PUSHGATEWAY",
    "SAFESTEP_ON_SUCCESS",
    "SAFESTEP_ON_FAILURE",
    "SAFESTEP_CONFIG",
    "SAFESTEP_DAEMON_RUN",
    "SAFESTEP_DAEMON_BACKUP",
    "SAFESTEP_DAEMON_VERIFY",
    "SAFESTEP_DAEMON_PRUNE",
    "SAFESTEP_DAEMON_MISSED",
    "SAFESTEP_DAEMON_LISTEN",
    "SAFESTEP_ALL",
    "SAFESTEP_JOBS",
    "SAFESTEP_MAX_FAILURES",
    "SAFESTEP_SHARD",
    "SAFESTEP_SHARDS",
    "JOB_COMPLETION_INDEX",
    "SAFESTEP_WINDOW",
    "SAFESTEP_TIMEZONE",
    "SAFESTEP_WAIT",
    "SAFESTEP_DEADLINE",
    "SAFESTEP_OFFSITE",
    "SAFESTEP_OFFSITE_REQUIRED",
    "SAFESTEP_OFFSITE_TIMEOUT",
    "DATABASE_URL",
    "DATA_DIR",
];

/// The settings as the command line gives them; what is missing comes from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--database`: a path or URL.
    pub database: Option<String>,
    /// `--migrations`
    pub migrations: Option<PathBuf>,
    /// `--backups`
    pub backups: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--lock-timeout`
    pub lock_timeout: Option<String>,
    /// Which backups stay.
    pub retention: GivenRetention,
    /// `--verify`
    pub verify: Option<String>,
    /// `--compression`
    pub compression: Option<String>,
    /// Where the keys are.
    pub keys: GivenKeys,
    /// `--log-dir`
    pub log_dir: Option<PathBuf>,
    /// `--metrics-file`
    pub metrics_file: Option<PathBuf>,
    /// `--pushgateway`: an URL.
    pub pushgateway: Option<String>,
    /// `--create-if-missing`
    pub create_if_missing: bool,
    /// `--before`
    pub before: Option<String>,
    /// When a migration may run, and for how long.
    pub times: GivenTimes,
    /// Of a verb that can be run on many databases.
    pub many: Option<GivenMany>,
    /// Where copies go off site.
    pub offsite: GivenOffsite,
    /// Of the daemon.
    pub daemon: Option<GivenDaemon>,
}

/// Everything that a command needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the jobs.
    pub settings: Settings,
    /// Where there are many databases.
    pub fleet: Option<Fleet>,
    /// Only backups made before this moment are meant.
    pub before: Option<Stamp>,
    /// Of the daemon.
    pub daemon: Option<DaemonConfig>,
    /// Where the rolling log files go.
    pub log_dir: PathBuf,
    /// Who is told how a job ended.
    pub outlets: Outlets,
}

impl Config {
    /// Resolves the settings. `env` looks up an environment variable.
    pub fn resolve(given: &Given, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let counts =
            |name: &str, value: &str| !value.is_empty() || keys::NEVER_EMPTY.contains(&name);
        let env = |name: &str| env(name).filter(|value| counts(name, value));
        let file = File::read(given, &env)?;
        let source = Source {
            env: &env,
            file: &file,
        };
        let fleet = many::fleet(given, &source)?;
        let backups = source.path(
            given.backups.as_deref(),
            "SAFESTEP_BACKUPS",
            file.backups.as_deref(),
        );
        let (encryption, keys) = keys::keys(given, &source)?;
        let zone = times::timezone(&given.times, &source)?;
        let retained = retention::local(&given.retention, &source, zone)?;
        let access = offsite::access(&source);
        let settings = Settings {
            // Of a fleet, each job has its own.
            database: match fleet {
                Some(_) => PathBuf::new(),
                None => storage::absolute(&database(given, &source)?)?,
            },
            migrations: source
                .path(
                    given.migrations.as_deref(),
                    "SAFESTEP_MIGRATIONS",
                    file.migrations.as_deref(),
                )
                .unwrap_or_else(|| DEFAULT_MIGRATIONS.into()),
            backups: storage::absolute(&backups.unwrap_or_else(|| DEFAULT_BACKUPS.into()))?,
            group: PathBuf::new(),
            lock_timeout: values::lock_timeout(source.text(
                given.lock_timeout.as_deref(),
                "lock-timeout",
                file.lock_timeout.as_deref(),
            ))?,
            offsite_retention: retention::offsite(&source, &retained)?,
            retention: retained,
            verify: values::verify(source.text(
                given.verify.as_deref(),
                "verify",
                file.verify.as_deref(),
            ))?,
            compression: values::compression(source.text(
                given.compression.as_deref(),
                "compression",
                file.compression.as_deref(),
            ))?,
            encryption,
            keys,
            create_if_missing: given.create_if_missing,
            times: times::times(&given.times, &source)?,
            offsite: offsite::offsite(&given.offsite, &source, &access)?,
            access,
            is_named: given.database.is_some() || given.backups.is_some() || given.config.is_some(),
        };
        let log_dir = source
            .path(
                given.log_dir.as_deref(),
                "SAFESTEP_LOG_DIR",
                file.log_dir.as_deref(),
            )
            .unwrap_or_else(|| settings.backups.join("logs"));
        let daemon = daemon::daemon(given, &source, settings.times.window.as_ref())?;
        Ok(Self {
            settings,
            fleet,
            before: times::before(given, &source)?,
            daemon,
            log_dir,
            outlets: outlets(given, &source)?,
        })
    }

    /// What of a configuration that is wrong elsewhere can still be understood: whom to tell, and of which database.
    #[must_use]
    pub fn resolve_outlets(
        given: &Given,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(Outlets, Option<PathBuf>)> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let file = File::read(given, &env).ok()?;
        let source = Source {
            env: &env,
            file: &file,
        };
        let path = database(given, &source).and_then(|path| storage::absolute(&path));
        Some((outlets(given, &source).ok()?, path.ok()))
    }
}

/// Refuses variables that are no text: to pass over one would be to work on another database than was meant.
pub fn require_text(env: &dyn Fn(&str) -> Option<OsString>) -> Result<()> {
    let is_no_text = |name: &&&str| env(name).is_some_and(|value| value.to_str().is_none());
    match VARIABLES.iter().chain(&OF_STORES).find(is_no_text) {
        None => Ok(()),
        Some(name) => Err(usage(
            format!("the environment variable {name} is not UTF-8"),
            "Set it to a path or text in UTF-8, or unset it.",
        )),
    }
}

fn usage(message: impl Into<String>, hint: &str) -> Error {
    Error::Usage {
        message: message.into(),
        hint: hint.to_owned(),
    }
}

fn outlets(given: &Given, source: &Source<'_>) -> Result<Outlets> {
    let file = source.file;
    let endpoint = |given: Option<&str>, flag: &str, file: &Option<String>| {
        values::endpoint(source.text(given, flag, file.as_deref()))
    };
    Ok(Outlets {
        metrics_file: source.path(
            given.metrics_file.as_deref(),
            "SAFESTEP_METRICS_FILE",
            file.metrics.as_deref(),
        ),
        pushgateway: endpoint(
            given.pushgateway.as_deref(),
            "pushgateway",
            &file.pushgateway,
        )?,
        on_success: endpoint(None, "on-success", &file.on_success)?,
        on_failure: endpoint(None, "on-failure", &file.on_failure)?,
    })
}

fn database(given: &Given, source: &Source<'_>) -> Result<PathBuf> {
    let first = given
        .database
        .clone()
        .or_else(|| (source.env)("SAFESTEP_DATABASE"));
    match (first, &source.file.database, (source.env)("DATABASE_URL")) {
        (Some(text), _, _) | (None, None, Some(text)) => database_path(&text),
        (None, Some(text), _) => database_path(text).map(|path| source.file.folder.join(path)),
        (None, None, None) => Ok((source.env)("DATA_DIR").map_or_else(
            || DEFAULT_DATABASE.into(),
            |folder| Path::new(&folder).join("fastflow.db"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_default() {
        let env = |name: &str| match name {
            "SAFESTEP_BACKUPS" => Some("/from-env".to_owned()),
            "DATABASE_URL" => Some("sqlite:////from-url.db".to_owned()),
            _ => None,
        };
        let config = Config::resolve(&Given::default(), &env).expect("good");
        assert_eq!(config.settings.backups, Path::new("/from-env"));
        assert_eq!(config.settings.database, Path::new("/from-url.db"));
        let given = Given {
            backups: Some("/from-flag".into()),
            database: Some("/flag.db".into()),
            ..Given::default()
        };
        let config = Config::resolve(&given, &env).expect("good");
        assert_eq!(config.settings.backups, Path::new("/from-flag"));
        assert_eq!(config.settings.database, Path::new("/flag.db"));
    }

    #[test]
    fn data_dir_names_the_folder_of_fastflow_db() {
        let env = |name: &str| (name == "DATA_DIR").then(|| "/srv/data".to_owned());
        let config = Config::resolve(&Given::default(), &env).expect("good");
        assert_eq!(config.settings.database, Path::new("/srv/data/fastflow.db"));
    }
}
