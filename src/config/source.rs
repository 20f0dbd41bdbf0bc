//! A setting has one of three sources: the command line, the environment, the file; in this order.

use std::path::{Path, PathBuf};

use super::file::File;
use super::usage;
use crate::error::Error;

/// Where to look behind the command line.
pub(super) struct Source<'s> {
    /// An environment variable that is not empty; but for those that must not be.
    pub(super) env: &'s dyn Fn(&str) -> Option<String>,
    pub(super) file: &'s File,
}

/// A setting as it was written, and where.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) text: String,
    /// The flag, the variable or the key.
    origin: String,
}

impl Value {
    /// A value that makes no sense, with what to set instead.
    pub(super) fn wrong(&self, message: impl std::fmt::Display, hint: &str) -> Error {
        usage(format!("{}: {message}", self.origin), hint)
    }
}

impl Source<'_> {
    /// `flag` is its long name without dashes; the variable and the key of the file are called the same.
    pub(super) fn text(
        &self,
        given: Option<&str>,
        flag: &str,
        file: Option<&str>,
    ) -> Option<Value> {
        let key = flag.replace('-', "_");
        let variable = format!("SAFESTEP_{}", key.to_uppercase());
        self.first(given, flag, variable, file, &key)
    }

    /// A setting of the daemon: `name` is that of its key below `[daemon]`, and the end of its variable.
    pub(super) fn of_daemon(
        &self,
        given: Option<&str>,
        flag: &str,
        name: &str,
        file: Option<&str>,
    ) -> Option<Value> {
        let variable = format!("SAFESTEP_DAEMON_{}", name.to_uppercase());
        self.first(given, flag, variable, file, &format!("{name} of [daemon]"))
    }

    /// A setting of `[offsite]`: `key` there, and for flag and variable that name, or none of its own for the URL.
    pub(super) fn of_offsite(
        &self,
        given: Option<&str>,
        key: &str,
        file: Option<&str>,
    ) -> Option<Value> {
        let flag = if key == "url" {
            "offsite".to_owned()
        } else {
            format!("offsite-{key}")
        };
        let variable = format!("SAFESTEP_{}", flag.replace('-', "_").to_uppercase());
        self.first(given, &flag, variable, file, &format!("{key} of [offsite]"))
    }

    fn first(
        &self,
        given: Option<&str>,
        flag: &str,
        variable: String,
        file: Option<&str>,
        key: &str,
    ) -> Option<Value> {
        let (text, origin) = match (given, (self.env)(&variable)) {
            (Some(text), _) => (text.to_owned(), format!("--{flag}")),
            (None, Some(text)) => (text, variable),
            (None, None) => (
                file?.to_owned(),
                format!("{key} in {}", self.file.path.display()),
            ),
        };
        Some(Value { text, origin })
    }

    pub(super) fn path(
        &self,
        given: Option<&Path>,
        variable: &str,
        file: Option<&Path>,
    ) -> Option<PathBuf> {
        given
            .map(Path::to_path_buf)
            .or_else(|| (self.env)(variable).map(PathBuf::from))
            .or_else(|| file.map(Path::to_path_buf))
    }
}
