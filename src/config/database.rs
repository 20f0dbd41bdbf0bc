//! How a database may be named: a path or a URL.

use std::path::{Path, PathBuf};

use super::usage;
use crate::error::{Error, Result};

/// A path, or a URL in SQLAlchemy's form (`sqlite:///relative`, `sqlite:////absolute`) or sqlx's (`sqlite:path`,
/// `sqlite://path`). Three slashes are read as SQLAlchemy reads them.
pub(super) fn database_path(text: &str) -> Result<PathBuf> {
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
}
