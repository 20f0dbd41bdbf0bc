//! Where the settings come from: flags, then `SAFESTEP_*`, then `safestep.toml`, then `DATABASE_URL` or `DATA_DIR`,
//! then `data/fastflow.db`. All environment variables are read here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::archive::Compression;
use crate::clock::parse_duration;
use crate::error::{Error, Result, toml_words};
use crate::job::Settings;
use crate::sqlite::Depth;
use crate::storage;

const DEFAULT_DATABASE: &str = "data/fastflow.db";
const DEFAULT_MIGRATIONS: &str = "migrations";
const DEFAULT_BACKUPS: &str = "backups";
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_KEEP: usize = 10;
const CONFIG_FILE: &str = "safestep.toml";
const CONFIG_LIMIT_BYTES: u64 = 1024 * 1024;
/// The environment variables that are read.
const VARIABLES: [&str; 11] = [
    "SAFESTEP_DATABASE",
    "SAFESTEP_MIGRATIONS",
    "SAFESTEP_BACKUPS",
    "SAFESTEP_LOCK_TIMEOUT",
    "SAFESTEP_KEEP",
    "SAFESTEP_VERIFY",
    "SAFESTEP_COMPRESSION",
    "SAFESTEP_LOG_DIR",
    "SAFESTEP_CONFIG",
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
    /// `--keep`
    pub keep: Option<String>,
    /// `--verify`
    pub verify: Option<String>,
    /// `--compression`
    pub compression: Option<String>,
    /// `--log-dir`
    pub log_dir: Option<PathBuf>,
    /// `--create-if-missing`
    pub create_if_missing: bool,
}

/// Everything that a command needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the jobs.
    pub settings: Settings,
    /// Where the rolling log files go.
    pub log_dir: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database: Option<String>,
    migrations: Option<PathBuf>,
    backups: Option<PathBuf>,
    lock_timeout: Option<String>,
    keep: Option<usize>,
    verify: Option<String>,
    compression: Option<String>,
    log_dir: Option<PathBuf>,
    /// The folder of the file, which its paths are relative to.
    #[serde(skip)]
    folder: PathBuf,
}

impl Config {
    /// Resolves the settings. `env` looks up an environment variable.
    pub fn resolve(given: &Given, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let file = read_file(given, &env)?;
        let named_database = database(given, &env, &file)?;
        let path = |flag: &Option<PathBuf>, name: &str, file: Option<PathBuf>, default: &str| {
            flag.clone()
                .or_else(|| env(name).map(PathBuf::from))
                .or(file)
                .unwrap_or_else(|| default.into())
        };
        let backups = path(
            &given.backups,
            "SAFESTEP_BACKUPS",
            file.backups,
            DEFAULT_BACKUPS,
        );
        let settings = Settings {
            database: storage::absolute(&named_database)?,
            migrations: path(
                &given.migrations,
                "SAFESTEP_MIGRATIONS",
                file.migrations,
                DEFAULT_MIGRATIONS,
            ),
            lock_timeout: lock_timeout(given, &env, file.lock_timeout)?,
            keep: keep(given, &env, file.keep)?,
            verify: verify(given, &env, file.verify)?,
            compression: compression(given, &env, file.compression)?,
            create_if_missing: given.create_if_missing,
            backups: storage::absolute(&backups)?,
        };
        let logs = settings.backups.join("logs");
        let log_dir = given
            .log_dir
            .clone()
            .or_else(|| env("SAFESTEP_LOG_DIR").map(PathBuf::from))
            .or(file.log_dir)
            .unwrap_or(logs);
        Ok(Self { settings, log_dir })
    }
}

