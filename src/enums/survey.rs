//! What the enum columns hold that they should not.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::{EnumColumn, EnumMap, Normalised, Unknown};
use crate::error::{Error, Problem, Result};
use crate::grammar::literal;
use crate::schema::Schema;
use crate::sqlite::{Connection, failure_of, quoted};

/// More distinct wrong values than this in one column are no misspelt enum.
const DISTINCT_LIMIT: usize = 1000;
const LISTED_LIMIT: usize = 20;
/// Up to so many rows of a table are read by a job that has nothing to do: that takes a few milliseconds.
pub const GLANCE_ROWS: u32 = 10_000;

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

impl EnumColumn {
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
