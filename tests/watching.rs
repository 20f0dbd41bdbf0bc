//! What a person or a log sees of a job while it runs, and what its report says of the time.
#![allow(
    clippy::expect_used,
    clippy::redundant_closure_for_method_calls,
    clippy::unwrap_used
)]

#[path = "crowd/members.rs"]
#[allow(dead_code, unreachable_pub)]
mod members;
mod support;

use std::io::{BufRead, BufReader, Read};
use std::num::NonZeroU16;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use members::Member;
use safestep::monitor::{Gauge, Monitor};
use safestep::progress::Progress;
use serde_json::Value;
use support::{Run, Sandbox, wait_until};

const HOLDS: &str = "BEGIN IMMEDIATE; INSERT INTO pipelines VALUES ('held', 0, NULL, 0, 0, 0, 0)";
/// Of a database that is copied for longer than a frame: rows of 16 KiB.
const MANY_ROWS: u32 = 12 * 1024;

/// Does nothing, unless this binary was started again as the process that is in the way.
#[test]
fn another_process_of_the_crowd() {
    members::play();
}

/// The program on a terminal of util-linux' `script`, and what that shows.
struct Terminal {
    child: Child,
    screen: vt100::Parser,
    output: std::process::ChildStdout,
    /// Each screen that came after something was written.
    seen: Vec<String>,
}

impl Terminal {
    /// `None` where `script` is missing.
    fn start(sandbox: &Sandbox, columns: u16, args: &str) -> Option<Self> {
        Command::new("script").arg("--version").output().ok()?;
        let program = env!("CARGO_BIN_EXE_safestep");
        let command = format!("stty cols {columns} rows 24; exec {program} {args}");
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .current_dir(sandbox.path(""))
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self {
            output: child.stdout.take().unwrap(),
            child,
            screen: vt100::Parser::new(
                NonZeroU16::new(24).unwrap(),
                NonZeroU16::new(columns).unwrap(),
                0,
            ),
            seen: Vec::new(),
        })
    }

    /// Reads on until the screen shows this. The screen then.
    fn until(&mut self, what: &str) -> String {
        self.until_screen(what, |now| now.contains(what))
    }

    fn until_screen(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        while self.read() {
            let now = self.seen.last().unwrap();
            if is_it(now) {
                return now.clone();
            }
        }
        panic!("'{what}' never came:\n{}", self.seen.join("\n---\n"));
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.output.read(&mut bytes).unwrap();
        self.screen.process(&bytes[..count]);
        self.seen.push(self.screen.screen().contents());
        count > 0
    }

    /// The exit code, and what stays on the screen.
    fn end(mut self) -> (i32, String) {
        while self.read() {}
        let code = self.child.wait().unwrap().code().unwrap();
        (code, self.screen.screen().contents())
    }
}

#[test]
fn a_terminal_sees_whom_a_job_waits_for_and_how_long_yet_and_nothing_of_it_stays() {
    for columns in [40, 80, 200] {
        let sandbox = Sandbox::at("003");
        let holder = Member::holding(&sandbox, HOLDS);
        let Some(mut terminal) = Terminal::start(&sandbox, columns, "run") else {
            return;
        };
        let shown = terminal.until(" s left, held by");
        let name = format!("pid {}", holder.id());
        let line = shown.lines().last().unwrap();
        assert!(line.contains("lock: 2"), "{shown}");
        assert!(columns < 80 || line.contains(&name), "{shown}");
        assert!(line.chars().count() <= usize::from(columns), "{shown}");
        // The wait goes on, on the same line.
        let left = seconds_left(&shown);
        let later = terminal.until_screen("less time left", |now| {
            now.contains("s left") && seconds_left(now) < left
        });
        assert_eq!(later.matches("s left").count(), 1, "{later}");
        holder.end();
        let (code, screen) = terminal.end();
        assert_eq!(code, 0, "{screen}");
        assert!(!screen.contains("s left"), "{screen}");
        assert!(screen.contains("WARN waiting for the database"), "{screen}");
        assert!(screen.contains("Done: "), "{screen}");
    }
}

/// Of a wait that a screen shows.
fn seconds_left(screen: &str) -> u32 {
    let (before, _) = screen.split_once(" s left").unwrap();
    let (_, number) = before.rsplit_once(' ').unwrap();
    number.parse().unwrap()
}

#[test]
fn a_terminal_sees_a_copy_in_bytes_and_afterwards_only_the_report() {
    let sandbox = Sandbox::at("003");
    sandbox.sql(&format!(
        "CREATE TABLE bulk (id INTEGER PRIMARY KEY, content BLOB); \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY_ROWS}) \
         INSERT INTO bulk SELECT i, zeroblob(16000) FROM n;"
    ));
    let Some(mut terminal) = Terminal::start(&sandbox, 100, "run") else {
        return;
    };
    let shown = terminal.until(" % ");
    assert!(shown.contains("snapshot"), "{shown}");
    assert!(shown.contains(" MiB of "), "{shown}");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    let first = screen.lines().next().unwrap();
    assert!(first.starts_with("applied    004"), "{screen}");
    assert!(
        !screen.contains('█') && !screen.contains(" MiB of "),
        "{screen}"
    );
}

