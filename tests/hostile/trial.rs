//! Running the program on bad input: it must end, say what is the matter, and leave alone what is not its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::golden::{Golden, steady};
use crate::support::evidence::Evidence;
use crate::support::{Run, Sandbox, content};

/// Longer than any deadline that these tests give the program.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the program to its end, or to the limit.
pub fn bounded(mut command: Command) -> Run {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let pid = Pid::from_child(&child);
    let (ended, wait) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("the end");
    drop(ended);
    watchdog.join().expect("watchdog");
    Run::of(&output)
}

/// Why an end is none that the program may come to, whatever it was given.
pub fn unsound(run: &Run) -> Option<&'static str> {
    match run.code {
        -1 => Some("killed by a signal, or after half a minute"),
        101 => Some("a panic"),
        // A disk that fails is the one thing that nobody expects.
        1 if !run.stderr.contains("disk I/O error") => {
            Some("exit code 1, where there is a better one")
        }
        _ if run.stderr.contains("panicked") => Some("a panic in a thread"),
        _ => None,
    }
}

/// One group of cases: its frozen words and its row of evidence.
pub struct Trial {
    golden: Golden,
    evidence: Evidence,
    case: String,
}

impl Trial {
    pub fn new(group: &'static str, scenario: &str, test: &str) -> Self {
        Self {
            golden: Golden::of(group),
            evidence: Evidence::new(
                "Hostile input",
                scenario,
                format!("SAFESTEP_TEST_FULL=1 cargo test --release --test hostile -- {test}"),
            ),
            case: String::new(),
        }
    }

    pub fn case(&mut self, name: &str) {
        name.clone_into(&mut self.case);
        self.golden.case(name);
    }

    /// Runs these commands, each of which must leave every byte of the database's files as it is.
    pub fn untouched(&mut self, sandbox: &Sandbox, commands: &[&str]) {
        let before = files(sandbox);
        self.commands(sandbox, commands, |command, _| {
            (files(sandbox) != before)
                .then(|| format!("{command} changed the files of the database"))
        });
    }

    /// As [`Self::untouched`], but the content counts, and not the bytes: what was left by others may be rolled back.
    pub fn unchanged(&mut self, sandbox: &Sandbox, commands: &[&str]) {
        let before = content(&sandbox.database());
        self.commands(sandbox, commands, |command, _| {
            (content(&sandbox.database()) != before)
                .then(|| format!("{command} changed the content of the database"))
        });
    }

    /// Runs these commands; `judge` says what was lost or changed.
    pub fn commands(
        &mut self,
        sandbox: &Sandbox,
        commands: &[&str],
        judge: impl Fn(&str, &Run) -> Option<String>,
    ) {
        let runs = commands.iter().map(|command| {
            let args: Vec<&str> = command.split(' ').collect();
            (*command, sandbox.command(&args))
        });
        self.runs(sandbox, runs.collect(), judge);
    }

    /// As [`Self::commands`], with more than arguments.
    pub fn runs(
        &mut self,
        sandbox: &Sandbox,
        commands: Vec<(&str, Command)>,
        judge: impl Fn(&str, &Run) -> Option<String>,
    ) {
        let mut said: Vec<(Vec<&str>, i32, String)> = Vec::new();
        for (name, command) in commands {
            let run = bounded(command);
            self.judge(name, &run, judge(name, &run));
            let words = steady(&words(name, &run), &sandbox.path(""));
            match said.last_mut() {
                Some((names, code, same)) if *code == run.code && *same == words => {
                    names.push(name);
                }
                _ => said.push((vec![name], run.code, words)),
            }
        }
        for (names, code, words) in said {
            self.golden.said(&names.join(" · "), code, &words);
        }
    }

    fn judge(&mut self, name: &str, run: &Run, lost: Option<String>) {
        let outcome = match run.code {
            0 => "worked".to_owned(),
            code => format!("refused, {code}"),
        };
        self.evidence.injected(outcome);
        let bad = unsound(run).map(str::to_owned);
        if let Some(how) = lost.or(bad) {
            self.evidence.lost(format!(
                "{}: {name}: {how}\n{}{}",
                self.case, run.stdout, run.stderr
            ));
        }
    }

    #[track_caller]
    pub fn finish(self) {
        self.golden.compare();
        self.evidence.finish();
    }
}

/// What a person would read; of what the doctor says only what is not well.
fn words(name: &str, run: &Run) -> String {
    if name == "backups list" {
        let unusable = run
            .stdout
            .lines()
            .filter(|line| line.starts_with("UNUSABLE"));
        return unusable.map(|line| format!("{line}\n")).collect::<String>() + &run.stderr;
    }
    if run.code == 0 && !name.contains("doctor") {
        return "(worked)\n".into();
    }
    if !name.contains("doctor") {
        return format!("{}{}", run.stdout, run.stderr);
    }
    let mut kept = false;
    let mut text = String::new();
    for line in run.stdout.lines() {
        kept = if line.starts_with(' ') {
            kept
        } else {
            !line.starts_with("ok ") && !line.starts_with("note holders")
        };
        if kept {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The bytes of the database and of what SQLite keeps beside it.
fn files(sandbox: &Sandbox) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    ["", "-wal", "-journal"]
        .iter()
        .map(|suffix| {
            let path = sandbox.path(&format!("data/fastflow.db{suffix}"));
            let is_file = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
            let bytes = is_file.then(|| fs::read(&path).ok()).flatten();
            (path, bytes)
        })
        .collect()
}
