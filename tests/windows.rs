//! Windows and deadlines: outside nothing is begun, and what is not done in time is rolled back and proven.
#![allow(clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use safestep::config::{Config, Given};
use safestep::error::Error;
use safestep::job::{self, Context, Goal, Report};
use safestep::monitor::Monitor;
use safestep::sqlite::Interrupt;
use serde_json::Value;
use support::{Sandbox, block_on, connect, run, send, wait_until};

/// Reads as if it would never end.
const ENDLESS: &str = "CREATE TABLE a_trace (x);\nINSERT INTO a_trace \
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0;\n";

/// A window that opens so many seconds from now, or did before now, and is open for so many, every day in UTC.
fn window(opens: i64, for_seconds: i64) -> String {
    let from = Utc::now() + TimeDelta::seconds(opens);
    let to = from + TimeDelta::seconds(for_seconds);
    format!(
        "daily {}-{}",
        from.format("%H:%M:%S"),
        to.format("%H:%M:%S")
    )
}

const HOUR: i64 = 3600;

fn closed() -> String {
    window(6 * HOUR, HOUR)
}

fn open() -> String {
    window(-6 * HOUR, 12 * HOUR)
}

/// At 003 with something in it, and all that it holds.
fn database() -> (Sandbox, String) {
    let sandbox = Sandbox::at("003");
    sandbox.add_users(&[("ada", "ADMIN"), ("bob", " readonly ")]);
    let content = sandbox.content();
    (sandbox, content)
}

/// Its migrations never end.
fn endless(marker: &str) -> (Sandbox, String) {
    let (sandbox, content) = database();
    sandbox.add_migration("009_endless", &format!("{marker}{ENDLESS}"));
    (sandbox, content)
}

#[track_caller]
fn failed(sandbox: &Sandbox, args: &[&str], word: &str) -> Value {
    let (code, document) = sandbox.run_json(args);
    assert_eq!(code, 75, "{document:#}");
    assert_eq!(document["error"]["code"], word, "{document:#}");
    document
}

/// Time came while the endless statement ran, and what it and the files before it had done is gone, proven.
#[track_caller]
fn assert_put_back(sandbox: &Sandbox, content: &str, document: &Value) {
    let during = document["error"]["during"].as_str().expect("what ran then");
    assert!(
        during.contains("009_endless.up.sql ran, statement 2"),
        "{during}"
    );
    assert!(sandbox.content() == content);
    let proof = &document["proof"];
    assert_eq!(
        proof["live_digest"], proof["snapshot_digest"],
        "{document:#}"
    );
    assert_eq!(document["outcome"], "failed");
    let note = document["warnings"][0]["message"].as_str().expect("a note");
    assert!(note.contains("could not be estimated"), "{note}");
    assert_eq!(sandbox.archives().len(), 1, "the backup is there");
}

