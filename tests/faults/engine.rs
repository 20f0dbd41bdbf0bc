//! Runs a command once to see which stop points it reaches, then once more for each of them, to be killed there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::support::Run;
use super::support::copy_tree;
use super::support::drill::Drill;
use super::support::evidence::Evidence;
use super::support::full;

const SIGKILL: i32 = 9;
/// No run of these small databases takes a second; one that takes this long hangs.
const LONGEST: Duration = Duration::from_mins(1);
/// Of the kills that are followed by another one, so many fewer where the full count is not asked for.
const REDUCED: usize = 7;
/// What is said of a database that is not there.
pub const MISSING: &str = "missing\n";

/// The n-th time that a point is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub point: String,
    pub n: usize,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.point, self.n)
    }
}

/// What must be there after the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// What an undisturbed run leads to.
    New,
    /// What was there before.
    Old,
    /// What the kill left: the next command changes nothing.
    AsLeft,
}

/// What may be found right after the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// The old or the new database.
    Whole,
    /// The old or the new content, perhaps in the other journal mode.
    Content,
    /// Anything; only after the next start it is whole.
    InSteps,
}

/// A command to be killed, and what is promised.
pub struct Scenario {
    pub name: String,
    pub it: Drill,
    pub args: &'static [&'static str],
    /// The exit code of the command where nobody kills it.
    pub code: i32,
    /// The next start, and its exit code.
    pub next: &'static [&'static str],
    pub next_code: i32,
    pub then: Then,
    pub promise: Promise,
    pub old: String,
    pub new: String,
    /// What must be in a backup whatever happens.
    pub kept: Vec<String>,
}

impl Scenario {
    /// `args` on the saved state of `it`; the next start is the same command and leads to the same end.
    pub fn new(name: impl Into<String>, it: Drill, args: &'static [&'static str]) -> Self {
        it.save();
        let mut scenario = Self {
            name: name.into(),
            it,
            args,
            code: 0,
            next: args,
            next_code: 0,
            then: Then::New,
            promise: Promise::Whole,
            old: String::new(),
            new: String::new(),
            kept: Vec::new(),
        };
        scenario.old = scenario.found();
        scenario
    }

    /// Fails, and leaves what was there.
    pub fn failing(mut self, code: i32) -> Self {
        (self.code, self.next_code, self.then) = (code, code, Then::Old);
        self
    }

    /// Has statements outside a transaction.
    pub fn in_steps(mut self) -> Self {
        self.promise = Promise::InSteps;
        self
    }

    /// Changes the journal mode for a while.
    pub fn changes_journal_mode(mut self) -> Self {
        self.promise = Promise::Content;
        self
    }

    /// Another command comes next, and what it leads to.
    pub fn then(mut self, next: &'static [&'static str], then: Then) -> Self {
        (self.next, self.next_code, self.then) = (next, 0, then);
        self
    }

    /// The database as its files say, whether there is one or not.
    pub fn found(&self) -> String {
        if self.it.sandbox.database().exists() && self.is_database() {
            self.it.peek()
        } else {
            MISSING.to_owned()
        }
    }

    fn is_database(&self) -> bool {
        fs::read(self.it.sandbox.database())
            .is_ok_and(|bytes| bytes.is_empty() || bytes.starts_with(b"SQLite format 3\0"))
    }

    /// Runs the command undisturbed: the points that it reaches, in order. Afterwards all is as saved.
    pub fn trace(&mut self) -> Vec<Stop> {
        self.it.reset();
        let stops = traced(&self.it, self.args, self.code);
        self.new = self.found();
        self.it.reset();
        stops
    }

    /// Kills the command at `stop`, and says what was left. The program must really have died of it.
    pub fn kill(&self, stop: &Stop) -> Result<&'static str, String> {
        die_at(&self.it, self.args, stop)?;
        let left = self.found();
        Ok(if left == self.old {
            "old"
        } else if left == self.new {
            "new"
        } else if self.promise == Promise::InSteps {
            "between"
        } else if self.promise == Promise::Content && same_content(&left, &self.old) {
            "old"
        } else if self.promise == Promise::Content && same_content(&left, &self.new) {
            "new"
        } else if left == MISSING {
            return Err("the database is gone".into());
        } else {
            return Err("neither old nor new".into());
        })
    }

    /// The next start, and everything that must hold after it.
    pub fn settle(&self, left: &str) -> Result<(), String> {
        let run = bounded(self.it.sandbox.command(self.next))?;
        if run.code != self.next_code || run.stderr.contains("panicked") {
            return Err(format!(
                "the next start ended with {}, not with {}: {}{}",
                run.code, self.next_code, run.stdout, run.stderr
            ));
        }
        let found = self.found();
        let wanted = match self.then {
            Then::Old => &self.old,
            Then::AsLeft if left == "old" => &self.old,
            Then::New | Then::AsLeft => &self.new,
        };
        if found != *wanted {
            return Err(format!(
                "after the next start it is not as it should be:\n{}",
                difference(wanted, &found)
            ));
        }
        let unsettled = self.it.unsettled();
        if !unsettled.is_empty() {
            return Err(format!("left behind: {unsettled:?}"));
        }
        let changed = found != self.old && self.old != MISSING;
        let kept = self.kept.iter().chain(changed.then_some(&self.old));
        for state in kept {
            if !self.it.is_backed_up(state) {
                return Err("no backup of the old state".into());
            }
        }
        Ok(())
    }

    /// Every stop, or each point once; one row of the evidence.
    pub fn sweep(mut self) {
        let mut evidence = evidence(&self.name);
        for stop in chosen(&self.trace()) {
            self.it.reset();
            let outcome = self.kill(&stop).and_then(|left| {
                self.settle(left)?;
                Ok(left)
            });
            record(&mut evidence, &stop.to_string(), outcome);
        }
        evidence.finish();
    }

    /// Kills at each point once, and then the next start at each of its own.
    pub fn sweep_twice(mut self) {
        let mut evidence = evidence(&format!("{}, and the next start, too", self.name));
        let first = self.it.sandbox.path("first");
        let stops = self.trace();
        copy_tree(&self.it.sandbox.path("saved"), &first);
        let step = if full() { 1 } else { REDUCED };
        for stop in once(&stops).into_iter().step_by(step) {
            restore_saved(&self.it, &first);
            self.it.reset();
            if let Err(problem) = self.kill(&stop) {
                record(&mut evidence, &stop.to_string(), Err(problem));
                continue;
            }
            self.it.save();
            let again = traced(&self.it, self.next, self.next_code);
            for second in chosen(&again).into_iter().step_by(step) {
                self.it.reset();
                let outcome = die_at(&self.it, self.next, &second).and_then(|()| {
                    let left = self.found();
                    let word = if left == self.old { "old" } else { "new" };
                    self.settle(word)?;
                    Ok(if left == self.old || left == self.new {
                        word
                    } else {
                        "between"
                    })
                });
                record(&mut evidence, &format!("{stop}, then {second}"), outcome);
            }
        }
        evidence.finish();
    }
}

