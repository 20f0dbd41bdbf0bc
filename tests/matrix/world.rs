//! A database, and what there is to see in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safestep::autogenerate::{Blueprint, ColumnOrder, Draft, draft};
use safestep::grammar::{canonical, words};
use safestep::sqlite::{Access, Connection, Interrupt, Scope, run_script};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::cells::{Cell, Operation, Side};
use super::kinds::{CHANGE, Probe};

pub struct World {
    pub connection: Connection,
}

/// One object of the schema.
#[derive(Clone, Debug)]
pub struct Object {
    pub name: String,
    pub table: String,
    pub sql: String,
}

impl World {
    /// In memory, with a side's schema.
    pub async fn empty(side: &Side) -> Self {
        let connection = Connection::in_memory(&Interrupt::default())
            .await
            .expect("a database");
        let mut world = Self { connection };
        world.must("PRAGMA journal_mode = MEMORY").await;
        world.must(&side.schema()).await;
        world
    }

    /// And with its rows.
    pub async fn of(side: &Side) -> Self {
        let mut world = Self::empty(side).await;
        world.must(&side.inserts()).await;
        world
    }

    pub async fn open(path: &Path) -> Self {
        let connection = Connection::open(path, Access::ReadWrite, &Interrupt::default())
            .await
            .expect("a database");
        Self { connection }
    }

    pub async fn must(&mut self, script: &str) {
        if let Err(failure) = self.connection.execute(script).await {
            panic!("{}\n{script}", failure.message);
        }
    }

    /// As a job would: in a transaction, statement by statement.
    pub async fn migrate(&mut self, script: &str) -> Result<(), String> {
        self.must("BEGIN").await;
        let result = run_script(&mut self.connection, script, Scope::Transactional)
            .await
            .expect("a connection");
        match result {
            Ok(_) => {
                self.must("COMMIT").await;
                Ok(())
            }
            Err(failed) => Err(format!("{} ({})", failed.failure.message, failed.excerpt)),
        }
    }

    /// Each row as one text.
    pub async fn try_ask(&mut self, sql: &str) -> Result<Vec<String>, String> {
        let rows = self.connection.rows("ask", sql).await;
        let text = |row: &SqliteRow| row.try_get_unchecked::<Option<String>, _>(0);
        rows.map(|rows| {
            rows.iter()
                .map(|row| text(row).expect("a text").unwrap_or_default())
                .collect()
        })
        .map_err(|error| error.to_string())
    }

    /// The same, where that it cannot be asked is an answer, too.
    pub async fn ask(&mut self, sql: &str) -> Vec<String> {
        self.try_ask(sql).await.unwrap_or_else(|error| vec![error])
    }

    pub async fn objects(&mut self) -> BTreeMap<String, Object> {
        let sql = "SELECT type || ' ' || name, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence'";
        let rows = self
            .connection
            .rows("read the schema", sql)
            .await
            .expect("a schema");
        rows.iter()
            .map(|row| {
                let text = |index: usize| row.get::<String, _>(index);
                let object = Object {
                    name: text(1),
                    table: text(2),
                    sql: text(3),
                };
                (text(0), object)
            })
            .collect()
    }

