//! Many jobs at once, and what stands in their way for ever, under every command that wants the lock.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::SqliteConnection;

use crate::members::{Member, acknowledged, assert_names};
use crate::support::drill::Mode;
use crate::support::evidence::Evidence;
use crate::support::{
    Run, Sandbox, block_on, connect, full, query, query_on, unpack_archive, wait_until,
};

const SECTION: &str = "Crowds";
/// The commands that change the database.
const CHANGE: [&[&str]; 3] = [
    &["run"],
    &["downgrade", "007"],
    &["restore", "latest", "--yes"],
];
const BACKUP: [&[&str]; 1] = [&["backup"]];
const ONLY_LOOK: [&[&str]; 4] = [&["current"], &["plan"], &["check"], &["doctor"]];

fn command(test: &str) -> String {
    format!("SAFESTEP_TEST_FULL=1 cargo test --release --test crowd {test}")
}

fn at(revision: &str, mode: Mode) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    if mode == Mode::Wal {
        sandbox.use_wal();
    }
    sandbox
}

/// At 008, with a backup of it, a row that came later, and a ninth migration that `run` would apply.
fn with_work_for_everyone(mode: Mode) -> Sandbox {
    let sandbox = at("008", mode);
    sandbox.backup();
    sandbox.sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    sandbox.add_migration("009_ninth", "CREATE TABLE ninth (n INTEGER);\n");
    sandbox
}

fn jobs_at_once(mode: Mode, count: usize) {
    let mut evidence = Evidence::new(
        SECTION,
        format!("{count} jobs at once, {mode:?}"),
        command("all_succeed_and_the_migrations_run_once"),
    );
    let rounds = if full() { 10 } else { 1 };
    for _ in 0..rounds {
        for migration in [
            "CREATE TABLE once (n INTEGER);\n",
            "-- no-transaction\nCREATE TABLE once (n INTEGER);\nVACUUM;\n",
        ] {
            let sandbox = at("003", mode);
            sandbox.add_migration("009_once", migration);
            let jobs: Vec<_> = (0..count)
                .map(|_| sandbox.spawn(&["run", "--output", "json"]))
                .collect();
            let mut migrated = 0;
            for job in jobs {
                let run = Run::of(&job.wait_with_output().unwrap()).expect_code(0);
                let outcome = run.json()["outcome"].as_str().unwrap().to_owned();
                migrated += usize::from(outcome == "migrated");
                evidence.injected(outcome);
            }
            assert_eq!(migrated, 1);
            assert_eq!(
                sandbox.query("SELECT count(*), count(DISTINCT version) FROM _sqlx_migrations"),
                ["10|10"]
            );
            assert_eq!(sandbox.archives().len(), 1);
        }
    }
    evidence.finish();
}

#[test]
fn of_two_jobs_at_once_all_succeed_and_the_migrations_run_once() {
    jobs_at_once(Mode::Delete, 2);
    jobs_at_once(Mode::Wal, 2);
}

#[test]
fn of_ten_jobs_at_once_all_succeed_and_the_migrations_run_once() {
    jobs_at_once(Mode::Delete, 10);
    jobs_at_once(Mode::Wal, 10);
}

/// Ten different commands at once, again and again. What a restore replaces is in the backup that it made, so every row
/// that a writer was told was committed is in the database or in a backup.
fn every_command_at_once(mode: Mode) {
    let mut evidence = Evidence::new(
        SECTION,
        format!(
            "ten different commands at once, restores among them, two writers, a reader; {mode:?}"
        ),
        command("every_command_at_once"),
    );
    let sandbox = at("008", mode);
    sandbox.backup();
    let writers = ["writer a", "writer b"].map(|role| Member::start(&sandbox, role));
    let onlooker = Member::start(&sandbox, "onlooker");
    wait_until("the first rows", || acknowledged(&sandbox).len() > 10);
    for _ in 0..if full() { 20 } else { 3 } {
        let commands: [&[&str]; 10] = [
            &["run"],
            &["downgrade", "003"],
            &["upgrade", "008"],
            &["restore", "latest", "--yes"],
            &["backup"],
            &["downgrade", "007"],
            &["current"],
            &["doctor"],
            &["backups", "list"],
            &["run"],
        ];
        let jobs = commands.map(|args| {
            let args = [args, &["--keep-last", "1000", "--output", "json"]].concat();
            sandbox.spawn(&args)
        });
        for (args, job) in commands.iter().zip(jobs) {
            let run = Run::of(&job.wait_with_output().unwrap());
            evidence.injected(format!("exit {}", run.code));
            // 2: another one has gone below or above where this one wanted to go.
            assert!([0, 2].contains(&run.code), "{args:?}: {run:?}");
        }
    }
    std::fs::write(sandbox.path("stop"), "").unwrap();
    for member in writers {
        member.end();
    }
    onlooker.end();
    let kept = everything_kept(&sandbox);
    for row in acknowledged(&sandbox).difference(&kept) {
        evidence.lost(format!(
            "row {row} is neither in the database nor in a backup"
        ));
    }
    println!(
        "{} rows acknowledged; the reader: {}",
        acknowledged(&sandbox).len(),
        std::fs::read_to_string(sandbox.path("looks")).unwrap()
    );
    assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
    evidence.finish();
}

