//! Enum columns: the map in `enums.toml`, what it would change, and the change.
//!
//! Casing differs per column on purpose, so there is only the explicit map, never a blanket `upper()`. Matching ignores
//! case and surrounding blanks; what no rule maps is an error that names it.

mod normalise;
mod survey;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result, toml_words};
use crate::storage;

pub use normalise::normalise;
pub use survey::{GLANCE_ROWS, Glance, Survey, Surveys};

const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// All enum columns.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnumMap {
    #[serde(default, rename = "column")]
    columns: Vec<EnumColumn>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnumColumn {
    table: String,
    column: String,
    values: Vec<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    unknown: Unknown,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unknown {
    #[default]
    Fail,
    Keep,
}

/// Rows with one spelling that were, or would be, brought to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Normalised {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The value as it stood there.
    pub from: String,
    /// The value as it should be.
    pub to: String,
    /// How many rows.
    pub rows: i64,
}

impl EnumMap {
    /// Reads `enums.toml`; no file is an empty map.
    ///
    /// # Errors
    /// [`Error::Migrations`], since the file belongs to the migrations.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("enums.toml");
        if storage::is_absent(&path) {
            return Ok(Self::default());
        }
        let complain = |message: String| Error::Migrations {
            folder: folder.to_path_buf(),
            problems: vec![Problem::new("enums.toml", message)],
        };
        let bytes =
            storage::read_bounded(&path, FILE_LIMIT_BYTES).map_err(|error| match error {
                error if error.is_of_the_path() => complain(error.to_string()),
                other => other,
            })?;
        let text = String::from_utf8(bytes).map_err(|_| complain("is not UTF-8".into()))?;
        let map: Self = toml::from_str(&text).map_err(|error| complain(toml_words(&error)))?;
        let problems = map.problems();
        if problems.is_empty() {
            Ok(map)
        } else {
            Err(Error::Migrations {
                folder: folder.to_path_buf(),
                problems,
            })
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let subject = format!("enums.toml, {}.{}", column.table, column.column);
            let twin = self.columns[..index]
                .iter()
                .any(|c| (&c.table, &c.column) == (&column.table, &column.column));
            if twin {
                problems.push(Problem::new(&subject, "appears twice"));
            }
            problems.extend(
                column
                    .problems()
                    .map(|message| Problem::new(&subject, message)),
            );
        }
        problems
    }
}

/// How two spellings are compared.
fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

impl EnumColumn {
    fn problems(&self) -> impl Iterator<Item = String> {
        let mut messages = Vec::new();
        if self.values.is_empty() {
            messages.push("has no values".to_owned());
        }
        let mut seen = BTreeMap::new();
        for value in &self.values {
            if let Some(other) = seen.insert(folded(value), value) {
                messages.push(format!(
                    "'{other}' and '{value}' differ only in case or blanks"
                ));
            }
        }
        for (alias, value) in &self.aliases {
            if !self.values.contains(value) {
                messages.push(format!(
                    "the alias '{alias}' leads to '{value}', which is not among the values"
                ));
            }
            if let Some(other) = seen.get(&folded(alias)).filter(|other| **other != value) {
                messages.push(format!("the alias '{alias}' is also the value '{other}'"));
            }
        }
        messages.into_iter()
    }

    fn exact(&self, raw: &str) -> Option<&str> {
        let wanted = folded(raw);
        let by_value = self.values.iter().find(|value| folded(value) == wanted);
        by_value
            .or_else(|| {
                self.aliases
                    .iter()
                    .find(|(alias, _)| folded(alias) == wanted)
                    .map(|(_, value)| value)
            })
            .map(String::as_str)
    }
}
