//! Guarantee 5: any stop is safe. The real program is killed at random moments, and started again.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::drill::{Drill, Mode, NON_TRANSACTIONAL, records};
use support::evidence::Evidence;
use support::{Random, Run, files_ending, full, query, send, unpack_archive, wait_until};

const ROWS: usize = 20_000;
const SIGKILL: i32 = 9;
/// A process that ends before its kill is no kill; how many attempts each kill may take.
const ATTEMPTS: usize = 6;

/// Never ends by itself.
const ENDLESS: &str = "CREATE TABLE counted AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n";

/// Random kills.
trait Kills {
    /// Runs a command undisturbed: how long it takes, and the state that it leads to.
    fn measure(&self, args: &[&str]) -> (Duration, String);
    /// Starts the command and kills it at a random moment. `None` when it had ended before.
    fn kill(&self, args: &[&str], span: Duration, random: &mut Random) -> Option<Stage>;
    /// Until the job has written its record, or has ended.
    fn wait_for_record(&self, child: &mut Child);
    /// How far the job had come, by what it left in the backups folder.
    fn stage(&self) -> Stage;
}

impl Kills for Drill {
    fn measure(&self, args: &[&str]) -> (Duration, String) {
        let mut longest = Duration::ZERO;
        for _ in 0..2 {
            self.reset();
            let started = Instant::now();
            self.sandbox.run(args).expect_code(0);
            longest = longest.max(started.elapsed());
        }
        let after = self.state();
        self.reset();
        (longest, after)
    }

    fn kill(&self, args: &[&str], span: Duration, random: &mut Random) -> Option<Stage> {
        let mut child = self.sandbox.spawn(args);
        let span = match random.below(3) {
            0 => span,
            // The start and the snapshot.
            1 => span / 4,
            // The part that changes the database.
            _ => {
                self.wait_for_record(&mut child);
                span
            }
        };
        std::thread::sleep(random.moment(span));
        child.kill().expect("kill");
        let output = child.wait_with_output().expect("it ends");
        (output.status.signal() == Some(SIGKILL)).then(|| self.stage())
    }

    fn wait_for_record(&self, child: &mut Child) {
        let before = files_ending(&self.sandbox.path("saved/backups/fastflow"), ".job.json").len();
        wait_until("a job record", || {
            files_ending(&self.sandbox.backups(), ".job.json").len() > before
                || child.try_wait().expect("wait").is_some()
        });
    }