    /// Every value of every table with its type, the rowids, the sequence, the foreign keys that are violated.
    pub async fn rows(&mut self, side: &Side) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for column in side.stored() {
            let sql = format!(
                "SELECT id || ' ' || typeof({column}) || ' ' || quote({column}) FROM {} ORDER BY id",
                side.table
            );
            all.insert(column.to_owned(), self.ask(&sql).await);
        }
        let rowids = format!(
            "SELECT id || ' at ' || _rowid_ FROM {} ORDER BY id",
            side.table
        );
        let sequence = "SELECT name || ' ' || seq FROM sqlite_sequence ORDER BY name";
        for (name, sql) in [
            ("rowids", rowids.as_str()),
            ("sequence", sequence),
            ("tag", "SELECT rowid || name FROM tag ORDER BY rowid"),
            ("log", "SELECT rowid || entry FROM log ORDER BY rowid"),
            (
                "part",
                "SELECT id || ' of ' || item FROM part ORDER BY rowid",
            ),
            (
                "violations",
                "SELECT \"table\" || ' ' || rowid || ' ' || parent FROM pragma_foreign_key_check",
            ),
        ] {
            all.insert(format!("({name})"), self.ask(sql).await);
        }
        all
    }

    /// What of a side's kind, change and values is not as in the database that is wanted.
    pub async fn lost(&mut self, side: &Side, wanted: &mut Self) -> Vec<String> {
        let mut lost = Vec::new();
        for probe in side.kind.probes.iter().chain(CHANGE) {
            let answer = wanted.probe(side, probe).await.expect("an answer");
            if self.probe(side, probe).await != Ok(answer) {
                lost.push(probe.what.to_owned());
            }
        }
        let (found, wanted) = (self.rows(side).await, wanted.rows(side).await);
        let own = side.kind.extra.map_or("", |(name, _)| name);
        let columns = side.stored().filter(|column| *column != own);
        lost.extend(
            columns
                .filter(|column| found.get(*column) != wanted.get(*column))
                .map(|column| format!("values of {column}")),
        );
        lost.dedup();
        lost
    }

    async fn probe(&mut self, side: &Side, probe: &Probe) -> Result<String, String> {
        self.must("SAVEPOINT probe").await;
        let mut done = String::new();
        if !probe.does.is_empty() {
            done = match self.connection.execute(&side.named(probe.does)).await {
                Ok(rows) => format!("{rows} rows; "),
                Err(_) => "refused; ".into(),
            };
        }
        let answer = match probe.asks {
            "" => Ok(done),
            asks => {
                let told = self.try_ask(&side.named(asks)).await;
                told.map(|told| done + &told.join(", "))
            }
        };
        self.must("ROLLBACK TO probe").await;
        self.must("RELEASE probe").await;
        answer
    }
}

/// What autogenerate writes.
pub async fn drafted(
    cell: &Cell,
    operation: Operation,
    order: ColumnOrder,
) -> Result<Draft, String> {
    let (mut start, mut target) = (World::empty(&cell.from).await, World::empty(&cell.to).await);
    let old = Blueprint::read(&mut start.connection)
        .await
        .expect("a blueprint");
    let new = Blueprint::read(&mut target.connection)
        .await
        .expect("a blueprint");
    match draft(&old, &new, &operation.decisions(order)).await {
        Ok(Some(drafted)) => Ok(drafted),
        Ok(None) => Err("nothing was drafted".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// In what a schema differs from another. `exact` names the tables whose text, and that of what belongs to them, must
/// be the same to the letter; so must be what is the same to the letter in `before`.
pub fn schema_differs(
    found: &BTreeMap<String, Object>,
    wanted: &BTreeMap<String, Object>,
    before: &BTreeMap<String, Object>,
    exact: &BTreeSet<String>,
    free: bool,
) -> Vec<String> {
    let names: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let differs = |name: &&&String| match (found.get(**name), wanted.get(**name)) {
        (Some(found), Some(wanted)) => {
            let is_exact = exact.contains(&wanted.table)
                || before
                    .get(**name)
                    .is_some_and(|before| before.sql == wanted.sql);
            let form = |sql: &str| {
                if is_exact {
                    sql.to_owned()
                } else {
                    plain(sql, free)
                }
            };
            form(&found.sql) != form(&wanted.sql)
        }
        _ => true,
    };
    let text = |of: &BTreeMap<String, Object>, name: &str| {
        of.get(name)
            .map_or("nothing".into(), |object| object.sql.clone())
    };
    names
        .iter()
        .filter(differs)
        .map(|name| {
            format!(
                "{name} is\n{}\nand should be\n{}",
                text(found, name),
                text(wanted, name)
            )
        })
        .collect()
}

/// In canonical form; where the order is free with the items between the outermost parentheses sorted.
fn plain(sql: &str, free: bool) -> String {
    if !free {
        return canonical(sql).expect("SQL");
    }
    let (mut depth, mut item, mut items) = (0_usize, String::new(), Vec::new());
    for word in words(sql).expect("SQL") {
        match word.canonical.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        let splits = (depth == 1 && matches!(word.canonical.as_str(), "," | "("))
            || (depth == 0 && word.canonical == ")");
        if splits {
            items.push(std::mem::take(&mut item));
        } else {
            item += &word.canonical;
            item.push(' ');
        }
    }
    items.push(item);
    items.sort();
    items.join("\n")
}

pub fn rows_differ(
    found: &BTreeMap<String, Vec<String>>,
    wanted: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let names: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| {
            format!(
                "{name}: {:?} and should be {:?}",
                found.get(name),
                wanted.get(name)
            )
        })
        .collect()
}
