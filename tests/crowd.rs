//! Guarantees 2 and 8: no lost write, and no wait without an end, while other processes use the database.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::redundant_closure_for_method_calls,
    clippy::unwrap_used
)]

#[path = "crowd/members.rs"]
#[allow(unreachable_pub)]
mod members;
mod support;
#[path = "crowd/throng.rs"]
mod throng;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

use members::{Member, acknowledged, assert_names};
use support::evidence::Evidence;
use support::{Run, Sandbox, files_ending, full, wait_until};

/// Fails at its third statement.
const FAILS: &str =
    "CREATE TABLE a (n INTEGER);\nINSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);\n";
/// Leaves a session without its user.
const ORPHAN: &str = "INSERT INTO sessions (id, token, user_id, expires_at, created_at)
VALUES ('s', 't', 'nobody', '2026-01-01 00:00:00', '2026-01-01 00:00:00');\n";
/// Takes rows away without saying so.
const LOSES: &str = "DELETE FROM pipelines;\n";

/// Does nothing, unless this binary was started again as one of the processes of the crowd.
#[test]
fn another_process_of_the_crowd() {
    members::play();
}

/// One of the migrations that fail, or none.
fn put_ninth(sandbox: &Sandbox, migration: Option<&str>) {
    for file in files_ending(&sandbox.migrations(), ".sql") {
        if file.to_string_lossy().contains("009_") {
            fs::remove_file(file).unwrap();
        }
    }
    if let Some(sql) = migration {
        sandbox.add_migration("009_fails", sql);
    }
}

/// Jobs without a pause, every second one a failure, while one process writes and, in WAL mode, one reads.
fn crowd(name: &str, wal: bool) {
    let jobs = if full() { 50 } else { 12 };
    let sandbox = Sandbox::at("003");
    if wal {
        sandbox.use_wal();
    }
    let writer = Member::start(&sandbox, "writer");
    let reader = wal.then(|| Member::start(&sandbox, "reader"));
    wait_until("the first rows", || acknowledged(&sandbox).len() > 10);
    let mut evidence = Evidence::new(
        "Crowds",
        format!(
            "jobs without a pause, half of them failing, beside a writer and, in WAL mode, a reader; {name}"
        ),
        "SAFESTEP_TEST_FULL=1 cargo test --release --test crowd no_acknowledged_row_is_lost",
    );
    let started = Instant::now();
    let (mut failed, mut blocked) = (0, 0);
    for job in 0..jobs {
        let seen = acknowledged(&sandbox).len();
        let failing = job % 2 == 1;
        let (args, code) = match (failing, job % 4) {
            (true, _) => {
                let migration = [FAILS, ORPHAN, LOSES][job / 2 % 3];
                put_ninth(&sandbox, Some(migration));
                (["upgrade", "009"], 5)
            }
            (false, 0) => (["upgrade", "008"], 0),
            (false, _) => (["downgrade", "003"], 0),
        };
        let (found, document) = sandbox.run_json(&args);
        assert_eq!(found, code, "job {job}: {document:#}");
        evidence.injected(format!("exit {code}"));
        if failing {
            let method = &document["proof"]["method"];
            assert_eq!(method, "rolled_back", "{document:#}");
            assert_eq!(
                document["proof"]["live_digest"],
                document["proof"]["snapshot_digest"]
            );
            put_ninth(&sandbox, None);
            failed += 1;
        }
        blocked = blocked.max(document["blocked_ms"].as_u64().unwrap());
        wait_until("the writer to go on", || {
            acknowledged(&sandbox).len() > seen
        });
    }
    let took = started.elapsed();
    fs::write(sandbox.path("stop"), "").unwrap();
    writer.end();
    let reads = reader.map(|reader| {
        reader.end();
        fs::read_to_string(sandbox.path("reads")).unwrap()
    });
    let wanted = acknowledged(&sandbox);
    let found: BTreeSet<String> = sandbox
        .query("SELECT pipeline_name FROM pipelines")
        .into_iter()
        .collect();
    let missing: Vec<&String> = wanted.difference(&found).collect();
    println!(
        "{name}: {jobs} jobs ({failed} failed) in {} ms, {} rows acknowledged, {} missing, writers kept out {blocked} ms at most, \
         busy answers to the writer: {}, reader: {reads:?}",
        took.as_millis(),
        wanted.len(),
        missing.len(),
        fs::read_to_string(sandbox.path("busy")).unwrap(),
    );
    for row in missing {
        evidence.lost(row);
    }
    evidence.finish();
    assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
    assert_eq!(
        sandbox.query("PRAGMA journal_mode"),
        [if wal { "wal" } else { "delete" }]
    );
}

