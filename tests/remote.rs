//! Copies off site as jobs and commands handle them, on `file://` places: what a store says and does is tested elsewhere.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Run, Sandbox, content, files_ending, run, send, text, wait_until};

/// Where the copies of a sandbox go.
fn store(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("store")
}

/// The folder of its database there.
fn shelf(sandbox: &Sandbox) -> PathBuf {
    store(sandbox).join("fastflow")
}

fn url(path: &Path) -> String {
    format!("file://{}", text(path))
}

/// With a place off site, and further lines below `[offsite]`.
fn configure(sandbox: &Sandbox, more: &str) {
    fs::create_dir_all(store(sandbox)).unwrap();
    let config = format!("[offsite]\nurl = \"{}\"\n{more}", url(&store(sandbox)));
    fs::write(sandbox.path("safestep.toml"), config).unwrap();
}

fn with_store(revision: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    configure(&sandbox, more);
    sandbox
}

fn names(paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(name).collect()
}

/// The archives that lie off site, as the store has them.
fn copies(sandbox: &Sandbox) -> Vec<String> {
    names(&files_ending(&shelf(sandbox), ".tar.gz"))
}

fn local(sandbox: &Sandbox) -> Vec<String> {
    names(&sandbox.archives())
}

fn notes(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_ending(&sandbox.backups(), ".offsite.json")
}

/// Nothing can be written there, not even by root.
fn break_store(sandbox: &Sandbox) {
    fs::remove_dir_all(store(sandbox)).unwrap();
    fs::write(store(sandbox), "a file").unwrap();
}

fn mend_store(sandbox: &Sandbox) {
    fs::remove_file(store(sandbox)).unwrap();
    fs::create_dir(store(sandbox)).unwrap();
}

/// A backup of content that no other has; its id.
fn backup(sandbox: &Sandbox, table: &str) -> String {
    sandbox.sql(&format!("CREATE TABLE {table} (a)"));
    let document = run(sandbox, &["backup"]);
    document["backup"]["id"].as_str().unwrap().to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    let id = |one: &Value| one["manifest"]["id"].as_str().unwrap().to_owned();
    list["backups"].as_array().unwrap().iter().map(id).collect()
}

/// Another machine: nothing but the program, in a folder of its own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_safestep"))
            .current_dir(self.0.path())
            .args(args)
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .output();
        Run::of(&output.unwrap())
    }
}

#[test]
fn a_job_copies_its_backup_and_says_so() {
    let sandbox = with_store("003", "");
    let document = run(&sandbox, &["run"]);
    assert_eq!(copies(&sandbox), local(&sandbox));
    let archive = &sandbox.archives()[0];
    let copy = shelf(&sandbox).join(archive.file_name().unwrap());
    assert_eq!(fs::read(archive).unwrap(), fs::read(copy).unwrap());
    assert_eq!(document["offsite"]["uploaded"][0], document["backup"]["id"]);
    assert_eq!(document["offsite"]["pending"], 0);
    assert_eq!(document["offsite"]["error"], Value::Null);
    assert_eq!(notes(&sandbox).len(), 1);
    let phases = document["phases"].as_array().unwrap();
    let upload = phases.iter().find(|phase| phase["name"] == "off site");
    assert_eq!(upload.unwrap()["blocking"], false);
}

#[test]
fn a_run_with_nothing_to_do_asks_no_store() {
    let sandbox = with_store("008", "");
    break_store(&sandbox);
    let document = run(&sandbox, &["run"]);
    assert_eq!(document["outcome"], "nothing_to_do");
    assert_eq!(document["offsite"], Value::Null);
    assert_eq!(document["warnings"], Value::Array(Vec::new()));
}

#[test]
fn what_could_not_be_copied_is_a_warning_and_the_next_job_makes_up_for_it() {
    let sandbox = with_store("003", "");
    break_store(&sandbox);
    let done = sandbox.run(&["run", "--output", "json"]).expect_code(0);
    let document = done.json();
    assert_eq!(document["outcome"], "migrated");
    assert_eq!(document["offsite"]["pending"], 1);
    assert!(document["offsite"]["error"].is_string(), "{document:#}");
    let warned = done.stderr.lines().filter(|line| line.contains("off site"));
    assert_eq!(warned.count(), 1, "{}", done.stderr);
    let listed = sandbox.run(&["backups", "list"]).expect_code(0).stdout;
    assert!(listed.contains("1 not in file://"), "{listed}");
    mend_store(&sandbox);
    let document = run(&sandbox, &["backup"]);
    assert_eq!(document["offsite"]["uploaded"].as_array().unwrap().len(), 2);
    assert_eq!(copies(&sandbox), local(&sandbox));
    assert!(!sandbox.run(&["backups", "list"]).stdout.contains("not in"));
}

