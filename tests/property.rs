//! Autogenerate's promise, on random pairs of schemas with rows: the way up leads exactly to the target, the way down
//! exactly back, and the rows of the columns that both have are what they were. `SAFESTEP_TEST_FULL=1` runs 12,000 pairs,
//! `SAFESTEP_TEST_SEED` begins at a given seed (with `SAFESTEP_TEST_CASES=1`: that case alone).
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

#[path = "property/schema.rs"]
#[allow(unreachable_pub)]
mod schema;

use std::collections::BTreeMap;

use safestep::autogenerate::{Blueprint, ColumnOrder, Decisions, draft};
use safestep::sqlite::{Connection, Interrupt, Scope, run_script};
use sqlx::Row;

use schema::{Answers, Dice, Schema, changed, random_schema, rows};

const CASES: u64 = 600;
const ALL_CASES: u64 = 12_000;

/// What SQLite itself says of the tables; `free` for whatever order the columns are in.
const PRAGMAS: &str = "SELECT lower(l.name) || '|' || l.wr || l.strict || '|' || x.name || '|' || upper(x.type) || '|' || x.\"notnull\" || '|' \
     || coalesce(x.dflt_value, 'no default') || '|' || x.pk || '|' || x.hidden || '|' || CASE WHEN ?1 THEN 0 ELSE x.cid END \
     FROM pragma_table_list AS l, pragma_table_xinfo(l.name) AS x WHERE l.schema = 'main' AND l.name NOT LIKE 'sqlite_%' \
     UNION ALL SELECT 'index|' || m.name || '|' || i.\"unique\" || i.partial || i.origin || '|' || group_concat(coalesce(t.name, '?') || t.\"desc\" || t.coll) \
     FROM sqlite_schema AS m, pragma_index_list(m.name) AS i, pragma_index_xinfo(i.name) AS t WHERE m.type = 'table' AND t.key = 1 GROUP BY m.name, i.name \
     UNION ALL SELECT 'foreign|' || m.name || '|' || f.\"table\" || f.\"from\" || coalesce(f.\"to\", '') || f.on_update || f.on_delete \
     FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table' ORDER BY 1";

struct World {
    connection: Connection,
}

impl World {
    async fn new(script: &str) -> Self {
        let mut connection = Connection::in_memory(&Interrupt::default())
            .await
            .expect("a database");
        run_script(&mut connection, script, Scope::NonTransactional)
            .await
            .expect("a connection")
            .unwrap_or_else(|failed| {
                panic!("the generator made a bad schema: {failed:?}\n{script}")
            });
        Self { connection }
    }

    async fn run(&mut self, what: &str, script: &str) {
        run_script(&mut self.connection, script, Scope::Transactional)
            .await
            .expect("a connection")
            .unwrap_or_else(|failed| panic!("{what}: {failed:?}\n{script}"));
    }

    async fn list(&mut self, sql: &str) -> Vec<String> {
        let rows = self.connection.rows("look", sql).await.expect("rows");
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    }

    /// The schema as SQLite tells it, and the texts without their layout.
    async fn facts(&mut self, free: bool) -> Vec<String> {
        let mut facts = self
            .list(&PRAGMAS.replace("?1", if free { "1" } else { "0" }))
            .await;
        let texts = self
            .list("SELECT type || sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type, name")
            .await;
        facts.extend(texts.iter().map(|text| sorted_if(free, &bare(text))));
        facts
    }

