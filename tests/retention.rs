//! What pruning and sweeping take away from a folder of backups, and what they leave there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use safestep::catalog::Catalog;
use safestep::retention::{Count, Policy};
use serde_json::{Value, json};
use support::{Sandbox, files_ending, run, text};

/// The newest `number` and no more.
fn last(number: usize) -> Policy {
    Policy {
        last: NonZeroUsize::new(number).map(Count::Number),
        ..Policy::nothing()
    }
}

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
    let removed = catalog(&sandbox)
        .prune(&last(1), Some(&archives[0]))
        .unwrap();
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
        let stem = format!("20260101T000000.000Z_003-008_{number:08x}");
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
    let loose: Vec<PathBuf> = (1..=12).map(done).collect();
    catalog(&sandbox).prune(&last(2), None).unwrap();
    let left = files_ending(&sandbox.backups(), ".job.json");
    let mut expected = vec![archived, with_snapshot, cut_short];
    expected.extend_from_slice(&loose[2..]);
    expected.push(newest);
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

/// Backups of so many random bytes each, which no archive makes smaller, oldest first.
fn heavy_backups(sandbox: &Sandbox, count: usize, bytes: usize) -> Vec<PathBuf> {
    sandbox.sql("CREATE TABLE heavy (b)");
    let fill = format!("DELETE FROM heavy; INSERT INTO heavy VALUES (randomblob({bytes}));");
    for _ in 0..count {
        sandbox.sql(&fill);
        run(sandbox, &["backup", "--keep-last", "unlimited"]);
    }
    sandbox.archives()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// What a folder may take, as a flag.
fn ceiling(bytes: u64) -> String {
    format!("--max-total={bytes}")
}

#[test]
fn a_folder_above_its_ceiling_loses_the_oldest_and_a_dry_run_says_so_first() {
    let sandbox = Sandbox::at("003");
    let archives = heavy_backups(&sandbox, 4, 50_000);
    let two = ceiling(size(&archives[2]) + size(&archives[3]) + 1000);
    let prune = ["backups", "prune", "--keep-last", "unlimited", &two];
    let dry = run(&sandbox, &[&prune[..], &["--dry-run"]].concat());
    assert_eq!(dry["outcome"], "would_prune");
    assert_eq!(sandbox.archives(), archives);
    let goes: Vec<&Value> = dry["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["goes"])
        .collect();
    assert_eq!(goes, ["over_max_total", "over_max_total"]);
    let told = sandbox
        .run(&[&prune[..], &["--dry-run"]].concat())
        .expect_code(0)
        .stdout;
    assert!(
        told.contains("would go") && told.contains("  above the ceiling\n"),
        "{told}"
    );
    assert!(
        told.contains("  last snapshot, newest good one\n"),
        "{told}"
    );
    let pruned = run(&sandbox, &prune);
    assert_eq!(pruned["removed"], dry["removed"]);
    assert_eq!(sandbox.archives(), archives[2..]);
    assert!(pruned["folder_bytes"].as_u64() <= pruned["max_total_bytes"].as_u64());
}

#[test]
fn copies_that_do_not_fit_below_the_ceiling_are_refused_before_anything_is_touched() {
    for mode in ["DELETE", "WAL"] {
        let sandbox = Sandbox::at("003");
        let archives = heavy_backups(&sandbox, 3, 50_000);
        sandbox.sql(&format!("PRAGMA journal_mode = {mode}"));
        let before = sandbox.content();
        // Raw and archived copy would fit, but not beside the newest good one.
        let low = ceiling(2 * size(&sandbox.database()) + size(&archives[2]) / 2);
        for verb in ["backup", "run"] {
            let (code, document) = sandbox.run_json(&[verb, &low]);
            assert_eq!(code, 75, "{mode} {verb}: {document:#}");
            assert_eq!(document["error"]["code"], "over_max_total");
            let words = document["error"]["message"].as_str().unwrap();
            assert!(words.contains("--max-total"), "{words}");
            assert_eq!(sandbox.content(), before);
            assert_eq!(
                sandbox.archives(),
                archives,
                "nothing goes where it would not help"
            );
            assert_eq!(
                files_ending(&sandbox.backups(), ".snapshot.db"),
                [] as [PathBuf; 0]
            );
        }
        let plan = run(&sandbox, &["plan", &low]);
        assert!(plan.to_string().contains("--max-total"), "{plan:#}");
        let doctor = sandbox.run(&["doctor", &low]);
        assert!(doctor.stdout.contains("--max-total"), "{}", doctor.stdout);
    }
}

#[test]
fn a_job_makes_room_for_its_copies_and_no_more() {
    for mode in ["DELETE", "WAL"] {
        let sandbox = Sandbox::at("003");
        let archives = heavy_backups(&sandbox, 5, 100_000);
        sandbox.sql(&format!("PRAGMA journal_mode = {mode}"));
        sandbox.sql("DELETE FROM heavy; INSERT INTO heavy VALUES (randomblob(100000))");
        let copies = 2 * size(&sandbox.database());
        let newest: u64 = archives[3..].iter().map(|path| size(path)).sum();
        let fits_two = ceiling(copies + newest + 20_000);
        let done = run(&sandbox, &["run", "--keep-last", "unlimited", &fits_two]);
        let mut expected = archives[3..].to_vec();
        expected.push(PathBuf::from(text(Path::new(
            done["backup"]["path"].as_str().unwrap(),
        ))));
        assert_eq!(sandbox.archives(), expected, "{mode}");
    }
}

#[test]
fn a_job_that_fails_again_and_again_keeps_one_copy_of_its_state_under_any_rule() {
    let rules: [&[&str]; 4] = [
        &["--keep-last", "1"],
        &["--keep-yearly", "1"],
        &["--keep-within", "1h"],
        &["--keep-last", "unlimited", "--max-total", "1MB"],
    ];
    for rule in rules {
        let sandbox = Sandbox::at("008");
        let older = heavy_backups(&sandbox, 2, 20_000);
        sandbox.sql("DELETE FROM heavy");
        sandbox.add_migration("009_wrong", "INSERT INTO nowhere VALUES (1);");
        let before = sandbox.content();
        let mut made = Vec::new();
        for _ in 0..4 {
            let (code, document) = sandbox.run_json(&[&["run"], rule].concat());
            assert_eq!(code, 5, "{document:#}");
            made.push(document["backup"]["id"].clone());
            assert_eq!(sandbox.content(), before);
        }
        assert!(made.iter().all(|id| *id == made[0]), "{rule:?}: {made:?}");
        let archives = sandbox.archives();
        let new = archives.iter().filter(|path| !older.contains(path));
        assert_eq!(new.count(), 1, "{rule:?}");
    }
}

#[test]
fn the_newest_good_backup_stays_where_newer_ones_were_found_bad() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 4);
    run(&sandbox, &["backups", "verify", "--all"]);
    let marks = files_ending(&sandbox.backups(), ".verified.json");
    for mark in &marks[2..] {
        let mut bad: Value = serde_json::from_slice(&fs::read(mark).unwrap()).unwrap();
        bad["finding"] = "row 7 missing from index i".into();
        fs::write(mark, bad.to_string()).unwrap();
    }
    let pruned = run(&sandbox, &["backups", "prune", "--keep-last", "1"]);
    assert_eq!(
        sandbox.archives(),
        [&archives[1..2], &archives[3..]].concat()
    );
    let why: Vec<&Value> = pruned["kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["stays"])
        .collect();
    assert_eq!(
        why,
        [
            &json!(["last snapshot", "newest good one"]),
            &json!(["last snapshot"])
        ]
    );
    let taken = pruned["folder_bytes"].as_u64().unwrap();
    let enough = ceiling(taken - size(&archives[3]) / 2);
    run(&sandbox, &["backups", "prune", &enough]);
    assert_eq!(sandbox.archives(), archives[1..2]);
}

#[test]
fn a_ceiling_that_cannot_be_met_takes_no_backup_away_and_says_so() {
    let sandbox = Sandbox::at("003");
    let archives = heavy_backups(&sandbox, 3, 20_000);
    for dry in [&["--dry-run"][..], &[]] {
        let args = [&["backups", "prune", "--max-total", "1KB"], dry].concat();
        let said = sandbox.run(&args).expect_code(0).stdout;
        assert!(said.contains("for the ceiling nothing goes"), "{said}");
        assert_eq!(sandbox.archives(), archives);
    }
}

#[test]
fn what_an_unfinished_job_needs_stays_however_low_the_ceiling_is() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["upgrade", "004"]).expect_code(0);
    let needed = sandbox.archives().remove(0);
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    sandbox.sql("CREATE TABLE later (a)");
    let newer = [sandbox.backup(), {
        sandbox.sql("DROP TABLE later");
        sandbox.backup()
    }];
    let stem = needed.file_name().unwrap().to_str().unwrap();
    copy_record(&record, stem.strip_suffix(".tar.gz").unwrap(), false);
    let low = Policy {
        max_total: Some(1),
        ..last(1)
    };
    catalog(&sandbox).prune(&low, None).unwrap();
    assert_eq!(sandbox.archives(), [needed, newer[1].clone()]);
}

