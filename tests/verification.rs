//! `backups verify` and `backups prune`: what they find, what they leave, and that nobody waits for them.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Sandbox, files_ending, run, send};

/// Backups of ever new content, the oldest first.
fn backups(sandbox: &Sandbox, count: usize) -> Vec<PathBuf> {
    for index in 0..count {
        sandbox.sql(&format!("CREATE TABLE more_{index} (a)"));
        sandbox.backup();
    }
    let archives = sandbox.archives();
    assert_eq!(archives.len(), count);
    archives
}

/// Overwrites bytes in the middle of an archive.
fn damage(archive: &Path) {
    let file = fs::OpenOptions::new().write(true).open(archive).unwrap();
    let middle = fs::metadata(archive).unwrap().len() / 2;
    file.write_all_at(b"damaged", middle).unwrap();
}

fn id_of(archive: &Path) -> String {
    let name = archive.file_name().unwrap().to_string_lossy().into_owned();
    let stem = name.trim_end_matches(".tar.gz");
    stem.rsplit('_').next().unwrap().to_owned()
}

/// `verified` of each backup in the list, oldest first.
fn marks(sandbox: &Sandbox) -> Vec<Value> {
    let list = run(sandbox, &["backups", "list"]);
    let backups = list["backups"].as_array().unwrap();
    backups.iter().map(|one| one["verified"].clone()).collect()
}

fn scratch(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_ending(&sandbox.backups(), ".verify.db")
}

#[test]
fn a_sound_backup_is_verified_marked_and_left_as_it_was() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 2);
    let before = fs::read(&archives[1]).unwrap();
    let document = run(&sandbox, &["backups", "verify"]);
    assert_eq!(document["outcome"], "verified");
    assert_eq!(document["checked"][0]["id"], id_of(&archives[1]).as_str());
    assert_eq!(document["checked"][0]["finding"], Value::Null);
    let marks = marks(&sandbox);
    assert_eq!(marks[0], Value::Null, "only the newest was asked for");
    assert_eq!(marks[1]["check"], "quick_check");
    assert_eq!(fs::read(&archives[1]).unwrap(), before);
    assert!(scratch(&sandbox).is_empty());
    run(
        &sandbox,
        &["backups", "verify", "--all", "--verify", "full"],
    );
    assert_eq!(self::marks(&sandbox)[0]["check"], "integrity_check");
}

#[test]
fn every_backup_is_looked_at_and_all_bad_ones_are_named() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 4);
    damage(&archives[0]);
    fs::write(&archives[2], "no archive at all").unwrap();
    let (code, document) = sandbox.run_json(&["backups", "verify", "--all"]);
    assert_eq!(code, 7, "{document:#}");
    assert_eq!(document["error"]["code"], "backups_unusable");
    let problems = document["error"]["problems"].as_array().unwrap();
    let named: Vec<&str> = problems
        .iter()
        .map(|one| one["subject"].as_str().unwrap())
        .collect();
    assert_eq!(named.len(), 2, "{document:#}");
    for bad in [&archives[0], &archives[2]] {
        assert!(named.contains(&support::text(bad)), "{named:?}");
    }
    assert_eq!(document["checked"].as_array().unwrap().len(), 4);
    let list = sandbox.run(&["backups", "list"]).expect_code(0).stdout;
    assert_eq!(list.matches("BAD at").count(), 1, "{list}");
    assert!(scratch(&sandbox).is_empty());
}

#[test]
fn a_backup_that_is_damaged_inside_a_sound_archive_is_bad() {
    let sandbox = Sandbox::at("003");
    backups(&sandbox, 1);
    let archive = drill_damaged_database(&sandbox);
    let (code, document) = sandbox.run_json(&["backups", "verify", support::text(&archive)]);
    assert_eq!(code, 7, "{document:#}");
    let finding = document["checked"][0]["finding"].as_str().unwrap();
    assert!(finding.contains("its database is damaged"), "{finding}");
}

/// The newest archive made anew around a database with an index that lacks its entries; its manifest agrees with it.
fn drill_damaged_database(sandbox: &Sandbox) -> PathBuf {
    let archive = sandbox.archives().pop().unwrap();
    let folder = sandbox.unpack(&archive, "unpacked");
    let (manifest, database) = (folder.join("manifest.json"), folder.join("fastflow.db"));
    let page = 4096;
    let mut bytes = fs::read(&database).unwrap();
    let last = bytes.len() - page;
    bytes[last..last + 100].fill(0xee);
    fs::write(&database, &bytes).unwrap();
    let mut text: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let sum = support::tool("sha256sum", &[support::text(&database)]);
    text["sha256"] = sum.split_whitespace().next().unwrap().into();
    fs::write(&manifest, serde_json::to_vec_pretty(&text).unwrap()).unwrap();
    fs::remove_file(&archive).unwrap();
    let folder = support::text(&folder);
    let names = ["manifest.json", "fastflow.db"];
    let mut args = vec![
        "-C",
        folder,
        "--format=ustar",
        "-czf",
        support::text(&archive),
    ];
    args.extend(names);
    support::tool("tar", &args);
    archive
}

