//! Stops: by a signal, by too many failures, and by a kill at any moment.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Random, Run, files_ending, full, query, send, wait_until};
use crate::tenants::{PATTERN, Tenants, count, databases, with_outcome};

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

/// Within which a process is killed: it works on a handful of tenants in that time.
const SPAN: Duration = Duration::from_millis(400);

/// Kills the shard again and again at random moments until it comes to its end, and from the beginning.
fn kill_and_restart(what: &str, ninth: &str) {
    let mut random = Random::new(what);
    let (total, kills) = if full() { (40, 60) } else { (16, 8) };
    let tenants = Tenants::new(total);
    tenants.sandbox.add_migration("009_numbers", ninth);
    let args = ["run", "--all", PATTERN, "--jobs", "3", "--output", "json"];
    let (mut killed, mut ends, mut recovered) = (0, 0, 0);
    while killed < kills {
        let mut child = tenants.sandbox.spawn(&args);
        std::thread::sleep(random.moment(SPAN));
        let _ = child.kill();
        let run = Run::of(&child.wait_with_output().unwrap());
        if run.code == 0 {
            recovered += recoveries(&run.json());
            assert_done(&tenants);
            tenants.begin_anew();
            ends += 1;
        } else {
            killed += 1;
        }
    }
    let document = tenants.sandbox.run(&args).expect_code(0).json();
    recovered += recoveries(&document);
    assert_done(&tenants);
    println!(
        "{what}: {killed} kills, {} ends; in the last {}; {recovered} recoveries",
        ends + 1,
        document["counts"]
    );
}

/// Everything is migrated with its rows, and nothing is left of the jobs that were cut short.
fn assert_done(tenants: &Tenants) {
    let (code, document) = tenants.run(&["run"]);
    let idle = count(&document, "nothing_to_do");
    assert_eq!((code, idle), (0, tenants.names.len()), "{document:#}");
    for name in &tenants.names {
        let path = tenants.path(name);
        assert_eq!(tenants.revision(name), "009", "{name}");
        let roles = "SELECT group_concat(role) FROM (SELECT role FROM users ORDER BY id)";
        assert_eq!(query(&path, roles), ["ADMIN,READONLY,WRITE"], "{name}");
        query(&path, "SELECT n FROM numbers");
        let folder = tenants.sandbox.path("backups").join(name).join("app");
        assert!(!files_ending(&folder, ".tar.gz").is_empty(), "{name}");
        for leftover in [".snapshot.db", ".part", ".tmp"] {
            assert!(
                files_ending(&folder, leftover).is_empty(),
                "{name}: {leftover}"
            );
        }
    }
    for record in records(tenants) {
        let text = fs::read_to_string(&record).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!value["outcome"].is_null(), "{}", record.display());
    }
}

/// How much was found of jobs that were cut short.
fn recoveries(document: &serde_json::Value) -> usize {
    let recovered =
        |database: &serde_json::Value| database["recovered"].as_array().map_or(0, Vec::len);
    databases(document).iter().map(recovered).sum()
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
