//! Enum columns: the map in `enums.toml`, what it would change, and the change.
//!
//! Casing differs per column on purpose, so there is only the explicit map, never a blanket `upper()`. Matching ignores
//! case and surrounding blanks; what no rule maps is an error that names it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row};

use crate::error::{Error, Problem, Result, toml_words};
use crate::fault::{self, Point};
use crate::schema::Schema;
use crate::sqlite::{Connection, failure_of, quoted};
use crate::storage;

const FILE_LIMIT_BYTES: u64 = 1024 * 1024;
/// More distinct wrong values than this in one column are no misspelt enum.
const DISTINCT_LIMIT: usize = 1000;
const LISTED_LIMIT: usize = 20;

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

/// What is not right in the enum columns of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What can be put right.
    pub changes: Vec<Normalised>,
    /// Values that no rule maps, in columns where that is an error.
    pub unknown: Vec<Problem>,
    /// Values that no rule maps, in columns where they are kept.
    pub kept: Vec<Problem>,
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

    /// Looks at every enum column that the schema has. Reads each table once.
    pub async fn survey(&self, connection: &mut Connection, schema: &Schema) -> Result<Survey> {
        let mut survey = Survey::default();
        for column in &self.columns {
            if schema.has_column(&column.table, &column.column) {
                column.survey(connection, &mut survey).await?;
            }
        }
        Ok(survey)
    }
}

/// Carries out what a survey found; one statement a column.
pub async fn normalise(connection: &mut Connection, changes: &[Normalised]) -> Result<()> {
    let mut by_column: BTreeMap<(&str, &str), Vec<&Normalised>> = BTreeMap::new();
    for change in changes {
        by_column
            .entry((&change.table, &change.column))
            .or_default()
            .push(change);
    }
    for ((table, column), changes) in by_column {
        update_column(connection, table, column, &changes).await?;
        fault::reach(Point::EnumsColumn);
    }
    Ok(())
}

async fn update_column(
    connection: &mut Connection,
    table: &str,
    column: &str,
    changes: &[&Normalised],
) -> Result<()> {
    let (table_name, column_name) = (quoted(table), quoted(column));
    let cases = " WHEN ? THEN ?".repeat(changes.len());
    let marks = vec!["?"; changes.len()].join(", ");
    let sql = format!(
        "UPDATE {table_name} SET {column_name} = CASE {column_name} COLLATE BINARY{cases} END \
         WHERE {column_name} COLLATE BINARY IN ({marks})"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for change in changes {
        query = query.bind(&change.from).bind(&change.to);
    }
    for change in changes {
        query = query.bind(&change.from);
    }
    query
        .execute(connection.sqlx())
        .await
        .map(|_| ())
        .map_err(|error| {
            let doing = format!("normalise the values of {table}.{column}");
            Error::sqlite(doing)(failure_of(&error))
        })
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

    async fn survey(&self, connection: &mut Connection, survey: &mut Survey) -> Result<()> {
        let wrong = self.wrong_values(connection).await?;
        let mut unknown = Vec::new();
        for (value, is_text, rows) in wrong {
            match self.exact(&value).filter(|_| is_text) {
                Some(exact) => survey.changes.push(Normalised {
                    table: self.table.clone(),
                    column: self.column.clone(),
                    to: exact.to_owned(),
                    from: value,
                    rows,
                }),
                None => unknown.push((value, rows)),
            }
        }
        let listed = unknown.iter().take(LISTED_LIMIT).map(|(value, rows)| {
            Problem::new(
                format!("{}.{}", self.table, self.column),
                format!(
                    "{rows} row(s) hold '{value}'; allowed: {}",
                    self.values.join(", ")
                ),
            )
        });
        match self.unknown {
            Unknown::Fail => survey.unknown.extend(listed),
            Unknown::Keep => survey.kept.extend(listed),
        }
        if unknown.len() > LISTED_LIMIT && self.unknown == Unknown::Fail {
            survey.unknown.push(Problem::new(
                format!("{}.{}", self.table, self.column),
                format!("… and {} more values", unknown.len() - LISTED_LIMIT),
            ));
        }
        Ok(())
    }

    /// Every stored value that is not exactly one of ours, with its count. NULL is not a value.
    async fn wrong_values(&self, connection: &mut Connection) -> Result<Vec<(String, bool, i64)>> {
        let column = quoted(&self.column);
        let marks = vec!["?"; self.values.len()].join(", ");
        let sql = format!(
            "SELECT CAST({column} AS TEXT), typeof({column}) = 'text', count(*) FROM {} \
             WHERE {column} IS NOT NULL AND {column} COLLATE BINARY NOT IN ({marks}) \
             GROUP BY {column} COLLATE BINARY LIMIT {DISTINCT_LIMIT}",
            quoted(&self.table)
        );
        let failed = |error: sqlx::Error| {
            let doing = format!("read the values of {}.{}", self.table, self.column);
            Error::sqlite(doing)(failure_of(&error))
        };
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for value in &self.values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(connection.sqlx()).await.map_err(failed)?;
        rows.iter()
            .map(|row| {
                let raw: Vec<u8> = row.try_get_unchecked(0)?;
                let text = String::from_utf8_lossy(&raw).into_owned();
                Ok((text, row.try_get_unchecked(1)?, row.try_get_unchecked(2)?))
            })
            .collect::<std::result::Result<_, sqlx::Error>>()
            .map_err(failed)
    }
}
