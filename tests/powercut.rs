//! Guarantee 5, the hardest stop: the power goes, and with it whatever was not synced.
//!
//! Behind the feature `strace`: the file operations of real jobs are recorded with their data, and from them the states
//! are built that a file system could be in after a cut at any point. Each is looked at as an application would, and
//! then safestep is started on it.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "powercut/disk.rs"]
mod disk;
#[path = "powercut/record.rs"]
mod record;
#[path = "powercut/scenario.rs"]
mod scenario;
mod support;

use std::fs;

use scenario::{Scenario, Step};
use support::drill::{Drill, Mode, NON_TRANSACTIONAL};
use support::{files_ending, wait_until};

/// A few pages of each table: a state is written in a moment.
const ROWS: usize = 300;

const RUN: &[&str] = &["run"];
const DOWN: &[&str] = &["downgrade", "005"];
const RESTORE: &[&str] = &["restore", "latest", "--yes"];
const BACKUP: &[&str] = &["backup"];
const CREATE: &[&str] = &["run", "--create-if-missing"];

/// What a command leads to from the state that is saved.
fn outcome(drill: &Drill, args: &[&str]) -> String {
    drill.reset();
    drill.sandbox.run(args).expect_code(0);
    let after = drill.state();
    drill.reset();
    after
}

/// A job that is asked for again after the cut.
fn job(
    name: &'static str,
    test: &'static str,
    drill: Drill,
    args: &'static [&'static str],
) -> Scenario {
    let old = drill.state();
    let new = outcome(&drill, args);
    Scenario {
        name,
        test,
        job: args,
        between: false,
        kept: Some(old.clone()),
        kept_at_last: vec![old.clone()],
        again: vec![Step {
            args,
            leads_to: Some(new.clone()),
        }],
        old: Some(old),
        new,
        drill,
    }
}

#[test]
fn an_upgrade_in_delete_mode_survives_a_power_cut() {
    let drill = Drill::at("003", Mode::Delete, ROWS);
    job("upgrade, DELETE", "an_upgrade_in_delete_mode", drill, RUN).run();
}

#[test]
fn an_upgrade_in_wal_mode_survives_a_power_cut() {
    let drill = Drill::at("003", Mode::Wal, ROWS);
    job("upgrade, WAL", "an_upgrade_in_wal_mode", drill, RUN).run();
}

#[test]
fn a_downgrade_in_delete_mode_survives_a_power_cut() {
    let drill = Drill::at("head", Mode::Delete, ROWS);
    job(
        "downgrade, DELETE",
        "a_downgrade_in_delete_mode",
        drill,
        DOWN,
    )
    .run();
}

#[test]
fn a_downgrade_in_wal_mode_survives_a_power_cut() {
    let drill = Drill::at("head", Mode::Wal, ROWS);
    job("downgrade, WAL", "a_downgrade_in_wal_mode", drill, DOWN).run();
}

fn outside_a_transaction(mode: Mode) -> Drill {
    let drill = Drill::at("003", mode, ROWS);
    drill
        .sandbox
        .add_migration("009_in_steps", NON_TRANSACTIONAL);
    drill.save();
    drill
}

#[test]
fn a_job_outside_a_transaction_in_delete_mode_survives_a_power_cut() {
    let mut it = job(
        "no-transaction, DELETE",
        "a_job_outside_a_transaction_in_delete_mode",
        outside_a_transaction(Mode::Delete),
        RUN,
    );
    it.between = true;
    it.run();
}

#[test]
fn a_job_outside_a_transaction_in_wal_mode_survives_a_power_cut() {
    let mut it = job(
        "no-transaction, WAL",
        "a_job_outside_a_transaction_in_wal_mode",
        outside_a_transaction(Mode::Wal),
        RUN,
    );
    it.between = true;
    it.run();
}

/// At head with a backup of 003, and a row that came later.
fn before_a_restore(mode: Mode) -> (Drill, String) {
    let drill = Drill::at("003", mode, ROWS);
    let backed_up = drill.state();
    drill.sandbox.run(RUN).expect_code(0);
    drill
        .sandbox
        .sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    drill.save();
    (drill, backed_up)
}

