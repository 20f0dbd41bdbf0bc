//! The metrics file, the webhooks, and what is told when they fail.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use support::{Run, Sandbox, mode_of, send, text, tool, wait_until};

/// The value of a sample, by the beginning of its line.
fn sample(file: &Path, beginning: &str) -> Option<f64> {
    let text = fs::read_to_string(file).expect("metrics file");
    let line = text.lines().find(|line| line.starts_with(beginning))?;
    line.rsplit(' ').next().unwrap().parse().ok()
}

fn metric(sandbox: &Sandbox, name: &str, labels: &str) -> Option<f64> {
    let database = sandbox.database();
    let beginning = format!("{name}{{database=\"{}\"{labels}}}", text(&database));
    sample(&sandbox.path("safestep.prom"), &beginning)
}

/// Runs a command that keeps the metrics file up to date.
fn run(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut all = args.to_vec();
    all.extend(["--metrics-file", "safestep.prom"]);
    sandbox.run(&all)
}

#[test]
fn the_metrics_file_says_how_the_last_job_ended_and_how_the_database_stands() {
    let sandbox = Sandbox::at("003");
    run(&sandbox, &["run"]).expect_code(0);
    let file = sandbox.path("safestep.prom");
    assert_eq!(mode_of(&file), 0o644, "the collector is another user");
    for (name, value) in [
        ("safestep_last_run_exit_code", 0.0),
        ("safestep_revision", 8.0),
        ("safestep_pending_migrations", 0.0),
        ("safestep_operator_needed", 0.0),
        ("safestep_backups", 1.0),
    ] {
        assert_eq!(metric(&sandbox, name, ""), Some(value), "{name}");
    }
    let names =
        ",revision=\"008\",description=\"add google avatar\",alembic=\"008_add_google_avatar\"";
    assert_eq!(metric(&sandbox, "safestep_revision_info", names), Some(1.0));
    let outcome = ",outcome=\"migrated\",error=\"\"";
    assert_eq!(
        metric(&sandbox, "safestep_last_run_info", outcome),
        Some(1.0)
    );
    let archive = fs::metadata(&sandbox.archives()[0]).unwrap().len();
    #[allow(clippy::cast_precision_loss)]
    let archive = archive as f64;
    assert_eq!(
        metric(&sandbox, "safestep_backup_last_bytes", ""),
        Some(archive)
    );
    assert!(metric(&sandbox, "safestep_backups_bytes", "").unwrap() > archive);
    let blocked = metric(&sandbox, "safestep_last_run_blocked_seconds", "").unwrap();
    let took = metric(&sandbox, "safestep_last_run_duration_seconds", "").unwrap();
    assert!(blocked > 0.0 && blocked <= took, "{blocked} of {took}");
    let migrating = ",phase=\"migrate\",blocking=\"true\"";
    assert!(metric(&sandbox, "safestep_last_run_phase_seconds", migrating).unwrap() > 0.0);
    run(&sandbox, &["downgrade", "006"]).expect_code(0);
    assert_eq!(
        metric(&sandbox, "safestep_pending_migrations", ""),
        Some(2.0)
    );
}

#[test]
fn jobs_are_counted_over_runs_of_the_program_and_a_failure_leaves_what_it_did_not_see() {
    let sandbox = Sandbox::at("008");
    run(&sandbox, &["backup"]).expect_code(0);
    run(&sandbox, &["run"]).expect_code(0);
    let succeeded = metric(&sandbox, "safestep_last_success_timestamp_seconds", "");
    // Exit 2: a revision that is not there; exit 7: a backup that is not there.
    run(&sandbox, &["upgrade", "nowhere"]).expect_code(2);
    run(&sandbox, &["restore", "nowhere", "--yes"]).expect_code(7);
    sandbox.add_migration("009_bad", "SELECT nonsense;");
    for _ in 0..3 {
        run(&sandbox, &["run"]).expect_code(5);
    }
    for (code, count) in [("0", 2.0), ("2", 1.0), ("7", 1.0), ("5", 3.0)] {
        let labels = format!(",exit_code=\"{code}\"");
        assert_eq!(
            metric(&sandbox, "safestep_runs_total", &labels),
            Some(count),
            "{code}"
        );
    }
    assert_eq!(
        metric(&sandbox, "safestep_last_success_timestamp_seconds", ""),
        succeeded
    );
    assert_eq!(metric(&sandbox, "safestep_revision", ""), Some(8.0));
    assert_eq!(
        metric(&sandbox, "safestep_pending_migrations", ""),
        Some(1.0)
    );
    assert_eq!(
        metric(&sandbox, "safestep_last_run_exit_code", ""),
        Some(5.0)
    );
    run(&sandbox, &["restore", "latest", "--yes"]).expect_code(0);
    let by = ",by=\"command\"";
    assert_eq!(metric(&sandbox, "safestep_restores_total", by), Some(1.0));
}

