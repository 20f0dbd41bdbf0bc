//! The programs: ours, the peers, and what measures them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// Where everything is.
pub(crate) struct Tools {
    alembic_python: String,
    sqlx: String,
}

impl Tools {
    /// Fails with what is missing.
    pub(crate) fn find() -> Result<Self, Failure> {
        let named = |variable: &str, what: &str| {
            let value = std::env::var(variable).ok().filter(|path| !path.is_empty());
            value.ok_or_else(|| {
                format!("{variable} is not set: it has to name {what}; .ci/run installs it")
            })
        };
        let tools = Self {
            alembic_python: named(
                "SAFESTEP_ALEMBIC",
                "the python of a virtual environment with Alembic",
            )?,
            sqlx: named("SAFESTEP_SQLX", "the sqlx program of sqlx-cli")?,
        };
        tools.versions()?;
        Ok(tools)
    }

    /// A text for the shell with the names in it replaced: `SAFESTEP run --database ours.db`.
    pub(crate) fn expand(&self, text: &str, base: &Path) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths: [(&str, PathBuf); 6] = [
            ("SAFESTEP", env!("CARGO_BIN_EXE_safestep").into()),
            ("MIGRATIONS", root.join("migrations")),
            ("ALEMBIC_INI", root.join("tests/alembic/alembic.ini")),
            ("PYTHON", self.alembic_python.clone().into()),
            ("SQLX", self.sqlx.clone().into()),
            ("BASE", base.to_path_buf()),
        ];
        paths.iter().fold(text.to_owned(), |text, (name, path)| {
            text.replace(name, &path.display().to_string())
        })
    }

    /// What each of them says that it is.
    pub(crate) fn versions(&self) -> Result<Vec<String>, Failure> {
        let alembic = [self.alembic_python.as_str(), "-m", "alembic", "--version"];
        let commands: [&[&str]; 8] = [
            &[env!("CARGO_BIN_EXE_safestep"), "--version"],
            &["sqlite3", "--version"],
            &["pigz", "--version"],
            &["gzip", "--version"],
            &alembic,
            &[&self.sqlx, "--version"],
            &["hyperfine", "--version"],
            &["/usr/bin/time", "--version"],
        ];
        commands.into_iter().map(version).collect()
    }
}

/// The first line that it prints, with its name where it does not say it.
fn version(command: &[&str]) -> Result<String, Failure> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .output()
        .map_err(|error| {
            format!(
                "{} does not start ({error}); .ci/run installs it",
                command[0]
            )
        })?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    if command[0] == "sqlite3" {
        let number = line.split(' ').next().unwrap_or_default();
        return Ok(format!("sqlite3 {number}"));
    }
    // Debian's GNU time does not know its own.
    Ok(line.trim_end_matches(" UNKNOWN").to_owned())
}
