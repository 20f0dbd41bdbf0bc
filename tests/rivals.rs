//! The same faults under Alembic, sqlx-cli and safestep: the same database, the same step from 003 to 008, the process killed
//! at each write, sync, truncation and removal of the database's files, and the disk full at each write.
//!
//! Each as its own documentation sets it up: Alembic with the `env.py` of its generic template and `render_as_batch`, which it
//! recommends for SQLite, and op-based revisions; sqlx-cli with the folder of migrations and no options; safestep with none.
//! What is left is compared with what the same tool leaves at each revision when nothing disturbs it.
//!
//! Behind the features `agreement` (see `agreement.rs` for what has to be installed) and `strace`.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use support::drill::{Drill, Mode};
use support::evidence::Evidence;
use support::tracer::{Blow, Fault, Point, trace};
use support::{Run, full};

const ROWS: usize = 12;
/// Faults in a row, in full and reduced; Alembic starts slowly.
const FULL: usize = 40;
const REDUCED: usize = 6;
const ATTEMPTS: usize = 3;
const ALEMBIC_IDS: [&str; 5] = [
    "004_github_invitation",
    "005_make_password_hash_nullable",
    "006_drop_user_invitation_columns",
    "007_drop_password_hash",
    "head",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Alembic,
    SqlxCli,
    Safestep,
}

impl Tool {
    /// Its name with its version.
    fn subject(self) -> String {
        let (program, args, name) = match self {
            Self::Safestep => return "safestep".into(),
            Self::Alembic => (
                variable("SAFESTEP_ALEMBIC"),
                &["-m", "alembic", "--version"][..],
                "Alembic",
            ),
            Self::SqlxCli => (variable("SAFESTEP_SQLX"), &["--version"][..], "sqlx-cli"),
        };
        let output = Command::new(program)
            .args(args)
            .output()
            .expect("a version");
        let text = Run::of(&output).expect_code(0).stdout;
        let version = text.split_whitespace().last().expect("a version");
        format!("{name} {version}")
    }

    /// To the `step`th revision after 003; the last one is head.
    fn command(self, it: &Drill, step: usize) -> Command {
        let database = it.sandbox.database().display().to_string();
        let is_last = step + 1 == ALEMBIC_IDS.len();
        let revision = (step + 4).to_string();
        match self {
            Self::Safestep if is_last => it.sandbox.command(&["run"]),
            Self::Safestep => it.sandbox.command(&["upgrade", &revision]),
            Self::Alembic => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alembic");
                let mut command = Command::new(variable("SAFESTEP_ALEMBIC"));
                command
                    .args([
                        "-m",
                        "alembic",
                        "-c",
                        "alembic.ini",
                        "upgrade",
                        ALEMBIC_IDS[step],
                    ])
                    .current_dir(folder)
                    .env("DATABASE_URL", format!("sqlite:///{database}"))
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Self::SqlxCli => {
                let mut command = Command::new(variable("SAFESTEP_SQLX"));
                command
                    .args(["migrate", "run", "--no-dotenv", "--database-url"])
                    .arg(format!("sqlite://{database}"))
                    .arg("--source")
                    .arg(it.sandbox.migrations())
                    .current_dir(it.sandbox.path(""))
                    .env_remove("DATABASE_URL");
                if !is_last {
                    command.args(["--target-version", &revision]);
                }
                command
            }
        }
    }
}

fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name).unwrap_or_else(|| {
        panic!("{name} is not set; .ci/run installs what it names and runs these tests")
    });
    value.into()
}

fn is_of_the_database(file: &str) -> bool {
    file.starts_with("data/fastflow.db")
}

fn writes(point: &Point) -> bool {
    matches!(point.call, "write" | "pwrite64")
}

fn changes(point: &Point) -> bool {
    writes(point) || matches!(point.call, "fsync" | "fdatasync" | "ftruncate" | "unlink")
}

/// A tool, a database in one journal mode, and what there is at each revision.
struct Rival {
    tool: Tool,
    it: Drill,
    old: String,
    /// 004 to 008.
    revisions: Vec<String>,
    points: Vec<Point>,
    /// What came of the same command on a state that was left before.
    retries: HashMap<String, Retry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Works,
    Fails,
    SaysSo,
}