#[test]
fn a_plan_outside_a_transaction_that_was_put_back_counts_as_a_restore_by_a_job() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration(
        "009_bad",
        "-- no-transaction\nCREATE TABLE t (a);\nSELECT nonsense;",
    );
    run(&sandbox, &["run"]).expect_code(5);
    let by = ",by=\"job\"";
    assert_eq!(metric(&sandbox, "safestep_restores_total", by), Some(1.0));
}

#[test]
fn a_job_that_could_not_get_the_lock_and_a_configuration_that_is_wrong_are_in_the_metrics_too() {
    let sandbox = Sandbox::at("003");
    support::block_on(async {
        let mut holder = support::connect(&sandbox.database()).await;
        support::query_on(&mut holder, "BEGIN IMMEDIATE").await;
        run(&sandbox, &["run", "--lock-timeout", "50ms"]).expect_code(75);
    });
    assert_eq!(
        metric(&sandbox, "safestep_last_run_exit_code", ""),
        Some(75.0)
    );
    run(&sandbox, &["run", "--keep-last", "0"]).expect_code(2);
    assert_eq!(
        metric(&sandbox, "safestep_last_run_exit_code", ""),
        Some(2.0)
    );
    let error = ",outcome=\"failed\",error=\"usage\"";
    assert_eq!(metric(&sandbox, "safestep_last_run_info", error), Some(1.0));
    // A command that only looks is no job.
    let before = fs::read(sandbox.path("safestep.prom")).unwrap();
    run(&sandbox, &["current"]).expect_code(0);
    run(&sandbox, &["current", "--keep-last", "0"]).expect_code(2);
    assert_eq!(fs::read(sandbox.path("safestep.prom")).unwrap(), before);
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_a_warning_and_one_that_is_none_is_left_alone() {
    let sandbox = Sandbox::at("008");
    let run = sandbox
        .run(&["run", "--metrics-file", "nowhere/safestep.prom"])
        .expect_code(0);
    assert!(
        run.stderr.contains("WARN the metrics file was not written"),
        "{}",
        run.stderr
    );
    assert!(!sandbox.path("nowhere").exists());
    fs::write(sandbox.path("notes.txt"), "remember the milk\n").unwrap();
    let run = sandbox
        .run(&["run", "--metrics-file", "notes.txt"])
        .expect_code(0);
    assert!(
        run.stderr.contains("no metrics file of safestep's"),
        "{}",
        run.stderr
    );
    assert_eq!(
        fs::read_to_string(sandbox.path("notes.txt")).unwrap(),
        "remember the milk\n"
    );
}

#[test]
fn one_metrics_file_holds_any_number_of_databases_and_each_configuration_can_name_it() {
    let sandbox = Sandbox::at("008");
    let file = sandbox.path("all.prom");
    fs::write(sandbox.path("safestep.toml"), "metrics_file = 'all.prom'\n").unwrap();
    sandbox.run(&["run"]).expect_code(0);
    let mut other = sandbox.command(&[
        "run",
        "--create-if-missing",
        "--database",
        "data/other \"1\".db",
    ]);
    other.env("SAFESTEP_METRICS_FILE", &file);
    Run::of(&other.output().unwrap()).expect_code(0);
    let other = sandbox.path("data/other \\\"1\\\".db");
    for database in [sandbox.database(), other] {
        let line = format!("safestep_revision{{database=\"{}\"}}", text(&database));
        assert_eq!(sample(&file, &line), Some(8.0), "{line}");
    }
}

#[test]
fn a_board_and_alerts_use_only_metrics_that_are_exported_and_labels_that_they_have() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md");
    let known: Vec<&str> = safestep::metrics::FAMILIES
        .iter()
        .map(|family| family.name)
        .collect();
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.starts_with("safestep_"))
            .map(str::to_owned)
            .collect()
    };
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let used = words(&text);
        assert!(!used.is_empty());
        for name in used {
            assert!(
                known.contains(&name.as_str()),
                "{file} uses {name}, which is not exported"
            );
        }
    }
    let board = fs::read_to_string(folder.join("dashboard.json")).unwrap();
    let board: Value = serde_json::from_str(&board).expect("JSON");
    assert!(board["panels"].as_array().unwrap().len() > 8);
    let documented = words(&fs::read_to_string(page).unwrap());
    for name in known {
        assert!(
            documented.iter().any(|word| word == name),
            "{name} is not on the page"
        );
    }
}

