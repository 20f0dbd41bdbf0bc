//! Autogenerate, object by object: every kind of object times every operation on its table, with rows, up and down.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

#[path = "matrix/cells.rs"]
#[allow(unreachable_pub)]
mod cells;
#[path = "matrix/kinds.rs"]
#[allow(unreachable_pub, dead_code)]
mod kinds;
#[path = "matrix/world.rs"]
#[allow(unreachable_pub, dead_code)]
mod world;

use std::collections::BTreeSet;

use safestep::autogenerate::{Blueprint, ColumnOrder, Decisions, Draft, draft};
use safestep::sqlite::{Connection, Interrupt};

use cells::{Cell, OPERATIONS, Operation, Side};
use kinds::{KINDS, Kind};
use world::{World, drafted, rows_differ, schema_differs};

/// What went wrong; nothing where all is well.
async fn outcome(kind: &'static Kind, operation: Operation, order: ColumnOrder) -> Vec<String> {
    let cell = Cell::new(kind, operation);
    let drafted = match drafted(&cell, operation, order).await {
        Ok(drafted) => drafted,
        Err(message) => return vec![message],
    };
    let mut world = World::of(&cell.from).await;
    let Draft { up, down } = &drafted;
    let mut problems = way(&mut world, up, &cell.from, &cell.to, &cell.to, order).await;
    if problems.is_empty() {
        problems = way(&mut world, down, &cell.to, &cell.from, &cell.back, order).await;
        if !problems.is_empty() {
            problems.insert(0, "on the way down:".into());
        }
    }
    if !problems.is_empty() {
        problems.push(format!("--- up\n{up}\n--- down\n{down}"));
    }
    problems
}

/// Goes one way and compares with what there must be: the goal's schema, and the rows of `filled`.
async fn way(
    world: &mut World,
    script: &str,
    start: &Side,
    goal: &Side,
    filled: &Side,
    order: ColumnOrder,
) -> Vec<String> {
    if let Err(message) = world.migrate(script).await {
        return vec![message];
    }
    let mut wanted = World::of(filled).await;
    let before = World::empty(start).await.objects().await;
    let rebuilt = script.contains(&format!("CREATE TABLE {}_kept ", goal.table));
    let exact: BTreeSet<String> = rebuilt.then(|| goal.table.clone()).into_iter().collect();

    let found = world.objects().await;
    let mut problems = schema_differs(
        &found,
        &wanted.objects().await,
        &before,
        &exact,
        order == ColumnOrder::Free,
    );
    problems.extend(rows_differ(
        &world.rows(goal).await,
        &wanted.rows(goal).await,
    ));
    let lost = world.lost(goal, &mut wanted).await;
    problems.extend(lost.iter().map(|what| format!("{what} is lost")));
    let text = found
        .get(&format!("table {}", goal.table))
        .map_or("", |table| table.sql.as_str());
    let both = goal
        .comments()
        .into_iter()
        .filter(|comment| start.comments().contains(comment));
    problems.extend(
        both.filter(|comment| !text.contains(comment))
            .map(|comment| format!("{comment} is lost in\n{text}")),
    );
    problems
}