/// Refuses variables that are no text: to pass over one would be to work on another database than was meant.
pub fn require_text(env: &dyn Fn(&str) -> Option<OsString>) -> Result<()> {
    let is_no_text = |name: &&&str| env(name).is_some_and(|value| value.to_str().is_none());
    match VARIABLES.iter().find(is_no_text) {
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

fn lock_timeout(
    given: &Given,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<String>,
) -> Result<Duration> {
    let text = given
        .lock_timeout
        .clone()
        .or_else(|| env("SAFESTEP_LOCK_TIMEOUT"))
        .or(file);
    match text {
        None => Ok(DEFAULT_LOCK_TIMEOUT),
        Some(text) => parse_duration(&text).map_err(|message| {
            usage(
                message,
                "Set the lock timeout, for example --lock-timeout 30s.",
            )
        }),
    }
}

fn keep(given: &Given, env: &dyn Fn(&str) -> Option<String>, file: Option<usize>) -> Result<usize> {
    let number = match given.keep.clone().or_else(|| env("SAFESTEP_KEEP")) {
        Some(text) => text.parse().map_err(|_| {
            usage(
                format!("'{text}' is not a number of backups"),
                "Give --keep a number of 1 or more.",
            )
        })?,
        None => file.unwrap_or(DEFAULT_KEEP),
    };
    if number == 0 {
        return Err(usage(
            "0 backups cannot be kept: the newest good one always stays",
            "Give --keep a number of 1 or more.",
        ));
    }
    Ok(number)
}

fn verify(
    given: &Given,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<String>,
) -> Result<Depth> {
    let text = given.verify.clone().or_else(|| env("SAFESTEP_VERIFY"));
    match text.or(file).as_deref() {
        None | Some("quick") => Ok(Depth::Quick),
        Some("full") => Ok(Depth::Full),
        Some(other) => Err(usage(
            format!("'{other}' is no way to verify"),
            "Set --verify to quick or full.",
        )),
    }
}

fn compression(
    given: &Given,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<String>,
) -> Result<Compression> {
    let text = given
        .compression
        .clone()
        .or_else(|| env("SAFESTEP_COMPRESSION"))
        .or(file);
    match text {
        None => Ok(Compression::default()),
        Some(text) => text.parse().map_err(|message: String| {
            usage(
                message,
                "Set the compression to gzip, zstd or none; a level may follow, as in --compression zstd:9.",
            )
        }),
    }
}

fn read_file(given: &Given, env: &dyn Fn(&str) -> Option<String>) -> Result<File> {
    let named = given
        .config
        .clone()
        .or_else(|| env("SAFESTEP_CONFIG").map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None if storage::is_absent(Path::new(CONFIG_FILE)) => return Ok(File::default()),
        None => CONFIG_FILE.into(),
    };
    let wrong = |message: String| {
        usage(
            format!("{}: {message}", path.display()),
            "The keys are database, migrations, backups, lock_timeout, keep, verify, compression and log_dir.",
        )
    };
    let bytes = storage::read_bounded(&path, CONFIG_LIMIT_BYTES).map_err(|error| {
        usage(
            error.to_string(),
            "This is the configuration file: correct --config or SAFESTEP_CONFIG, or what stands there.",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".into()))?;
    let mut file: File = toml::from_str(&text).map_err(|error| wrong(toml_words(&error)))?;
    let folder = storage::folder_of(&path);
    for entry in [&mut file.migrations, &mut file.backups, &mut file.log_dir] {
        *entry = entry.take().map(|path| folder.join(path));
    }
    file.folder = folder;
    Ok(file)
}

fn database(given: &Given, env: &dyn Fn(&str) -> Option<String>, file: &File) -> Result<PathBuf> {
    let first = given.database.clone().or_else(|| env("SAFESTEP_DATABASE"));
    match (first, &file.database, env("DATABASE_URL")) {
        (Some(text), _, _) | (None, None, Some(text)) => database_path(&text),
        (None, Some(text), _) => database_path(text).map(|path| file.folder.join(path)),
        (None, None, None) => Ok(env("DATA_DIR").map_or_else(
            || DEFAULT_DATABASE.into(),
            |folder| Path::new(&folder).join("fastflow.db"),
        )),
    }
}

/// A path, or a URL in SQLAlchemy's form (`sqlite:///relative`, `sqlite:////absolute`) or sqlx's (`sqlite:path`,
/// `sqlite://path`). Three slashes are read as SQLAlchemy reads them.
fn database_path(text: &str) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(usage(
            "the database path is empty",
            "Give --database the path of a file.",
        ));
    }
    if text == ":memory:" {
        return Err(no_file(text));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(text.into());
    };
    let scheme = scheme.to_ascii_lowercase();
    let base = scheme.split('+').next().unwrap_or(&scheme);
    if base == "file" {
        return Err(usage(
            format!("'{text}' is a URI of SQLite's own, which is not understood here"),
            "Give the path of the file, or ./file:… if it is really called so.",
        ));
    }
    // What is encrypted is no SQLite database, and its URL has a password.
    let foreign = if scheme.ends_with("sqlcipher") {
        &scheme
    } else {
        base
    };
    if foreign != "sqlite" {
        return if rest.starts_with("//") {
            Err(Error::ForeignUrl {
                scheme: foreign.to_owned(),
            })
        } else {
            Ok(text.into())
        };
    }
    let rest = rest.split('?').next().unwrap_or(rest);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let is_three_slashes = rest.starts_with("///");
    let path = if is_three_slashes { &path[1..] } else { path };
    if path.is_empty() || path == ":memory:" {
        return Err(no_file(text));
    }
    let absolute = Path::new("/").join(path);
    if is_three_slashes && !Path::new(path).exists() && absolute.is_file() {
        return Err(usage(
            format!(
                "'{text}' is {path} here for SQLAlchemy, which does not exist, and {} for sqlx, which does",
                absolute.display()
            ),
            "Write four slashes for an absolute path: sqlite:////absolute/path.db.",
        ));
    }
    Ok(path.into())
}

fn no_file(text: &str) -> Error {
    usage(
        format!("'{text}' names no database file"),
        "Give the path of a file: sqlite:///relative/path.db or sqlite:////absolute/path.db.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlalchemy_and_sqlx_urls_name_the_same_files() {
        let path = |text| {
            database_path(text)
                .map(|path| path.display().to_string())
                .ok()
        };
        assert_eq!(path("data/app.db").as_deref(), Some("data/app.db"));
        assert_eq!(
            path("sqlite:///data/app.db").as_deref(),
            Some("data/app.db")
        );
        assert_eq!(
            path("sqlite+aiosqlite:///data/app.db").as_deref(),
            Some("data/app.db")
        );
        assert_eq!(
            path("sqlite:////srv/app.db").as_deref(),
            Some("/srv/app.db")
        );
        assert_eq!(path("sqlite:data/app.db").as_deref(), Some("data/app.db"));
        assert_eq!(
            path("sqlite://data/app.db?mode=rwc").as_deref(),
            Some("data/app.db")
        );
        assert_eq!(path("sqlite:/srv/app.db").as_deref(), Some("/srv/app.db"));
    }

    #[test]
    fn a_postgresql_url_is_refused_with_exit_code_4() {
        for text in [
            "postgresql://u:p@h/db",
            "postgres://h/db",
            "postgresql+psycopg://h/db",
            "mysql://h/db",
        ] {
            let error = database_path(text).expect_err("not ours");
            assert_eq!(error.exit_code(), 4, "{text}");
            assert!(
                !error.to_string().contains("u:p"),
                "the password is not printed"
            );
        }
    }

    #[test]
    fn a_database_in_memory_is_no_file_to_migrate() {
        for text in ["sqlite://", "sqlite::memory:", "sqlite:///:memory:"] {
            assert_eq!(
                database_path(text).expect_err("no file").exit_code(),
                2,
                "{text}"
            );
        }
    }

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