#[test]
fn a_note_that_is_lost_costs_a_question_and_no_second_copy() {
    let sandbox = with_store("003", "");
    run(&sandbox, &["run"]);
    for note in notes(&sandbox) {
        fs::remove_file(note).unwrap();
    }
    let document = run(&sandbox, &["backups", "upload", "--all"]);
    assert_eq!(document["outcome"], "nothing_to_do");
    assert_eq!(document["already_there"].as_array().unwrap().len(), 1);
    assert_eq!(notes(&sandbox).len(), 1);
    assert_eq!(copies(&sandbox), local(&sandbox));
}

#[test]
fn backups_are_uploaded_by_hand_one_or_all() {
    let sandbox = Sandbox::at("003");
    let first = backup(&sandbox, "one");
    backup(&sandbox, "two");
    let refused = sandbox.run(&["backups", "upload"]).expect_code(2);
    assert!(
        refused.stderr.contains("SAFESTEP_OFFSITE"),
        "{}",
        refused.stderr
    );
    configure(&sandbox, "");
    let document = run(&sandbox, &["backups", "upload", &first]);
    assert_eq!(document["uploaded"], serde_json::json!([first]));
    assert_eq!(document["pending"], 1);
    let document = run(&sandbox, &["backups", "upload", "--all"]);
    assert_eq!(document["pending"], 0);
    assert_eq!(copies(&sandbox), local(&sandbox));
}

#[test]
fn a_copy_that_is_required_is_there_before_the_migration_or_nothing_begins() {
    for mode in ["delete", "wal"] {
        let sandbox = with_store("003", "required = true\n");
        if mode == "wal" {
            sandbox.use_wal();
        }
        break_store(&sandbox);
        let (bytes, before) = (
            fs::read(sandbox.database()).unwrap(),
            content(&sandbox.database()),
        );
        let failed = sandbox.run(&["run"]);
        assert!([2, 75].contains(&failed.code), "{mode}: {}", failed.stderr);
        assert!(
            failed.stderr.contains("state: The database "),
            "{}",
            failed.stderr
        );
        assert_eq!(fs::read(sandbox.database()).unwrap(), bytes, "{mode}");
        assert_eq!(content(&sandbox.database()), before);
        assert!(
            files_ending(&sandbox.backups(), ".snapshot.db").is_empty(),
            "{mode}"
        );
        assert!(
            files_ending(&sandbox.backups(), ".job.json").is_empty(),
            "{mode}"
        );
        mend_store(&sandbox);
        let document = run(&sandbox, &["run"]);
        assert_eq!(document["outcome"], "migrated");
        assert_eq!(
            document["backup"]["reused"], true,
            "{mode}: the first attempt's"
        );
        assert_eq!(copies(&sandbox), local(&sandbox));
        let phases = document["phases"].as_array().unwrap();
        let place = |name: &str| phases.iter().position(|phase| phase["name"] == name);
        assert!(place("off site") < place("migrate"), "{mode}: {phases:#?}");
        let upload = &phases[place("off site").unwrap()];
        assert_eq!(upload["blocking"], mode == "delete");
    }
}

#[test]
fn a_plan_outside_a_transaction_waits_for_a_required_copy_too() {
    let sandbox = with_store("008", "required = true\n");
    sandbox.add_migration(
        "009_compact",
        "-- no-transaction\n-- alembic: 009_compact\nVACUUM;\n",
    );
    break_store(&sandbox);
    let bytes = fs::read(sandbox.database()).unwrap();
    let failed = sandbox.run(&["run"]);
    assert!([2, 75].contains(&failed.code), "{}", failed.stderr);
    assert_eq!(fs::read(sandbox.database()).unwrap(), bytes);
    mend_store(&sandbox);
    run(&sandbox, &["run"]);
    assert_eq!(copies(&sandbox), local(&sandbox));
    assert_eq!(sandbox.current(), "009");
}

