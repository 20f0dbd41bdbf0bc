//! Guarantee 5 on a disk that is really full: the job on a small tmpfs, at every size from nothing to enough.
//!
//! Behind the feature `mounts`, since it needs mount namespaces, and strace.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "diskfull/mounts.rs"]
mod mounts;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use mounts::{Layout, PAGE, Small, in_namespace};
use support::drill::{Drill, Mode, NON_TRANSACTIONAL};
use support::evidence::Evidence;
use support::{Run, files_ending, full};

const ROWS: usize = 300;
const RUN: &[&str] = &["run"];
const RESTORE: &[&str] = &["restore", "latest", "--yes"];
const SECONDS_PER_RUN: &str = "60";
/// Growing beyond any head-room that is asked for before; what is left of it in the end is quickly compared.
const GROWING: &str = "CREATE TABLE grown (b BLOB);
INSERT INTO grown WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT zeroblob(4000) FROM n;
DROP TABLE grown;
";
/// A `struct statfs` of x86-64 whose first five words say that the disk is as good as empty.
const PLENTY: &str = "9419020100000000001000000000000000000010000000000000001000000000\
0000001000000000";
const COMMAND: &str =
    "SAFESTEP_TEST_FULL=1 cargo test --release --features mounts --test diskfull --";

/// What the disk looks like to the check before the job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// As it is.
    Truthful,
    /// As if it were empty: another process fills it right after it was asked.
    Flattered,
}

/// A job on a small disk.
struct Case<'d> {
    drill: &'d Drill,
    args: &'static [&'static str],
    ask: Ask,
    old: String,
    new: String,
    /// The database as a file, before.
    bytes: u64,
}