#[test]
fn a_restore_goes_on_where_its_copies_do_not_fit_and_says_so() {
    let sandbox = Sandbox::at("003");
    let archives = heavy_backups(&sandbox, 3, 50_000);
    let before = sandbox.content();
    sandbox.sql("DELETE FROM heavy");
    let used = text(&archives[1]).to_owned();
    let (code, document) = sandbox.run_json(&["restore", &used, "--yes", "--max-total", "1"]);
    assert_eq!(code, 0, "{document:#}");
    assert_ne!(sandbox.content(), before);
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("restored all the same"), "{warnings}");
    let left = sandbox.archives();
    assert_eq!(
        left[..3],
        archives,
        "a ceiling that cannot be met takes none away"
    );
    assert_eq!(left.len(), 4, "and what the restore replaced");
}

#[test]
fn what_is_unpacked_to_be_verified_pushes_out_no_backup() {
    let sandbox = Sandbox::at("003");
    let archives = heavy_backups(&sandbox, 2, 20_000);
    let scratch = sandbox
        .backups()
        .join("20260101T000000.000Z_verify-003_00000001.verify.db");
    fs::write(&scratch, vec![0; 10_000_000]).unwrap();
    let pruned = run(&sandbox, &["backups", "prune", "--max-total", "1MB"]);
    assert_eq!(pruned["outcome"], "nothing_to_do");
    assert_eq!(sandbox.archives(), archives);
}