#[test]
fn no_acknowledged_row_is_lost_in_wal_mode_and_no_reader_is_ever_blocked() {
    crowd("WAL", true);
}

#[test]
fn no_acknowledged_row_is_lost_in_delete_mode() {
    crowd("DELETE", false);
}

#[test]
fn a_plan_outside_a_transaction_with_an_idle_connection_in_wal_mode_ends_with_75_and_names_its_holder()
 {
    let sandbox = Sandbox::at("008");
    sandbox.use_wal();
    let before = sandbox.content();
    sandbox.add_migration("009_vacuum", "-- no-transaction\nVACUUM;\n");
    let holder = Member::holding(&sandbox, "SELECT count(*) FROM users");
    let started = Instant::now();
    let (code, document) = sandbox.run_json(&["run", "--lock-timeout", "500ms"]);
    assert_eq!(code, 75, "{document:#}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        started.elapsed()
    );
    assert_names(&document, &holder);
    holder.end();
    assert_eq!(sandbox.content(), before);
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(sandbox.current(), "009");
    assert_eq!(sandbox.query("PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn a_lock_that_is_held_for_ever_ends_the_wait_with_75_and_the_holder_s_name() {
    for wal in [false, true] {
        let sandbox = Sandbox::at("003");
        if wal {
            sandbox.use_wal();
        }
        let before = sandbox.content();
        let holder = Member::holding(
            &sandbox,
            "BEGIN IMMEDIATE; INSERT INTO pipelines VALUES ('held', 0, NULL, 0, 0, 0, 0)",
        );
        let started = Instant::now();
        let (code, document) = sandbox.run_json(&["run", "--lock-timeout", "500ms"]);
        let took = started.elapsed();
        assert_eq!(code, 75, "{document:#}");
        assert!(
            took >= Duration::from_millis(500) && took < Duration::from_secs(5),
            "it took {took:?}"
        );
        assert_names(&document, &holder);
        assert!(
            document["error"]["message"]
                .as_str()
                .unwrap()
                .contains("holds a write lock"),
            "{document:#}"
        );
        drop(holder);
        assert_eq!(sandbox.content(), before);
        sandbox.run(&["run"]).expect_code(0);
    }
}

#[test]
fn a_reader_that_never_ends_keeps_a_job_in_delete_mode_from_committing_and_it_ends_with_75_as_before()
 {
    let sandbox = Sandbox::at("003");
    let before = sandbox.content();
    let holder = Member::holding(&sandbox, "BEGIN; SELECT count(*) FROM users");
    let (code, document) = sandbox.run_json(&["run", "--lock-timeout", "500ms"]);
    assert_eq!(code, 75, "{document:#}");
    assert_names(&document, &holder);
    assert_eq!(
        document["proof"]["live_digest"], document["proof"]["snapshot_digest"],
        "{document:#}"
    );
    holder.end();
    assert_eq!(sandbox.content(), before);
    sandbox.run(&["run"]).expect_code(0);
}

#[test]
fn a_database_that_two_jobs_create_at_once_is_created_once() {
    let sandbox = Sandbox::new();
    let jobs = [(); 2].map(|()| sandbox.spawn(&["run", "--create-if-missing", "--output", "json"]));
    let mut outcomes: Vec<String> = jobs
        .into_iter()
        .map(|job| {
            let run = Run::of(&job.wait_with_output().unwrap()).expect_code(0);
            run.json()["outcome"].as_str().unwrap().to_owned()
        })
        .collect();
    outcomes.sort();
    assert_eq!(outcomes, ["created", "nothing_to_do"]);
}

#[test]
fn a_plan_outside_a_transaction_waits_for_a_writer_that_commits_all_the_time() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration(
        "009_once",
        "-- no-transaction\nCREATE TABLE once (n INTEGER);\nVACUUM;\n",
    );
    let writer = Member::start(&sandbox, "writer");
    wait_until("the first rows", || acknowledged(&sandbox).len() > 10);
    sandbox.run(&["run"]).expect_code(0);
    let seen = acknowledged(&sandbox).len();
    wait_until("the writer to go on", || {
        acknowledged(&sandbox).len() > seen
    });
    fs::write(sandbox.path("stop"), "").unwrap();
    writer.end();
    let wanted = acknowledged(&sandbox);
    let found: BTreeSet<String> = sandbox
        .query("SELECT pipeline_name FROM pipelines")
        .into_iter()
        .collect();
    assert!(wanted.is_subset(&found));
}

/// What only reads has to wait for its turn, too.
#[test]
fn a_backup_and_a_restore_find_their_way_through_a_writer_that_commits_all_the_time() {
    for wal in [false, true] {
        let sandbox = Sandbox::at("008");
        if wal {
            sandbox.use_wal();
        }
        let writer = Member::start(&sandbox, "writer");
        wait_until("the first rows", || acknowledged(&sandbox).len() > 10);
        let seen = acknowledged(&sandbox).len();
        for _ in 0..5 {
            sandbox.run(&["backup"]).expect_code(0);
        }
        // Rows that come after a backup fall to its restore; those before it are in it.
        sandbox.run(&["restore", "latest", "--yes"]).expect_code(0);
        fs::write(sandbox.path("stop"), "").unwrap();
        writer.end();
        let found = sandbox.query("SELECT count(*) FROM pipelines").remove(0);
        assert!(found.parse::<usize>().unwrap() >= seen);
        assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
    }
}

/// A signal while waiting for a lock ends the wait at once.
#[test]
fn sigterm_ends_the_wait_for_a_lock() {
    let sandbox = Sandbox::at("003");
    let holder = Member::holding(&sandbox, "BEGIN IMMEDIATE");
    let job = sandbox.spawn(&["run", "--output", "json"]);
    wait_until("the job to wait", || {
        fs::read_dir(format!("/proc/{}/fd", job.id()))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .any(|path| path == sandbox.database())
    });
    support::send(&job, rustix::process::Signal::TERM);
    let started = Instant::now();
    let run = Run::of(&job.wait_with_output().unwrap()).expect_code(143);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        started.elapsed()
    );
    assert_eq!(run.json()["error"]["code"], "interrupted");
    holder.end();
}