#[test]
fn where_somebody_writes_meanwhile_the_copy_is_of_what_was_migrated() {
    let sandbox = with_store("003", "required = true\n");
    sandbox.use_wal();
    sandbox.sql("CREATE TABLE ticks (n INTEGER)");
    let child = sandbox.spawn(&["run", "--output", "json"]);
    let mut child = Some(child);
    let mut written = 0;
    while child.as_mut().unwrap().try_wait().unwrap().is_none() {
        // Refused while the job has the lock for longer than a writer waits; then it writes after it.
        if sandbox.try_sql("INSERT INTO ticks VALUES (1)").is_ok() {
            written += 1;
        }
    }
    let done = Run::of(&child.take().unwrap().wait_with_output().unwrap()).expect_code(0);
    let document = done.json();
    assert_eq!(document["outcome"], "migrated");
    assert_eq!(
        sandbox.query("SELECT count(*) FROM ticks"),
        [written.to_string()]
    );
    assert_eq!(copies(&sandbox), local(&sandbox));
    let list = run(&sandbox, &["backups", "list"]);
    let mut found = ids(&list);
    assert!(found.contains(&document["backup"]["id"].as_str().unwrap().to_owned()));
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), count, "each has an id of its own");
    // The last backup is of the state that the migrations found.
    assert_eq!(
        list["backups"][count - 1]["manifest"]["id"],
        document["backup"]["id"]
    );
}

#[test]
fn the_jobs_of_a_fleet_do_not_each_wait_for_a_store_that_is_not_there() {
    let sandbox = Sandbox::new();
    for tenant in ["a", "b", "c"] {
        fs::create_dir_all(sandbox.path(&format!("tenants/{tenant}"))).unwrap();
        let database = format!("tenants/{tenant}/app.db");
        sandbox
            .run(&[
                "upgrade",
                "003",
                "--create-if-missing",
                "--database",
                &database,
            ])
            .expect_code(0);
    }
    // Nobody listens there.
    let config = "[offsite]\nurl = \"s3://bucket/prefix\"\nendpoint = \"http://127.0.0.1:1\"\ntimeout = \"2s\"\n";
    fs::write(sandbox.path("safestep.toml"), config).unwrap();
    let output = sandbox
        .command(&[
            "run",
            "--all",
            "tenants/*/app.db",
            "--jobs",
            "1",
            "--verbose",
            "--output",
            "json",
        ])
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .output();
    let done = Run::of(&output.unwrap()).expect_code(0);
    let again = done
        .stdout
        .matches("as the copies of another database have found")
        .count();
    assert!(again >= 2, "{}", done.stdout);
    assert!(!done.stdout.contains("\"secret\""));
}

#[test]
fn a_new_database_needs_no_copy() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "required = true\n");
    break_store(&sandbox);
    let document = run(&sandbox, &["run", "--create-if-missing"]);
    assert_eq!(document["outcome"], "created");
}

#[test]
fn where_an_earlier_copy_holds_the_same_the_store_is_asked_and_nothing_is_sent() {
    let sandbox = with_store("003", "required = true\n");
    sandbox.add_migration("009_fails", "SELECT no_such_column FROM users;\n");
    sandbox.run(&["run"]).expect_code(5);
    let sent = copies(&sandbox);
    assert_eq!(sent.len(), 1);
    sandbox.run(&["run"]).expect_code(5);
    assert_eq!(copies(&sandbox), sent);
    // The note says that it is there, and the store does not.
    fs::remove_dir_all(shelf(&sandbox)).unwrap();
    sandbox.run(&["run"]).expect_code(5);
    assert_eq!(copies(&sandbox), sent);
}

#[test]
fn a_machine_with_nothing_but_the_program_gets_the_database_back() {
    let sandbox = with_store("003", "");
    run(&sandbox, &["run"]);
    let before = run(&sandbox, &["backups", "show", "latest"]);
    let machine = Machine::new();
    let from = format!("{}/latest", url(&shelf(&sandbox)));
    let done = machine
        .run(&["restore", &from, "--yes", "--database", "new/fastflow.db"])
        .expect_code(0);
    assert!(done.stdout.contains("(revision 003)"), "{}", done.stdout);
    let restored = content(&machine.path("new/fastflow.db"));
    let folder = sandbox.unpack(&sandbox.archives()[0], "unpacked");
    assert_eq!(restored, content(&folder.join("fastflow.db")));
    assert!(before["backup"]["manifest"]["sha256"].is_string());
    assert!(files_ending(&machine.path("backups/fastflow"), ".download").is_empty());
    // By the prefix above as well, and by the name of the archive.
    let from = format!("{}/latest", url(&store(&sandbox)));
    machine
        .run(&["restore", &from, "--yes", "--database", "two/fastflow.db"])
        .expect_code(0);
    let from = format!("{}/{}", url(&shelf(&sandbox)), copies(&sandbox)[0]);
    machine
        .run(&["restore", &from, "--yes", "--database", "three/other.db"])
        .expect_code(0);
    assert_eq!(content(&machine.path("three/other.db")), restored);
}