/// A request as a server saw it.
struct Request {
    head: String,
    body: Value,
}

/// A server that gives these answers, one a request, and hands over what it was sent. It closes after the last one.
fn server(answers: &'static [&'static str]) -> (u16, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let request = read(&stream);
            write!(
                &stream,
                "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            sender.send(request).unwrap();
        }
    });
    (port, receiver)
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Request { head, body }
}

/// Runs a job whose hooks are on this port, with tokens in every part of the URL.
fn with_hooks(sandbox: &Sandbox, port: u16, args: &[&str]) -> Run {
    let url = |path| format!("http://user:TOKEN@127.0.0.1:{port}/{path}/TOKEN?key=TOKEN");
    let output = sandbox
        .command(args)
        .env("SAFESTEP_ON_SUCCESS", url("good"))
        .env("SAFESTEP_ON_FAILURE", url("bad"))
        .env("NO_PROXY", "127.0.0.1")
        .output();
    let run = Run::of(&output.unwrap());
    let logs = support::files_ending(&sandbox.path("backups/logs"), ".jsonl");
    let logs: String = logs
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for text in [&run.stdout, &run.stderr, &logs] {
        assert!(!text.contains("TOKEN"), "{text}");
    }
    run
}

#[test]
fn a_webhook_is_told_of_success_and_another_of_failure_with_the_job_and_what_to_do_next() {
    let sandbox = Sandbox::at("003");
    let (port, requests) = server(&["200 OK", "204 No Content"]);
    let run = with_hooks(&sandbox, port, &["run", "--output", "json"]).expect_code(0);
    let told = requests.recv().unwrap();
    assert!(
        told.head.starts_with("POST /good/TOKEN?key=TOKEN "),
        "{}",
        told.head
    );
    let head = told.head.to_lowercase();
    assert!(
        head.contains("authorization: basic ") && head.contains("application/json"),
        "{head}"
    );
    let document = run.json();
    assert_eq!(told.body["job"], document["job"]);
    assert_eq!(told.body["command"], "run");
    assert_eq!(told.body["outcome"], "migrated");
    assert_eq!(
        (&told.body["from"], &told.body["to"]),
        (&Value::from("003"), &Value::from("008"))
    );
    assert_eq!(told.body["error"], Value::Null);
    assert_eq!(told.body["database"], text(&sandbox.database()));
    sandbox.add_migration("009_bad", "SELECT nonsense;");
    with_hooks(&sandbox, port, &["run"]).expect_code(5);
    let told = requests.recv().unwrap();
    assert!(told.head.starts_with("POST /bad/"), "{}", told.head);
    assert_eq!(told.body["exit_code"], 5);
    assert_eq!(told.body["error"]["code"], "migration_failed");
    assert!(
        told.body["error"]["hint"]
            .as_str()
            .unwrap()
            .starts_with("Correct ")
    );
    assert!(told.body["text"].as_str().unwrap().contains("exit code 5"));
}

#[test]
fn a_verification_of_all_backups_is_in_the_metrics_file_and_one_that_finds_a_bad_one_is_told() {
    let sandbox = Sandbox::at("008");
    let archive = sandbox.backup();
    run(&sandbox, &["backups", "verify"]).expect_code(0);
    let name = "safestep_last_verification_timestamp_seconds";
    assert!(!sandbox.path("safestep.prom").exists(), "it was one backup");
    run(&sandbox, &["backups", "verify", "--all"]).expect_code(0);
    let verified = metric(&sandbox, name, "");
    assert!(verified.is_some());
    fs::write(&archive, "no archive").unwrap();
    let (port, requests) = server(&["200 OK"]);
    with_hooks(&sandbox, port, &["backups", "verify", "--all"]).expect_code(7);
    let told = requests.recv().unwrap().body;
    assert_eq!(told["exit_code"], 7, "{told:#}");
    assert_eq!(metric(&sandbox, name, ""), verified, "{told:#}");
}