impl Rival {
    fn new(tool: Tool, mode: Mode) -> Self {
        let it = Drill::at("003", mode, ROWS);
        let revisions: Vec<String> = (0..ALEMBIC_IDS.len())
            .map(|step| {
                it.reset();
                let output = tool.command(&it, step).stdin(Stdio::null()).output();
                Run::of(&output.expect("the tool starts")).expect_code(0);
                it.state()
            })
            .collect();
        it.reset();
        let mut rival = Self {
            tool,
            old: it.peek(),
            it,
            revisions,
            points: Vec::new(),
            retries: HashMap::new(),
        };
        rival.points = rival.traced(None).1;
        assert!(
            rival.it.state() == *rival.new_state(),
            "head is not the same twice"
        );
        rival
    }

    fn new_state(&self) -> &String {
        self.revisions.last().expect("head")
    }

    fn traced(&self, fault: Option<&Fault>) -> (Option<Run>, Vec<Point>) {
        self.it.reset();
        let command = self.tool.command(&self.it, ALEMBIC_IDS.len() - 1);
        let root = self.it.sandbox.path("");
        let traced = trace(&command, &root, &is_of_the_database, fault);
        assert!(!traced.hung, "{fault:?}");
        let is_settled = fault.is_none() || traced.hit;
        (is_settled.then_some(traced.run), traced.points)
    }

    /// The same command again, undisturbed, on what was left.
    fn retry(&mut self, left: &str) -> Retry {
        if let Some(known) = self.retries.get(left) {
            return *known;
        }
        let command = &mut self.tool.command(&self.it, ALEMBIC_IDS.len() - 1);
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("the tool starts");
        let code = Run::of(&output).code;
        let retry = match code {
            0 if self.it.state() == *self.new_state() => Retry::Works,
            0 => Retry::SaysSo,
            _ => Retry::Fails,
        };
        self.retries.insert(left.to_owned(), retry);
        retry
    }

    fn sweep(&mut self, what: &str, blow: Blow, fits: fn(&Point) -> bool, test: &str) {
        let mut row = Evidence::about(
            self.tool.subject(),
            "The same faults elsewhere",
            what,
            format!(
                "SAFESTEP_TEST_FULL=1 cargo test --release --features agreement,strace --test rivals -- {test}"
            ),
        );
        let points: Vec<Point> = self
            .points
            .iter()
            .filter(|point| fits(point))
            .cloned()
            .collect();
        let at_most = if full() { FULL } else { REDUCED };
        let step = points.len().div_ceil(at_most).max(1);
        for point in points.into_iter().step_by(step) {
            let fault = Fault { point, blow };
            let struck = (0..ATTEMPTS).find_map(|_| self.traced(Some(&fault)).0);
            let run = struck.unwrap_or_else(|| panic!("{} was not reached again", fault.point));
            let left = self.it.peek();
            let state = match &left {
                left if *left == self.old => "old",
                left if left == self.new_state() => "new",
                left if self.revisions.contains(left) => "a revision in between",
                _ => "no revision",
            };
            let retry = match self.retry(&left) {
                Retry::Works => "the same command finishes it",
                Retry::Fails => "the same command fails",
                Retry::SaysSo => "the same command says that it is done, and it is not",
            };
            row.injected(format!("{state}; {retry}"));
            if state == "no revision" || !retry.ends_with("finishes it") {
                row.lost(format!("{}: {state}; {retry}", fault.point));
            }
            if run.code == 0 && state != "new" {
                row.lost(format!("{}: exit 0 at {state}", fault.point));
            }
        }
        row.finish();
    }
}

fn faults(tool: Tool, test: &str) {
    for (mode, name) in [(Mode::Delete, "DELETE"), (Mode::Wal, "WAL")] {
        let mut rival = Rival::new(tool, mode);
        let row = |what: &str| format!("003 to 008, {name}: {what}");
        rival.sweep(&row("SIGKILL"), Blow::Killed, changes, test);
        let full = Errno::ENOSPC;
        rival.sweep(&row("ENOSPC once"), Blow::Fails(full), writes, test);
        let from_here = Blow::FailsFromHereOn(full);
        rival.sweep(&row("ENOSPC from there on"), from_here, writes, test);
    }
}

#[test]
fn alembic() {
    faults(Tool::Alembic, "alembic");
}

#[test]
fn sqlx_cli() {
    faults(Tool::SqlxCli, "sqlx_cli");
}

#[test]
fn safestep() {
    faults(Tool::Safestep, "safestep");
}
