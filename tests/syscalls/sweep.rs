//! One command, and every way in which one of its system calls can end badly.

use std::collections::BTreeMap;
use std::fs;

use nix::errno::Errno;

use super::blows::faults;
use super::support::drill::{Drill, records};
use super::support::evidence::Evidence;
use super::support::tracer::{Blow, Fault, Point, Traced, trace};

/// A call of another thread may come a little earlier or later than in the undisturbed run.
const ATTEMPTS: usize = 4;

/// What a command does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is old or new at every moment.
    AtOnce,
    /// It may be found between after a stop or a failure, which then has to be said.
    InSteps,
    /// It does not change.
    Backup,
}

/// A command to be disturbed.
pub struct Scenario {
    pub name: &'static str,
    /// How cargo calls its test.
    pub test: &'static str,
    pub it: Drill,
    pub args: &'static [&'static str],
    pub kind: Kind,
    /// What is in a backup in the end.
    pub backed_up: String,
    /// Commands that follow; the last one leads to the same state as the undisturbed command.
    pub then: &'static [&'static [&'static str]],
}

impl Scenario {
    fn trace(&self, fault: Option<&Fault>) -> Traced {
        self.it.reset();
        let mut command = self.it.sandbox.command(self.args);
        command.env("SQLITE_TMPDIR", self.it.sandbox.path("out"));
        trace(&command, &self.it.sandbox.path(""), &|_| true, fault)
    }

    /// The calls of an undisturbed run, and the state that it leads to.
    pub fn undisturbed(&self) -> (Vec<Point>, String) {
        let traced = self.trace(None);
        traced.run.expect_code(0);
        (traced.points, self.it.state())
    }

    /// Strikes at every call.
    pub fn sweep(&self) {
        let old = self.it.peek();
        let (points, new) = self.undisturbed();
        let mut rows: BTreeMap<String, Evidence> = BTreeMap::new();
        let mut missed = Vec::new();
        let faults = faults(&points);
        let only = std::env::var("SAFESTEP_TEST_ONLY").unwrap_or_default();
        for (row, fault) in &faults {
            let name = format!("{} {row}", fault.point);
            if !name.contains(&only) {
                continue;
            }
            let struck = (0..ATTEMPTS)
                .map(|_| self.trace(Some(fault)))
                .find(|traced| traced.hit);
            let Some(traced) = struck else {
                missed.push(name);
                continue;
            };
            let evidence = rows
                .entry(row.clone())
                .or_insert_with(|| self.evidence(row));
            let verdict = self.judge(&old, &new, fault, &traced);
            evidence.injected(verdict.outcome);
            for problem in verdict.problems {
                evidence.lost(format!("{name}: {problem}"));
            }
        }
        println!(
            "{}: {} calls, {} faults at them, {} not reached again: {missed:?}",
            self.name,
            points.len(),
            faults.len(),
            missed.len()
        );
        let failed = rows.into_values().filter_map(finished).count();
        assert_eq!(failed, 0, "rows with something lost or changed");
        assert!(missed.len() * 100 <= faults.len(), "{missed:?}");
    }

    fn evidence(&self, row: &str) -> Evidence {
        Evidence::new(
            "Every syscall",
            format!("{}: {row}", self.name),
            format!(
                "SAFESTEP_TEST_FULL=1 cargo test --release --features strace --test syscalls -- {}",
                self.test
            ),
        )
    }

    fn judge(&self, old: &str, new: &str, fault: &Fault, traced: &Traced) -> Verdict {
        let left = self.it.peek();
        let state = match &left {
            left if *left == self.backed_up => "old",
            left if left == new => "new",
            left if left == old => "as found",
            _ => "between",
        };
        let mut verdict = Verdict::of(self.kind, state, fault, traced);
        if self.kind == Kind::AtOnce && !self.has_record() && !self.is_untouched() {
            verdict.problem("the database has changed, and there is no record");
        }
        if self.kind == Kind::Backup && traced.run.code == 0 && !self.it.is_backed_up(old) {
            verdict.problem("a backup is reported, and it is not there");
        }
        self.come_to_the_end(&left, new, &mut verdict);
        if !verdict.problems.is_empty() {
            let run = &traced.run;
            verdict.problem(format!("exit {}\n{}{}", run.code, run.stdout, run.stderr));
        }
        verdict
    }

    fn has_record(&self) -> bool {
        let saved = records(&self.it.sandbox.path("saved/backups/fastflow")).len();
        records(&self.it.sandbox.backups()).len() > saved
    }

