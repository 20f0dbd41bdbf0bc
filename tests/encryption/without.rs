//! What works without the key, and what says that it needs one.

use std::fs;

use rustix::process::Signal;

use super::support::drill::NON_TRANSACTIONAL;
use super::support::keys::IDENTITY;
use super::support::{files_ending, run, send, text, wait_until};
use super::{encrypted, json_in, label_of, with_key};

#[test]
fn lists_shows_prunes_and_verifies_without_the_key() {
    let sandbox = encrypted("008");
    for name in ["ben", "cem", "dot"] {
        sandbox.run(&["backup"]).expect_code(0);
        sandbox.sql(&format!("UPDATE users SET username = '{name}'"));
    }
    let listed = run(&sandbox, &["backups", "list"]);
    let backups = listed["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 3, "{listed:#}");
    assert!(listed["unusable"].as_array().unwrap().is_empty());
    for backup in backups {
        assert_eq!(backup["encrypted"], true);
        assert_eq!(
            backup["manifest"]["rows"],
            serde_json::json!({}),
            "names of tables"
        );
        assert_eq!(backup["manifest"]["source"], text(&sandbox.database()));
    }
    let shown = sandbox.run(&["backups", "show", "latest"]).expect_code(0);
    assert!(shown.stdout.contains("encrypted  yes"), "{}", shown.stdout);
    assert!(shown.stdout.contains("age -d -i KEY /"), "{}", shown.stdout);

    let (code, report) = sandbox.run_json(&["backups", "verify", "--all"]);
    assert_eq!(code, 0, "{report:#}");
    for checked in report["checked"].as_array().unwrap() {
        assert_eq!(checked["check"], "digest");
    }
    let note = report["warnings"][0]["message"].as_str().unwrap();
    assert!(note.contains("3 of 3 could only be compared"), "{note}");
    let mark = json_in(&files_ending(&sandbox.backups(), ".verified.json")[0]);
    assert_eq!(mark["check"], "digest");
    let list = sandbox.run(&["backups", "list"]).expect_code(0);
    assert!(list.stdout.contains("(digest)"), "{}", list.stdout);

    with_key(&sandbox, &["backups", "verify", "--all"]).expect_code(0);
    let mark = json_in(&files_ending(&sandbox.backups(), ".verified.json")[0]);
    assert_eq!(mark["check"], "quick_check");

    let pruned = run(&sandbox, &["backups", "prune", "--keep-last", "1"]);
    assert_eq!(pruned["removed"].as_array().unwrap().len(), 2, "{pruned:#}");
    assert_eq!(sandbox.archives().len(), 1);
    assert_eq!(files_ending(&sandbox.backups(), ".label.json").len(), 1);
    assert_eq!(files_ending(&sandbox.backups(), ".verified.json").len(), 1);
}

#[test]
fn a_key_that_does_not_open_them_is_a_failure_of_the_verification() {
    let sandbox = encrypted("008");
    sandbox.run(&["backup"]).expect_code(0);
    super::new_key(&sandbox.path("other.txt"));
    let verify = ["backups", "verify", "--all", "--identity-file", "other.txt"];
    let run = sandbox.run(&verify).expect_code(2);
    assert!(
        run.stderr.contains("no identity in other.txt opens it"),
        "{}",
        run.stderr
    );
    // Which of the two is to blame, the label tells.
    let archive = sandbox.archives().remove(0);
    let mut bytes = fs::read(&archive).unwrap();
    bytes[60] ^= 1;
    fs::write(&archive, bytes).unwrap();
    sandbox.run(&verify).expect_code(7);
}

#[test]
fn without_its_label_an_encrypted_backup_wants_the_key() {
    let sandbox = encrypted("008");
    let before = sandbox.content();
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.sql("DELETE FROM users");
    let label = label_of(&sandbox.archives()[0]);
    let whole = fs::read_to_string(&label).unwrap();
    for content in [
        None,
        Some(""),
        Some("{}"),
        Some("[1"),
        Some("{\"format_version\": 9}"),
    ] {
        match content {
            None => fs::remove_file(&label).unwrap(),
            Some(text) => fs::write(&label, text).unwrap(),
        }
        let listed = run(&sandbox, &["backups", "list"]);
        let words = listed["unusable"][0].as_str().unwrap();
        assert!(
            words.contains("no identity was given; and its label does not tell"),
            "{words}"
        );
        sandbox.run(&["restore", "latest", "--yes"]).expect_code(2);
        sandbox.run(&["backups", "verify", "--all"]).expect_code(7);
        let listed = with_key(&sandbox, &["backups", "list", "--output", "json"]).json();
        assert_eq!(
            listed["backups"][0]["manifest"]["rows"]["users"], 1,
            "{listed:#}"
        );
    }
    with_key(&sandbox, &["restore", "latest", "--yes"]).expect_code(0);
    assert!(sandbox.content() == before);
    fs::write(&label, whole).unwrap();
    sandbox.run(&["backups", "verify", "--all"]).expect_code(0);
}

#[test]
fn a_label_without_its_archive_is_swept_away() {
    let sandbox = encrypted("008");
    sandbox.run(&["backup"]).expect_code(0);
    let lone = sandbox
        .backups()
        .join("20260101T000000.000Z_001-002_0badcafe.label.json");
    fs::copy(label_of(&sandbox.archives()[0]), &lone).unwrap();
    sandbox.run(&["run"]).expect_code(0);
    assert!(!lone.exists());
    assert!(label_of(&sandbox.archives()[0]).exists());
}

/// The archive of a job that was killed halfway, whose raw snapshot is lost as well.
#[test]
fn a_recovery_that_needs_an_encrypted_backup_asks_for_the_key_and_loses_nothing() {
    let sandbox = encrypted("008");
    let before = sandbox.content();
    sandbox.run(&["backup"]).expect_code(0);
    let endless = "-- no-transaction\nCREATE TABLE half (a);\nDELETE FROM users;\nCREATE TABLE third_statement (a);\n\
        INSERT INTO half WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0;\n";
    sandbox.add_migration("009_halfway", endless);
    let job = sandbox.spawn(&["run"]);
    wait_until("two statements to be committed", || {
        let bytes = fs::read(sandbox.database()).unwrap();
        bytes.windows(15).any(|window| window == b"third_statement")
    });
    send(&job, Signal::KILL);
    job.wait_with_output().unwrap();
    sandbox.add_migration("009_halfway", "CREATE TABLE whole (a);\n");
    let raw = files_ending(&sandbox.backups(), ".snapshot.db").remove(0);
    fs::write(&raw, "lost").unwrap();
    let between = sandbox.content();
    let run = sandbox.run(&["run"]).expect_code(2);
    for words in [
        "cut short halfway",
        "no identity was given",
        "--identity-file",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(sandbox.content() == between);
    with_key(&sandbox, &["upgrade", "008"]).expect_code(0);
    assert!(sandbox.content() == before);
}

/// From the raw snapshot it needs none.
#[test]
fn a_job_cut_short_is_undone_without_the_key() {
    let sandbox = encrypted("008");
    let before = sandbox.content();
    let fails = format!("{NON_TRANSACTIONAL}SELECT nothing FROM nowhere;\n");
    sandbox.add_migration("009_in_steps", &fails);
    sandbox.run(&["run"]).expect_code(5);
    assert!(sandbox.content() == before);
    assert!(sandbox.path(IDENTITY).exists());
    fs::remove_file(sandbox.path(IDENTITY)).unwrap();
    sandbox.run(&["run"]).expect_code(5);
    assert!(sandbox.content() == before);
}
