//! Reading a schema through SQLite's own PRAGMA functions (<https://www.sqlite.org/pragma.html#pragfunc>), and through
//! its texts where there is none.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Column, ForeignKey, Index, Nature, Schema, Table, Term, Trigger, text};
use crate::error::{Error, Result};
use crate::sqlite::{Connection, OF_APPLICATION, failure_of};

/// The schema of `main`.
pub async fn read(connection: &mut Connection) -> Result<Schema> {
    let mut schema = Schema::default();
    let texts = read_names(connection, &mut schema).await?;
    read_natures(connection, &mut schema).await?;
    read_columns(connection, &mut schema).await?;
    read_virtual_columns(connection, &mut schema).await?;
    read_indexes(connection, &mut schema, &texts).await?;
    let mut keys = read_foreign_keys(connection).await?;
    for (name, table) in &mut schema.tables {
        let sql = texts.get(name).map_or("", String::as_str);
        if table.nature == Nature::Virtual {
            table.details.text = text::canonical(sql);
        } else {
            text::add_details(table, sql, keys.remove(name).unwrap_or_default());
        }
    }
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

/// Returns the texts of tables and indexes.
async fn read_names(
    connection: &mut Connection,
    schema: &mut Schema,
) -> Result<BTreeMap<String, String>> {
    let sql = format!(
        "SELECT m.type, m.name, m.tbl_name, m.sql FROM sqlite_schema AS m \
         WHERE m.type IN ('table', 'index', 'view', 'trigger') AND {OF_APPLICATION}"
    );
    let mut texts = BTreeMap::new();
    for row in query(connection, sql).await? {
        let (kind, name, sql): (String, String, String) =
            (get(&row, 0)?, get(&row, 1)?, get(&row, 3)?);
        match kind.as_str() {
            "table" => {
                schema.tables.insert(name.clone(), Table::default());
                texts.insert(name, sql);
            }
            "index" => {
                texts.insert(name, sql);
            }
            "view" => {
                schema.views.insert(name, text::canonical(&sql));
            }
            _ => {
                let trigger = Trigger {
                    table: get(&row, 2)?,
                    text: text::canonical(&sql),
                };
                schema.triggers.insert(name, trigger);
            }
        }
    }
    Ok(texts)
}

async fn read_natures(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'";
    for row in query(connection, sql.to_owned()).await? {
        let (name, nature): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let Some(table) = schema.tables.get_mut(&name) else {
            continue;
        };
        table.nature = match nature.as_str() {
            "virtual" => Nature::Virtual,
            "shadow" => Nature::Shadow,
            _ => Nature::Ordinary,
        };
        table.details.without_rowid = get(&row, 2)?;
        table.details.strict = get(&row, 3)?;
    }
    Ok(())
}

const COLUMN: &str = "c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden";

async fn read_columns(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let sql = format!(
        "SELECT m.name, {COLUMN} FROM sqlite_schema AS m JOIN pragma_table_xinfo(m.name, 'main') AS c \
         WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND {OF_APPLICATION} ORDER BY m.name, c.cid"
    );
    for row in query(connection, sql).await? {
        let table: String = get(&row, 0)?;
        let column = column(&row)?;
        schema.tables.entry(table).or_default().columns.push(column);
    }
    Ok(())
}

fn column(row: &SqliteRow) -> Result<Column> {
    Ok(Column {
        name: get(row, 1)?,
        declared_type: get(row, 2)?,
        not_null: get(row, 3)?,
        default: get(row, 4)?,
        key: get(row, 5)?,
        hidden: get(row, 6)?,
        collation: None,
        generated: None,
    })
}

/// One by one: the module of a virtual table may be missing here, and then only its text is known.
async fn read_virtual_columns(connection: &mut Connection, schema: &mut Schema) -> Result<()> {
    let tables = schema.tables.iter_mut();
    for (name, table) in tables.filter(|(_, table)| table.nature == Nature::Virtual) {
        let literal = crate::grammar::literal(name);
        let sql = format!(
            "SELECT '', {COLUMN} FROM pragma_table_xinfo({literal}, 'main') AS c ORDER BY c.cid"
        );
        match query(connection, sql).await {
            Ok(rows) => table.columns = rows.iter().map(column).collect::<Result<_>>()?,
            Err(Error::Sqlite { failure, .. }) => table.details.unread = Some(failure.message),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An index on its way from rows to [`Index`].
struct Found {
    table: String,
    name: String,
    origin: String,
    index: Index,
}

async fn read_indexes(
    connection: &mut Connection,
    schema: &mut Schema,
    texts: &BTreeMap<String, String>,
) -> Result<()> {
    let sql = format!(
        "SELECT m.name, i.name, i.\"unique\", i.origin, i.partial, t.name, t.coll, t.\"desc\" \
         FROM sqlite_schema AS m JOIN pragma_index_list(m.name, 'main') AS i JOIN pragma_index_xinfo(i.name, 'main') AS t \
         WHERE m.type = 'table' AND t.key = 1 AND {OF_APPLICATION} ORDER BY m.name, i.name, t.seqno"
    );
    let mut collected: Vec<Found> = Vec::new();
    for row in query(connection, sql).await? {
        let (table, name): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let term = term(&row)?;
        match collected.last_mut() {
            Some(last) if last.table == table && last.name == name => last.index.terms.push(term),
            _ => collected.push(found(&row, table, name, term)?),
        }
    }
    for mut found in collected {
        if let Some(sql) = texts.get(&found.name) {
            text::add_expressions(&mut found.index, sql);
        }
        let terms: Vec<String> = found.index.terms.iter().map(ToString::to_string).collect();
        let name = match found.origin.as_str() {
            "c" => found.name,
            "pk" => format!("PRIMARY KEY ({})", terms.join(", ")),
            _ => format!("UNIQUE ({})", terms.join(", ")),
        };
        let table = schema.tables.entry(found.table).or_default();
        table.indexes.insert(name, found.index);
    }
    Ok(())
}

fn term(row: &SqliteRow) -> Result<Term> {
    let column: Option<String> = get(row, 5)?;
    Ok(Term {
        is_expression: column.is_none(),
        what: column.unwrap_or_else(|| "<expression>".into()),
        collation: get(row, 6)?,
        descending: get(row, 7)?,
    })
}

fn found(row: &SqliteRow, table: String, name: String, term: Term) -> Result<Found> {
    let origin: String = get(row, 3)?;
    let partial: bool = get(row, 4)?;
    Ok(Found {
        table,
        name,
        index: Index {
            unique: get(row, 2)?,
            created: origin == "c",
            terms: vec![term],
            filter: partial.then(|| "<condition>".into()),
        },
        origin,
    })
}

/// Those of each table in the order of its text: SQLite numbers them from the last to the first.
async fn read_foreign_keys(
    connection: &mut Connection,
) -> Result<BTreeMap<String, Vec<ForeignKey>>> {
    let sql = format!(
        "SELECT m.name, f.id, f.\"table\", f.\"from\", f.\"to\", f.on_delete, f.on_update \
         FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name, 'main') AS f \
         WHERE m.type = 'table' AND {OF_APPLICATION} ORDER BY m.name, f.id DESC, f.seq"
    );
    let mut keys: BTreeMap<String, Vec<ForeignKey>> = BTreeMap::new();
    let mut last: Option<(String, i64)> = None;
    for row in query(connection, sql).await? {
        let this: (String, i64) = (get(&row, 0)?, get(&row, 1)?);
        let list = keys.entry(this.0.clone()).or_default();
        if last.as_ref() != Some(&this) {
            list.push(ForeignKey {
                columns: Vec::new(),
                parent: get(&row, 2)?,
                parent_columns: Vec::new(),
                on_delete: get(&row, 5)?,
                on_update: get(&row, 6)?,
                deferred: false,
            });
        }
        if let Some(key) = list.last_mut() {
            key.columns.push(get(&row, 3)?);
            key.parent_columns.extend(get::<Option<String>>(&row, 4)?);
        }
        last = Some(this);
    }
    Ok(keys)
}
