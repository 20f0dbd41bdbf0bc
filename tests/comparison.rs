//! The matrix of tests/matrix.rs under autogenerate and under the batch mode of the real Alembic, by the same checks, as
//! one table: what is lost, or fails, in which operations. It is the table of docs/comparison.md.
//!
//! `SAFESTEP_ALEMBIC` names the python of a virtual environment with `tests/alembic/requirements.txt`; see agreement.rs.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

#[path = "matrix/cells.rs"]
#[allow(unreachable_pub, dead_code)]
mod cells;
#[path = "matrix/kinds.rs"]
#[allow(unreachable_pub, dead_code)]
mod kinds;
#[path = "matrix/world.rs"]
#[allow(unreachable_pub, dead_code)]
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safestep::autogenerate::ColumnOrder;
use safestep::sqlite::sqlite_version;
use serde_json::{Value, json};

use cells::{Cell, OPERATIONS, Operation};
use kinds::{KINDS, Kind};
use world::{World, drafted};

/// What became of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    Lost {
        what: Vec<String>,
        warned: bool,
    },
    /// What it said, and what it left behind.
    Failed {
        message: String,
        left: Vec<String>,
    },
}

impl Outcome {
    fn of(lost: Vec<String>, warned: bool) -> Self {
        if lost.is_empty() {
            Self::Kept
        } else {
            Self::Lost { what: lost, warned }
        }
    }

    /// Whether everything that the other kept is here, too.
    fn keeps_what(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kept, _) | (_, Self::Failed { .. }) => true,
            (Self::Lost { what, .. }, Self::Lost { what: others, .. }) => {
                what.iter().all(|what| others.contains(what))
            }
            _ => false,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Kept => "keeps it".into(),
            Self::Lost { what, warned } => format!(
                "loses {}{}",
                what.join(" and "),
                if *warned { ", with a warning" } else { "" }
            ),
            Self::Failed { message, left } if left.is_empty() => format!("fails (`{message}`)"),
            Self::Failed { message, left } => {
                format!("fails (`{message}`) and leaves behind: {}", left.join(", "))
            }
        }
    }
}

/// A cell and the file that Alembic is to change.
struct Case {
    kind: &'static Kind,
    operation: Operation,
    cell: Cell,
    file: PathBuf,
}

async fn database(file: &Path, cell: &Cell) {
    fs::write(file, "").expect("an empty file");
    let mut world = World::open(file).await;
    world
        .must(&format!(
            "BEGIN; {} {} COMMIT;",
            cell.from.schema(),
            cell.from.inserts()
        ))
        .await;
    world.connection.close().await.expect("closed");
}

async fn ours(case: &Case) -> Outcome {
    let failed = |message| Outcome::Failed {
        message,
        left: Vec::new(),
    };
    let drafted = match drafted(&case.cell, case.operation, ColumnOrder::Free).await {
        Ok(drafted) => drafted,
        Err(message) => return failed(message),
    };
    let mut world = World::of(&case.cell.from).await;
    if let Err(message) = world.migrate(&drafted.up).await {
        return failed(message);
    }
    let lost = world
        .lost(&case.cell.to, &mut World::of(&case.cell.to).await)
        .await;
    Outcome::of(lost, false)
}

async fn theirs(case: &Case, answer: &Value) -> Outcome {
    let mut world = World::open(&case.file).await;
    let Some(error) = answer["error"].as_str() else {
        let lost = world
            .lost(&case.cell.to, &mut World::of(&case.cell.to).await)
            .await;
        let warned = answer["warnings"]
            .as_array()
            .is_some_and(|warnings| !warnings.is_empty());
        return Outcome::of(lost, warned);
    };
    let mut before = World::of(&case.cell.from).await;
    let mut left = world.lost(&case.cell.from, &mut before).await;
    for what in &mut left {
        *what += " lost";
    }
    let known = before.objects().await;
    let strange = world.objects().await;
    left.extend(
        strange
            .keys()
            .filter(|name| !known.contains_key(*name))
            .map(|name| format!("`{name}`")),
    );
    Outcome::Failed {
        message: error.replace("OperationalError: (sqlite3.OperationalError) ", ""),
        left,
    }
}

/// Runs `tests/alembic/batch.py` on all files.
fn alembic(cases: &[Case], folder: &Path) -> Value {
    let python = std::env::var_os("SAFESTEP_ALEMBIC")
        .expect("SAFESTEP_ALEMBIC names the python of a virtual environment with Alembic");
    let cells: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "database": case.file,
                "operation": case.operation.name(),
                "strict": case.cell.from.is_strict(),
                "foreign_keys": case.kind.enforced,
            })
        })
        .collect();
    let list = folder.join("cells.json");
    fs::write(&list, Value::from(cells).to_string()).expect("a list of cells");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alembic/batch.py");
    let output = Command::new(python)
        .arg(script)
        .arg(list)
        .output()
        .expect("python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("a JSON document")
}

/// What happened in which operations, the most frequent last.
fn condensed(outcomes: &[(Operation, Outcome)]) -> String {
    let mut distinct: Vec<(&Outcome, Vec<String>)> = Vec::new();
    for (operation, outcome) in outcomes {
        let name = operation.name().replace('_', " ");
        match distinct.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, names)) => names.push(name),
            None => distinct.push((outcome, vec![name])),
        }
    }
    distinct.sort_by_key(|(_, names)| names.len());
    let [rare @ .., (outcome, names)] = distinct.as_slice() else {
        return String::new();
    };
    let mut parts: Vec<String> = rare
        .iter()
        .map(|(outcome, names)| format!("{}: {}", names.join(", "), outcome.words()))
        .collect();
    let rest = match (rare.len(), names.len()) {
        (0, count) => format!("all {count}"),
        (_, count) => format!("the other {count}"),
    };
    parts.push(format!("{rest}: {}", outcome.words()));
    parts.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alembics_batch_mode_keeps_is_kept_here_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cases = Vec::new();
    for kind in KINDS {
        for operation in OPERATIONS {
            let cell = Cell::new(kind, operation);
            let file = folder.path().join(format!("{}.db", cases.len()));
            database(&file, &cell).await;
            cases.push(Case {
                kind,
                operation,
                cell,
                file,
            });
        }
    }
    let answers = alembic(&cases, folder.path());
    let mut any = World::open(&cases[0].file).await;
    let sqlite = sqlite_version(&mut any.connection)
        .await
        .expect("a version");

    println!(
        "\nsafestep {} with SQLite {}; {}",
        env!("CARGO_PKG_VERSION"),
        sqlite,
        answers["versions"]
    );
    println!("\n| kind | safestep | Alembic's batch mode |\n|---|---|---|");
    let mut worse = BTreeSet::new();
    let answers = answers["cells"]
        .as_array()
        .expect("an answer for each cell");
    for (cases, answers) in cases
        .chunks(OPERATIONS.len())
        .zip(answers.chunks(OPERATIONS.len()))
    {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for (case, answer) in cases.iter().zip(answers) {
            let (own, other) = (ours(case).await, theirs(case, answer).await);
            if !own.keeps_what(&other) {
                worse.insert(format!(
                    "{}, {}: {}",
                    case.kind.name,
                    case.operation.name(),
                    own.words()
                ));
            }
            here.push((case.operation, own));
            there.push((case.operation, other));
        }
        println!(
            "| {} | {} | {} |",
            cases[0].kind.name,
            condensed(&here),
            condensed(&there)
        );
    }
    assert_eq!(worse, BTreeSet::new());
}
