//! Enum columns: the map in `enums.toml`, what it would change, and the change.
//!
//! Casing differs per column on purpose, so there is only the explicit map, never a blanket `upper()`. Matching ignores
//! case and surrounding blanks; what no rule maps is an error that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use crate::error::{Error, Problem, Result, toml_words};
use crate::fault::{self, Point};
use crate::grammar::literal;
use crate::schema::Schema;
use crate::sqlite::{Connection, failure_of, quoted};
use crate::storage;

const FILE_LIMIT_BYTES: u64 = 1024 * 1024;
/// More distinct wrong values than this in one column are no misspelt enum.
const DISTINCT_LIMIT: usize = 1000;
const LISTED_LIMIT: usize = 20;
/// Up to so many rows of a table are read by a job that has nothing to do: that takes a few milliseconds.
pub const GLANCE_ROWS: u32 = 10_000;

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
        let surveys = self.survey_tables(connection, schema, |_| true).await?;
        Ok(Survey::sum(surveys))
    }

    /// Whether a survey would find anything, in one query that stops at the first wrong value of a table. Where a table is
    /// large that would take as long as reading it, and so it is not looked at.
    pub async fn glance(&self, connection: &mut Connection) -> Result<Glance> {
        let there = columns_there(connection, &self.columns).await?;
        let mut tables: BTreeMap<&str, Vec<&EnumColumn>> = BTreeMap::new();
        for column in &self.columns {
            if there.contains(&(column.table.clone(), column.column.clone())) {
                tables.entry(&column.table).or_default().push(column);
            }
        }
        if tables.is_empty() {
            return Ok(Glance::default());
        }
        let failed =
            |error: sqlx::Error| Error::sqlite("look at the enum values")(failure_of(&error));
        let looks = tables
            .iter()
            .map(|(table, columns)| is_wrong_sql(table, columns));
        let sql = format!("SELECT {}", looks.collect::<Vec<_>>().join(", "));
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for value in tables.values().flatten().flat_map(|column| &column.values) {
            query = query.bind(value);
        }
        let row = query.fetch_one(connection.sqlx()).await.map_err(failed)?;
        let mut glance = Glance::default();
        for (index, table) in tables.keys().enumerate() {
            match row
                .try_get_unchecked::<Option<bool>, _>(index)
                .map_err(failed)?
            {
                Some(is_wrong) => glance.suspect |= is_wrong,
                None => glance.large.push((*table).to_owned()),
            }
        }
        Ok(glance)
    }

    /// As [`Self::survey`], by table, of those that are `wanted`.
    pub async fn survey_tables(
        &self,
        connection: &mut Connection,
        schema: &Schema,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Surveys> {
        let mut by_table: BTreeMap<&str, Vec<&EnumColumn>> = BTreeMap::new();
        for column in &self.columns {
            if schema.has_column(&column.table, &column.column) && wanted(&column.table) {
                by_table.entry(&column.table).or_default().push(column);
            }
        }
        let mut surveys = Surveys::new();
        for (table, columns) in by_table {
            let survey = survey_table(connection, table, &columns).await?;
            surveys.insert(table.to_owned(), survey);
        }
        Ok(surveys)
    }
}

/// What a glance at the enum columns shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// Some value is none of its column's.
    pub suspect: bool,
    /// Tables that were not looked at, since they have more than [`GLANCE_ROWS`] rows.
    pub large: Vec<String>,
}

/// Those of the columns that the database has.
async fn columns_there(
    connection: &mut Connection,
    wanted: &[EnumColumn],
) -> Result<BTreeSet<(String, String)>> {
    let list = |names: BTreeSet<&String>| {
        let names: Vec<String> = names.into_iter().map(|name| literal(name)).collect();
        names.join(", ")
    };
    let sql = format!(
        "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_xinfo(m.name, 'main') AS c \
         WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND m.name IN ({}) AND c.name IN ({})",
        list(wanted.iter().map(|column| &column.table).collect()),
        list(wanted.iter().map(|column| &column.column).collect()),
    );
    let rows = connection.rows("read the schema", &sql).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?)))
        .collect::<std::result::Result<_, sqlx::Error>>()
        .map_err(|error| Error::sqlite("read the schema")(failure_of(&error)))
}

/// SQL for whether a table has a wrong value, NULL where it is large.
fn is_wrong_sql(table: &str, columns: &[&EnumColumn]) -> String {
    let conditions: Vec<String> = columns.iter().map(|column| column.is_wrong()).collect();
    let name = quoted(table);
    format!(
        "CASE WHEN NOT EXISTS (SELECT 1 FROM {name} LIMIT 1 OFFSET {GLANCE_ROWS}) \
         THEN EXISTS (SELECT 1 FROM {name} WHERE {}) END",
        conditions.join(" OR ")
    )
}

/// What is not right in the enum columns of each table.
pub type Surveys = BTreeMap<String, Survey>;

impl Survey {
    /// All of them in one.
    #[must_use]
    pub fn sum(surveys: Surveys) -> Self {
        let mut sum = Self::default();
        for survey in surveys.into_values() {
            sum.changes.extend(survey.changes);
            sum.unknown.extend(survey.unknown);
            sum.kept.extend(survey.kept);
        }
        sum
    }
}

