//! A job that fails or is killed in the same way again and again, as an orchestrator restarts it: the backups folder
//! does not grow, and no older backup is pushed out of it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub
)]

#[path = "faults/engine.rs"]
#[allow(dead_code)]
mod engine;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use engine::{Stop, bounded, die_at};
use sqlx::Connection;
use support::drill::{Drill, Mode, NON_TRANSACTIONAL, records};
use support::evidence::Evidence;
use support::{block_on, connect, files_ending, full, unpack_archive};

/// As many as stay; one of them is of the loop itself.
const KEEP: usize = 10;
const ROWS: usize = 40;
const FAILING: &str =
    "CREATE TABLE half (n INTEGER);\nUPDATE users SET email = 'x';\nSELECT nothing FROM nowhere;\n";
/// More than a record of such a small database has.
const RECORD_BYTES: u64 = 4096;

fn rounds() -> usize {
    if full() { 100 } else { 12 }
}

/// A database with older backups, each of another state.
struct Loop {
    it: Drill,
    older: Vec<PathBuf>,
    old: String,
}

impl Loop {
    fn new(revision: &str, mode: Mode, migration: &str) -> Self {
        let it = Drill::at(revision, mode, ROWS);
        let mut older = Vec::new();
        for round in 1..KEEP {
            it.sandbox
                .sql(&format!("UPDATE pipelines SET total_runs = {round}"));
            it.sandbox.sql(&format!("PRAGMA user_version = {round}"));
            older.push(it.sandbox.backup());
        }
        it.sandbox.sql("PRAGMA user_version = 1000");
        it.sandbox.add_migration("009_loop", migration);
        let old = it.state();
        Self { it, older, old }
    }

    /// Does it over and over. `round` says in a word what came of it.
    fn go(self, name: &str, round: impl Fn(&Drill) -> Result<&'static str, String>) {
        let mut evidence = evidence(name);
        let before = bytes_of(&self.it.sandbox.backups());
        for number in 1..=rounds() {
            match round(&self.it) {
                Ok(word) => evidence.injected(word),
                Err(problem) => {
                    evidence.injected("wrong");
                    evidence.lost(format!("round {number}: {problem}"));
                }
            }
        }
        for problem in self.problems(before) {
            evidence.lost(problem);
        }
        evidence.finish();
        self.ends_well();
    }

    /// What is not bounded, or is lost.
    fn problems(&self, before: u64) -> Vec<String> {
        let folder = self.it.sandbox.backups();
        let mut list: Vec<String> = self
            .older
            .iter()
            .filter(|path| !path.exists())
            .map(|path| format!("pushed out: {}", path.display()))
            .collect();
        let copies = self.copies_of_the_old_state();
        if copies > 1 {
            list.push(format!("{copies} backups of one state"));
        }
        // Of jobs whose snapshot is kept as another one's, as many records stay as backups.
        let most = self.it.sandbox.archives().len() + KEEP + 1;
        let count = records(&folder).len();
        if count > most {
            list.push(format!("{count} records"));
        }
        let archive = fs::metadata(&self.older[0]).unwrap().len();
        // The backup of the loop, a copy of what a recovery replaced, and a snapshot that is not archived yet.
        let database = fs::metadata(self.it.sandbox.database()).map_or(0, |meta| meta.len());
        let limit = before + 3 * archive + 2 * database + (most as u64) * RECORD_BYTES;
        let bytes = bytes_of(&folder);
        if bytes > limit {
            list.push(format!("{bytes} bytes, and {limit} would be many"));
        }
        list
    }

    fn copies_of_the_old_state(&self) -> usize {
        let target = self.it.sandbox.path("copy.db");
        let rest = |state: &str| state.split_once('\n').unwrap().1.to_owned();
        let is_old = |archive: &&PathBuf| {
            unpack_archive(archive, &target);
            let versions = support::query(&target, "PRAGMA user_version");
            versions == ["1000"] && rest(&support::state(&target)) == rest(&self.old)
        };
        self.it.sandbox.archives().iter().filter(is_old).count()
    }

    /// With the cause gone, the next start is as any other.
    fn ends_well(self) {
        // `current` refuses to name a revision while a job is halfway.
        let (_, document) = self.it.sandbox.run_json(&["current"]);
        if document["revision"] != "009" {
            self.it
                .sandbox
                .add_migration("009_loop", "CREATE TABLE nine (n INTEGER);\n");
        }
        self.it.sandbox.run(&["run"]).expect_code(0);
        assert_eq!(self.it.sandbox.current(), "009");
        self.it.assert_settled();
        let all = self.it.sandbox.archives().len();
        assert!(all <= 2 * KEEP, "{all} backups");
    }
}

fn evidence(name: &str) -> Evidence {
    let command = format!(
        "SAFESTEP_TEST_FULL=1 cargo test --release --features faults --test loops -- --exact {}",
        std::thread::current().name().unwrap_or_default()
    );
    Evidence::new("Crash loops", name, command)
}

fn bytes_of(folder: &Path) -> u64 {
    files_ending(folder, "")
        .iter()
        .map(|path| {
            let meta = fs::metadata(path).unwrap();
            if meta.is_dir() {
                bytes_of(path)
            } else {
                meta.len()
            }
        })
        .sum()
}