fn restore(name: &'static str, test: &'static str, mode: Mode) {
    let (drill, backed_up) = before_a_restore(mode);
    let mut it = job(name, test, drill, RESTORE);
    assert!(it.new == backed_up, "the restore does not bring it back");
    it.kept_at_last.push(backed_up);
    // The restore itself leaves to the next run what one before it has left.
    it.again.push(Step {
        args: RUN,
        leads_to: None,
    });
    it.run();
}

#[test]
fn a_restore_in_delete_mode_survives_a_power_cut() {
    restore("restore, DELETE", "a_restore_in_delete_mode", Mode::Delete);
}

#[test]
fn a_restore_in_wal_mode_survives_a_power_cut() {
    restore("restore, WAL", "a_restore_in_wal_mode", Mode::Wal);
}

/// A restore in the place of a file that is no database, with a WAL beside it that must not be taken for the new one's.
fn replacement(name: &'static str, test: &'static str, mode: Mode) {
    let (drill, backed_up) = before_a_restore(mode);
    let stale = drill.sandbox.path("data/fastflow.db-wal");
    leave_a_wal(&drill);
    fs::write(drill.sandbox.database(), b"no database ".repeat(1000)).unwrap();
    assert!(fs::metadata(stale).unwrap().len() > 4096);
    drill.save();
    Scenario {
        name,
        test,
        job: RESTORE,
        old: None,
        new: outcome(&drill, RESTORE),
        between: false,
        kept: None,
        kept_at_last: vec![backed_up.clone()],
        again: vec![
            Step {
                args: RESTORE,
                leads_to: Some(backed_up),
            },
            Step {
                args: RUN,
                leads_to: None,
            },
        ],
        drill,
    }
    .run();
}

/// A WAL with a commit in it, as an application leaves it that was killed.
fn leave_a_wal(drill: &Drill) {
    let sandbox = &drill.sandbox;
    let files = ["", "-wal"].map(|suffix| sandbox.path(&format!("data/fastflow.db{suffix}")));
    let aside = ["kept.db", "kept.db-wal"].map(|name| sandbox.path(name));
    support::block_on(async {
        use sqlx::Connection;
        let mut open = support::connect_wal(&sandbox.database()).await;
        sqlx::raw_sql("UPDATE pipeline_runs SET log_file = log_file || '!'")
            .execute(&mut open)
            .await
            .unwrap();
        for (file, copy) in files.iter().zip(&aside) {
            fs::copy(file, copy).unwrap();
        }
        open.close().await.unwrap();
    });
    for (file, copy) in files.iter().zip(&aside) {
        fs::copy(copy, file).unwrap();
    }
}

#[test]
fn a_restore_over_a_file_that_is_no_database_in_delete_mode_survives_a_power_cut() {
    replacement(
        "restore by rename, DELETE",
        "a_restore_over_a_file_that_is_no_database_in_delete_mode",
        Mode::Delete,
    );
}

#[test]
fn a_restore_over_a_file_that_is_no_database_in_wal_mode_survives_a_power_cut() {
    replacement(
        "restore by rename, WAL",
        "a_restore_over_a_file_that_is_no_database_in_wal_mode",
        Mode::Wal,
    );
}

/// Never ends by itself.
const ENDLESS: &str = "CREATE TABLE counted AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n";