/// A row of this test.
fn evidence(scenario: &str) -> Evidence {
    let command = format!(
        "SAFESTEP_TEST_FULL=1 cargo test --release --features faults --test faults -- --exact {}",
        std::thread::current().name().unwrap_or_default()
    );
    Evidence::new("Every stop", scenario, command)
}

fn record(evidence: &mut Evidence, stop: &str, outcome: Result<&'static str, String>) {
    match outcome {
        Ok(word) => evidence.injected(word),
        Err(problem) => {
            evidence.injected("wrong");
            evidence.lost(format!("killed at {stop}: {problem}"));
        }
    }
}

fn restore_saved(it: &Drill, from: &Path) {
    let saved = it.sandbox.path("saved");
    fs::remove_dir_all(&saved).expect("the saved state");
    copy_tree(from, &saved);
}

/// All stops in full, else each point once.
fn chosen(stops: &[Stop]) -> Vec<Stop> {
    if full() { stops.to_vec() } else { once(stops) }
}

/// Each point once, not always the first time that it is reached.
fn once(stops: &[Stop]) -> Vec<Stop> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for stop in stops {
        counts.insert(&stop.point, stop.n);
    }
    counts
        .into_iter()
        .enumerate()
        .map(|(index, (point, count))| Stop {
            point: point.to_owned(),
            n: index % count + 1,
        })
        .collect()
}

/// Runs a command to its end, and returns the points that it reached.
#[track_caller]
pub fn traced(it: &Drill, args: &[&str], code: i32) -> Vec<Stop> {
    let trace = it.sandbox.path("trace");
    let _ = fs::remove_file(&trace);
    let mut command = it.sandbox.command(args);
    command.env("SAFESTEP_FAULT_TRACE", &trace);
    bounded(command).expect("it ends").expect_code(code);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut stops = Vec::new();
    for point in fs::read_to_string(&trace).unwrap_or_default().lines() {
        let n = counts.entry(point.to_owned()).or_default();
        *n += 1;
        stops.push(Stop {
            point: point.to_owned(),
            n: *n,
        });
    }
    stops
}

/// Runs a command that must die of a SIGKILL at `stop`.
pub fn die_at(it: &Drill, args: &[&str], stop: &Stop) -> Result<(), String> {
    let mut command = it.sandbox.command(args);
    command.env("SAFESTEP_FAULT", stop.to_string());
    let output = wait(command)?;
    if output.status.signal() == Some(SIGKILL) {
        return Ok(());
    }
    let run = Run::of(&output);
    Err(format!(
        "it was not killed but ended with {}: {}{}",
        run.code, run.stdout, run.stderr
    ))
}

/// Runs a command that must not hang.
pub fn bounded(command: Command) -> Result<Run, String> {
    wait(command).map(|output| Run::of(&output))
}

fn wait(mut command: Command) -> Result<Output, String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let started = Instant::now();
    while child.try_wait().expect("wait").is_none() {
        if started.elapsed() > LONGEST {
            child.kill().expect("kill");
            child.wait().expect("it ends");
            return Err(format!("it hangs: {command:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child.wait_with_output().expect("its output"))
}

/// Whatever the journal mode, which is the first line.
fn same_content(one: &str, other: &str) -> bool {
    one.split_once('\n').map(|(_, rest)| rest) == other.split_once('\n').map(|(_, rest)| rest)
}

/// The first lines that differ.
fn difference(wanted: &str, found: &str) -> String {
    let (mut left, mut right) = (wanted.lines(), found.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return "the same".into(),
            (a, b) if a == b => {}
            (a, b) => {
                let cut = |line: Option<&str>| {
                    line.unwrap_or("nothing")
                        .chars()
                        .take(300)
                        .collect::<String>()
                };
                return format!("wanted: {}\nfound:  {}", cut(a), cut(b));
            }
        }
    }
}