#[test]
fn settings_that_make_no_sense_are_refused_and_say_what_to_write() {
    let sandbox = Sandbox::at("003");
    let wrong = [
        ("--keep-daily=x", "not a number of backups"),
        ("--keep-daily=0", "0 backups"),
        ("--keep-within=7w", "the units are y, m (months), d and h"),
        ("--max-total=20XB", "not a size"),
        ("--max-total=0", "nothing fits"),
        ("--max-total=99999999999TB", "not a size"),
    ];
    for (flag, words) in wrong {
        let run = sandbox.run(&["current", flag]).expect_code(2);
        assert!(run.stderr.contains(words), "{flag}: {}", run.stderr);
    }
    for right in [
        "--keep-last=-1",
        "--keep-hourly=unlimited",
        "--max-total=1KiB",
        "--keep-within=1y5m7d2h",
    ] {
        sandbox.run(&["current", right]).expect_code(0);
    }
}

#[test]
fn rules_are_read_from_the_file_and_the_environment_and_a_rule_of_0_is_off() {
    let sandbox = Sandbox::at("003");
    let archives = backups(&sandbox, 4);
    let file = "keep_last = 'unlimited'\nkeep_daily = 1\nmax_total = 1000000\n[offsite]\nkeep_monthly = 12\nmax_total = '1TB'\n";
    fs::write(sandbox.path("safestep.toml"), file).unwrap();
    let kept = |document: &Value| document["kept"].as_array().unwrap().len();
    let all = run(&sandbox, &["backups", "prune", "--dry-run"]);
    assert_eq!(kept(&all), 4);
    assert_eq!(all["max_total_bytes"], 1_000_000);
    let daily = run(
        &sandbox,
        &["backups", "prune", "--dry-run", "--keep-last", "0"],
    );
    assert_eq!(kept(&daily), 1);
    let mut command = sandbox.command(&["backups", "prune", "--keep-daily", "0"]);
    command.env("SAFESTEP_KEEP_LAST", "2");
    support::Run::of(&command.output().unwrap()).expect_code(0);
    assert_eq!(sandbox.archives(), archives[2..]);
    fs::write(
        sandbox.path("safestep.toml"),
        "[offsite]\nkeep_daily = 'x'\n",
    )
    .unwrap();
    let run = sandbox.run(&["backups", "prune"]).expect_code(2);
    assert!(
        run.stderr.contains("keep_daily of [offsite]"),
        "{}",
        run.stderr
    );
}