/// A job is killed between its statements; the power goes in the next one, which undoes it and does it again.
fn recovery(name: &'static str, test: &'static str, mode: Mode) {
    let drill = Drill::at("head", mode, ROWS);
    let before = drill.state();
    let endless = format!("{NON_TRANSACTIONAL}{ENDLESS}");
    drill.sandbox.add_migration("009_in_steps", &endless);
    let mut child = drill.sandbox.spawn(RUN);
    let record = || !files_ending(&drill.sandbox.backups(), ".job.json").is_empty();
    wait_until("the statements before the endless one", || {
        record() && is_between(&drill)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    drill
        .sandbox
        .add_migration("009_in_steps", NON_TRANSACTIONAL);
    drill.save();
    let between = drill.peek();
    let new = outcome(&drill, RUN);
    Scenario {
        name,
        test,
        job: RUN,
        old: Some(between),
        new: new.clone(),
        between: true,
        kept: Some(before.clone()),
        kept_at_last: vec![before],
        again: vec![Step {
            args: RUN,
            leads_to: Some(new),
        }],
        drill,
    }
    .run();
}

/// The last statement before the endless one is committed: the files do not change any more.
fn is_between(drill: &Drill) -> bool {
    let copy = drill.copy_of_files();
    let filled = "SELECT count(*) FROM pipeline_runs WHERE exit_code IS NOT NULL";
    support::block_on(async {
        use sqlx::Connection;
        let mut connection = support::connect(&copy).await;
        let count: Option<i64> = sqlx::query_scalar(filled)
            .fetch_one(&mut connection)
            .await
            .ok();
        let _ = connection.close().await;
        count.is_some_and(|count| count > 0)
    })
}

#[test]
fn a_recovery_in_delete_mode_survives_a_power_cut() {
    recovery(
        "recovery, DELETE",
        "a_recovery_in_delete_mode",
        Mode::Delete,
    );
}

#[test]
fn a_recovery_in_wal_mode_survives_a_power_cut() {
    recovery("recovery, WAL", "a_recovery_in_wal_mode", Mode::Wal);
}

#[test]
fn making_a_database_survives_a_power_cut() {
    let drill = Drill::at("003", Mode::Delete, 0);
    for folder in ["data", "backups"] {
        let _ = fs::remove_dir_all(drill.sandbox.path(folder));
        fs::create_dir(drill.sandbox.path(folder)).unwrap();
    }
    drill.save();
    let new = outcome(&drill, CREATE);
    Scenario {
        name: "--create-if-missing",
        test: "making_a_database",
        job: CREATE,
        old: None,
        new: new.clone(),
        between: false,
        kept: None,
        kept_at_last: Vec::new(),
        again: vec![Step {
            args: CREATE,
            leads_to: Some(new),
        }],
        drill,
    }
    .run();
}

#[test]
fn archiving_and_pruning_survive_a_power_cut() {
    const KEEP_ONE: &[&str] = &["run", "--keep-last", "1"];
    let drill = Drill::at("003", Mode::Delete, ROWS);
    for id in 0..3 {
        drill.sandbox.sql(&format!(
            "INSERT INTO pipelines VALUES ('before{id}', 1, NULL, 0, 0, 0, 0)"
        ));
        drill.sandbox.run(BACKUP).expect_code(0);
    }
    drill
        .sandbox
        .sql("INSERT INTO pipelines VALUES ('last', 1, NULL, 0, 0, 0, 0)");
    drill.save();
    job(
        "archive and prune",
        "archiving_and_pruning",
        drill,
        KEEP_ONE,
    )
    .run();
}

#[test]
fn a_backup_survives_a_power_cut() {
    let drill = Drill::at("003", Mode::Wal, ROWS);
    let mut it = job("backup", "a_backup", drill, BACKUP);
    // The database does not change, so there is nothing that a copy would have to come before.
    it.kept = None;
    it.run();
}

// That the model finds what there is to find: the same recordings, with syncs struck out.

fn upgrade() -> Scenario {
    let drill = Drill::at("003", Mode::Delete, ROWS);
    job("broken on purpose", "broken", drill, RUN)
}

#[test]
fn a_snapshot_that_was_not_synced_is_found_out() {
    let losses = upgrade().losses(|path| path.contains("backups/"), 60);
    let missing = |loss: &&String| loss.contains("no whole copy");
    assert!(losses.iter().any(|loss| missing(&loss)), "{losses:#?}");
}

#[test]
fn a_journal_that_was_not_synced_is_found_out() {
    let losses = upgrade().losses(|path| path.contains("/data"), 60);
    let damaged = |loss: &&String| loss.contains("neither") || loss.contains("cannot be read");
    assert!(losses.iter().any(|loss| damaged(&loss)), "{losses:#?}");
}
