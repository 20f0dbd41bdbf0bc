//! Every system call of a job that touches a file fails once, fails for good, or is where the process is killed.
//!
//! Behind the feature `strace`, since it traces a real job (with ptrace, as strace does; see `support/tracer.rs` for why not
//! with strace itself), and for `x86_64` alone. `SAFESTEP_TEST_ONLY=<text>` picks faults by name: `pwrite64 data/fastflow.db #3 EIO`.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

#[path = "syscalls/blows.rs"]
#[allow(unreachable_pub)]
mod blows;
mod support;
#[path = "syscalls/sweep.rs"]
#[allow(unreachable_pub)]
mod sweep;

use support::drill::{Drill, Mode, NON_TRANSACTIONAL};
use support::tracer::{Blow, Fault, trace};
use sweep::{Kind, Scenario};

const ROWS: usize = 12;
const RUN: &[&str] = &["run"];

fn run_scenario(name: &'static str, test: &'static str, mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    Scenario {
        name,
        test,
        backed_up: it.peek(),
        it,
        args: RUN,
        kind: Kind::AtOnce,
        then: &[RUN],
    }
}

#[test]
fn run_in_delete_mode() {
    run_scenario("run, DELETE", "run_in_delete_mode", Mode::Delete).sweep();
}

#[test]
fn run_in_wal_mode() {
    run_scenario("run, WAL", "run_in_wal_mode", Mode::Wal).sweep();
}

fn in_steps(mode: Mode) -> Drill {
    let it = Drill::at("head", mode, ROWS);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    it.save();
    it
}

fn in_steps_scenario(name: &'static str, test: &'static str, mode: Mode) -> Scenario {
    let it = in_steps(mode);
    Scenario {
        name,
        test,
        backed_up: it.peek(),
        it,
        args: RUN,
        kind: Kind::InSteps,
        then: &[RUN],
    }
}

#[test]
fn no_transaction_in_delete_mode() {
    in_steps_scenario(
        "no-transaction, DELETE",
        "no_transaction_in_delete_mode",
        Mode::Delete,
    )
    .sweep();
}

#[test]
fn no_transaction_in_wal_mode() {
    in_steps_scenario(
        "no-transaction, WAL",
        "no_transaction_in_wal_mode",
        Mode::Wal,
    )
    .sweep();
}

#[test]
fn a_downgrade() {
    const DOWN: &[&str] = &["downgrade", "005"];
    let it = Drill::at("head", Mode::Delete, ROWS);
    Scenario {
        name: "downgrade, DELETE",
        test: "a_downgrade",
        backed_up: it.peek(),
        it,
        args: DOWN,
        kind: Kind::AtOnce,
        then: &[DOWN],
    }
    .sweep();
}

fn restore(name: &'static str, test: &'static str, mode: Mode) {
    const RESTORE: &[&str] = &["restore", "latest", "--yes"];
    let it = Drill::at("head", mode, ROWS);
    it.sandbox.backup();
    it.sandbox
        .sql("UPDATE users SET username = 'changed ' || username; DELETE FROM pipeline_runs");
    it.save();
    Scenario {
        name,
        test,
        backed_up: it.peek(),
        it,
        args: RESTORE,
        kind: Kind::AtOnce,
        then: &[RUN, RESTORE],
    }
    .sweep();
}

#[test]
fn a_restore_in_delete_mode() {
    restore("restore, DELETE", "a_restore_in_delete_mode", Mode::Delete);
}

#[test]
fn a_restore_in_wal_mode() {
    restore("restore, WAL", "a_restore_in_wal_mode", Mode::Wal);
}

#[test]
fn a_backup() {
    const BACKUP: &[&str] = &["backup"];
    let it = Drill::at("head", Mode::Wal, ROWS);
    Scenario {
        name: "backup, WAL",
        test: "a_backup",
        backed_up: it.peek(),
        it,
        args: BACKUP,
        kind: Kind::Backup,
        then: &[BACKUP],
    }
    .sweep();
}

/// Kills the scenario's job in the midst of its writes to the database file.
fn cut_short(scenario: Scenario) -> Drill {
    let (points, _) = scenario.undisturbed();
    let writes: Vec<_> = points
        .into_iter()
        .filter(|point| point.call == "pwrite64" && point.file == "data/fastflow.db")
        .collect();
    let fault = Fault {
        point: writes[writes.len() / 2].clone(),
        blow: Blow::Killed,
    };
    let it = scenario.it;
    it.reset();
    let command = it.sandbox.command(RUN);
    let traced = trace(&command, &it.sandbox.path(""), &|_| true, Some(&fault));
    assert!(traced.killed);
    assert!(!it.unsettled().is_empty());
    it.save();
    it
}

fn recovery(name: &'static str, test: &'static str, kind: Kind, scenario: Scenario) {
    let backed_up = scenario.it.peek();
    Scenario {
        name,
        test,
        it: cut_short(scenario),
        args: RUN,
        kind,
        backed_up,
        then: &[RUN],
    }
    .sweep();
}

#[test]
fn the_recovery_of_a_transaction() {
    let test = "the_recovery_of_a_transaction";
    let scenario = run_scenario("", test, Mode::Delete);
    recovery(
        "recovery after a kill in the commit, DELETE",
        test,
        Kind::AtOnce,
        scenario,
    );
}

#[test]
fn the_recovery_of_a_plan_outside_a_transaction() {
    let test = "the_recovery_of_a_plan_outside_a_transaction";
    let scenario = in_steps_scenario("", test, Mode::Delete);
    recovery(
        "recovery of a no-transaction plan, DELETE",
        test,
        Kind::InSteps,
        scenario,
    );
}
