//! `safestep daemon`: a year under a clock that is wound by hand, and real jobs under the real one.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

#[path = "daemon/fake.rs"]
mod fake;
#[path = "daemon/process.rs"]
mod process;
#[path = "daemon/year.rs"]
mod year;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use process::{Process, poll};
use rustix::process::Signal;
use sqlx::Connection;
use support::{Sandbox, block_on, connect, files_ending, query, run, send};

const ENDLESS: &str = "CREATE TABLE counted AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n";
/// Next New Year's Eve.
const RARELY: &str = "0 0 31 12 *";

/// Writes down that the daemon has last done this a year ago.
fn settled_long_ago(sandbox: &Sandbox, task: &str) {
    let state = files_ending(&sandbox.backups(), ".json");
    let state = state
        .iter()
        .find(|path| path.to_string_lossy().contains(".safestep-daemon-"));
    let state = state.expect("a state");
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    text["tasks"][task]["settled_to"] = "2025-06-01T00:00:00Z".into();
    fs::write(state, text.to_string()).unwrap();
}

#[test]
fn jobs_run_at_their_times_and_the_endpoints_tell_of_them() {
    let sandbox = Sandbox::at("003");
    let daemon = Process::start(
        &sandbox,
        &[
            "--run-at",
            "* * * * * *",
            "--backup-at",
            "* * * * * *",
            "--verify-at",
            "* * * * * *",
        ],
    );
    poll("head", || sandbox.current() == "008");
    poll("readiness", || daemon.get("/readyz").0 == 200);
    let lines = |text: &str| {
        let (_, body) = daemon.get("/readyz");
        body.lines().filter(|line| line.contains(text)).count()
    };
    poll("each task", || lines("last success 2") == 3);
    let (code, body) = daemon.get("/healthz");
    assert_eq!((code, body.as_str()), (200, "alive\n"));
    let (code, body) = daemon.get("/metrics");
    assert_eq!(code, 200);
    for name in [
        "safestep_revision{",
        "safestep_last_success_timestamp_seconds{",
        "safestep_last_verification_timestamp_seconds{",
        "safestep_daemon_ready{",
        "safestep_daemon_task_runs_total{",
    ] {
        assert!(body.contains(name), "{name}:\n{body}");
    }
    let end = daemon.stop(Signal::TERM);
    assert!(matches!(end.code, 0 | 143), "{}", end.stderr);
    assert!(
        end.stderr.contains("backup ended: backed_up"),
        "{}",
        end.stderr
    );
}

#[test]
fn a_daemon_that_was_killed_catches_up_once() {
    let sandbox = Sandbox::at("008");
    let args = ["--backup-at", RARELY];
    let daemon = Process::start(&sandbox, &args);
    poll("the first backup", || {
        daemon.stderr().contains("backup ended")
    });
    daemon.kill();
    settled_long_ago(&sandbox, "backup");
    for count in [1, 0] {
        let daemon = Process::start(&sandbox, &args);
        poll("the schedule", || daemon.get("/readyz").0 == 200);
        let end = daemon.stop(Signal::TERM);
        assert_eq!(end.code, 0, "{}", end.stderr);
        assert_eq!(
            end.stderr.matches("backup ended").count(),
            count,
            "{}",
            end.stderr
        );
    }
}

#[test]
fn a_job_that_was_killed_with_its_daemon_is_recovered_and_done_at_the_next_start() {
    let sandbox = Sandbox::at("008");
    let args = ["--run-at", RARELY];
    Process::start(&sandbox, &args).stop(Signal::TERM);
    settled_long_ago(&sandbox, "run");
    sandbox.add_migration("009_endless", ENDLESS);
    let daemon = Process::start(&sandbox, &args);
    poll("the migration", || daemon.stderr().contains("run starts"));
    poll("the record", || {
        !files_ending(&sandbox.backups(), ".job.json").is_empty()
    });
    daemon.kill();
    sandbox.add_migration("009_endless", "CREATE TABLE short (n INTEGER);\n");
    let daemon = Process::start(&sandbox, &args);
    poll("readiness", || daemon.get("/readyz").0 == 200);
    assert_eq!(sandbox.current(), "009");
    let end = daemon.stop(Signal::INT);
    assert_eq!(end.code, 0);
    assert_eq!(end.stderr.matches("run ended").count(), 1, "{}", end.stderr);
}