#[test]
fn a_verification_that_is_killed_leaves_a_scratch_file_that_the_next_one_removes() {
    let sandbox = Sandbox::at("003");
    sandbox.sql("CREATE TABLE bulk AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) \
         SELECT i, randomblob(1000000) AS b FROM n");
    sandbox.backup();
    for signal in [Signal::KILL, Signal::TERM] {
        let left = scratch(&sandbox);
        let mut child = sandbox.spawn(&["backups", "verify"]);
        // One that the killed verification left is swept first.
        while scratch(&sandbox).is_empty() || scratch(&sandbox) == left {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            std::thread::yield_now();
        }
        send(&child, signal);
        let code = child.wait().unwrap().code();
        if signal == Signal::KILL {
            assert_eq!(scratch(&sandbox).len(), 1);
        } else {
            assert_eq!(code, Some(143));
            assert!(scratch(&sandbox).is_empty());
        }
        let mark = &marks(&sandbox)[0];
        assert!(
            mark.is_null(),
            "what did not come to its end proves nothing"
        );
    }
    sandbox.run(&["backups", "verify"]).expect_code(0);
    assert!(scratch(&sandbox).is_empty());
}

#[test]
fn an_archive_that_promises_more_than_it_holds_is_bad_and_is_not_unpacked() {
    let sandbox = Sandbox::at("003");
    let archive = backups(&sandbox, 1).remove(0);
    let folder = sandbox.unpack(&archive, "unpacked");
    let manifest = folder.join("manifest.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let bytes: u64 = 1 << 50;
    text["size_bytes"] = bytes.into();
    text["page_count"] = Value::from(bytes / 65536);
    text["page_size"] = Value::from(65536);
    fs::write(&manifest, serde_json::to_vec_pretty(&text).unwrap()).unwrap();
    fs::remove_file(&archive).unwrap();
    support::tool(
        "tar",
        &[
            "-C",
            support::text(&folder),
            "-czf",
            support::text(&archive),
            "manifest.json",
            "fastflow.db",
        ],
    );
    let (code, document) = sandbox.run_json(&["backups", "verify"]);
    // That is seen before room is looked for.
    assert_eq!(code, 7, "{document:#}");
    assert!(scratch(&sandbox).is_empty());
}

#[test]
fn one_verification_at_a_time_and_no_job_waits_for_it() {
    let sandbox = Sandbox::at("003");
    backups(&sandbox, 1);
    let lock = sandbox.backups().join(".safestep-verify-lock");
    let held = fs::File::create(lock).unwrap();
    held.lock().unwrap();
    let args = ["backups", "verify", "--lock-timeout", "100ms"];
    let (code, document) = sandbox.run_json(&args);
    assert_eq!(code, 75, "{document:#}");
    assert_eq!(document["error"]["code"], "job_running");
    run(&sandbox, &["run", "--lock-timeout", "100ms"]);
}

#[test]
fn a_dry_run_tells_what_pruning_does_and_why_the_rest_stays() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 4);
    run(&sandbox, &["backups", "verify", "--all"]);
    let dry = run(
        &sandbox,
        &["backups", "prune", "--dry-run", "--keep-last", "3"],
    );
    assert_eq!(dry["outcome"], "would_prune");
    assert_eq!(sandbox.archives(), archives);
    let pruned = run(&sandbox, &["backups", "prune", "--keep-last", "3"]);
    assert_eq!(pruned["outcome"], "pruned");
    assert_eq!(pruned["removed"], dry["removed"]);
    assert_eq!(pruned["removed"][0]["id"], id_of(&archives[0]).as_str());
    assert_eq!(pruned["kept"], dry["kept"]);
    let why = |one: &Value| one["stays"].clone();
    let kept = pruned["kept"].as_array().unwrap();
    assert_eq!(
        kept.iter().map(why).collect::<Vec<_>>(),
        [
            json!(["last snapshot"]),
            json!(["last snapshot"]),
            json!(["last snapshot", "newest good one"])
        ]
    );
    assert_eq!(pruned["removed"][0]["goes"], "no_rule");
    assert_eq!(sandbox.archives(), archives[1..]);
    let marks = files_ending(&sandbox.backups(), ".verified.json");
    assert_eq!(marks.len(), 3, "the mark goes with its archive");
    let again = run(&sandbox, &["backups", "prune", "--keep-last", "3"]);
    assert_eq!(again["outcome"], "nothing_to_do");
}

#[test]
fn what_a_restore_replaced_and_what_is_of_another_database_stays_for_a_reason_of_its_own() {
    let sandbox = Sandbox::at("003");
    backups(&sandbox, 1);
    sandbox.sql("CREATE TABLE later (a)");
    run(&sandbox, &["restore", "latest", "--yes"]);
    fs::create_dir(sandbox.path("other")).unwrap();
    fs::copy(sandbox.database(), sandbox.path("other/fastflow.db")).unwrap();
    run(&sandbox, &["backup", "--database", "other/fastflow.db"]);
    let pruned = run(&sandbox, &["backups", "prune", "--keep-last", "1"]);
    let kept = pruned["kept"].as_array().unwrap();
    let why: Vec<[&Value; 2]> = kept
        .iter()
        .map(|one| [&one["purpose"], &one["stays"]])
        .collect();
    let newest = json!(["last snapshot", "newest good one"]);
    let expected = [
        [&json!("manual"), &newest],
        [&json!("before_restore"), &newest],
        [&json!("manual"), &json!(["of another database"])],
    ];
    assert_eq!(why, expected);
}