async fn survey_table(
    connection: &mut Connection,
    table: &str,
    columns: &[&EnumColumn],
) -> Result<Survey> {
    let mut survey = Survey::default();
    for (column, wrong) in columns
        .iter()
        .zip(wrong_values(connection, table, columns).await?)
    {
        column.judge(wrong, &mut survey);
    }
    Ok(survey)
}

/// Carries out what a survey found; one statement a column. Returns the tables in which not every row was changed.
pub async fn normalise(
    connection: &mut Connection,
    changes: &[Normalised],
) -> Result<BTreeSet<String>> {
    let mut by_column: BTreeMap<(&str, &str), Vec<&Normalised>> = BTreeMap::new();
    for change in changes {
        by_column
            .entry((&change.table, &change.column))
            .or_default()
            .push(change);
    }
    let mut resisting = BTreeSet::new();
    for ((table, column), changes) in by_column {
        let expected: i64 = changes.iter().map(|change| change.rows).sum();
        let changed = update_column(connection, table, column, &changes).await?;
        if i64::try_from(changed) != Ok(expected) {
            resisting.insert(table.to_owned());
        }
        fault::reach(Point::EnumsColumn);
    }
    Ok(resisting)
}

async fn update_column(
    connection: &mut Connection,
    table: &str,
    column: &str,
    changes: &[&Normalised],
) -> Result<u64> {
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
        .map(|done| done.rows_affected())
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

    fn judge(&self, wrong: Wrong, survey: &mut Survey) {
        let mut unknown = Vec::new();
        for ((value, is_text), rows) in wrong {
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
    }

    /// The SQL condition that the column holds something else than its values, which are bound.
    fn is_wrong(&self) -> String {
        let column = quoted(&self.column);
        let marks = vec!["?"; self.values.len()].join(", ");
        format!("({column} IS NOT NULL AND {column} COLLATE BINARY NOT IN ({marks}))")
    }
}

/// Stored values that are not exactly one of a column's, whether they are text, and in how many rows they stand.
type Wrong = BTreeMap<(String, bool), i64>;

/// The wrong values of several columns of one table, in one reading of it. NULL is not a value.
async fn wrong_values(
    connection: &mut Connection,
    table: &str,
    columns: &[&EnumColumn],
) -> Result<Vec<Wrong>> {
    let failed = |error: sqlx::Error| {
        let names: Vec<String> = columns
            .iter()
            .map(|column| format!("{table}.{}", column.column))
            .collect();
        let doing = format!("read the values of {}", names.join(" and "));
        Error::sqlite(doing)(failure_of(&error))
    };
    let sql = AssertSqlSafe(wrong_values_sql(table, columns));
    let mut query = sqlx::query(sql).persistent(false);
    for _ in 0..2 {
        for value in columns.iter().flat_map(|column| &column.values) {
            query = query.bind(value);
        }
    }
    let rows = query.fetch_all(connection.sqlx()).await.map_err(failed)?;
    // Several columns of one table may be wrong in many more ways together than each of them is.
    if rows.len() == DISTINCT_LIMIT && columns.len() > 1 {
        let mut each = Vec::new();
        for column in columns {
            each.extend(Box::pin(wrong_values(connection, table, &[column])).await?);
        }
        return Ok(each);
    }
    let mut wrong = vec![Wrong::new(); columns.len()];
    for row in &rows {
        add_row(row, &mut wrong).map_err(failed)?;
    }
    Ok(wrong)
}

/// For each column its wrong value and whether that is text, NULL where it is right; then the count.
fn wrong_values_sql(table: &str, columns: &[&EnumColumn]) -> String {
    let each = columns.iter().enumerate().map(|(index, column)| {
        let name = quoted(&column.column);
        format!(
            "CASE WHEN {} THEN {name} END AS w{index}",
            column.is_wrong()
        )
    });
    let found = columns
        .iter()
        .enumerate()
        .map(|(index, _)| format!("CAST(w{index} AS TEXT), typeof(w{index}) = 'text'"));
    let conditions: Vec<String> = columns.iter().map(|column| column.is_wrong()).collect();
    let groups = (0..columns.len()).map(|index| format!("w{index} COLLATE BINARY"));
    format!(
        "SELECT {}, count(*) FROM (SELECT {} FROM {} WHERE {}) GROUP BY {} LIMIT {DISTINCT_LIMIT}",
        found.collect::<Vec<_>>().join(", "),
        each.collect::<Vec<_>>().join(", "),
        quoted(table),
        conditions.join(" OR "),
        groups.collect::<Vec<_>>().join(", "),
    )
}

fn add_row(row: &SqliteRow, wrong: &mut [Wrong]) -> std::result::Result<(), sqlx::Error> {
    let count: i64 = row.try_get_unchecked(2 * wrong.len())?;
    for (index, column) in wrong.iter_mut().enumerate() {
        let raw: Option<Vec<u8>> = row.try_get_unchecked(2 * index)?;
        let Some(raw) = raw else {
            continue;
        };
        let text = String::from_utf8_lossy(&raw).into_owned();
        let is_text: bool = row.try_get_unchecked(2 * index + 1)?;
        *column.entry((text, is_text)).or_default() += count;
    }
    Ok(())
}