#[test]
fn a_failed_job_leaves_its_error_on_the_terminal_and_no_bar() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration(
        "009_slow",
        "CREATE TABLE big AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
         SELECT i FROM n;\nSELECT nonsense;\n",
    );
    let Some(mut terminal) = Terminal::start(&sandbox, 80, "run") else {
        return;
    };
    terminal.until("migrate: file 1 of 1, statement 1 of 2, 009 slow");
    let (code, screen) = terminal.end();
    assert_eq!(code, 5, "{screen}");
    let lines: Vec<&str> = screen.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("error: "));
    assert!(first.is_some_and(|first| first <= 1), "{screen}");
    assert!(!screen.contains("file 1 of 1"), "{screen}");
}

#[test]
fn a_dumb_terminal_and_a_verbose_job_get_lines_and_no_bar() {
    for (term, args) in [("dumb", "run"), ("xterm", "run --verbose")] {
        let sandbox = Sandbox::at("003");
        if Command::new("script").arg("--version").output().is_err() {
            return;
        }
        let program = env!("CARGO_BIN_EXE_safestep");
        let output = Command::new("script")
            .args(["-qec", &format!("{program} {args}"), "/dev/null"])
            .current_dir(sandbox.path(""))
            .env("TERM", term)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let run = Run::of(&output).expect_code(0);
        assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
        assert!(run.stdout.contains("Done: "), "{}", run.stdout);
    }
}

#[test]
fn without_a_terminal_nothing_is_drawn_and_a_wait_names_the_other_job() {
    let sandbox = Sandbox::at("003");
    let holder = Member::holding(&sandbox, HOLDS);
    let mut first = sandbox.spawn(&["run"]);
    let waits = |child: &Child| {
        let lock = sandbox.path("data/.fastflow.db.safestep-lock");
        std::fs::read_to_string(lock).is_ok_and(|text| text == format!("pid {}", child.id()))
    };
    wait_until("the first job to have the job lock", || waits(&first));
    let second = sandbox
        .run(&["run", "--lock-timeout", "300ms"])
        .expect_code(75);
    let name = format!("pid {} (", first.id());
    for text in [
        "WARN waiting for another safestep job to finish: ",
        "error: another",
    ] {
        let line = second.stderr.lines().find(|line| line.contains(text));
        assert!(
            line.is_some_and(|line| line.contains(&name) && line.contains("safestep run)")),
            "{}",
            second.stderr
        );
    }
    holder.end();
    let output = first
        .wait()
        .map(|_| first)
        .unwrap()
        .wait_with_output()
        .unwrap();
    for run in [Run::of(&output).expect_code(0), second] {
        assert!(!run.stderr.contains(['\u{1b}', '\r']), "{:?}", run.stderr);
    }
}

#[test]
fn a_log_that_asks_for_no_more_than_warnings_is_told_of_a_wait_that_goes_on() {
    let sandbox = Sandbox::at("003");
    let holder = Member::holding(&sandbox, HOLDS);
    let mut child = sandbox.spawn(&["run"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("INFO")));
    let line = line.unwrap().unwrap();
    let name = format!(" s left, held by pid {}", holder.id());
    assert!(line.contains("lock: ") && line.contains(&name), "{line}");
    holder.end();
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
}

/// A monitor that says a line each millisecond, and what it says.
fn lines() -> (Progress, Receiver<String>) {
    let (sender, receiver) = channel();
    let sender = std::sync::Mutex::new(sender);
    let say = move |line: &str| {
        let _ = sender.lock().unwrap().send(line.to_owned());
    };
    (Progress::in_lines(Duration::from_millis(1), say), receiver)
}

#[track_caller]
fn next_with(receiver: &Receiver<String>, what: &str) -> String {
    loop {
        let line = receiver
            .recv_timeout(Duration::from_mins(1))
            .unwrap_or_else(|_| panic!("no line with '{what}' came"));
        if line.contains(what) {
            return line;
        }
    }
}

#[test]
fn a_log_gets_a_line_again_and_again_for_as_long_as_a_step_goes_on() {
    let (progress, said) = lines();
    progress.phase("migrate");
    progress.step("file 2 of 5, statement 3 of 14, 005 make \u{1b}[31mred");
    for _ in 0..3 {
        next_with(
            &said,
            "migrate: file 2 of 5, statement 3 of 14, 005 make \\u{1b}[31mred (for 0 s)",
        );
    }
    progress.phase("snapshot");
    progress.progress(1 << 20, 4 << 20);
    next_with(&said, "snapshot, 25 %, 1.0 MiB of 4.0 MiB (for ");
    // What is measured goes on saying how fast it is, and how long it will take.
    progress.progress(2 << 20, 4 << 20);
    let line = next_with(&said, "MiB/s");
    assert!(line.contains(" s left, "), "{line}");
    drop(progress);
    assert!(
        said.try_iter()
            .last()
            .is_none_or(|line| line.contains("snapshot"))
    );
}

