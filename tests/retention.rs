//! What pruning and sweeping take away from a folder of backups, and what they leave there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use safestep::catalog::Catalog;
use serde_json::Value;
use support::{Sandbox, files_ending};

fn catalog(sandbox: &Sandbox) -> Catalog {
    let database = fs::canonicalize(sandbox.database()).unwrap();
    Catalog::new(&sandbox.path("backups"), &database)
}

/// Backups of ever new content, the oldest first.
fn backups(sandbox: &Sandbox, count: usize) -> Vec<PathBuf> {
    for index in 0..count {
        let sql = format!("CREATE TABLE IF NOT EXISTS t{index} (a); DROP TABLE t{index};");
        sandbox.sql(&sql);
        sandbox.run(&["backup"]).expect_code(0);
    }
    let archives = sandbox.archives();
    assert_eq!(archives.len(), count);
    archives
}

/// A copy of a record under another name, with an outcome or without.
fn copy_record(from: &Path, stem: &str, outcome: bool) -> PathBuf {
    let mut record: Value = serde_json::from_slice(&fs::read(from).unwrap()).unwrap();
    record["stem"] = stem.into();
    if !outcome {
        record["outcome"] = Value::Null;
    }
    let path = from.with_file_name(format!("{stem}.job.json"));
    fs::write(&path, record.to_string()).unwrap();
    path
}

#[test]
fn the_newest_good_backup_outlives_the_copies_that_later_restores_made() {
    let sandbox = Sandbox::at("003");
    let good = backups(&sandbox, 1).remove(0);
    sandbox.sql("CREATE TABLE later (a)");
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(0);
    assert_eq!(sandbox.archives().len(), 2);
    let removed = catalog(&sandbox).prune(&last(1), None).unwrap();
    assert_eq!(removed, Vec::<PathBuf>::new());
    assert!(good.exists());
}

#[test]
fn the_backup_that_was_just_used_is_not_pruned_however_old_it_is() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 3);
    let removed = catalog(&sandbox).prune(1, Some(&archives[0])).unwrap();
    assert_eq!(removed, archives[1..2]);
    assert_eq!(
        sandbox.archives(),
        [archives[0].clone(), archives[2].clone()]
    );
}

#[test]
fn records_without_an_archive_are_bounded_and_all_others_stay() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["run"]).expect_code(0);
    let newest = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let done = |number: u32| {
        let stem = format!("20260101T000000.000Z_003-008_0000000{number}");
        copy_record(&newest, &stem, true)
    };
    let archived = copy_record(&newest, "20250101T000000.000Z_003-008_0000000a", true);
    let archive = archived.with_file_name("20250101T000000.000Z_003-008_0000000a.tar.gz");
    fs::copy(&sandbox.archives()[0], archive).unwrap();
    let with_snapshot = copy_record(&newest, "20250101T000000.000Z_003-008_0000000b", true);
    fs::write(
        with_snapshot.with_file_name("20250101T000000.000Z_003-008_0000000b.snapshot.db"),
        "raw",
    )
    .unwrap();
    let cut_short = copy_record(&newest, "20250101T000000.000Z_003-008_0000000c", false);
    let loose: Vec<PathBuf> = (1..=4).map(done).collect();
    catalog(&sandbox).prune(2, None).unwrap();
    let left = files_ending(&sandbox.backups(), ".job.json");
    let expected = [
        archived,
        with_snapshot,
        cut_short,
        loose[2].clone(),
        loose[3].clone(),
        newest,
    ];
    assert_eq!(left, expected);
}

#[test]
fn what_jobs_left_before_their_first_change_is_swept_away_and_the_snapshot_of_a_record_stays() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["run"]).expect_code(0);
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let stem = "20260101T000000.000Z_003-008_00000001";
    copy_record(&record, stem, false);
    let file = |name: &str| {
        let path = sandbox.backups().join(name);
        fs::write(&path, "x").unwrap();
        path
    };
    let needed = file(&format!("{stem}.snapshot.db"));
    let stray = [
        file("a.tar.gz.part"),
        file("a.job.json.tmp"),
        file("a.unpacked.db"),
        file("a.unpacked.db-journal"),
        file("a.snapshot.db"),
        file("a.snapshot.db-wal"),
    ];
    catalog(&sandbox).sweep().unwrap();
    let left: Vec<&PathBuf> = stray.iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(needed.exists());
    assert_eq!(sandbox.archives().len(), 1);
}
