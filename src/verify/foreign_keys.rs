//! Foreign-key violations, old and new.
//!
//! Old orphans are common and not the migration's fault, so violations are compared by identity: child table, parent
//! table and key values. Row ids would not do: a rebuild may renumber them. The lists are kept in temporary tables, so
//! memory stays bounded however many orphans there are.

use sqlx::Row;

use super::inventory::Footprint;
use crate::error::{Problem, Result};
use crate::grammar::literal;
use crate::migration::Rename;
use crate::sqlite::{Connection, quoted};

const LISTED_LIMIT: u32 = 20;
const DOING: &str = "check the foreign keys";
const BEFORE: &str = "safestep_violations_before";
const AFTER: &str = "safestep_violations_after";

/// The violations that stood before the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignKeys {
    /// How many rows point to a parent that is not there.
    pub old_violations: i64,
}

struct Key {
    child: String,
    parent: String,
    columns: Vec<(String, String)>,
}

impl ForeignKeys {
    /// Lists the violations as they are now.
    pub async fn before(connection: &mut Connection) -> Result<Self> {
        let old_violations = collect(connection, BEFORE).await?;
        Ok(Self { old_violations })
    }

    /// The violations that were not there before, under whatever names the tables had then; drops the lists.
    pub async fn new_violations(
        self,
        connection: &mut Connection,
        footprints: &[Footprint],
    ) -> Result<Vec<Problem>> {
        for rename in footprints.iter().flat_map(|print| &print.declared.renames) {
            if let Rename::Table { from, to } = rename {
                take_to_new_name(connection, from, to).await?;
            }
        }
        collect(connection, AFTER).await?;
        let sql = format!(
            "SELECT a.child, a.parent, a.key_values, a.n - coalesce(b.n, 0) FROM temp.{AFTER} AS a \
             LEFT JOIN temp.{BEFORE} AS b USING (child, parent, key_values) \
             WHERE a.n > coalesce(b.n, 0) ORDER BY 1, 2, 3 LIMIT {LISTED_LIMIT}"
        );
        let rows = connection.rows(DOING, &sql).await?;
        let problems = rows.iter().filter_map(|row| {
            let (child, parent): (String, String) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
            let (values, count): (String, i64) = (row.try_get(2).ok()?, row.try_get(3).ok()?);
            Some(Problem::new(
                child,
                format!(
                    "{count} row(s) refer to {values} in {parent}, which is not there, and did not before (new foreign key violation)"
                ),
            ))
        });
        let problems = problems.collect();
        Self::forget(connection).await?;
        Ok(problems)
    }

    /// Drops the lists.
    pub async fn forget(connection: &mut Connection) -> Result<()> {
        let sql = format!("DROP TABLE IF EXISTS temp.{BEFORE}; DROP TABLE IF EXISTS temp.{AFTER}");
        connection.run(DOING, &sql).await.map(|_| ())
    }
}

/// Where the table really was renamed.
async fn take_to_new_name(connection: &mut Connection, from: &str, to: &str) -> Result<()> {
    if crate::sqlite::has_table(connection, from).await? {
        return Ok(());
    }
    for role in ["child", "parent"] {
        let sql = format!(
            "UPDATE temp.{BEFORE} SET {role} = {} WHERE {role} = {}",
            literal(to),
            literal(from)
        );
        connection.run(DOING, &sql).await?;
    }
    Ok(())
}

async fn collect(connection: &mut Connection, list: &str) -> Result<i64> {
    let create = format!(
        "DROP TABLE IF EXISTS temp.{list}; \
         CREATE TEMP TABLE {list} (child TEXT COLLATE NOCASE, parent TEXT COLLATE NOCASE, key_values TEXT, n INTEGER, PRIMARY KEY (child, parent, key_values)) \
         WITHOUT ROWID"
    );
    connection.run(DOING, &create).await?;
    for key in keys(connection).await? {
        let sql = orphans(connection, &key, list).await?;
        connection.run(DOING, &sql).await?;
    }
    let sum = format!("SELECT coalesce(sum(n), 0) FROM temp.{list}");
    connection.scalar(DOING, &sum).await
}

async fn keys(connection: &mut Connection) -> Result<Vec<Key>> {
    let sql = "SELECT m.name, f.id, f.\"table\", f.\"from\", \
               coalesce(f.\"to\", (SELECT p.name FROM pragma_table_info(f.\"table\") AS p WHERE p.pk = f.seq + 1), '') \
               FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name, 'main') AS f \
               WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq";
    let mut keys: Vec<(i64, Key)> = Vec::new();
    for row in connection.rows(DOING, sql).await? {
        let parts = (
            row.try_get(0),
            row.try_get(1),
            row.try_get(2),
            row.try_get(3),
            row.try_get(4),
        );
        let (Ok(child), Ok(id), Ok(parent), Ok(from), Ok(to)) = parts else {
            continue;
        };
        let child: String = child;
        match keys.last_mut() {
            Some((last, key)) if *last == id && key.child == child => key.columns.push((from, to)),
            _ => keys.push((
                id,
                Key {
                    child,
                    parent,
                    columns: vec![(from, to)],
                },
            )),
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Adds the rows of the child whose key is complete and has no parent.
async fn orphans(connection: &mut Connection, key: &Key, list: &str) -> Result<String> {
    let parent_is_there = crate::sqlite::has_table(connection, &key.parent).await?;
    let from: Vec<String> = key
        .columns
        .iter()
        .map(|(from, _)| format!("c.{}", quoted(from)))
        .collect();
    let complete: Vec<String> = from
        .iter()
        .map(|column| format!("{column} IS NOT NULL"))
        .collect();
    let values: Vec<String> = from
        .iter()
        .map(|column| format!("quote({column})"))
        .collect();
    let matches: Vec<String> = key
        .columns
        .iter()
        .zip(&from)
        .map(|((_, to), from)| format!("p.{} = {from}", quoted(to)))
        .collect();
    // A parent without a primary key: SQLite calls that a mismatch, and nothing can be compared.
    let comparable = key.columns.iter().all(|(_, to)| !to.is_empty());
    let no_parent = if parent_is_there && !comparable {
        "FALSE".to_owned()
    } else if parent_is_there {
        format!(
            "NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
            quoted(&key.parent),
            matches.join(" AND ")
        )
    } else {
        "TRUE".to_owned()
    };
    Ok(format!(
        "INSERT INTO temp.{list} SELECT {}, {}, {}, count(*) FROM {} AS c WHERE {} AND {no_parent} GROUP BY 3 \
         ON CONFLICT DO UPDATE SET n = n + excluded.n",
        literal(&key.child),
        literal(&key.parent),
        values.join(" || ', ' || "),
        quoted(&key.child),
        complete.join(" AND "),
    ))
}