/// The phases of a job's report that copy the database, and whether writers waited for them.
fn copies(document: &Value) -> Vec<bool> {
    let phases = document["phases"].as_array().unwrap();
    phases
        .iter()
        .filter(|phase| phase["name"] == "snapshot")
        .map(|phase| phase["blocking"].as_bool().unwrap())
        .collect()
}

#[test]
fn in_wal_mode_nobody_waits_for_the_copy_where_nobody_writes() {
    let sandbox = Sandbox::at("003");
    let document = support::run(&sandbox, &["downgrade", "002"]);
    assert_eq!(copies(&document), [true]);
    sandbox.use_wal();
    let document = support::run(&sandbox, &["run"]);
    assert_eq!(copies(&document), [false]);
    assert_eq!(sandbox.query("PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn what_is_committed_between_the_copy_and_the_lock_is_in_the_backup_and_in_the_result() {
    let sandbox = Sandbox::at("003");
    sandbox.use_wal();
    let url = format!("sqlite:{}", sandbox.database().display());
    let job = support::block_on(async {
        let mut app = SqliteConnection::connect(&url).await.unwrap();
        app.execute("BEGIN IMMEDIATE; INSERT INTO pipelines VALUES ('late', 0, NULL, 0, 0, 0, 0)")
            .await
            .unwrap();
        let mut job = sandbox.spawn(&["run", "--output", "json"]);
        let said = BufReader::new(job.stderr.take().unwrap()).lines();
        let waits = said
            .map_while(Result::ok)
            .any(|line| line.contains("waiting for the database"));
        assert!(waits, "the job did not wait");
        app.execute("COMMIT").await.unwrap();
        app.close().await.unwrap();
        job
    });
    let document = Run::of(&job.wait_with_output().unwrap())
        .expect_code(0)
        .json();
    assert_eq!(copies(&document), [false, true]);
    assert_eq!(sandbox.current(), "008");
    let late = "SELECT count(*) FROM pipelines WHERE pipeline_name = 'late'";
    assert_eq!(sandbox.query(late), ["1"]);
    let [archive] = sandbox.archives().try_into().unwrap();
    let unpacked = sandbox.unpack(&archive, "unpacked");
    assert_eq!(support::query(&unpacked.join("fastflow.db"), late), ["1"]);
}