#[test]
fn a_job_outside_its_window_tells_nobody() {
    let sandbox = Sandbox::at("003");
    let now = chrono::Utc::now();
    let day = |days| (now + chrono::TimeDelta::days(days)).format("%a");
    let window = format!("{} 00:00-24:00", day(3));
    let (port, requests) = server(&["200 OK"]);
    with_hooks(&sandbox, port, &["run", "--window", &window]).expect_code(75);
    assert!(requests.try_recv().is_err());
    with_hooks(&sandbox, port, &["run"]).expect_code(0);
    assert_eq!(requests.recv().unwrap().body["exit_code"], 0);
}

#[test]
fn a_webhook_is_told_of_a_configuration_that_is_wrong() {
    let sandbox = Sandbox::at("008");
    let (port, requests) = server(&["200 OK"]);
    with_hooks(&sandbox, port, &["run", "--verify", "much"]).expect_code(2);
    let told = requests.recv().unwrap();
    assert_eq!(told.body["error"]["code"], "usage");
    assert_eq!(told.body["job"], Value::Null);
}

#[test]
fn a_webhook_that_fails_is_tried_again_and_then_is_a_warning_and_nothing_more() {
    let sandbox = Sandbox::at("008");
    // Twice its own fault, then good.
    let (port, requests) = server(&[
        "500 Internal Server Error",
        "503 Service Unavailable",
        "200 OK",
    ]);
    let run = with_hooks(&sandbox, port, &["run"]).expect_code(0);
    assert!(!run.stderr.contains("WARN"), "{}", run.stderr);
    assert_eq!(requests.iter().count(), 3);
    // Its own fault for good.
    let (port, requests) = server(&["500 No", "500 No", "500 No"]);
    let run = with_hooks(&sandbox, port, &["run"]).expect_code(0);
    let words =
        format!("WARN the webhook at http://127.0.0.1:{port} was not told: it answered 500");
    assert!(run.stderr.contains(&words), "{}", run.stderr);
    assert_eq!(requests.iter().count(), 3);
    // Ours: once is enough. A redirection is not followed.
    for answer in [
        &["404 Not Found"][..],
        &["302 Found\r\nLocation: /elsewhere"],
    ] {
        let (port, requests) = server(answer);
        let run = with_hooks(&sandbox, port, &["run"]).expect_code(0);
        assert!(
            run.stderr
                .contains(&format!("it answered {}", &answer[0][..3])),
            "{}",
            run.stderr
        );
        assert_eq!(requests.iter().count(), 1);
    }
    // Nobody listens: the server above is gone.
    let run = with_hooks(&sandbox, port, &["run"]).expect_code(0);
    assert!(run.stderr.contains("Connection refused"), "{}", run.stderr);
}

