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
use safestep::sqlite::Connection;

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
            Blueprint::of_script(&make(column))
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
            connection: Connection::in_memory().await.expect("a database"),
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