#[test]
fn a_long_migration_is_rolled_back_when_the_daemon_is_told_to_stop() {
    let sandbox = Sandbox::at("008");
    let before = sandbox.content();
    sandbox.add_migration("009_endless", ENDLESS);
    let daemon = Process::start(&sandbox, &["--run-at", "* * * * * *"]);
    poll("the record", || {
        !files_ending(&sandbox.backups(), ".job.json").is_empty()
    });
    let (code, body) = daemon.get("/readyz");
    assert_eq!(code, 503);
    assert!(body.contains("runs now"), "{body}");
    assert_eq!(daemon.get("/healthz").0, 200, "the loop stirs beside a job");
    let end = daemon.stop(Signal::TERM);
    assert_eq!(end.code, 143, "{}", end.stderr);
    assert!(
        end.stderr.contains("due again at the next start"),
        "{}",
        end.stderr
    );
    assert_eq!(sandbox.content(), before);
}

#[test]
fn a_locked_database_is_tried_again_until_it_is_free() {
    let sandbox = Sandbox::at("003");
    block_on(async {
        let mut writer = connect(&sandbox.database()).await;
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut writer)
            .await
            .unwrap();
        let daemon = Process::start(
            &sandbox,
            &["--run-at", "* * * * * *", "--lock-timeout", "100ms"],
        );
        poll("two attempts", || {
            daemon.stderr().matches("is tried again from").count() >= 2
        });
        let (code, body) = daemon.get("/readyz");
        assert_eq!(code, 503);
        assert!(
            body.starts_with("not ready: the last run failed with exit code 75"),
            "{body}"
        );
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut writer)
            .await
            .unwrap();
        writer.close().await.unwrap();
        poll("readiness", || daemon.get("/readyz").0 == 200);
        daemon.stop(Signal::TERM);
    });
    assert_eq!(sandbox.current(), "008");
}

#[test]
fn a_migration_that_fails_waits_for_a_person_and_does_not_stop_the_daemon() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration("009_broken", "UPDATE users SET nowhere = 1;\n");
    let args = ["--run-at", RARELY, "--backup-at", "* * * * * *"];
    Process::start(&sandbox, &args).stop(Signal::TERM);
    settled_long_ago(&sandbox, "run");
    let daemon = Process::start(&sandbox, &args);
    poll("the failure", || {
        daemon.stderr().contains("run failed with exit code 5")
    });
    let ended = || daemon.stderr().matches("backup ended").count();
    let before = ended();
    poll("two more backups", || ended() >= before + 2);
    let (code, body) = daemon.get("/readyz");
    assert_eq!(code, 503);
    assert!(
        body.contains("the last run failed with exit code 5"),
        "{body}"
    );
    assert!(
        daemon
            .get("/metrics")
            .1
            .contains("task=\"run\",exit_code=\"5\"} 1")
    );
    let end = daemon.stop(Signal::TERM);
    assert_eq!(
        end.stderr.matches("run starts").count(),
        1,
        "{}",
        end.stderr
    );
}

#[test]
fn sighup_takes_a_good_configuration_over_and_refuses_a_bad_one() {
    let sandbox = Sandbox::at("008");
    let file = sandbox.path("safestep.toml");
    let write = |backup: &str, verify: &str| {
        let text = format!(
            "[daemon]\nlisten = \"127.0.0.1:0\"\nbackup = \"{backup}\"\nverify = \"{verify}\"\n"
        );
        fs::write(&file, text).unwrap();
    };
    write(RARELY, RARELY);
    let daemon = Process::start_with(&sandbox, &[]);
    poll("the first backup", || {
        daemon.stderr().contains("backup ended")
    });
    write("now and then", RARELY);
    daemon.signal(Signal::HUP);
    poll("the refusal", || daemon.stderr().contains("NOT taken over"));
    assert!(
        daemon
            .stderr()
            .contains("backup of [daemon] in safestep.toml: 'now and then' is no cron expression")
    );
    assert_eq!(daemon.get("/healthz").0, 200);
    write("* * * * * *", RARELY);
    daemon.signal(Signal::HUP);
    poll("more backups", || {
        daemon.stderr().matches("backup ended").count() >= 3
    });
    daemon.stop(Signal::TERM);
}

#[test]
fn a_bad_backup_is_told_and_the_rest_goes_on() {
    let sandbox = Sandbox::at("008");
    let archive = sandbox.backup();
    fs::write(&archive, "no archive").unwrap();
    let daemon = Process::start(&sandbox, &["--verify-at", RARELY]);
    poll("the verification", || {
        daemon.stderr().contains("verify failed with exit code 7")
    });
    poll("readiness", || daemon.get("/readyz").0 == 200);
    let (_, body) = daemon.get("/readyz");
    assert!(body.contains("verify: failed at"), "{body}");
    assert!(body.contains("1 of 1 backups cannot be used"), "{body}");
    daemon.stop(Signal::TERM);
}

#[test]
fn readiness_waits_for_head() {
    let sandbox = Sandbox::at("003");
    let daemon = Process::start(&sandbox, &["--run-at", RARELY]);
    poll("a look", || {
        daemon
            .get("/readyz")
            .1
            .contains("the database is at 003, the head is 008")
    });
    assert_eq!(daemon.get("/readyz").0, 503);
    daemon.stop(Signal::TERM);
}