#[test]
fn a_webhook_that_hangs_is_given_up_and_sooner_after_a_signal() {
    let sandbox = Sandbox::at("008");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let run = with_hooks(&sandbox, port, &["run"]).expect_code(0);
    assert!(
        run.stderr.contains("was not told: no answer within 10 s"),
        "{}",
        run.stderr
    );
    // A job that a signal ends.
    sandbox.add_migration(
        "009_slow",
        "CREATE TABLE t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;",
    );
    let url = format!("http://127.0.0.1:{port}/");
    let child = sandbox
        .command(&["run"])
        .env("SAFESTEP_ON_FAILURE", url)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the snapshot is there", || {
        !support::files_ending(&sandbox.backups(), ".job.json").is_empty()
    });
    send(&child, rustix::process::Signal::TERM);
    let run = Run::of(&child.wait_with_output().unwrap()).expect_code(143);
    assert!(
        run.stderr.contains("was not told: no answer within 3 s"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_address_that_makes_no_sense_is_refused_without_repeating_it() {
    let sandbox = Sandbox::at("008");
    for (name, value) in [
        ("SAFESTEP_ON_FAILURE", "hooks.example.com/TOKEN"),
        ("SAFESTEP_PUSHGATEWAY", "ftp://TOKEN"),
    ] {
        let output = sandbox.command(&["run"]).env(name, value).output().unwrap();
        let run = Run::of(&output).expect_code(2);
        assert!(
            run.stderr.contains(name) && !run.stderr.contains("TOKEN"),
            "{}",
            run.stderr
        );
    }
    fs::write(
        sandbox.path("safestep.toml"),
        "on_success = [\"https://TOKEN\"]\n",
    )
    .unwrap();
    let run = sandbox.run(&["run"]).expect_code(2);
    assert!(!run.stderr.contains("TOKEN"), "{}", run.stderr);
}

/// The record, the backup, the report and each log line of a job carry the same id.
#[test]
fn one_id_leads_from_a_log_line_to_the_record_the_backup_and_the_report() {
    let sandbox = Sandbox::at("003");
    let (_, document) = sandbox.run_json(&["run"]);
    let job = document["job"].as_str().unwrap();
    assert_eq!(document["backup"]["id"], job);
    let record = support::files_ending(&sandbox.backups(), &format!("_{job}.job.json"));
    let record: Value = serde_json::from_slice(&fs::read(&record[0]).unwrap()).unwrap();
    assert_eq!(record["id"], job);
    let log = support::files_ending(&sandbox.path("backups/logs"), ".jsonl").remove(0);
    let lines = fs::read_to_string(log).unwrap();
    let spans: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["span"].clone())
        .collect();
    assert!(spans.iter().all(|span| span["job"].is_string()), "{lines}");
    let own = spans.iter().filter(|span| span["job"] == job).count();
    assert!(own > 4, "{lines}");
    let database = text(&sandbox.database()).to_owned();
    assert!(
        spans.iter().all(|span| span["database"] == database),
        "{lines}"
    );
}

/// Fills every text column of the users with words that must not turn up anywhere.
fn with_secrets(sandbox: &Sandbox) {
    sandbox.add_users(&[("MARKER-1", "ADMIN"), ("MARKER-2", "READONLY")]);
    sandbox.sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, owner REFERENCES users (id), text TEXT UNIQUE)");
    sandbox
        .sql("INSERT INTO notes VALUES (1, 'MARKER-1', 'MARKER-3'), (2, 'MARKER-2', 'MARKER-4')");
}

#[test]
fn nothing_that_a_database_holds_is_in_a_log_or_a_metric_or_a_message() {
    let failing = [
        "UPDATE notes SET text = 'MARKER-9';",
        "INSERT INTO notes VALUES (9, 'MARKER-8', 'x');",
        "UPDATE notes SET text = json_extract('{}', text);",
        "UPDATE users SET role = 'MARKER-7' WHERE id = 'MARKER-1';",
        "-- no-transaction\nVACUUM;\nUPDATE notes SET text = 'MARKER-9';",
        "CREATE TEMP TRIGGER no BEFORE UPDATE ON notes BEGIN SELECT RAISE(ABORT, 'not with ' || OLD.text); END;\nUPDATE notes SET id = id + 10;",
    ];
    let (port, requests) = server(&["200 OK"; 9]);
    let sandbox = Sandbox::at("008");
    with_secrets(&sandbox);
    let args = ["--metrics-file", "m.prom", "--verbose"];
    let job = |command: &[&str], code| {
        let run = with_hooks(&sandbox, port, &[command, &args].concat()).expect_code(code);
        let told = requests.recv().unwrap().body.to_string();
        let metrics = fs::read_to_string(sandbox.path("m.prom")).unwrap();
        (run.stderr, told + &metrics)
    };
    let mut seen = Vec::new();
    for sql in failing {
        sandbox.add_migration("009_fails", sql);
        let (stderr, told) = job(&["run"], 5);
        assert!(!told.contains("MARKER"), "{sql}: {told}");
        // What standard error has of the log; the answer comes after it, and may quote the one value that is wrong.
        let log = stderr.split("error: ").next().unwrap().to_owned();
        seen.push(log);
    }
    sandbox.add_migration("009_fails", "UPDATE notes SET text = text || '-';");
    let mut rest = vec![job(&["run"], 0), job(&["backup"], 0)];
    rest.push(job(&["restore", "latest", "--yes"], 0));
    seen.extend(rest.into_iter().map(|(stderr, told)| stderr + &told));
    let log = support::files_ending(&sandbox.path("backups/logs"), ".jsonl").remove(0);
    seen.push(fs::read_to_string(log).unwrap());
    for text in seen {
        assert!(!text.contains("MARKER"), "{text}");
    }
    let holding = tool("grep", &["-c", "MARKER", text(&sandbox.database())]);
    assert_ne!(holding.trim(), "0", "the words are in the database");
}