/// The rows of the database and of all its backups.
fn everything_kept(sandbox: &Sandbox) -> BTreeSet<String> {
    let names = "SELECT pipeline_name FROM pipelines";
    let mut kept: BTreeSet<String> = sandbox.query(names).into_iter().collect();
    for archive in sandbox.archives() {
        let copy = sandbox.path("from-archive.db");
        unpack_archive(&archive, &copy);
        kept.extend(query(&copy, names));
    }
    kept
}

#[test]
fn every_command_at_once_among_writers_loses_no_row_in_wal_mode() {
    every_command_at_once(Mode::Wal);
}

#[test]
fn every_command_at_once_among_writers_loses_no_row_in_delete_mode() {
    every_command_at_once(Mode::Delete);
}

/// Done; `check` and `doctor` have something to say, since a migration is pending.
#[track_caller]
fn succeeds(args: &[&str], run: &Run) {
    let codes: &[i32] = if ONLY_LOOK.contains(&args) {
        &[0, 5]
    } else {
        &[0]
    };
    assert!(codes.contains(&run.code), "{args:?}: {run:?}");
}

/// Each command ends with 75, names the process, and has changed nothing.
fn refused_for_now(evidence: &mut Evidence, mode: Mode, holding: &str, commands: &[&[&str]]) {
    for args in commands {
        let sandbox = with_work_for_everyone(mode);
        let before = sandbox.content();
        let holder = Member::holding(&sandbox, holding);
        let (code, document) = sandbox.run_json(&[*args, &["--lock-timeout", "300ms"]].concat());
        assert_eq!(code, 75, "{args:?} while {holding}, {mode:?}: {document:#}");
        assert_names(&document, &holder);
        drop(holder);
        if sandbox.content() != before {
            evidence.lost(format!("{args:?} while {holding}, {mode:?}"));
        }
        evidence.injected("75 with pid and command line");
        succeeds(args, &sandbox.run(args));
    }
}

/// Each command does what it does, in spite of the holder.
fn not_in_the_way(evidence: &mut Evidence, mode: Mode, holding: &str, commands: &[&[&str]]) {
    for args in commands {
        let sandbox = with_work_for_everyone(mode);
        let holder = Member::holding(&sandbox, holding);
        let run = sandbox.run(&[*args, &["--lock-timeout", "5s"]].concat());
        succeeds(args, &run);
        holder.end();
        evidence.injected("done");
    }
}

#[test]
fn a_write_lock_for_ever_ends_every_change_with_75_and_lets_everyone_look_and_back_up() {
    let mut evidence = Evidence::new(
        SECTION,
        "a write lock for ever",
        command("a_write_lock_for_ever"),
    );
    let lock = "BEGIN IMMEDIATE; INSERT INTO pipelines VALUES ('held', 0, NULL, 0, 0, 0, 0)";
    for mode in [Mode::Delete, Mode::Wal] {
        refused_for_now(&mut evidence, mode, lock, &CHANGE);
        not_in_the_way(&mut evidence, mode, lock, &BACKUP);
        not_in_the_way(&mut evidence, mode, lock, &ONLY_LOOK);
    }
    // A rollback journal lets nobody read while a transaction is being written out.
    let exclusive = "BEGIN EXCLUSIVE";
    for commands in [&CHANGE[..], &BACKUP, &ONLY_LOOK[..3]] {
        refused_for_now(&mut evidence, Mode::Delete, exclusive, commands);
    }
    evidence.finish();
}

#[test]
fn a_reader_for_ever_in_delete_mode_ends_what_changes_the_database_with_75_and_nothing_else() {
    let mut evidence = Evidence::new(
        SECTION,
        "a read transaction for ever, Delete",
        command("a_reader_for_ever_in_delete_mode"),
    );
    let read = "BEGIN; SELECT count(*) FROM users";
    refused_for_now(&mut evidence, Mode::Delete, read, &CHANGE);
    not_in_the_way(&mut evidence, Mode::Delete, read, &ONLY_LOOK);
    not_in_the_way(&mut evidence, Mode::Delete, read, &BACKUP);
    evidence.finish();
}

#[test]
fn a_reader_for_ever_in_wal_mode_keeps_nobody_out_and_reads_on_what_it_has_read() {
    let mut evidence = Evidence::new(
        SECTION,
        "a read transaction for ever, Wal",
        command("a_reader_for_ever_in_wal_mode"),
    );
    for args in CHANGE.into_iter().chain(BACKUP) {
        let sandbox = with_work_for_everyone(Mode::Wal);
        block_on(async {
            let mut reader = connect(&sandbox.database()).await;
            begin(&mut reader).await;
            let seen = rows(&mut reader).await;
            sandbox.run(args).expect_code(0);
            if rows(&mut reader).await != seen {
                evidence.lost(format!("{args:?} changed what a reader had read"));
            }
            reader.close().await.unwrap();
        });
        evidence.injected("done");
    }
    evidence.finish();
}

async fn begin(reader: &mut SqliteConnection) {
    sqlx::raw_sql(AssertSqlSafe("BEGIN"))
        .execute(reader)
        .await
        .unwrap();
}

async fn rows(reader: &mut SqliteConnection) -> Vec<String> {
    let sql =
        "SELECT name, sql FROM sqlite_schema UNION ALL SELECT pipeline_name, '' FROM pipelines";
    query_on(reader, sql).await
}
