//! Reading a schema through SQLite's own PRAGMA functions (<https://www.sqlite.org/pragma.html#pragfunc>).

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Column, Index, Schema, Table};
use crate::error::{Error, Result};
use crate::sqlite::{Connection, OF_APPLICATION, failure_of};

const OURS: &str = OF_APPLICATION;

/// The schema of `main`.
pub async fn read(connection: &mut Connection) -> Result<Schema> {
    let mut schema = Schema::default();
    read_names(connection, &mut schema).await?;
    read_columns(connection, &mut schema).await?;
    read_indexes(connection, &mut schema).await?;
    read_foreign_keys(connection, &mut schema).await?;
    Ok(schema)
}

async fn query(connection: &mut Connection, sql: String) -> Result<Vec<SqliteRow>> {
    connection.rows("read the schema", &sql).await
}

fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get_unchecked(index)
        .map_err(|error| Error::sqlite("read the schema")(failure_of(&error)))
}

async fn read_names(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT m.type, m.name, m.tbl_name FROM sqlite_schema AS m WHERE m.type IN ('table', 'view', 'trigger') AND {OURS}"
    );
    for row in query(connection, sql).await? {
        let (kind, name): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        match kind.as_str() {
            "table" => {
                schema.tables.insert(name, Table::default());
            }
            "view" => {
                schema.views.insert(name);
            }
            _ => {
                schema.triggers.insert(name, get(&row, 2)?);
            }
        }
    }
    Ok(())
}

async fn read_columns(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden \
         FROM sqlite_schema AS m JOIN pragma_table_xinfo(m.name, 'main') AS c \
         WHERE m.type = 'table' AND {OURS} ORDER BY m.name, c.cid"
    );
    for row in query(connection, sql).await? {
        let table: String = get(&row, 0)?;
        let column = Column {
            name: get(&row, 1)?,
            declared_type: get(&row, 2)?,
            not_null: get(&row, 3)?,
            default: get(&row, 4)?,
            key: get(&row, 5)?,
            hidden: get(&row, 6)?,
        };
        schema.tables.entry(table).or_default().columns.push(column);
    }
    Ok(())
}

async fn read_indexes(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT m.name, i.name, i.\"unique\", i.origin, i.partial, coalesce(t.name, '<expression>'), t.coll, t.\"desc\" \
         FROM sqlite_schema AS m JOIN pragma_index_list(m.name, 'main') AS i JOIN pragma_index_xinfo(i.name, 'main') AS t \
         WHERE m.type = 'table' AND t.key = 1 AND {OURS} ORDER BY m.name, i.name, t.seqno"
    );
    let mut collected: Vec<(String, String, String, Index)> = Vec::new();
    for row in query(connection, sql).await? {
        let (table, name): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let (column, collation, descending): (String, String, bool) =
            (get(&row, 5)?, get(&row, 6)?, get(&row, 7)?);
        let term = format!(
            "{column} {collation}{}",
            if descending { " DESC" } else { "" }
        );
        match collected.last_mut() {
            Some((t, n, _, index)) if *t == table && *n == name => index.terms.push(term),
            _ => {
                let origin: String = get(&row, 3)?;
                let index = Index {
                    unique: get(&row, 2)?,
                    created: origin == "c",
                    terms: vec![term],
                    partial: get(&row, 4)?,
                };
                collected.push((table, name, origin, index));
            }
        }
    }
    for (table, name, origin, index) in collected {
        let name = match origin.as_str() {
            "c" => name,
            "pk" => format!("PRIMARY KEY ({})", index.terms.join(", ")),
            _ => format!("UNIQUE ({})", index.terms.join(", ")),
        };
        schema
            .tables
            .entry(table)
            .or_default()
            .indexes
            .insert(name, index);
    }
    Ok(())
}

async fn read_foreign_keys(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT m.name, f.\"table\", group_concat(f.\"from\", ', '), \
         coalesce(group_concat(f.\"to\", ', '), 'its primary key'), f.on_delete, f.on_update \
         FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name, 'main') AS f \
         WHERE m.type = 'table' AND {OURS} GROUP BY m.name, f.id ORDER BY m.name, f.id"
    );
    for row in query(connection, sql).await? {
        let table: String = get(&row, 0)?;
        let (parent, from, to): (String, String, String) =
            (get(&row, 1)?, get(&row, 2)?, get(&row, 3)?);
        let (on_delete, on_update): (String, String) = (get(&row, 4)?, get(&row, 5)?);
        schema
            .tables
            .entry(table)
            .or_default()
            .foreign_keys
            .insert(format!(
                "({from}) -> {parent} ({to}) ON DELETE {on_delete} ON UPDATE {on_update}"
            ));
    }
    Ok(())
}