#[test]
fn where_nothing_lies_the_folders_that_are_there_are_named() {
    let sandbox = with_store("003", "");
    run(&sandbox, &["run"]);
    let machine = Machine::new();
    let from = format!("{}/latest", url(&store(&sandbox)));
    let missed = machine
        .run(&["restore", &from, "--yes", "--database", "other.db"])
        .expect_code(7);
    assert!(missed.stderr.contains("only folders"), "{}", missed.stderr);
    assert!(missed.stderr.contains("fastflow"), "{}", missed.stderr);
    assert!(!machine.path("other.db").exists());
}

#[test]
fn a_moment_and_a_revision_choose_here_and_off_site() {
    let sandbox = with_store("003", "");
    let first = backup(&sandbox, "one");
    let second = backup(&sandbox, "two");
    run(&sandbox, &["run"]);
    let third = backup(&sandbox, "three");
    let list = run(&sandbox, &["backups", "list"]);
    let made = |id: &str| {
        let all = list["backups"].as_array().unwrap();
        let one = all.iter().find(|one| one["manifest"]["id"] == *id).unwrap();
        one["manifest"]["created_at"].as_str().unwrap().to_owned()
    };
    let until = made(&second);
    for remote in [&[][..], &["--remote"]] {
        let found = |args: &[&str]| {
            let args = [&["backups", "show"], args, remote].concat();
            let shown = run(&sandbox, &args);
            shown["backup"]["manifest"]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(found(&["--before", &until]), first);
        assert_eq!(found(&["--revision", "8"]), third);
        // The migration found its state in a backup, and made no second one.
        let at_003 = found(&["--revision", "003"]);
        assert_eq!(at_003, second);
        let before = made(&third);
        assert_eq!(found(&["--revision", "003", "--before", &before]), at_003);
        let args = [&["backups", "list", "--before", &until], remote].concat();
        assert_eq!(ids(&run(&sandbox, &args)), [first.as_str()]);
        let args = [&["backups", "show", &third, "--revision", "003"], remote].concat();
        sandbox.run(&args).expect_code(7);
        let args = [
            &["restore", "--yes", "--revision", "003", "--before", &until],
            remote,
        ]
        .concat();
        assert_eq!(run(&sandbox, &args)["restored"], *first);
        assert_eq!(
            sandbox.query("SELECT name FROM sqlite_schema WHERE name IN ('one', 'two')"),
            ["one"]
        );
    }
    for wrong in [&["--before", "yesterday"][..], &["--revision", "nonsense"]] {
        let args = [&["backups", "list"], wrong].concat();
        sandbox.run(&args).expect_code(2);
    }
    sandbox.run(&["restore", "--yes"]).expect_code(2);
}

#[test]
fn the_list_off_site_says_what_is_there_and_what_is_here() {
    let sandbox = with_store("003", "");
    let first = backup(&sandbox, "one");
    let second = backup(&sandbox, "two");
    fs::remove_file(&sandbox.archives()[0]).unwrap();
    let list = run(&sandbox, &["backups", "list", "--remote"]);
    assert_eq!(ids(&list), [first.as_str(), &second]);
    assert_eq!(list["backups"][0]["here"], false);
    assert_eq!(list["backups"][1]["here"], true);
    assert_eq!(
        list["backups"][0]["manifest"]["rows"],
        serde_json::json!({})
    );
    let by_url = run(&sandbox, &["backups", "list", &url(&shelf(&sandbox))]);
    assert_eq!(ids(&by_url), ids(&list));
    let shown = sandbox
        .run(&["backups", "show", "--remote", &first])
        .expect_code(0);
    let back = format!("safestep restore {}/", url(&shelf(&sandbox)));
    assert!(shown.stdout.contains(&back), "{}", shown.stdout);
}

#[test]
fn doctor_says_where_copies_go_and_what_is_not_there_yet() {
    let sandbox = with_store("008", "");
    backup(&sandbox, "one");
    let healthy = sandbox.run(&["doctor"]).expect_code(0).stdout;
    assert!(healthy.contains("all backups are there"), "{healthy}");
    break_store(&sandbox);
    run(&sandbox, &["backup", "--keep-last", "9"]);
    let noted = sandbox.run(&["doctor"]).expect_code(0).stdout;
    assert!(noted.contains("note off site   could not "), "{noted}");
    configure_required(&sandbox);
    let bad = sandbox.run(&["doctor"]);
    assert!([2, 75].contains(&bad.code), "{}", bad.stdout);
    assert!(bad.stdout.contains("BAD  off site"), "{}", bad.stdout);
}

/// Somebody empties the place: the notes of what was sent say something else.
fn empty_store(sandbox: &Sandbox) {
    fs::remove_dir_all(shelf(sandbox)).unwrap();
}

#[test]
fn copies_that_vanish_from_the_store_are_missed_and_sent_again() {
    let sandbox = with_store("008", "required = true\n");
    for table in ["one", "two"] {
        backup(&sandbox, table);
    }
    assert_eq!(copies(&sandbox), local(&sandbox));

    empty_store(&sandbox);
    let noted = sandbox.run(&["doctor"]).expect_code(0).stdout;
    assert!(
        noted.contains("2 of the backups were sent and are not there any more"),
        "{noted}"
    );
    assert!(!noted.contains("all backups are there"), "{noted}");
    sandbox.run(&["backups", "upload", "--all"]).expect_code(0);
    assert_eq!(copies(&sandbox), local(&sandbox));

    empty_store(&sandbox);
    let again = run(&sandbox, &["backup"]);
    assert_eq!(again["backup"]["reused"], true);
    assert_eq!(again["offsite"]["uploaded"].as_array().unwrap().len(), 2);
    assert_eq!(copies(&sandbox), local(&sandbox));
}

/// A new backup of the same state would be the one that is here, and change nothing there.
#[test]
fn whoever_removes_a_bad_copy_as_advised_gets_a_good_one() {
    let sandbox = with_store("008", "");
    backup(&sandbox, "one");
    let copy = shelf(&sandbox).join(&copies(&sandbox)[0]);
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&copy, bytes).unwrap();
    let found = sandbox
        .run(&["backups", "verify", "--remote"])
        .expect_code(7);
    assert!(
        found.stderr.contains("`safestep backups upload --all`"),
        "{}",
        found.stderr
    );
    fs::remove_file(&copy).unwrap();
    sandbox.run(&["backups", "upload", "--all"]).expect_code(0);
    sandbox
        .run(&["backups", "verify", "--remote"])
        .expect_code(0);
}

