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

use safestep::autogenerate::{Blueprint, ColumnOrder, Draft, draft};

use cells::{Cell, OPERATIONS, Operation, Side};
use kinds::{KINDS, Kind};
use world::{World, rows_differ, schema_differs};

/// What went wrong; nothing where all is well.
async fn outcome(kind: &'static Kind, operation: Operation, order: ColumnOrder) -> Vec<String> {
    let cell = Cell::new(kind, operation);
    let mut world = World::of(&cell.from).await;
    let mut target = World::empty(&cell.to).await;
    let old = Blueprint::read(&mut world.connection)
        .await
        .expect("a blueprint");
    let new = Blueprint::read(&mut target.connection)
        .await
        .expect("a blueprint");
    let drafted = match draft(&old, &new, &operation.decisions(order)).await {
        Ok(Some(drafted)) => drafted,
        Ok(None) => return vec!["nothing was drafted".into()],
        Err(error) => return vec![error.to_string()],
    };
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
    assert_eq!(cells, 20 * 11, "the table is complete");
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