#[test]
fn a_job_that_is_done_before_the_first_line_is_due_says_nothing() {
    let (sender, said) = channel();
    let sender = std::sync::Mutex::new(sender);
    let progress = Progress::in_lines(Duration::from_hours(1), move |line: &str| {
        let _ = sender.lock().unwrap().send(line.to_owned());
    });
    for phase in ["files", "look", "lock", "snapshot"] {
        progress.phase(phase);
    }
    drop(progress);
    assert_eq!(said.iter().count(), 0);
}

#[test]
fn work_beside_a_phase_is_seen_from_where_it_has_come_to_when_it_is_waited_for() {
    let (progress, said) = lines();
    let gauge = Gauge::default();
    progress.phase("archive");
    gauge.tell(&progress);
    next_with(&said, "archive (for ");
    std::thread::scope(|scope| {
        scope.spawn(|| gauge.progress(3 << 20, 4 << 20));
    });
    gauge.tell(&progress);
    next_with(&said, "archive, 75 %, 3.0 MiB of 4.0 MiB");
}

fn whole(document: &Value, member: &str) -> u64 {
    document[member]
        .as_u64()
        .unwrap_or_else(|| panic!("{member} in {document:#}"))
}

/// The parts are no more than the whole, and writers were locked out for no less than what went on meanwhile.
#[track_caller]
fn require_times(document: &Value, blocks: bool) -> Vec<String> {
    let phases = document["phases"].as_array().unwrap();
    let sum = |wanted: &dyn Fn(&Value) -> bool| -> u64 {
        phases
            .iter()
            .filter(|phase| wanted(phase))
            .map(|phase| whole(phase, "us"))
            .sum()
    };
    let is_blocking = |phase: &Value| phase["blocking"].as_bool().unwrap();
    let (elapsed, blocked) = (whole(document, "elapsed_ms"), whole(document, "blocked_ms"));
    assert!(sum(&|_| true) / 1000 <= elapsed, "{document:#}");
    assert!(sum(&is_blocking) / 1000 <= blocked, "{document:#}");
    assert!(blocked <= elapsed, "{document:#}");
    assert_eq!(phases.iter().any(is_blocking), blocks, "{document:#}");
    for phase in phases {
        assert_eq!(
            whole(phase, "us") / 1000,
            whole(phase, "ms"),
            "{document:#}"
        );
    }
    let blocking = phases.iter().filter(|phase| is_blocking(phase));
    blocking
        .map(|phase| phase["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_times_of_every_kind_of_job_add_up_and_name_what_went_on_while_writers_were_locked_out() {
    const CHANGE: [&str; 3] = ["inventory", "snapshot", "migrate"];
    let sandbox = Sandbox::at("003");
    let times = |args: &[&str], code: i32, blocks: bool| {
        let (found, document) = sandbox.run_json(args);
        assert_eq!(found, code, "{document:#}");
        (require_times(&document, blocks), document)
    };
    let with = |rest: &[&'static str]| [&CHANGE[..], rest].concat();

    let (names, document) = times(&["run"], 0, true);
    assert_eq!(names, with(&["normalise", "verify", "commit"]));
    let size = document["backup"]["database_bytes"].as_u64();
    assert_eq!(document["database_bytes"].as_u64(), size);
    assert!(
        whole(&document, "snapshot_bytes_per_second") > 0,
        "{document:#}"
    );
    times(&["run"], 0, false);

    sandbox.add_migration("009_bad", "CREATE TABLE t (a);\nSELECT nonsense;\n");
    assert_eq!(times(&["run"], 5, true).0, with(&["undo"]));
    sandbox.add_migration(
        "009_bad",
        "-- no-transaction\nCREATE TABLE t (a);\nSELECT nonsense;\n",
    );
    assert_eq!(times(&["run"], 5, true).0, with(&["restore"]));
    sandbox.add_migration("009_bad", "-- no-transaction\nVACUUM;\n");
    assert_eq!(
        times(&["run"], 0, true).0,
        with(&["normalise", "verify", "commit"])
    );

    // With a rollback journal a backup keeps writers from committing; in WAL mode it does not.
    assert_eq!(times(&["backup"], 0, true).0, ["inventory", "snapshot"]);
    sandbox.use_wal();
    times(&["backup"], 0, false);
    assert_eq!(
        times(&["restore", "latest", "--yes"], 0, true).0,
        ["safety backup", "restore"]
    );
    std::fs::remove_file(sandbox.database()).unwrap();
    times(&["restore", "latest", "--yes"], 0, false);
}

#[test]
fn a_verbose_job_says_where_its_time_went_however_short_it_was() {
    let sandbox = Sandbox::at("003");
    let line = |args: &[&str]| {
        let run = sandbox.run(args).expect_code(0);
        run.stdout
            .lines()
            .find(|line| line.starts_with("Time: "))
            .map(str::to_owned)
    };
    let text = line(&["run", "--verbose"]).unwrap();
    for part in [
        "Writers locked out: ",
        "snapshot ",
        "/s, migrate ",
        "Before and after: ",
        "archive ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let nothing = line(&["run", "--verbose"]).unwrap();
    assert!(
        nothing.contains("(files ") && !nothing.contains("Writers"),
        "{nothing}"
    );
}