#[test]
fn outside_its_window_a_job_begins_nothing_and_says_when_the_next_one_is() {
    let (sandbox, content) = database();
    let window = closed();
    let run = sandbox
        .run(&["run", "--window", &window, "--timezone", "Europe/Berlin"])
        .expect_code(75);
    for words in [
        window.as_str(),
        "(Europe/Berlin)",
        "it opens",
        "CE",
        "T",
        "Z)",
        "--wait",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(
        run.stderr.contains("The database is unchanged."),
        "{}",
        run.stderr
    );
    for verb in [vec!["upgrade"], vec!["downgrade", "002"]] {
        let mut args = verb;
        args.extend(["--window", &window]);
        let document = failed(&sandbox, &args, "outside_window");
        let error = &document["error"];
        assert_eq!(error["timezone"], "UTC");
        assert_eq!(error["open"], false);
        assert!(
            error["opens"]["utc"].as_str().expect("UTC")
                > error["now"]["utc"].as_str().expect("UTC")
        );
    }
    assert!(sandbox.content() == content);
    assert_eq!(sandbox.archives(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn inside_its_window_a_job_goes_on() {
    let (sandbox, _) = database();
    let document = run(&sandbox, &["run", "--window", &open()]);
    assert_eq!(document["to"], "008");
    assert_eq!(document["warnings"], serde_json::json!([]));
}

#[test]
fn nothing_to_do_needs_no_window() {
    let sandbox = Sandbox::at("head");
    let document = run(
        &sandbox,
        &["run", "--window", &closed(), "--deadline", "10s"],
    );
    assert_eq!(document["outcome"], "nothing_to_do");
}

#[test]
fn a_database_that_is_not_there_yet_is_built_at_any_hour() {
    let sandbox = Sandbox::new();
    let document = run(
        &sandbox,
        &["run", "--create-if-missing", "--window", &closed()],
    );
    assert_eq!(document["outcome"], "created");
}

#[test]
fn a_new_database_that_is_not_built_in_time_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.add_migration("009_endless", ENDLESS);
    let args = ["run", "--create-if-missing", "--deadline", "3s"];
    failed(&sandbox, &args, "out_of_time");
    let left: Vec<_> = fs::read_dir(sandbox.path("data"))
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name())
        .filter(|name| !name.to_string_lossy().ends_with("safestep-lock"))
        .collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[test]
fn what_a_killed_job_left_halfway_is_put_right_outside_the_window_too() {
    let (sandbox, content) = endless("-- no-transaction\n");
    let job = sandbox.spawn(&["run"]);
    wait_until("the first statement to be committed", || {
        let bytes = fs::read(sandbox.database()).expect("database");
        bytes.windows(7).any(|window| window == b"a_trace")
    });
    send(&job, Signal::KILL);
    job.wait_with_output().expect("it ends");
    let document = failed(&sandbox, &["run", "--window", &closed()], "outside_window");
    let line = document["recovered"][0].as_str().expect("a line");
    assert!(line.contains("its snapshot was put back"), "{line}");
    assert!(sandbox.content() == content);
}

#[test]
fn a_job_that_waits_begins_when_its_window_opens_and_is_rolled_back_when_it_closes() {
    let (sandbox, content) = endless("");
    let document = failed(
        &sandbox,
        &["run", "--wait", "--window", &window(3, 6)],
        "out_of_time",
    );
    assert!(
        document["error"]["closes"]["utc"].is_string(),
        "{document:#}"
    );
    assert_put_back(&sandbox, &content, &document);
    let phases = document["phases"].as_array().expect("phases");
    assert!(
        phases
            .iter()
            .any(|phase| phase["name"] == "wait" && phase["blocking"] == false)
    );
}

#[test]
fn a_deadline_rolls_back_with_a_rollback_journal() {
    let (sandbox, content) = endless("");
    let document = failed(&sandbox, &["run", "--deadline", "4s"], "out_of_time");
    assert_eq!(document["error"]["deadline"], "4s");
    assert_put_back(&sandbox, &content, &document);
}

#[test]
fn a_deadline_rolls_back_in_wal_mode() {
    let (sandbox, _) = endless("");
    sandbox.use_wal();
    let content = sandbox.content();
    let document = failed(&sandbox, &["run", "--deadline", "4s"], "out_of_time");
    assert_put_back(&sandbox, &content, &document);
    // Time was too short, nothing else is wrong.
    fs::remove_file(sandbox.migrations().join("009_endless.up.sql")).expect("up");
    fs::remove_file(sandbox.migrations().join("009_endless.down.sql")).expect("down");
    assert_eq!(run(&sandbox, &["run", "--deadline", "1h"])["to"], "008");
}

#[test]
fn a_deadline_puts_the_snapshot_back_after_a_plan_outside_a_transaction() {
    let (sandbox, content) = endless("-- no-transaction\n");
    let document = failed(&sandbox, &["run", "--deadline", "4s"], "out_of_time");
    assert_put_back(&sandbox, &content, &document);
    assert_eq!(document["proof"]["method"], "pages_restored");
}

#[test]
fn a_deadline_that_comes_in_a_wait_for_a_lock_names_who_holds_it() {
    let (sandbox, content) = database();
    let backup = sandbox.backup();
    let restore = ["restore", support::text(&backup), "--yes"];
    block_on(async {
        let mut holder = connect(&sandbox.database()).await;
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut holder)
            .await
            .expect("the lock");
        for verb in [&["run"][..], &restore] {
            let mut args = verb.to_vec();
            args.extend(["--deadline", "2s", "--lock-timeout", "5m"]);
            let document = failed(&sandbox, &args, "out_of_time");
            let error = &document["error"];
            assert_eq!(error["holders"][0]["pid"], std::process::id(), "{error:#}");
            assert_eq!(error["holders"][0]["writing"], true, "{error:#}");
        }
    });
    assert!(sandbox.content() == content);
}

#[test]
fn what_would_not_finish_is_refused_unless_it_is_to_start_anyway() {
    let (sandbox, _) = database();
    sandbox.sql(
        "CREATE TABLE docs (id INTEGER PRIMARY KEY, body BLOB); \
         INSERT INTO docs WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
         SELECT i, zeroblob(1000) FROM n",
    );
    let content = sandbox.content();
    let again_and_again = "VACUUM;\n".repeat(500);
    sandbox.add_migration(
        "009_vacuum",
        &format!("-- no-transaction\n{again_and_again}"),
    );
    let limits = ["--deadline", "100s", "--window", &open()];
    let plan = run(&sandbox, &[&["plan"], &limits[..]].concat());
    let estimate = plan["estimate"]["busy_ms"].as_u64().expect("an estimate");
    assert!(estimate > 100_000, "{estimate} ms");
    assert_eq!(plan["time"]["fits"], false, "{}", plan["time"]);
    assert_eq!(plan["time"]["available_ms"], 100_000);

    let document = failed(
        &sandbox,
        &[&["run"], &limits[..]].concat(),
        "would_not_finish",
    );
    let error = &document["error"];
    assert_eq!(error["estimate_ms"], estimate);
    assert_eq!(error["deadline"], "100s", "the sooner one");
    assert!(
        error["left_ms"].as_u64().expect("time") < 100_000,
        "{error:#}"
    );
    assert!(
        error["hint"]
            .as_str()
            .expect("hint")
            .contains("--start-anyway")
    );
    assert!(sandbox.content() == content);
    assert!(sandbox.archives().is_empty());

    let job = sandbox.spawn(&[&["run", "--start-anyway"], &limits[..]].concat());
    wait_until("the job to be about to change the database", || {
        !support::files_ending(&sandbox.backups(), ".job.json").is_empty()
    });
    send(&job, Signal::TERM);
    let output = job.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(143));
    assert!(sandbox.content() == content);
}

#[test]
fn whoever_waits_for_a_window_that_is_not_set_does_not_migrate_at_once() {
    let (sandbox, content) = database();
    let (code, document) = sandbox.run_json(&["run", "--wait"]);
    assert_eq!(code, 2, "{document:#}");
    assert_eq!(sandbox.content(), content);
}

#[test]
fn a_signal_ends_the_wait_for_a_window() {
    let (sandbox, content) = database();
    let mut job = sandbox.spawn(&["run", "--wait", "--window", &closed()]);
    let mut stderr = job.stderr.take().expect("stderr");
    let mut said = Vec::new();
    wait_until("the job to wait", || {
        let mut some = [0; 256];
        let length = stderr.read(&mut some).expect("stderr");
        said.extend_from_slice(&some[..length]);
        String::from_utf8_lossy(&said).contains("waiting until the window")
    });
    send(&job, Signal::TERM);
    assert_eq!(job.wait().expect("it ends").code(), Some(143));
    assert!(sandbox.content() == content);
}

#[test]
fn a_plan_says_whether_it_would_be_done_in_time() {
    let (sandbox, _) = database();
    let plan = sandbox.run(&["plan"]).expect_code(0);
    assert!(!plan.stdout.contains("In time"), "{}", plan.stdout);
    let shut = sandbox.run(&["plan", "--window", &closed()]).expect_code(0);
    assert!(
        shut.stdout.contains("is closed; it opens"),
        "{}",
        shut.stdout
    );
    let words = "In time: yes, less than a second of 1 h 0 min.";
    assert!(shut.stdout.contains(words), "{}", shut.stdout);
    let document = run(
        &sandbox,
        &["plan", "--window", &open(), "--deadline", "10m"],
    );
    let time = &document["time"];
    assert_eq!(time["fits"], true, "{time:#}");
    assert_eq!(time["deadline"], "10m");
    assert_eq!(time["available_ms"], 600_000);
    assert_eq!(time["window"]["open"], true);
}

#[test]
fn what_is_no_window_zone_or_deadline_is_a_wrong_usage_with_the_word_at_fault() {
    let (sandbox, _) = database();
    for (args, words) in [
        (["--window", "Sunn 02:00-04:00"], "--window: 'Sunn' in"),
        (["--timezone", "Europe/Berln"], "near to it: Europe/Berlin"),
        (
            ["--deadline", "soon"],
            "--deadline: 'soon' is not a duration",
        ),
        (["--deadline", "0s"], "nothing can be done in no time"),
    ] {
        let run = sandbox.run(&[&["run"], &args[..]].concat()).expect_code(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

#[test]
fn the_environment_and_the_file_set_windows_too_and_a_restore_has_none() {
    let (sandbox, _) = database();
    let backup = sandbox.backup();
    let outside = |command: &mut std::process::Command| {
        let output = command.output().expect("it runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(75), "{words}");
        assert!(words.contains("is closed"), "{words}");
    };
    let window = closed();
    outside(sandbox.command(&["run"]).env("SAFESTEP_WINDOW", &window));
    let file = format!("window = \"{window}\"\ntimezone = \"UTC\"\nwait = false\n");
    fs::write(sandbox.path("safestep.toml"), file).expect("file");
    outside(&mut sandbox.command(&["run"]));
    sandbox
        .run(&["restore", support::text(&backup), "--yes"])
        .expect_code(0);
    run(&sandbox, &["run", "--window", "daily 00:00-24:00"]);
}

#[test]
fn one_deadline_and_one_window_are_those_of_all_databases_of_a_command() {
    let (sandbox, content) = endless("");
    let tenants: Vec<_> = ["a", "b", "c"]
        .map(|name| sandbox.path(&format!("tenants/{name}/app.db")))
        .into();
    for tenant in &tenants {
        fs::create_dir_all(tenant.parent().expect("a folder")).expect("folder");
        fs::copy(sandbox.database(), tenant).expect("copy");
    }
    let all = ["run", "--all", "tenants/*/app.db", "--jobs", "1"];
    let codes = |more: &[&str]| -> Vec<String> {
        let (code, document) = sandbox.run_json(&[&all, more].concat());
        assert_eq!(code, 75, "{document:#}");
        let databases = document["databases"].as_array().expect("databases");
        let code = |database: &Value| database["error"]["code"].as_str().map(str::to_owned);
        databases
            .iter()
            .map(|database| code(database).unwrap_or_else(|| "not begun".into()))
            .collect()
    };
    assert_eq!(codes(&["--window", &closed()]), ["outside_window"; 3]);
    assert_eq!(
        codes(&["--deadline", "4s"]),
        ["out_of_time", "not begun", "not begun"]
    );
    for tenant in &tenants {
        assert!(support::content(tenant) == content);
    }
}

/// Lets time be up when a phase begins.
struct UpIn<'i> {
    phase: &'static str,
    interrupt: &'i Interrupt,
    seen: Mutex<BTreeSet<&'static str>>,
}

impl Monitor for UpIn<'_> {
    fn phase(&self, phase: &'static str) {
        self.seen.lock().expect("lock").insert(phase);
        if phase == self.phase {
            self.interrupt.allow(Some(Duration::ZERO));
        }
    }
    fn step(&self, _words: &str) {}
    fn progress(&self, _done: u64, _total: u64) {}
    fn notice(&self, _line: &str) {}
}

fn config(sandbox: &Sandbox) -> Config {
    let path = |path: &Path| support::text(path).to_owned();
    let given = Given {
        database: Some(path(&sandbox.database())),
        migrations: Some(sandbox.migrations()),
        backups: Some(sandbox.path("backups")),
        ..Given::default()
    };
    Config::resolve(&given, &|_| None).expect("good")
}

/// A job whose time is up when that phase begins, and the phases that it went through.
fn job_with_time_up_in(
    sandbox: &Sandbox,
    phase: &'static str,
) -> (Result<(), Error>, Report, BTreeSet<&'static str>) {
    let config = config(sandbox);
    let interrupt = Interrupt::default();
    let monitor = UpIn {
        phase,
        interrupt: &interrupt,
        seen: Mutex::default(),
    };
    let context = Context {
        settings: &config.settings,
        interrupt: &interrupt,
        monitor: &monitor,
    };
    let mut report = Report::default();
    let result = block_on(job::migrate(context, &Goal::head(), &mut report));
    (result, report, monitor.seen.into_inner().expect("lock"))
}

#[track_caller]
fn assert_old_or_new_in_every_phase(prepare: impl Fn(&Sandbox), head: &str) {
    let prepared = || {
        let (sandbox, _) = database();
        prepare(&sandbox);
        sandbox
    };
    let (result, _, phases) = job_with_time_up_in(&prepared(), "none");
    assert!(result.is_ok(), "{result:?}");
    assert!(phases.contains("commit") && phases.contains("snapshot"));
    for phase in phases {
        let sandbox = prepared();
        let content = sandbox.content();
        let (result, report, _) = job_with_time_up_in(&sandbox, phase);
        match result {
            Ok(()) => {
                assert!(matches!(phase, "check" | "archive" | "prune"), "{phase}");
                assert_eq!(sandbox.current(), head);
                let note = &report.warnings[0].message;
                assert!(note.contains("committed already"), "{note}");
                assert!(report.backup.is_some(), "{phase}");
            }
            Err(error) => {
                assert_eq!(error.code(), "out_of_time", "{phase}: {error}");
                assert!(sandbox.content() == content, "{phase}");
                // The next one finds nothing in its way.
                assert_eq!(run(&sandbox, &["run"])["to"], head);
            }
        }
    }
}

#[test]
fn time_that_is_up_in_any_phase_leaves_the_old_database_or_the_new_one() {
    assert_old_or_new_in_every_phase(|_| (), "008");
}

#[test]
fn so_it_does_in_wal_mode() {
    assert_old_or_new_in_every_phase(Sandbox::use_wal, "008");
}

#[test]
fn so_it_does_with_a_plan_outside_a_transaction() {
    let prepare = |sandbox: &Sandbox| {
        sandbox.add_migration(
            "009_compact",
            "-- no-transaction\nCREATE TABLE more (x);\nVACUUM;\n",
        );
    };
    assert_old_or_new_in_every_phase(prepare, "009");
}