    /// A hot journal is rolled back by whoever comes first.
    fn is_untouched(&self) -> bool {
        if self
            .it
            .sandbox
            .path("saved/data/fastflow.db-journal")
            .exists()
        {
            return true;
        }
        let read = |name: &str| fs::read(self.it.sandbox.path(name)).expect("database");
        read("data/fastflow.db") == read("saved/data/fastflow.db")
    }

    /// What follows, undisturbed, ends as if nothing had happened.
    fn come_to_the_end(&self, left: &str, new: &str, verdict: &mut Verdict) {
        for args in self.then {
            let run = self.it.sandbox.run(args);
            if run.code != 0 {
                verdict.problem(format!("then {args:?}: exit {}\n{}", run.code, run.stderr));
            }
            let unsettled = self.it.unsettled();
            if !unsettled.is_empty() {
                verdict.problem(format!("after {args:?}: {unsettled:?}"));
            }
            let is_last = Some(args) == self.then.last();
            let now = self.it.state();
            if !(now == new || !is_last && now == left) {
                verdict.problem(format!(
                    "after {args:?} the database is neither as it should be nor as it was left"
                ));
            }
        }
        if !self.it.is_backed_up(&self.backed_up) {
            verdict.problem("no backup of the old state");
        }
    }
}

/// What was found after one fault.
struct Verdict {
    outcome: String,
    problems: Vec<String>,
}

impl Verdict {
    fn of(kind: Kind, state: &str, fault: &Fault, traced: &Traced) -> Self {
        let mut verdict = Self {
            outcome: String::new(),
            problems: Vec::new(),
        };
        let run = &traced.run;
        verdict.outcome = match run.code {
            _ if traced.killed => state.to_owned(),
            0 if run.stdout.contains("note ") => format!("{state}, exit 0 with a note"),
            code => format!("{state}, exit {code}"),
        };
        if state == "between" && kind != Kind::InSteps {
            verdict.problem("neither old nor new");
        }
        if traced.hung {
            verdict.problem("it hung");
        } else if !traced.killed {
            verdict.words(kind, state, fault, traced);
        }
        verdict
    }

    /// What a job that ended by itself says must be true.
    fn words(&mut self, kind: Kind, state: &str, fault: &Fault, traced: &Traced) {
        let run = &traced.run;
        let is_lasting = matches!(fault.blow, Blow::FailsFromHereOn(_));
        let claims_old = ["as it was before", "is unchanged", "not touched"]
            .iter()
            .any(|words| run.stderr.contains(words));
        let wanted = if kind == Kind::Backup { "old" } else { "new" };
        match run.code {
            0 if state != wanted => self.problem("success is reported, and it is not there"),
            0 if !run.stdout.contains("note ") && must_be_told(fault) => {
                self.problem("nothing is said about it");
            }
            0 => {}
            1 | 75 if state == "old" && claims_old => {}
            // What a person may have done to the folder.
            2..=4 if is_denied(fault) && state == "old" && claims_old => {}
            // SQLite takes a page that cannot be read for one that is damaged, and so do we with an archive.
            4 | 7 if is_unreadable(fault) && state == "old" && claims_old => {}
            // What SQLite cannot open for writing it opens for reading, whatever the reason was.
            4 if run.stderr.contains("readonly database") && state == "old" && claims_old => {}
            1..=4 | 75 if kind == Kind::InSteps && run.stderr.contains("BETWEEN") => {}
            1 | 2 if state == "as found" && run.stderr.contains("cannot be seen") => {}
            6 if is_lasting => {}
            6 => self.problem("it calls for an operator, though everything works again"),
            code => self.problem(format!(
                "exit {code} and its words do not fit a database that is {state}"
            )),
        }
    }

    fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }
}

/// In the backups folder nothing fails unsaid, but for looking whether an earlier backup holds the same. Elsewhere SQLite
/// tries again, or it was a look that the job does not need.
fn must_be_told(fault: &Fault) -> bool {
    let Blow::Fails(errno) = fault.blow else {
        return false;
    };
    let Point { call, file, .. } = &fault.point;
    let earlier = file.ends_with(".tar.gz") && matches!(*call, "openat" | "read");
    file.starts_with("backups/fastflow") && *call != "fcntl" && !earlier && errno != Errno::EINVAL
}

fn is_denied(fault: &Fault) -> bool {
    matches!(fault.blow, Blow::Fails(Errno::EACCES | Errno::EROFS))
}

fn is_unreadable(fault: &Fault) -> bool {
    let reads = matches!(fault.point.call, "read" | "pread64");
    fault.blow == Blow::FailsFromHereOn(Errno::EIO)
        || reads && fault.blow == Blow::Fails(Errno::EIO)
}

/// Whether a row fails the test; all of them are written down first.
fn finished(evidence: Evidence) -> Option<()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| evidence.finish()))
        .err()
        .map(|_| ())
}