#[test]
fn a_second_daemon_and_a_port_in_use_are_refused_with_who_to_ask() {
    let sandbox = Sandbox::at("008");
    let daemon = Process::start(&sandbox, &["--prune-at", RARELY]);
    let args = [
        "daemon",
        "--prune-at",
        RARELY,
        "--listen",
        "",
        "--lock-timeout",
        "100ms",
    ];
    let second = sandbox.run(&args).expect_code(75);
    assert!(
        second.stderr.contains(&format!("pid {}", daemon.pid())),
        "{}",
        second.stderr
    );
    let port = daemon.address();
    let args = [
        "daemon",
        "--prune-at",
        RARELY,
        "--listen",
        &port,
        "--backups",
        "others",
    ];
    let taken = sandbox.run(&args).expect_code(2);
    assert!(taken.stderr.contains("ss -ltnp"), "{}", taken.stderr);
    daemon.stop(Signal::TERM);
}

#[test]
fn what_is_asked_over_http_is_bounded() {
    let sandbox = Sandbox::at("008");
    let daemon = Process::start(&sandbox, &["--prune-at", RARELY]);
    assert_eq!(daemon.get("/").0, 404);
    assert_eq!(daemon.ask("POST", "/metrics", "").0, 405);
    assert_eq!(daemon.ask("HEAD", "/healthz", "").0, 200);
    assert_eq!(
        daemon
            .ask("GET", "/healthz", &format!("x: {}\r\n", "y".repeat(20_000)))
            .0,
        431
    );
    assert_eq!(
        daemon.ask("GET", "/healthz", &"x: y\r\n".repeat(100)).0,
        431
    );
    // Twice as many as are served at once, and none of them says anything: each is closed, and the next one is served.
    let silent: Vec<TcpStream> = (0..32)
        .map(|_| TcpStream::connect(daemon.address()).unwrap())
        .collect();
    assert_eq!(daemon.get("/healthz").0, 200);
    for mut stream in silent {
        let _ = stream.write_all(b"GET");
        // An answer that it took too long, or nothing.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    daemon.stop(Signal::TERM);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    let sandbox = Sandbox::at("008");
    for (args, words) in [
        (&["daemon"][..], "no task has a time"),
        (
            &["daemon", "--backup-at", "hourly"],
            "--backup-at: 'hourly' is no cron expression",
        ),
        (
            &["daemon", "--run-at", "window"],
            "there is no window at whose opening it could run",
        ),
        (
            &["daemon", "--backup-at", RARELY, "--missed", "later"],
            "'later' is no way",
        ),
        (
            &["daemon", "--backup-at", RARELY, "--listen", "9187"],
            "'9187' is no address",
        ),
    ] {
        let refused = sandbox.run(args).expect_code(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    fs::write(
        sandbox.path("safestep.toml"),
        "[daemon]\nbackups = \"0 * * * *\"\n",
    )
    .unwrap();
    let refused = sandbox.run(&["current"]).expect_code(2);
    assert!(
        refused.stderr.contains("unknown field `backups`"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("those of [daemon] are"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_application_may_write_while_the_daemon_does_its_jobs() {
    let sandbox = Sandbox::at("008");
    sandbox.use_wal();
    sandbox.sql("CREATE TABLE written (n)");
    let daemon = Process::start(
        &sandbox,
        &["--backup-at", "* * * * * *", "--verify-at", "* * * * * *"],
    );
    let mut rows = 0;
    poll("three backups", || {
        sandbox.sql(&format!("INSERT INTO written VALUES ({rows})"));
        rows += 1;
        daemon.stderr().matches("backup ended").count() >= 3
    });
    daemon.stop(Signal::TERM);
    assert_eq!(
        query(&sandbox.database(), "SELECT count(*) FROM written"),
        [rows.to_string()]
    );
    run(&sandbox, &["backups", "verify", "--all"]);
}

#[test]
fn a_signal_while_it_waits_for_another_daemon_ends_it() {
    let sandbox = Sandbox::at("008");
    let first = Process::start(&sandbox, &["--prune-at", RARELY]);
    let mut second = sandbox
        .command(&[
            "daemon",
            "--prune-at",
            RARELY,
            "--listen",
            "",
            "--lock-timeout",
            "1h",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = second.stderr.take().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains("waiting for another daemon") {
        assert_eq!(
            stderr.read(&mut byte).unwrap(),
            1,
            "{}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    send(&second, Signal::TERM);
    assert_eq!(second.wait().unwrap().code(), Some(143));
    first.stop(Signal::TERM);
}
