//! The loss gate: what a database holds before and after, and whether what vanished was declared.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Problem, Result};
use crate::migration::{Declarations, Dropped};
use crate::schema::{self, Schema};
use crate::sqlite::{Connection, quoted, user_tables};

/// Objects and row counts of a database.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    schema: Schema,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

impl Inventory {
    /// Takes it. Counting reads the smallest index of each table.
    pub async fn take(connection: &mut Connection) -> Result<Self> {
        let schema = schema::read(connection).await?;
        let mut rows = BTreeMap::new();
        for table in user_tables(connection).await? {
            let sql = format!("SELECT count(*) FROM {}", quoted(&table));
            let count = connection.scalar("count the rows", &sql).await?;
            rows.insert(table, count);
        }
        Ok(Self { schema, rows })
    }

    /// The schema that was seen.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What `after` lacks without a declaration, each with the line to add.
    #[must_use]
    pub fn undeclared_losses(&self, after: &Self, declared: &Declarations) -> Vec<Problem> {
        let mut problems = Vec::new();
        let gone = objects(&self.schema);
        let kept: BTreeSet<Dropped> = objects(&after.schema).into_iter().map(|o| o.0).collect();
        for (object, table) in gone {
            let implied = table.is_some_and(|t| declared.drops.contains(&Dropped::Table(t)));
            if !kept.contains(&object) && !implied && !declared.drops.contains(&object) {
                problems.push(undeclared_drop(&object));
            }
        }
        problems.extend(self.lost_constraints(after, declared));
        problems.extend(self.lost_rows(after, declared));
        problems
    }

    fn lost_rows(&self, after: &Self, declared: &Declarations) -> Vec<Problem> {
        self.rows
            .iter()
            .filter(|(table, _)| !declared.deletes.contains(*table))
            .filter_map(|(table, before)| {
                let now = after.rows.get(table)?;
                (now < before).then(|| {
                    Problem::new(
                        table.clone(),
                        format!(
                            "had {before} rows and has {now}; if that is meant, add the line '-- deletes: rows {table}' \
                             to the top of the migration"
                        ),
                    )
                })
            })
            .collect()
    }

    /// Keys of a table that stays: a rebuild that forgets one makes the table less strict.
    fn lost_constraints(&self, after: &Self, declared: &Declarations) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, table) in &self.schema.tables {
            let Some(now) = after.schema.tables.get(name) else {
                continue;
            };
            let about_dropped_column = |text: &str| {
                declared.drops.iter().any(|object| match object {
                    Dropped::Column(path) => path
                        .split_once('.')
                        .is_some_and(|(t, column)| t == name && text.contains(column)),
                    _ => false,
                })
            };
            let lost_keys = table.foreign_keys.difference(&now.foreign_keys).cloned();
            let lost_unique = table
                .indexes
                .iter()
                .filter(|(key, index)| !index.created && !now.indexes.contains_key(*key))
                .map(|(key, _)| key.clone());
            problems.extend(
                lost_keys
                    .map(|key| format!("FOREIGN KEY {key}"))
                    .chain(lost_unique)
                    .filter(|text| !about_dropped_column(text))
                    .map(|text| {
                        Problem::new(
                            name.clone(),
                            format!("lost its {text}; keep it in the new table"),
                        )
                    }),
            );
        }
        problems
    }
}

fn undeclared_drop(object: &Dropped) -> Problem {
    Problem::new(
        object.to_string(),
        format!(
            "vanished without being declared; if that is meant, add the line '-- drops: {object}' to the top of the migration"
        ),
    )
}

/// Every object that can be dropped, with the table that takes it along.
fn objects(schema: &Schema) -> Vec<(Dropped, Option<String>)> {
    let mut list = Vec::new();
    for (name, table) in &schema.tables {
        list.push((Dropped::Table(name.clone()), None));
        let columns = table
            .columns
            .iter()
            .map(|c| Dropped::Column(format!("{name}.{}", c.name)));
        let indexes = table
            .indexes
            .iter()
            .filter(|(_, index)| index.created)
            .map(|(index, _)| Dropped::Index(index.clone()));
        list.extend(
            columns
                .chain(indexes)
                .map(|object| (object, Some(name.clone()))),
        );
    }
    list.extend(
        schema
            .views
            .iter()
            .map(|view| (Dropped::View(view.clone()), None)),
    );
    list.extend(
        schema
            .triggers
            .iter()
            .map(|(trigger, table)| (Dropped::Trigger(trigger.clone()), Some(table.clone()))),
    );
    list
}