#[test]
fn what_the_rules_have_removed_off_site_is_not_missed() {
    let sandbox = with_store("008", "keep_last = 1\n");
    for table in ["one", "two"] {
        backup(&sandbox, table);
    }
    assert_eq!(copies(&sandbox).len(), 1);
    let again = run(&sandbox, &["backup"]);
    assert_eq!(again["offsite"]["uploaded"].as_array().unwrap().len(), 0);
    sandbox.run(&["backups", "upload", "--all"]).expect_code(0);
    assert_eq!(copies(&sandbox).len(), 1);
    let healthy = sandbox.run(&["doctor"]).expect_code(0).stdout;
    assert!(healthy.contains("all backups are there"), "{healthy}");
}

fn configure_required(sandbox: &Sandbox) {
    let config = format!(
        "[offsite]\nurl = \"{}\"\nrequired = true\n",
        url(&store(sandbox))
    );
    fs::write(sandbox.path("safestep.toml"), config).unwrap();
}

#[test]
fn metrics_tell_how_the_copies_stand() {
    let sandbox = with_store("003", "");
    let metrics = || fs::read_to_string(sandbox.path("metrics.prom")).unwrap();
    let value = |name: &str| {
        let text = metrics();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")));
        line.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    break_store(&sandbox);
    run(&sandbox, &["run", "--metrics-file", "metrics.prom"]);
    assert_eq!(value("safestep_offsite_pending_backups"), Some(1.0));
    assert_eq!(value("safestep_offsite_failures_total"), Some(1.0));
    assert_eq!(
        value("safestep_offsite_last_success_timestamp_seconds"),
        None
    );
    mend_store(&sandbox);
    run(&sandbox, &["backup", "--metrics-file", "metrics.prom"]);
    assert_eq!(value("safestep_offsite_pending_backups"), Some(0.0));
    assert_eq!(value("safestep_offsite_failures_total"), Some(1.0));
    assert!(value("safestep_offsite_last_success_timestamp_seconds") > Some(1.7e9));
}

/// Spoils an archive that lies off site, or its label.
type Damage = fn(&Path, &Path);

/// What is done to a copy.
fn damages() -> [(&'static str, Damage); 4] {
    [
        ("a byte is another", |archive, _| {
            let mut bytes = fs::read(archive).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(archive, bytes).unwrap();
        }),
        ("it is cut", |archive, _| {
            let bytes = fs::read(archive).unwrap();
            fs::write(archive, &bytes[..bytes.len() - 9]).unwrap();
        }),
        ("it is another backup", |archive, label| {
            let older = files_ending(archive.parent().unwrap(), ".tar.gz").remove(0);
            fs::copy(older, archive).unwrap();
            let mut text: Value = serde_json::from_slice(&fs::read(label).unwrap()).unwrap();
            let bytes = fs::read(archive).unwrap();
            text["archive_bytes"] = bytes.len().into();
            text["archive_sha256"] =
                support::tool("sha256sum", &[support::text(archive)])[..64].into();
            fs::write(label, text.to_string()).unwrap();
        }),
        ("its label is no label", |_, label| {
            fs::write(label, "{}").unwrap();
        }),
    ]
}

#[test]
fn a_copy_that_is_damaged_cut_or_swapped_is_never_restored() {
    for (words, damage) in damages() {
        let sandbox = with_store("003", "");
        backup(&sandbox, "one");
        let id = backup(&sandbox, "two");
        let archive = files_ending(&shelf(&sandbox), ".tar.gz").pop().unwrap();
        let label = files_ending(&shelf(&sandbox), ".label.json").pop().unwrap();
        damage(&archive, &label);
        sandbox.sql("CREATE TABLE later (a)");
        let bytes = fs::read(sandbox.database()).unwrap();
        for name in ["latest", &id] {
            let refused = sandbox.run(&["restore", "--remote", name, "--yes"]);
            assert_eq!(
                refused.code, 7,
                "{words}: {}{}",
                refused.stdout, refused.stderr
            );
            assert_eq!(fs::read(sandbox.database()).unwrap(), bytes, "{words}");
        }
        let (code, document) = sandbox.run_json(&["backups", "verify", "--all", "--remote"]);
        assert_eq!(code, 7, "{words}: {document:#}");
        let bad = document["checked"].as_array().unwrap().iter();
        assert_eq!(
            bad.filter(|one| !one["finding"].is_null()).count(),
            1,
            "{words}"
        );
        assert!(
            files_ending(&sandbox.backups(), ".download").is_empty(),
            "{words}"
        );
        assert!(
            files_ending(&sandbox.backups(), ".verify.db").is_empty(),
            "{words}"
        );
    }
}

#[test]
fn copies_are_verified_as_the_archives_of_the_folder_are() {
    let sandbox = with_store("003", "");
    backup(&sandbox, "one");
    backup(&sandbox, "two");
    let document = run(&sandbox, &["backups", "verify", "--remote", "--all"]);
    assert_eq!(document["outcome"], "verified");
    assert_eq!(document["checked"].as_array().unwrap().len(), 2);
    let path = document["checked"][0]["path"].as_str().unwrap();
    assert!(path.starts_with("file://"), "{path}");
    let list = run(&sandbox, &["backups", "list"]);
    assert!(list["backups"][0]["verified"]["at"].is_string(), "{list:#}");
    let one = format!("{}/latest", url(&shelf(&sandbox)));
    assert_eq!(
        run(&sandbox, &["backups", "verify", &one])["checked"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn off_site_the_rules_for_off_site_count() {
    let sandbox = with_store("003", "keep_last = 2\n");
    let first = backup(&sandbox, "one");
    backup(&sandbox, "two");
    sandbox.sql("CREATE TABLE three (a)");
    let document = run(&sandbox, &["backup"]);
    assert_eq!(document["offsite"]["removed"], serde_json::json!([first]));
    assert_eq!(copies(&sandbox).len(), 2);
    assert_eq!(local(&sandbox).len(), 3);
    // What was taken away there is not sent again.
    let document = run(&sandbox, &["backups", "upload", "--all"]);
    assert_eq!(document["outcome"], "nothing_to_do");
    configure(&sandbox, "keep_last = 1\n");
    let would = run(&sandbox, &["backups", "prune", "--remote", "--dry-run"]);
    assert_eq!(would["removed"].as_array().unwrap().len(), 1);
    assert_eq!(copies(&sandbox).len(), 2);
    let done = run(&sandbox, &["backups", "prune", "--remote"]);
    assert_eq!(done["outcome"], "pruned");
    assert_eq!(copies(&sandbox), local(&sandbox)[2..]);
    let again = run(&sandbox, &["backups", "prune", &url(&shelf(&sandbox))]);
    assert_eq!(again["outcome"], "nothing_to_do");
}

#[test]
fn where_a_list_cannot_be_read_whole_nothing_goes() {
    let sandbox = with_store("003", "");
    backup(&sandbox, "one");
    backup(&sandbox, "two");
    let label = files_ending(&shelf(&sandbox), ".label.json").remove(0);
    fs::remove_file(&label).unwrap();
    // Not to be read by anybody: the store fails.
    fs::create_dir(&label).unwrap();
    configure(&sandbox, "keep_last = 1\n");
    let before = copies(&sandbox);
    let _ = sandbox.run(&["backups", "prune", "--remote"]);
    assert_eq!(copies(&sandbox), before);
}

#[test]
fn the_databases_of_a_fleet_have_folders_as_they_have_here() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "");
    for tenant in ["acme", "umbrella"] {
        fs::create_dir_all(sandbox.path(&format!("tenants/{tenant}"))).unwrap();
        let database = format!("tenants/{tenant}/app.db");
        sandbox
            .run(&[
                "upgrade",
                "003",
                "--create-if-missing",
                "--database",
                &database,
            ])
            .expect_code(0);
    }
    sandbox
        .run(&["run", "--all", "tenants/*/app.db"])
        .expect_code(0);
    for tenant in ["acme", "umbrella"] {
        let folder = store(&sandbox).join(tenant).join("app");
        assert_eq!(files_ending(&folder, ".tar.gz").len(), 1, "{tenant}");
        assert_eq!(files_ending(&folder, ".label.json").len(), 1, "{tenant}");
    }
    let machine = Machine::new();
    let from = format!("{}/acme/app/latest", url(&store(&sandbox)));
    machine
        .run(&["restore", &from, "--yes", "--database", "app.db"])
        .expect_code(0);
}

#[test]
fn two_jobs_at_once_leave_no_backup_behind() {
    let sandbox = with_store("003", "");
    for round in 0..3 {
        sandbox.sql(&format!("CREATE TABLE t{round} (a)"));
        let children: Vec<_> = (0..3).map(|_| sandbox.spawn(&["backup"])).collect();
        for child in children {
            let done = Run::of(&child.wait_with_output().unwrap());
            done.expect_code(0);
        }
        assert_eq!(copies(&sandbox), local(&sandbox));
    }
}

#[test]
fn an_upload_that_is_killed_or_stopped_is_made_up_for() {
    let sandbox = with_store("003", "");
    sandbox.sql("CREATE TABLE large (a); INSERT INTO large SELECT randomblob(4000000) FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)");
    let mut child = sandbox.spawn(&["backup"]);
    let begun = || shelf(&sandbox).exists() || !notes(&sandbox).is_empty();
    wait_until("the upload has begun", begun);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.sql("CREATE TABLE more (a)");
    let mut child = sandbox.spawn(&["backup"]);
    wait_until("the archive is there", || sandbox.archives().len() > 1);
    send(&child, rustix::process::Signal::TERM);
    child.wait().unwrap();
    sandbox.sql("CREATE TABLE last (a)");
    run(&sandbox, &["backup"]);
    assert_eq!(copies(&sandbox), local(&sandbox));
    let labels = files_ending(&shelf(&sandbox), ".label.json");
    assert_eq!(labels.len(), copies(&sandbox).len());
    run(&sandbox, &["backups", "verify", "--all", "--remote"]);
}