    fn stage(&self) -> Stage {
        let new = |suffix| {
            let saved = files_ending(&self.sandbox.path("saved/backups/fastflow"), suffix).len();
            files_ending(&self.sandbox.backups(), suffix).len() > saved
        };
        if records(&self.sandbox.backups())
            .iter()
            .any(|record| record["outcome"].is_null())
        {
            Stage::RecordWithoutOutcome
        } else if new(".job.json") {
            Stage::AfterOutcome
        } else if new(".snapshot.db") {
            Stage::Snapshot
        } else {
            Stage::BeforeSnapshot
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    BeforeSnapshot,
    Snapshot,
    RecordWithoutOutcome,
    AfterOutcome,
}

/// Kills a command as often as asked. After each kill `check` looks, and says what it found.
fn drill(
    name: &str,
    drill: &Drill,
    args: &[&str],
    span: Duration,
    kills: usize,
    mut check: impl FnMut(usize, Stage) -> &'static str,
) {
    let mut random = Random::new(name);
    let mut stages: BTreeMap<Stage, usize> = BTreeMap::new();
    let mut evidence = Evidence::new(
        "Kills at random moments",
        name,
        "SAFESTEP_TEST_FULL=1 cargo test --release --test crash killed",
    );
    let mut done = 0;
    for _ in 0..kills * ATTEMPTS {
        if done == kills {
            break;
        }
        drill.reset();
        if let Some(stage) = drill.kill(args, span, &mut random) {
            *stages.entry(stage).or_default() += 1;
            evidence.injected(check(done, stage));
            done += 1;
        }
    }
    println!(
        "{name}: {done} kills in jobs of {} ms: {stages:?}",
        span.as_millis(),
    );
    assert_eq!(done, kills, "too many jobs ended before they were killed");
    evidence.finish();
}

fn kills(in_full: usize) -> usize {
    if full() { in_full } else { in_full / 5 }
}

/// Right after a kill the content is the old or the new one; the next plain `run` finishes the job.
fn transactional(name: &str, mode: Mode, kills: usize) {
    let it = Drill::at("003", mode, ROWS);
    let old = it.state();
    let (span, new) = it.measure(&["run"]);
    assert_ne!(old, new);
    drill(name, &it, &["run"], span, kills, |round, stage| {
        let left = if round % 2 == 0 {
            it.peek()
        } else {
            it.state()
        };
        assert!(
            left == old || left == new,
            "neither old nor new after a kill at {stage:?}"
        );
        it.sandbox.run(&["run"]).expect_code(0);
        assert!(
            it.state() == new,
            "not at head after the next run; killed at {stage:?}"
        );
        it.assert_settled();
        it.assert_backed_up(&old);
        if left == old { "old" } else { "new" }
    });
}

#[test]
fn a_killed_upgrade_in_delete_mode_leaves_old_or_new_and_the_next_run_finishes() {
    transactional("upgrade, DELETE", Mode::Delete, kills(40));
}

#[test]
fn a_killed_upgrade_in_wal_mode_leaves_old_or_new_and_the_next_run_finishes() {
    transactional("upgrade, WAL", Mode::Wal, kills(40));
}

/// Such a job may be found half done after a kill, but not after the next `run`.
fn non_transactional(name: &str, mode: Mode, kills: usize) {
    let it = Drill::at("003", mode, ROWS);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    it.save();
    let old = it.state();
    let (span, new) = it.measure(&["run"]);
    drill(name, &it, &["run"], span, kills, |round, stage| {
        let left = if round % 2 == 0 {
            it.peek()
        } else {
            it.state()
        };
        let found = match &left {
            left if *left == old => "old",
            left if *left == new => "new",
            _ => "between",
        };
        it.sandbox.run(&["run"]).expect_code(0);
        assert!(
            it.state() == new,
            "not at head after the next run; killed at {stage:?}"
        );
        it.assert_settled();
        it.assert_backed_up(&old);
        found
    });
}

#[test]
fn a_killed_job_outside_a_transaction_in_delete_mode_is_finished_by_the_next_run() {
    non_transactional("no-transaction, DELETE", Mode::Delete, kills(25));
}

#[test]
fn a_killed_job_outside_a_transaction_in_wal_mode_is_finished_by_the_next_run() {
    non_transactional("no-transaction, WAL", Mode::Wal, kills(25));
}

/// With the migration gone the next `run` undoes it; a job that had committed is not undone but refused.
fn withdrawn(name: &str, mode: Mode, kills: usize) {
    let it = Drill::at("head", mode, ROWS);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    it.save();
    let old = it.state();
    let (span, new) = it.measure(&["run"]);
    drill(name, &it, &["run"], span, kills, |_, stage| {
        let left = it.peek();
        for file in files_ending(&it.sandbox.migrations(), "") {
            if file.to_string_lossy().contains("009_") {
                fs::remove_file(file).unwrap();
            }
        }
        let run = it.sandbox.run(&["run"]);
        if left == new {
            run.expect_code(4);
            assert!(
                it.state() == new,
                "a committed job was undone; killed at {stage:?}"
            );
        } else {
            run.expect_code(0);
            assert!(it.state() == old, "not as before; killed at {stage:?}");
        }
        it.assert_settled();
        match left {
            left if left == new => "new",
            left if left == old => "old",
            _ => "between",
        }
    });
}

#[test]
fn a_killed_job_outside_a_transaction_in_delete_mode_is_undone_when_its_migration_is_withdrawn() {
    withdrawn("withdrawn, DELETE", Mode::Delete, kills(15));
}

#[test]
fn a_killed_job_outside_a_transaction_in_wal_mode_is_undone_when_its_migration_is_withdrawn() {
    withdrawn("withdrawn, WAL", Mode::Wal, kills(15));
}

/// At head with a backup of 003, and a row that came later.
fn killed_restore(name: &str, mode: Mode, kills: usize) {
    let it = Drill::at("003", mode, ROWS);
    let wanted = it.state();
    it.sandbox.run(&["run"]).expect_code(0);
    it.sandbox
        .sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    it.save();
    let replaced = it.state();
    let (span, after) = it.measure(&["restore", "latest", "--yes"]);
    assert!(
        after == wanted,
        "the restore does not bring back what was saved"
    );
    drill(
        name,
        &it,
        &["restore", "latest", "--yes"],
        span,
        kills,
        |round, stage| {
            let left = if round % 2 == 0 {
                it.peek()
            } else {
                it.state()
            };
            assert!(
                left == wanted || left == replaced,
                "neither old nor new after a kill at {stage:?}"
            );
            if round % 3 == 0 {
                it.sandbox
                    .run(&["restore", "latest", "--yes"])
                    .expect_code(0);
                assert!(
                    it.state() == wanted,
                    "the second restore did not restore; killed at {stage:?}"
                );
            } else {
                it.sandbox.run(&["run"]).expect_code(0);
                assert!(
                    left == wanted || it.state() == replaced,
                    "not as before; killed at {stage:?}"
                );
            }
            it.sandbox.run(&["run"]).expect_code(0);
            assert_eq!(it.sandbox.current(), "008");
            it.assert_settled();
            it.assert_backed_up(&wanted);
            if left == wanted {
                it.assert_backed_up(&replaced);
                "restored"
            } else {
                "as before"
            }
        },
    );
}

#[test]
fn a_killed_restore_in_delete_mode_leaves_old_or_new() {
    killed_restore("restore, DELETE", Mode::Delete, kills(10));
}

#[test]
fn a_killed_restore_in_wal_mode_leaves_old_or_new() {
    killed_restore("restore, WAL", Mode::Wal, kills(10));
}

/// Starts a job whose migration never ends, waits until a statement of it is committed, and kills it.
fn interrupted(mode: Mode) -> (Drill, String) {
    let it = Drill::at("head", mode, ROWS);
    let old = it.state();
    let endless = format!("{NON_TRANSACTIONAL}{ENDLESS}");
    it.sandbox.add_migration("009_in_steps", &endless);
    let mut child = it.sandbox.spawn(&["run"]);
    wait_until("the statements before the endless one", || {
        assert!(child.try_wait().unwrap().is_none(), "the job ended");
        let exit_codes = "SELECT count(*) FROM pipeline_runs WHERE exit_code IS NOT NULL";
        has_record(&it) && try_count(&it.copy_of_files(), exit_codes).is_some_and(|count| count > 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    it.save();
    (it, old)
}

fn has_record(it: &Drill) -> bool {
    !files_ending(&it.sandbox.backups(), ".job.json").is_empty()
}

/// A count on a copy that may be torn.
fn try_count(path: &Path, sql: &'static str) -> Option<i64> {
    support::block_on(async {
        use sqlx::Connection;
        let mut connection = support::connect(path).await;
        let count = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .ok();
        let _ = connection.close().await;
        count
    })
}

fn killed_recovery(name: &str, mode: Mode, kills: usize) {
    let (it, old) = interrupted(mode);
    let between = it.peek();
    assert_ne!(between, old);
    let (span, new) = it.measure(&["run"]);
    drill(name, &it, &["run"], span, kills, |round, stage| {
        let left = it.peek();
        let found = match &left {
            left if *left == old => "old",
            left if *left == new => "new",
            left if *left == between => "as the first kill left it",
            _ => "between",
        };
        if round % 2 == 0 {
            // Once more, in the middle of the second recovery.
            let mut child = it.sandbox.spawn(&["run"]);
            std::thread::sleep(span / 4);
            child.kill().unwrap();
            child.wait_with_output().unwrap();
        }
        it.sandbox.run(&["run"]).expect_code(0);
        assert!(
            it.state() == new,
            "not at head after the next run; killed at {stage:?}"
        );
        it.assert_settled();
        it.assert_backed_up(&old);
        found
    });
}

#[test]
fn a_killed_recovery_in_delete_mode_is_finished_by_the_next_run() {
    killed_recovery("recovery, DELETE", Mode::Delete, kills(10));
}

#[test]
fn a_killed_recovery_in_wal_mode_is_finished_by_the_next_run() {
    killed_recovery("recovery, WAL", Mode::Wal, kills(10));
}

// Signals.

fn stopped(mode: Mode, migration: &str, signal: Signal, code: i32) {
    let it = Drill::at("003", mode, ROWS);
    let old = it.state();
    it.sandbox.add_migration("009_endless", migration);
    let mut child = it.sandbox.spawn(&["run", "--output", "json"]);
    it.wait_for_record(&mut child);
    send(&child, signal);
    let started = Instant::now();
    let run = Run::of(&child.wait_with_output().unwrap()).expect_code(code);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "it took {:?} to stop",
        started.elapsed()
    );
    let document = run.json();
    assert_eq!(document["error"]["code"], "interrupted", "{document:#}");
    assert_eq!(document["exit_code"], code);
    let proof = &document["proof"];
    assert!(proof["live_digest"].is_string(), "{document:#}");
    assert_eq!(
        proof["live_digest"], proof["snapshot_digest"],
        "{document:#}"
    );
    assert!(it.state() == old, "not as before");
    it.sandbox
        .add_migration("009_endless", "CREATE TABLE short (n INTEGER);\n");
    it.sandbox.run(&["run"]).expect_code(0);
    assert_eq!(it.sandbox.current(), "009");
    it.assert_settled();
    it.assert_backed_up(&old);
}

#[test]
fn sigterm_rolls_a_long_job_back_and_proves_it() {
    stopped(Mode::Delete, ENDLESS, Signal::TERM, 143);
}

#[test]
fn sigint_rolls_a_long_job_back_and_proves_it() {
    stopped(Mode::Wal, ENDLESS, Signal::INT, 130);
}

#[test]
fn sigterm_undoes_a_long_job_outside_a_transaction_in_delete_mode() {
    stopped(
        Mode::Delete,
        &format!("{NON_TRANSACTIONAL}{ENDLESS}"),
        Signal::TERM,
        143,
    );
}

#[test]
fn sigterm_undoes_a_long_job_outside_a_transaction_in_wal_mode() {
    stopped(
        Mode::Wal,
        &format!("{NON_TRANSACTIONAL}{ENDLESS}"),
        Signal::TERM,
        143,
    );
}

#[test]
fn sigterm_at_any_moment_ends_with_143_and_the_old_content_or_with_0_and_the_new() {
    let it = Drill::at("003", Mode::Delete, ROWS);
    let old = it.state();
    let (span, new) = it.measure(&["run"]);
    let mut random = Random::new("SIGTERM");
    let mut evidence = Evidence::new(
        "Kills at random moments",
        "upgrade, DELETE, by SIGTERM",
        "SAFESTEP_TEST_FULL=1 cargo test --release --test crash sigterm_at_any_moment",
    );
    for _ in 0..kills(100) {
        it.reset();
        let child = it.sandbox.spawn(&["run", "--output", "json"]);
        std::thread::sleep(random.moment(span));
        send(&child, Signal::TERM);
        let output = child.wait_with_output().unwrap();
        if output.status.signal().is_some() {
            // It came before the program listened.
            evidence.injected("old, before it listened");
            assert!(it.state() == old);
            continue;
        }
        let run = Run::of(&output);
        if run.code == 0 {
            evidence.injected("new, exit 0");
            assert!(it.state() == new);
        } else {
            let run = run.expect_code(143);
            assert_eq!(run.json()["error"]["code"], "interrupted");
            evidence.injected("old, exit 143");
            assert!(it.state() == old);
        }
        it.sandbox.run(&["run"]).expect_code(0);
        assert!(it.state() == new);
        it.assert_settled();
    }
    evidence.finish();
}

#[test]
fn a_signal_still_stops_a_job_that_has_recovered_another_one() {
    let (it, old) = interrupted(Mode::Delete);
    it.sandbox.add_migration("009_in_steps", ENDLESS);
    let before = files_ending(&it.sandbox.backups(), ".job.json").len();
    let mut child = it.sandbox.spawn(&["run", "--output", "json"]);
    // The record of the recovery, and that of the job itself.
    wait_until("the second record", || {
        assert!(child.try_wait().unwrap().is_none(), "the job ended");
        files_ending(&it.sandbox.backups(), ".job.json").len() >= before + 2
    });
    send(&child, Signal::TERM);
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let run = Run::of(&child.wait_with_output().unwrap()).expect_code(143);
    assert_eq!(run.json()["error"]["code"], "interrupted");
    assert!(it.state() == old);
}

// Corners that random kills hit too rarely.

/// Makes a finished job look as if it had been killed between its commit and the outcome in its record.
fn forget_outcome(it: &Drill) {
    let path = files_ending(&it.sandbox.backups(), ".job.json")
        .pop()
        .unwrap();
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["outcome"] = Value::Null;
    fs::write(&path, record.to_string()).unwrap();
    let text = path.to_string_lossy().into_owned();
    let stem = text.trim_end_matches(".job.json");
    unpack_archive(
        Path::new(&format!("{stem}.tar.gz")),
        Path::new(&format!("{stem}.snapshot.db")),
    );
}

#[test]
fn a_job_killed_after_its_commit_is_not_undone_though_its_migration_is_withdrawn() {
    let it = Drill::at("head", Mode::Delete, ROWS);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    it.sandbox.run(&["run"]).expect_code(0);
    forget_outcome(&it);
    it.sandbox
        .sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    let new = it.state();
    for file in ["009_in_steps.up.sql", "009_in_steps.down.sql"] {
        fs::remove_file(it.sandbox.migrations().join(file)).unwrap();
    }
    it.sandbox.run(&["run"]).expect_code(4);
    assert!(
        it.state() == new,
        "rows that were written after the commit are gone"
    );
    it.assert_settled();
}

#[test]
fn pruning_never_takes_away_what_a_job_cut_short_needs_for_its_recovery() {
    let (it, old) = interrupted(Mode::Delete);
    for file in ["009_in_steps.up.sql", "009_in_steps.down.sql"] {
        fs::remove_file(it.sandbox.migrations().join(file)).unwrap();
    }
    for _ in 0..2 {
        it.sandbox
            .run(&["backup", "--keep-last", "1"])
            .expect_code(0);
    }
    it.sandbox.run(&["run"]).expect_code(0);
    assert!(it.state() == old, "the half-done migration stayed");
}

#[test]
fn a_hot_journal_does_not_keep_a_plan_outside_a_transaction_from_starting() {
    let it = Drill::at("003", Mode::Delete, ROWS);
    let big = format!(
        "CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT i, hex(i) FROM n;\nUPDATE users SET email = 'x';\n{ENDLESS}"
    );
    it.sandbox.add_migration("009_big", &big);
    let mut child = it.sandbox.spawn(&["run"]);
    let journal = it.sandbox.path("data/fastflow.db-journal");
    wait_until("a spilled journal", || {
        assert!(child.try_wait().unwrap().is_none(), "the job ended");
        fs::metadata(&journal).is_ok_and(|meta| meta.len() > 4096)
            && fs::metadata(it.sandbox.database()).unwrap().len() > 20_000_000
    });
    child.kill().unwrap();
    child.wait().unwrap();
    it.sandbox.add_migration("009_big", NON_TRANSACTIONAL);
    it.sandbox.run(&["run"]).expect_code(0);
    assert_eq!(it.sandbox.current(), "009");
    it.assert_settled();
}

#[test]
fn the_rows_that_a_check_reads_are_those_of_an_ordinary_connection() {
    let it = Drill::at("003", Mode::Wal, ROWS);
    assert_eq!(
        query(&it.sandbox.database(), "SELECT count(*) FROM users"),
        [ROWS.to_string()]
    );
    assert_eq!(it.peek(), it.state());
}