fn fails(it: &Drill, args: &[&str], code: i32, word: &'static str) -> Result<&'static str, String> {
    let run = bounded(it.sandbox.command(args))?;
    if run.code == code {
        Ok(word)
    } else {
        Err(format!("it ended with {}: {}", run.code, run.stderr))
    }
}

fn killed(it: &Drill, args: &[&str], point: &str, n: usize) -> Result<&'static str, String> {
    let stop = Stop {
        point: point.into(),
        n,
    };
    die_at(it, args, &stop).map(|()| "killed")
}

#[test]
fn a_migration_that_fails_again_and_again() {
    Loop::new("003", Mode::Delete, FAILING).go("a migration that fails", |it| {
        fails(it, &["run"], 5, "failed, 5")
    });
}

#[test]
fn a_migration_that_fails_again_and_again_in_wal_mode() {
    Loop::new("003", Mode::Wal, FAILING).go("a migration that fails, WAL", |it| {
        fails(it, &["run"], 5, "failed, 5")
    });
}

#[test]
fn a_plan_outside_a_transaction_that_fails_again_and_again() {
    let failing = format!("{NON_TRANSACTIONAL}{FAILING}");
    Loop::new("head", Mode::Delete, &failing).go("a plan outside a transaction that fails", |it| {
        fails(it, &["run"], 5, "failed, 5")
    });
}

#[test]
fn a_plan_outside_a_transaction_that_fails_again_and_again_in_wal_mode() {
    let failing = format!("{NON_TRANSACTIONAL}{FAILING}");
    Loop::new("head", Mode::Wal, &failing)
        .go("a plan outside a transaction that fails, WAL", |it| {
            fails(it, &["run"], 5, "failed, 5")
        });
}

#[test]
fn a_job_that_is_killed_again_and_again_after_its_snapshot() {
    for point in ["snapshot.read", "record.written", "commit.before"] {
        Loop::new("003", Mode::Delete, FAILING.split_once('\n').unwrap().0)
            .go(&format!("a job killed at {point}"), |it| {
                killed(it, &["run"], point, 1)
            });
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_in_its_archive() {
    for point in ["archive.half", "archive.verified", "archive.published"] {
        Loop::new("003", Mode::Wal, "CREATE TABLE half (n INTEGER);\n").go(
            &format!("a job killed at {point}"),
            |it| match killed(it, &["run"], point, 1) {
                // It was archived after all; then the job ended, and the next one has nothing to do.
                Err(_) => fails(it, &["run"], 0, "done"),
                killed => killed,
            },
        );
    }
}

/// Every recovery puts the snapshot back over a state that is another one each time.
#[test]
fn a_plan_outside_a_transaction_that_is_killed_again_and_again() {
    let random = "-- no-transaction\nCREATE TABLE half (n);\nINSERT INTO half VALUES (random());\nDROP TABLE half;\nVACUUM;\n";
    for (migration, name) in [
        (NON_TRANSACTIONAL, "the same state each time"),
        (random, "another state each time"),
    ] {
        Loop::new("head", Mode::Delete, migration).go(
            &format!("a plan outside a transaction that is killed, {name}"),
            |it| killed(it, &["run"], "migrate.statement", 2),
        );
    }
}

#[test]
fn a_restore_that_is_refused_again_and_again() {
    let it = Loop::new("head", Mode::Wal, FAILING);
    it.it.sandbox.sql(
        "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; PRAGMA journal_mode = WAL",
    );
    let database = it.it.sandbox.database();
    let holder = block_on(async {
        let mut holder = connect(&database).await;
        sqlx::raw_sql("SELECT count(*) FROM users")
            .execute(&mut holder)
            .await
            .unwrap();
        holder
    });
    it.go("a restore that is refused", |it| {
        let args = ["restore", "latest", "--yes", "--lock-timeout", "20ms"];
        fails(it, &args, 75, "refused, 75")
    });
    block_on(holder.close()).unwrap();
}

#[test]
fn a_restore_that_is_killed_again_and_again() {
    for point in ["restore.last", "restore.committed", "archive.half"] {
        Loop::new("head", Mode::Delete, FAILING).go(
            &format!("a restore killed at {point}"),
            |it| {
                it.sandbox.sql("DELETE FROM users");
                killed(it, &["restore", "latest", "--yes"], point, 1)
            },
        );
    }
}

#[test]
fn a_restore_over_a_damaged_file_that_is_killed_again_and_again() {
    let it = Loop::new("head", Mode::Delete, "CREATE TABLE half (n INTEGER);\n");
    let folder = it.it.sandbox.backups();
    fs::write(it.it.sandbox.database(), "no database".repeat(1000)).unwrap();
    let mut evidence = evidence("a restore over a damaged file that is killed");
    for _ in 0..rounds() {
        match killed(
            &it.it,
            &["restore", "latest", "--yes"],
            "replace.drafted",
            1,
        ) {
            Ok(word) => evidence.injected(word),
            Err(problem) => evidence.lost(problem),
        }
    }
    let kept = files_ending(&folder, ".damaged").len();
    if kept != 1 {
        evidence.lost(format!("{kept} copies of the damaged file"));
    }
    evidence.finish();
    it.it
        .sandbox
        .run(&["restore", "latest", "--yes"])
        .expect_code(0);
    it.ends_well();
}