async fn table(order: ColumnOrder) {
    let heads: Vec<&str> = OPERATIONS
        .iter()
        .map(|operation| operation.name())
        .collect();
    println!(
        "\n{order:?} order of columns\n\n| kind | {} |\n|---{}|",
        heads.join(" | "),
        "|---".repeat(heads.len())
    );
    let (mut cells, mut wrong) = (0, Vec::new());
    for kind in KINDS.iter().filter(|kind| !kind.enforced) {
        let mut line = format!("| {} |", kind.name);
        for operation in OPERATIONS {
            let problems = outcome(kind, operation, order).await;
            cells += 1;
            line += if problems.is_empty() {
                " ok |"
            } else {
                " WRONG |"
            };
            if !problems.is_empty() {
                wrong.push(format!(
                    "### {}, {}\n{}",
                    kind.name,
                    operation.name(),
                    problems.join("\n")
                ));
            }
        }
        println!("{line}");
    }
    assert_eq!(cells, 28 * 11, "the table is complete");
    assert!(
        wrong.is_empty(),
        "{} of {cells} are wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_keeps_every_kind_of_object_and_comes_back() {
    table(ColumnOrder::Free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_where_the_order_of_columns_counts() {
    table(ColumnOrder::Counts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_enforces_foreign_keys_loses_no_child_rows() {
    let kind = KINDS
        .iter()
        .find(|kind| kind.name == "child rows")
        .expect("the kind");
    let mut stopped = 0;
    for operation in OPERATIONS {
        let cell = Cell::new(kind, operation);
        let drafted = drafted(&cell, operation, ColumnOrder::Free)
            .await
            .expect("a draft");
        let mut world = World::of(&cell.from).await;
        world.must("PRAGMA foreign_keys = ON").await;
        let children = "SELECT id || ' of ' || item FROM part ORDER BY id";
        let before = world.ask(children).await;
        if let Err(message) = world.migrate(&drafted.up).await {
            assert!(message.contains("foreign_keys_must_be_off"), "{message}");
            world.must("ROLLBACK").await;
            stopped += 1;
        }
        assert_eq!(world.ask(children).await, before, "{}", operation.name());
    }
    assert!(stopped > 0 && stopped < OPERATIONS.len(), "{stopped}");
}

/// A conflict clause says what an INSERT does, also that of a rebuild.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_conflict_clause_drops_no_rows() {
    let make =
        |column: &str| format!("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT {column});");
    for clause in [
        "UNIQUE ON CONFLICT REPLACE",
        "UNIQUE ON CONFLICT IGNORE",
        "NOT NULL ON CONFLICT IGNORE DEFAULT 'x'",
    ] {
        let of = async |column: &str| {
            Blueprint::of_script(&make(column), &Interrupt::default())
                .await
                .expect("a connection")
                .expect("a schema")
        };
        let (old, new) = (of("").await, of(clause).await);
        let drafted = draft(&old, &new, &Decisions::default())
            .await
            .expect("a draft")
            .expect("a change");
        let mut world = World {
            connection: Connection::in_memory(&Interrupt::default())
                .await
                .expect("a database"),
        };
        world.must("PRAGMA journal_mode = MEMORY").await;
        world.must(&make("")).await;
        world
            .must("INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, NULL)")
            .await;
        assert!(world.migrate(&drafted.up).await.is_err(), "{clause}");
        world.must("ROLLBACK").await;
        assert_eq!(world.ask("SELECT count(*) FROM t").await, ["3"], "{clause}");
    }
}

/// Tables on which a rebuild could stumble: what is made of each where `{}` becomes NOT NULL, and back.
const ODD: [(&str, &str, &str); 10] = [
    (
        "CREATE TABLE t (a TEXT {}, b, c BLOB, d NUMERIC, e INT, f REAL, g TEXT, h FLOATING POINT)",
        "INSERT INTO t VALUES ('', '007', '007', 'abc', 'abc', 'abc', x'6162', 'abc'), \
         ('', 7.0, '1e3', '1e400', 1e20, 9007199254740993, CAST(x'0078ff' AS TEXT), 7.5), ('', NULL, x'00', ' 1 ', 7.0, 9e999, 5, x'')",
        "SELECT typeof(b) || quote(b) || typeof(c) || quote(c) || typeof(d) || quote(d) || typeof(e) || quote(e) \
         || typeof(f) || quote(f) || typeof(g) || hex(g) || typeof(h) || quote(h) FROM t ORDER BY rowid",
    ),
    (
        "CREATE TABLE t (a TEXT {}, b ANY) STRICT",
        "INSERT INTO t VALUES ('', '007'), ('', 7.0), ('', 7), ('', x'07')",
        "SELECT typeof(b) || quote(b) FROM t ORDER BY rowid",
    ),
    (
        "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, a TEXT {})",
        "INSERT INTO t (rowid, _rowid_, oid, a) VALUES ('x', 'y', 7, ''), ('z', 'z', 70, '')",
        "SELECT rowid || _rowid_ || oid FROM t ORDER BY oid",
    ),
    (
        "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT, a TEXT {}, id INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES (1, 2, 3, '', 70)",
        "SELECT rowid || _rowid_ || oid || id FROM t",
    ),
    // Not the rowid's other name: https://www.sqlite.org/lang_createtable.html#rowid
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, a TEXT {})",
        "INSERT INTO t (rowid, id, a) VALUES (7, 70, ''), (9, NULL, '')",
        "SELECT rowid || quote(id) FROM t ORDER BY rowid",
    ),
    (
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT {})",
        "INSERT INTO t (rowid, id, a) VALUES (7, NULL, ''), (9, NULL, '')",
        "SELECT rowid || quote(id) FROM t ORDER BY rowid",
    ),
    (
        "CREATE TABLE t (id INTEGER, a TEXT {}, CONSTRAINT pk PRIMARY KEY (id AUTOINCREMENT) ON CONFLICT REPLACE)",
        "INSERT INTO t VALUES (7, ''), (90, ''); DELETE FROM t WHERE id = 90",
        "SELECT id || ' ' || seq FROM t, sqlite_sequence",
    ),
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT {}); CREATE TABLE t_kept (x); CREATE TABLE t_kept__sequence (x)",
        "INSERT INTO t_kept VALUES (1); INSERT INTO t_kept__sequence VALUES (1)",
        "SELECT (SELECT count(*) FROM sqlite_sequence) || t_kept.x || t_kept__sequence.x FROM t_kept, t_kept__sequence",
    ),
    (
        "CREATE TABLE \"my table\" (\"order\" TEXT, [größe, \"in\"] INT, a TEXT {}); CREATE INDEX \"i x\" ON \"my table\" ([größe, \"in\"] DESC)",
        "INSERT INTO \"my table\" (rowid, \"order\", [größe, \"in\"], a) VALUES (7, 'o', 1, '')",
        "SELECT rowid || \"order\" || [größe, \"in\"] FROM \"my table\" INDEXED BY \"i x\" WHERE [größe, \"in\"] = 1",
    ),
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT {}); CREATE VIRTUAL TABLE f USING fts5(a, content = 't', content_rowid = 'id'); \
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO f (rowid, a) VALUES (new.id, new.a); END",
        "INSERT INTO t VALUES (70, 'word')",
        "SELECT rowid || a FROM f WHERE f MATCH 'word'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_tables_are_made_anew_with_every_value() {
    for (schema, rows, question) in ODD {
        let texts = (schema.replace("{}", ""), schema.replace("{}", "NOT NULL"));
        let of = async |script: &str| {
            Blueprint::of_script(script, &Interrupt::default())
                .await
                .expect("a connection")
                .expect("a schema")
        };
        let (old, new) = (of(&texts.0).await, of(&texts.1).await);
        let table = if new.table("t").is_some() {
            "t"
        } else {
            "my table"
        };
        let filled = Decisions {
            fills: [((table.to_owned(), "a".to_owned()), "''".to_owned())].into(),
            ..Decisions::default()
        };
        for decisions in [Decisions::default(), filled] {
            let drafted = draft(&old, &new, &decisions)
                .await
                .expect("a draft")
                .expect("a change");
            let mut world = World {
                connection: Connection::in_memory(&Interrupt::default())
                    .await
                    .expect("a database"),
            };
            world.must(&texts.0).await;
            world.must(rows).await;
            let before = world.try_ask(question).await.expect("an answer");
            assert!(!before.is_empty());
            world.migrate(&drafted.up).await.expect("the way up");
            assert_eq!(world.ask(question).await, before, "{}", drafted.up);
            world.migrate(&drafted.down).await.expect("the way down");
            assert_eq!(world.ask(question).await, before, "{}", drafted.down);
        }
    }
}
