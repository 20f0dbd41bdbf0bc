//! Stops: by a signal, by too many failures, and by a kill at any moment.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Random, Run, files_ending, full, send, wait_until};
use crate::tenants::{PATTERN, Tenants, count, databases, sql, with_outcome};

/// Keeps a job busy for a moment, and can be stopped.
const SLOW: &str = "CREATE TABLE numbers (n INTEGER);
INSERT INTO numbers WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT max(i) FROM n;
";
/// Outside a transaction: what is done before a kill stays done until the next start puts it right.
const HALFWAY: &str = "-- no-transaction
CREATE TABLE numbers (n INTEGER);
INSERT INTO numbers VALUES (1), (2), (3);
VACUUM;
CREATE INDEX ix_numbers ON numbers (n);
";

/// The records of all jobs so far.
pub(crate) fn records(tenants: &Tenants) -> Vec<PathBuf> {
    let folder = |name: &String| tenants.sandbox.path("backups").join(name).join("app");
    tenants
        .names
        .iter()
        .flat_map(|name| files_ending(&folder(name), ".job.json"))
        .collect()
}

#[test]
fn when_too_many_have_failed_no_further_one_is_started() {
    let tenants = Tenants::new(8);
    tenants
        .sandbox
        .add_migration("009_fails", "INSERT INTO nowhere VALUES (1);\n");
    let before = tenants.contents();
    let (code, document) = tenants.run(&["run", "--max-failures", "2", "--jobs", "1"]);
    assert_eq!(code, 5, "{document:#}");
    assert_eq!(
        (count(&document, "failed"), count(&document, "not_started")),
        (3, 5)
    );
    let (_, document) = tenants.run(&["run", "--max-failures", "0", "--jobs", "2"]);
    let failed = count(&document, "failed");
    assert!(
        (1..=2).contains(&failed),
        "those under way come to their end: {failed}"
    );
    assert_eq!(databases(&document).len(), 8, "{document:#}");
    assert_eq!(tenants.contents(), before);
    let run = tenants
        .sandbox
        .run(&[
            "run",
            "--all",
            PATTERN,
            "--max-failures",
            "2",
            "--jobs",
            "1",
        ])
        .expect_code(5);
    assert!(
        run.stderr
            .contains("3 of 8 databases failed, and 5 were not started: too many failed"),
        "{}",
        run.stderr
    );
    let (code, document) = tenants.run(&["run", "--max-failures", "8"]);
    assert_eq!((code, count(&document, "failed")), (5, 8));
}

#[test]
fn a_signal_rolls_back_what_is_under_way_and_starts_nothing_more() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let tenants = Tenants::new(16);
        tenants.sandbox.add_migration("009_slow", SLOW);
        let child = tenants
            .sandbox
            .spawn(&["run", "--all", PATTERN, "--jobs", "2", "--output", "json"]);
        wait_until("the first job has begun", || !records(&tenants).is_empty());
        send(&child, signal);
        let run = Run::of(&child.wait_with_output().unwrap()).expect_code(code);
        let document = run.json();
        let not_started = with_outcome(&document, "not_started");
        assert!(!not_started.is_empty(), "{document:#}");
        assert!(
            run.stderr.contains("were not started: interrupted by SIG"),
            "{}",
            run.stderr
        );
        for name in &tenants.names {
            let done = with_outcome(&document, "migrated").contains(name);
            assert_eq!(
                tenants.revision(name),
                if done { "009" } else { "003" },
                "{name}"
            );
        }
        for database in databases(&document)
            .iter()
            .filter(|database| database["outcome"] == "failed")
        {
            assert_eq!(database["error"]["code"], "interrupted", "{database:#}");
        }
        let (code, document) = tenants.run(&["run"]);
        assert_eq!(code, 0, "{document:#}");
        assert!(
            tenants
                .names
                .iter()
                .all(|name| tenants.revision(name) == "009")
        );
    }
}

/// Kills the shard again and again at random moments, then lets it come to its end.
fn kill_and_restart(what: &str, ninth: &str) {
    let mut random = Random::new(what);
    let (count_of, kills) = if full() { (80, 40) } else { (16, 8) };
    let tenants = Tenants::new(count_of);
    tenants.sandbox.add_migration("009_numbers", ninth);
    // One that is left alone says what all are to be like.
    let args = ["run", "--all", PATTERN, "--jobs", "3", "--output", "json"];
    let (mut killed, mut recovered, mut span) = (0, 0, Duration::from_millis(400));
    for _ in 0..kills {
        let started = Instant::now();
        let mut child = tenants.sandbox.spawn(&args);
        std::thread::sleep(random.moment(span));
        let _ = child.kill();
        let run = Run::of(&child.wait_with_output().unwrap());
        if run.code == 0 {
            // All was done before the kill: from the beginning, and a shorter while.
            span = started.elapsed() / 2;
            recovered += lines(&run.json());
            for name in &tenants.names {
                let folder = tenants.sandbox.path("backups").join(name);
                fs::remove_dir_all(folder).unwrap();
                let seed = if name.ends_with(['0', '2', '4', '6', '8']) {
                    "seed.db"
                } else {
                    "seed-wal.db"
                };
                fs::copy(tenants.sandbox.path(seed), tenants.path(name)).unwrap();
            }
        } else {
            killed += 1;
        }
    }
    let run = tenants.sandbox.run(&args).expect_code(0);
    let document = run.json();
    recovered += lines(&document);
    let done = count(&document, "migrated") + count(&document, "nothing_to_do");
    assert_eq!(done, count_of, "{document:#}");
    println!(
        "{what}: {killed} kills; in the end {}; {recovered} recoveries",
        document["counts"]
    );
    let (code, document) = tenants.run(&["run"]);
    assert_eq!((code, count(&document, "nothing_to_do")), (0, count_of));
    let expected = users(&tenants, &tenants.names[0]);
    assert_eq!(expected, "ADMIN,READONLY,WRITE");
    for name in &tenants.names {
        assert_eq!(tenants.revision(name), "009", "{name}");
        assert_eq!(users(&tenants, name), expected, "{name}");
        sql(&tenants.path(name), "SELECT n FROM numbers");
        let folder = tenants.sandbox.path("backups").join(name).join("app");
        for leftover in [".snapshot.db", ".part", ".tmp"] {
            assert!(
                files_ending(&folder, leftover).is_empty(),
                "{name}: {leftover}"
            );
        }
    }
    for record in records(&tenants) {
        let text = fs::read_to_string(&record).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!value["outcome"].is_null(), "{}", record.display());
    }
}

/// How much was found of jobs that were cut short.
fn lines(document: &serde_json::Value) -> usize {
    let recovered =
        |database: &serde_json::Value| database["recovered"].as_array().map_or(0, Vec::len);
    databases(document).iter().map(recovered).sum()
}

fn users(tenants: &Tenants, name: &str) -> String {
    crate::support::query(
        &tenants.path(name),
        "SELECT group_concat(role) FROM (SELECT role FROM users ORDER BY id)",
    )
    .remove(0)
}

#[test]
fn a_shard_that_is_killed_picks_up_where_it_was() {
    kill_and_restart(
        "in a transaction",
        "CREATE TABLE numbers (n INTEGER);\nINSERT INTO numbers VALUES (1);\n",
    );
}

#[test]
fn a_shard_that_is_killed_outside_a_transaction_picks_up_where_it_was() {
    kill_and_restart("outside a transaction", HALFWAY);
}
