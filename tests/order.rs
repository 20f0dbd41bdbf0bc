//! Guarantee 1: no byte of the live database changes before its snapshot and the job's record are durable.
//!
//! Behind the feature `strace`, since it reads the system calls of a real job as strace records them.
#![allow(clippy::expect_used)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Run, Sandbox};

/// One system call: its name, everything that strace printed of it, and whether it had finished by this line.
struct Call {
    name: String,
    text: String,
    finished: bool,
}

/// The calls in the order in which they finished; a write that had only begun counts from its beginning.
fn calls(trace: &str) -> Vec<Call> {
    let mut pending: Vec<(String, String)> = Vec::new();
    let mut list = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            list.push(call(begun, false));
            pending.push((pid.to_owned(), begun.to_owned()));
        } else if rest.starts_with("<... ") {
            if let Some(at) = pending.iter().position(|(owner, _)| owner == pid) {
                list.push(call(&pending.remove(at).1, true));
            }
        } else {
            list.push(call(rest, true));
        }
    }
    list
}

fn call(text: &str, finished: bool) -> Call {
    Call {
        name: text.split('(').next().unwrap_or("").to_owned(),
        text: text.to_owned(),
        finished,
    }
}

fn position(calls: &[Call], what: &str, fits: impl Fn(&Call) -> bool) -> usize {
    calls
        .iter()
        .position(fits)
        .unwrap_or_else(|| panic!("there is no {what} in the trace"))
}

/// Database, journal and WAL; not the shared memory, which holds no content, and not the lock file.
fn changes_the_database(call: &Call) -> bool {
    let files = [
        "data/fastflow.db>",
        "data/fastflow.db-journal>",
        "data/fastflow.db-wal>",
    ];
    matches!(call.name.as_str(), "pwrite64" | "write" | "ftruncate")
        && files.iter().any(|file| call.text.contains(file))
}

fn trace_of_a_job(sandbox: &Sandbox) -> Vec<Call> {
    let output = Command::new("strace")
        .args(["-f", "-y", "-s", "0", "-o", "trace"])
        .args([
            "-e",
            "trace=write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat2",
        ])
        .args([env!("CARGO_BIN_EXE_safestep"), "run"])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("strace is installed");
    Run::of(&output).expect_code(0);
    calls(&fs::read_to_string(sandbox.path("trace")).expect("the trace"))
}

fn check_order(sandbox: &Sandbox) {
    let calls = trace_of_a_job(sandbox);
    let synced = |suffix: &'static str| {
        move |call: &Call| call.finished && call.name == "fsync" && call.text.contains(suffix)
    };
    let snapshot = position(&calls, "sync of the snapshot", synced(".snapshot.db>"));
    let late_write = calls[snapshot..]
        .iter()
        .any(|call| call.name == "pwrite64" && call.text.contains(".snapshot.db>"));
    assert!(!late_write, "the snapshot is written after it was synced");
    let folder = position(
        &calls[snapshot..],
        "sync of the folder",
        synced("backups/fastflow>"),
    );
    let record = position(&calls, "rename of the record", |call| {
        call.name.starts_with("rename") && call.finished && call.text.contains(".job.json")
    });
    let recorded = position(
        &calls[record..],
        "sync of the record's folder",
        synced("backups/fastflow>"),
    );
    let change = position(&calls, "change of the database", changes_the_database);
    assert!(
        snapshot + folder < record,
        "the snapshot is durable before the record is written"
    );
    assert!(
        record + recorded < change,
        "the record is durable before the database changes"
    );
}

#[test]
fn snapshot_and_record_are_durable_before_the_first_change_in_delete_mode() {
    check_order(&Sandbox::at("003"));
}

#[test]
fn snapshot_and_record_are_durable_before_the_first_change_in_wal_mode() {
    let sandbox = Sandbox::at("003");
    sandbox.use_wal();
    check_order(&sandbox);
}

#[test]
fn snapshot_and_record_are_durable_before_the_first_change_outside_a_transaction() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration(
        "009_compact",
        "-- no-transaction\nVACUUM;\nCREATE TABLE compact (a);\n",
    );
    check_order(&sandbox);
}

/// Without its label nobody could tell what an encrypted archive is, but with its key.
#[test]
fn the_label_of_an_encrypted_archive_is_durable_before_the_archive_has_its_name() {
    let sandbox = Sandbox::at("003");
    support::keys::encrypting(&sandbox);
    let calls = trace_of_a_job(&sandbox);
    let renamed = |suffix: &'static str| {
        move |call: &Call| {
            call.name.starts_with("rename") && call.finished && call.text.contains(suffix)
        }
    };
    let synced = |suffix: &'static str| {
        move |call: &Call| call.finished && call.name == "fsync" && call.text.contains(suffix)
    };
    let draft = position(&calls, "sync of the label", synced(".label.json.tmp>"));
    let label = position(&calls, "rename of the label", renamed(".label.json"));
    let folder = position(
        &calls[label..],
        "sync of the folder",
        synced("backups/fastflow>"),
    );
    let archive = position(&calls, "rename of the archive", renamed(".tar.gz.age"));
    assert!(draft < label && label + folder < archive);
}