    /// By table: by key or rowid, each column's value.
    async fn rows(&mut self, schema: &Schema) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        let mut all = BTreeMap::new();
        for table in &schema.tables {
            let key = match table.key {
                schema::Key::None => "rowid",
                _ => "id",
            };
            let mut columns = BTreeMap::new();
            let keys = format!("SELECT quote({key}) FROM {} ORDER BY {key}", table.name);
            columns.insert("the key".to_owned(), self.list(&keys).await);
            for column in &table.columns {
                let sql = format!(
                    "SELECT typeof(\"{0}\") || quote(\"{0}\") FROM {1} ORDER BY {key}",
                    column.name, table.name
                );
                columns.insert(column.name.clone(), self.list(&sql).await);
            }
            all.insert(table.name.clone(), columns);
        }
        all
    }

    async fn sequences(&mut self) -> Vec<String> {
        let exists = self
            .list("SELECT name FROM sqlite_schema WHERE name = 'sqlite_sequence'")
            .await;
        if exists.is_empty() {
            return Vec::new();
        }
        self.list("SELECT name || seq FROM sqlite_sequence WHERE seq >= 99 ORDER BY name")
            .await
    }
}

/// Without blanks, comments and quotes.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, after)| after);
            continue;
        }
        if !c.is_whitespace() && c != '"' {
            out.push(c.to_ascii_lowercase());
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Where the order is free: the parts between commas, sorted.
fn sorted_if(free: bool, text: &str) -> String {
    if !free {
        return text.to_owned();
    }
    let open = text.find('(').unwrap_or(text.len());
    let close = text.rfind(')').unwrap_or(text.len());
    let mut parts: Vec<&str> = text[open.min(close)..close]
        .trim_start_matches('(')
        .split(',')
        .collect();
    parts.sort_unstable();
    format!(
        "{}{}{}",
        &text[..open.min(close)],
        parts.join(","),
        &text[close..]
    )
}

fn decisions(answers: &Answers, order: ColumnOrder) -> Decisions {
    let mut decisions = Decisions {
        column_order: order,
        ..Decisions::default()
    };
    for rename in &answers.renames {
        decisions.rename(rename).expect("a rename");
    }
    for drop in &answers.drops {
        decisions.drop(drop);
    }
    for fill in &answers.fills {
        decisions.fill(fill).expect("a fill");
    }
    decisions
}

/// Returns whether there was anything to do, and whether a table was rebuilt.
async fn case(seed: u64) -> (bool, bool) {
    let mut dice = Dice(seed);
    let from = random_schema(&mut dice);
    let (to, answers) = changed(&mut dice, &from);
    let order = if dice.one_in(2) {
        ColumnOrder::Counts
    } else {
        ColumnOrder::Free
    };
    let inserts = rows(&mut dice, &from, &to, &answers);
    let free = order == ColumnOrder::Free;

    let mut world = World::new(&from.script()).await;
    let mut target = World::new(&to.script()).await;
    let old = Blueprint::read(&mut world.connection)
        .await
        .expect("a blueprint");
    let new = Blueprint::read(&mut target.connection)
        .await
        .expect("a blueprint");
    let drafted = draft(&old, &new, &decisions(&answers, order))
        .await
        .unwrap_or_else(|error| {
            panic!(
                "seed {seed}: {error}\n{}\n---\n{}",
                from.script(),
                to.script()
            )
        });
    let Some(drafted) = drafted else {
        assert_eq!(
            world.facts(free).await,
            target.facts(free).await,
            "seed {seed}: nothing to do"
        );
        return (false, false);
    };
    let story = format!(
        "seed {seed}\n{}\n--- to\n{}\n--- up\n{}\n--- down\n{}",
        from.script(),
        to.script(),
        drafted.up,
        drafted.down
    );

    world.run(&story, &inserts).await;
    let facts_before = world.facts(free).await;
    let rows_before = world.rows(&from).await;
    let sequences_before = world.sequences().await;

    world.run(&story, &drafted.up).await;
    assert_eq!(
        world.facts(free).await,
        target.facts(free).await,
        "the way up; {story}"
    );
    let reached = Blueprint::read(&mut world.connection)
        .await
        .expect("a blueprint");
    assert!(
        reached.differences(&new, order).is_empty(),
        "check is clean above; {story}"
    );
    let rows_above = world.rows(&to).await;
    compare(&rows_before, &rows_above, &from, &to, &answers, &story);

    world.run(&story, &drafted.down).await;
    assert_eq!(
        world.facts(free).await,
        facts_before,
        "the way down; {story}"
    );
    let reached = Blueprint::read(&mut world.connection)
        .await
        .expect("a blueprint");
    assert!(
        reached.differences(&old, order).is_empty(),
        "check is clean below; {story}"
    );
    let rows_below = world.rows(&from).await;
    come_back(&rows_before, &rows_below, &from, &to, &answers, &story);
    if from.tables.iter().all(|table| {
        to.table(&table.name)
            .is_some_and(|now| now.key == table.key)
    }) {
        assert_eq!(
            world.sequences().await,
            sequences_before,
            "sequences; {story}"
        );
    }
    (true, drafted.up.contains("_kept"))
}

type Rows = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Every table that both have, with every column that both have and whose type is the same.
fn compare(
    before: &Rows,
    after: &Rows,
    from: &Schema,
    to: &Schema,
    answers: &Answers,
    story: &str,
) {
    for table in &from.tables {
        let now = answers.tables.get(&table.name).unwrap_or(&table.name);
        let Some(later) = to.table(now) else { continue };
        let (old, new) = (&before[&table.name], &after[now]);
        assert_eq!(old["the key"], new["the key"], "keys of {now}; {story}");
        for column in &table.columns {
            let renamed = answers
                .columns
                .get(&(table.name.clone(), column.name.clone()));
            let name = renamed.unwrap_or(&column.name);
            if later
                .column(name)
                .is_some_and(|later| later.generated.is_none() && column.generated.is_none())
            {
                assert_eq!(old[&column.name], new[name], "{now}.{name}; {story}");
            }
        }
    }
}

fn come_back(
    before: &Rows,
    after: &Rows,
    from: &Schema,
    to: &Schema,
    answers: &Answers,
    story: &str,
) {
    for table in &from.tables {
        let now = answers.tables.get(&table.name).unwrap_or(&table.name);
        let Some(later) = to.table(now) else { continue };
        let (old, new) = (&before[&table.name], &after[&table.name]);
        assert_eq!(old["the key"], new["the key"], "keys of {now}; {story}");
        for column in table
            .columns
            .iter()
            .filter(|column| column.generated.is_none())
        {
            let renamed = answers
                .columns
                .get(&(table.name.clone(), column.name.clone()));
            let name = renamed.unwrap_or(&column.name);
            if later
                .column(name)
                .is_some_and(|later| later.generated.is_none())
            {
                assert_eq!(
                    old[&column.name], new[&column.name],
                    "back: {now}.{name}; {story}"
                );
            }
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_schemas_become_one_another_and_come_back_with_every_row() {
    let full = std::env::var_os("SAFESTEP_TEST_FULL").is_some();
    let cases = setting("SAFESTEP_TEST_CASES").unwrap_or(if full { ALL_CASES } else { CASES });
    let first = setting("SAFESTEP_TEST_SEED").unwrap_or(1);
    println!("seeds {first} to {}", first + cases - 1);
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            tokio::spawn(async move {
                let (mut changed, mut rebuilt) = (0_u64, 0_u64);
                for seed in (first..first + cases).filter(|seed| seed % 2 == worker) {
                    let (is_changed, is_rebuilt) = case(seed).await;
                    changed += u64::from(is_changed);
                    rebuilt += u64::from(is_rebuilt);
                }
                (changed, rebuilt)
            })
        })
        .collect();
    let (mut changed, mut rebuilt) = (0, 0);
    for worker in workers {
        let (c, r) = worker.await.expect("every case holds");
        changed += c;
        rebuilt += r;
    }
    println!("{cases} pairs: {changed} differed, {rebuilt} needed a rebuild");
    assert!(
        cases < 100 || (changed > cases / 2 && rebuilt > cases / 10),
        "the cases are worth running"
    );
}