impl<'d> Case<'d> {
    fn new(drill: &'d Drill, args: &'static [&'static str], ask: Ask) -> Self {
        drill.reset();
        let old = drill.state();
        let bytes = fs::metadata(drill.sandbox.database()).unwrap().len();
        drill.sandbox.run(args).expect_code(0);
        let new = drill.state();
        Self {
            drill,
            args,
            ask,
            old,
            new,
            bytes,
        }
    }

    fn run(&self, args: &[&str], ask: Ask) -> Run {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", SECONDS_PER_RUN]);
        if ask == Ask::Flattered {
            command.args(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null"]);
            command.args(["-e", "trace=statfs,fstatfs"]);
            command.arg("-e");
            command.arg(format!("inject=statfs,fstatfs:poke_exit=@arg2={PLENTY}"));
        }
        let output = command
            .arg(env!("CARGO_BIN_EXE_safestep"))
            .args(args)
            .current_dir(self.drill.sandbox.path(""))
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .stdin(Stdio::null())
            .output()
            .expect("timeout of coreutils, and strace");
        Run::of(&output)
    }

    /// On a disk as it is now; then with room again. A word for the evidence, or what was lost.
    fn judge(&self, small: &Small<'_>) -> Result<String, String> {
        let before = small.free();
        let run = self.run(self.args, self.ask);
        let told = format!("exit {}\n{}", run.code, run.stderr);
        let verdict = self.judge_run(&run).and_then(|word| {
            if run.code != 0 {
                self.judge_room(before, small.free())?;
            }
            Ok(word)
        });
        let word = verdict.map_err(|lost| format!("{lost}: {told}"))?;
        small.make_room();
        let again = self.run(self.args, Ask::Truthful);
        if again.code != 0 || self.drill.state() != self.new {
            return Err(format!(
                "with room again: exit {}\n{}\nbefore: {told}",
                again.code, again.stderr
            ));
        }
        // What a restore was interrupted in, a run settles.
        self.run(RUN, Ask::Truthful);
        let left = self.drill.unsettled();
        if !left.is_empty() {
            return Err(format!("left behind: {left:?}, {told}"));
        }
        if !self.drill.is_backed_up(&self.old) {
            return Err(format!("no backup of the old state, {told}"));
        }
        Ok(word)
    }

    fn judge_run(&self, run: &Run) -> Result<String, String> {
        let state = self.drill.peek();
        let is_old = state == self.old;
        if run.stderr.contains("panicked") {
            return Err("a panic".into());
        }
        match run.code {
            0 if state == self.new => Ok("done, 0".into()),
            0 => Err("success was reported".into()),
            75 if is_old && run.stderr.contains("bytes are needed") => Ok("refused, 75".into()),
            75 if is_old && run.stderr.contains("Free some space") => {
                Ok("failed, as before, 75".into())
            }
            // A file that cannot be created, for want of an inode, tells SQLite no more than that.
            1 if is_old => Ok("failed, as before, 1".into()),
            6 if !is_old => Ok("halfway and said so, 6".into()),
            code => Err(format!("exit {code}, as before: {is_old}")),
        }
    }

    /// After a failure the space is there again, but for what a job leaves on purpose: records, a backup, logs.
    fn judge_room(&self, before: u64, after: u64) -> Result<(), String> {
        let sandbox = &self.drill.sandbox;
        let length = fs::metadata(sandbox.database()).unwrap().len();
        if length > self.bytes {
            return Err(format!("the file grew from {} to {length}", self.bytes));
        }
        let meant: u64 = ["backups/fastflow", "backups/logs", "data"]
            .iter()
            .flat_map(|folder| files_ending(&sandbox.path(folder), ""))
            .filter(|path| path.is_file() && *path != sandbox.database())
            .map(|path| fs::metadata(path).unwrap().blocks() * 512)
            .sum();
        if after + meant + PAGE * 4 < before {
            return Err(format!(
                "{before} bytes were free, now {after}, {meant} are meant"
            ));
        }
        Ok(())
    }
}

/// Every page in full, a few sizes otherwise; up to where the job goes through at a few sizes in a row.
fn sweep(
    name: &str,
    test: &str,
    (case, layout): (&Case<'_>, Layout),
    (from, step, reduced_step): (u64, u64, u64),
) {
    const IN_A_ROW: u32 = 3;
    let mut evidence = Evidence::new("Full disk", name, format!("{COMMAND} {test}"));
    let small = Small::mount(case.drill, layout);
    let step = if full() { step } else { reduced_step };
    let (mut pages, mut enough) = (from, 0);
    while enough < IN_A_ROW {
        assert!(pages < from + 60_000, "it is never enough");
        small.reset(pages * PAGE);
        match case.judge(&small) {
            Ok(word) => {
                enough = if word == "done, 0" { enough + 1 } else { 0 };
                evidence.injected(word);
            }
            Err(lost) => {
                enough = 0;
                evidence.injected("lost");
                evidence.lost(format!("{pages} pages free: {lost}"));
            }
        }
        pages += step;
    }
    evidence.finish();
}

/// The three layouts, filled up by somebody else right after the job asked.
fn filled_meanwhile(what: &str, test: &str, drill: &Drill, args: &'static [&'static str]) {
    for layout in Layout::ALL {
        let case = Case::new(drill, args, Ask::Flattered);
        let name = format!("{what}, {}, filled up meanwhile", layout.name());
        sweep(&name, test, (&case, layout), (1, 1, 31));
    }
}

const UPGRADE_DELETE: &str = "an_upgrade_in_delete_mode_on_a_disk_that_fills_up";
#[test]
fn an_upgrade_in_delete_mode_on_a_disk_that_fills_up() {
    in_namespace(UPGRADE_DELETE, || {
        let drill = Drill::at("003", Mode::Delete, ROWS);
        filled_meanwhile("upgrade, DELETE", UPGRADE_DELETE, &drill, RUN);
    });
}

const UPGRADE_WAL: &str = "an_upgrade_in_wal_mode_on_a_disk_that_fills_up";
#[test]
fn an_upgrade_in_wal_mode_on_a_disk_that_fills_up() {
    in_namespace(UPGRADE_WAL, || {
        let drill = Drill::at("003", Mode::Wal, ROWS);
        filled_meanwhile("upgrade, WAL", UPGRADE_WAL, &drill, RUN);
    });
}

fn outside(mode: Mode) -> Drill {
    let drill = Drill::at("008", mode, ROWS);
    drill
        .sandbox
        .add_migration("009_in_steps", NON_TRANSACTIONAL);
    drill.save();
    drill
}

const OUTSIDE_DELETE: &str = "a_job_outside_a_transaction_in_delete_mode_on_a_disk_that_fills_up";
#[test]
fn a_job_outside_a_transaction_in_delete_mode_on_a_disk_that_fills_up() {
    in_namespace(OUTSIDE_DELETE, || {
        let drill = outside(Mode::Delete);
        filled_meanwhile("no-transaction, DELETE", OUTSIDE_DELETE, &drill, RUN);
    });
}

const OUTSIDE_WAL: &str = "a_job_outside_a_transaction_in_wal_mode_on_a_disk_that_fills_up";
#[test]
fn a_job_outside_a_transaction_in_wal_mode_on_a_disk_that_fills_up() {
    in_namespace(OUTSIDE_WAL, || {
        let drill = outside(Mode::Wal);
        filled_meanwhile("no-transaction, WAL", OUTSIDE_WAL, &drill, RUN);
    });
}

fn before_a_restore(mode: Mode) -> Drill {
    let drill = Drill::at("003", mode, ROWS);
    drill.sandbox.run(&["upgrade", "007"]).expect_code(0);
    drill
        .sandbox
        .sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    drill.save();
    drill
}

const RESTORE_DELETE: &str = "a_restore_in_delete_mode_on_a_disk_that_fills_up";
#[test]
fn a_restore_in_delete_mode_on_a_disk_that_fills_up() {
    in_namespace(RESTORE_DELETE, || {
        let drill = before_a_restore(Mode::Delete);
        filled_meanwhile("restore, DELETE", RESTORE_DELETE, &drill, RESTORE);
    });
}

const RESTORE_WAL: &str = "a_restore_in_wal_mode_on_a_disk_that_fills_up";
#[test]
fn a_restore_in_wal_mode_on_a_disk_that_fills_up() {
    in_namespace(RESTORE_WAL, || {
        let drill = before_a_restore(Mode::Wal);
        filled_meanwhile("restore, WAL", RESTORE_WAL, &drill, RESTORE);
    });
}

/// With the true figures: refused while there is less than was asked for, then done.
fn foreseen(what: &str, test: &str, mode: Mode) {
    let drill = Drill::at("003", mode, ROWS);
    for layout in Layout::ALL {
        let case = Case::new(&drill, RUN, Ask::Truthful);
        let name = format!("{what}, {}", layout.name());
        sweep(&name, test, (&case, layout), (1, 16, 2048));
    }
}

const FORESEEN_DELETE: &str = "a_disk_that_is_too_small_is_foreseen_in_delete_mode";
#[test]
fn a_disk_that_is_too_small_is_foreseen_in_delete_mode() {
    in_namespace(FORESEEN_DELETE, || {
        foreseen("upgrade, DELETE", FORESEEN_DELETE, Mode::Delete);
    });
}

const FORESEEN_WAL: &str = "a_disk_that_is_too_small_is_foreseen_in_wal_mode";
#[test]
fn a_disk_that_is_too_small_is_foreseen_in_wal_mode() {
    in_namespace(FORESEEN_WAL, || {
        foreseen("upgrade, WAL", FORESEEN_WAL, Mode::Wal);
    });
}

/// A migration that grows the database beyond what could be known before.
fn growing(what: &str, test: &str, mode: Mode) {
    let drill = Drill::at("008", mode, ROWS);
    drill.sandbox.add_migration("009_grows", GROWING);
    drill.save();
    for layout in [Layout::Both, Layout::Database] {
        let case = Case::new(&drill, RUN, Ask::Truthful);
        let name = format!("{what}, {}", layout.name());
        sweep(&name, test, (&case, layout), (4096, 64, 4096));
    }
}

const GROWING_DELETE: &str = "a_migration_in_delete_mode_that_grows_beyond_the_disk";
#[test]
fn a_migration_in_delete_mode_that_grows_beyond_the_disk() {
    in_namespace(GROWING_DELETE, || {
        growing("growing, DELETE", GROWING_DELETE, Mode::Delete);
    });
}

const GROWING_WAL: &str = "a_migration_in_wal_mode_that_grows_beyond_the_disk";
#[test]
fn a_migration_in_wal_mode_that_grows_beyond_the_disk() {
    in_namespace(GROWING_WAL, || {
        growing("growing, WAL", GROWING_WAL, Mode::Wal);
    });
}

const INODES: &str = "a_disk_without_inodes";
#[test]
fn a_disk_without_inodes() {
    in_namespace(INODES, || {
        for (mode, word) in [(Mode::Delete, "DELETE"), (Mode::Wal, "WAL")] {
            let drill = Drill::at("003", mode, ROWS);
            for layout in Layout::ALL {
                let case = Case::new(&drill, RUN, Ask::Truthful);
                let name = format!("upgrade, {word}, {}, inodes from none to 16", layout.name());
                let mut evidence = Evidence::new("Full disk", name, format!("{COMMAND} {INODES}"));
                let small = Small::mount(&drill, layout);
                for inodes in 0..=16 {
                    small.reset_inodes(inodes);
                    match case.judge(&small) {
                        Ok(word) => evidence.injected(word),
                        Err(lost) => {
                            evidence.injected("lost");
                            evidence.lost(format!("{inodes} inodes free: {lost}"));
                        }
                    }
                }
                evidence.finish();
            }
        }
    });
}

const FORETOLD: &str = "plan_and_doctor_foretell_a_disk_that_is_too_small_or_cannot_be_written";
#[test]
fn plan_and_doctor_foretell_a_disk_that_is_too_small_or_cannot_be_written() {
    in_namespace(FORETOLD, || {
        let drill = Drill::at("003", Mode::Delete, ROWS);
        let small = Small::mount(&drill, Layout::Backups);
        small.reset(100 * PAGE);
        let sandbox = &drill.sandbox;
        let told = |run: Run, words: &str| {
            let text = run.stdout + &run.stderr;
            assert!(text.contains(words), "{text}");
        };
        told(sandbox.run(&["doctor"]).expect_code(75), "bytes are needed");
        told(sandbox.run(&["plan"]).expect_code(0), "bytes are needed");
        small.make_room();
        sandbox.run(&["doctor"]).expect_code(0);
        small.make_read_only();
        told(
            sandbox.run(&["doctor"]).expect_code(2),
            "could not write in",
        );
        told(sandbox.run(&["plan"]).expect_code(0), "could not write in");
    });
}

const ELSEWHERE: &str = "a_backup_of_a_database_on_a_full_disk_needs_room_only_where_it_goes";

#[test]
fn a_backup_of_a_database_on_a_full_disk_needs_room_only_where_it_goes() {
    in_namespace(ELSEWHERE, || {
        let drill = Drill::at("003", Mode::Delete, ROWS);
        let small = Small::mount(&drill, Layout::Database);
        small.reset(PAGE);
        drill.sandbox.run(&["run"]).expect_code(75);
        drill.sandbox.run(&["backup"]).expect_code(0);
        assert!(drill.is_backed_up(&drill.state()));
    });
}
