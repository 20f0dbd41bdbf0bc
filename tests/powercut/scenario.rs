//! A job whose power is cut, and what must hold after each cut.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};

use super::disk::{Cut, Disk, Keep, Lasting, Rules, What, after};
use super::record::Recording;
use super::support::drill::Drill;
use super::support::evidence::Evidence;
use super::support::{Random, Run, files_ending, full, state};

const DATABASE: &str = "data/fastflow.db";
/// Longer than any run here takes.
const SECONDS_PER_RUN: &str = "60";
const COMMAND: &str =
    "SAFESTEP_TEST_FULL=1 cargo test --release --features strace --test powercut --";

/// A command after the cut and the state that it must lead to.
pub struct Step {
    pub args: &'static [&'static str],
    pub leads_to: Option<String>,
}

/// What a job does, from where to where.
pub struct Scenario {
    /// The row's name and the test's.
    pub name: &'static str,
    pub test: &'static str,
    pub drill: Drill,
    pub job: &'static [&'static str],
    /// What the database holds before; `None` where there is none, or none that can be read.
    pub old: Option<String>,
    pub new: String,
    /// Whether states between the two may be seen until the next start.
    pub between: bool,
    /// What must be in a backup where the database is no longer as it was.
    pub kept: Option<String>,
    /// What must be in a backup at last.
    pub kept_at_last: Vec<String>,
    pub again: Vec<Step>,
}

/// What was found in one state: a word for the evidence, or what was lost.
type Verdict = Result<&'static str, String>;

impl Scenario {
    /// Records the job once, cuts its power at many points, and writes down what came of it.
    pub fn run(&self) {
        let recording = self.record();
        let states = if full() { 1000 } else { 11 };
        let mut evidence =
            Evidence::new("Power cut", self.name, format!("{COMMAND} {}", self.test));
        for (how, verdict) in self.cuts(&recording, states) {
            match verdict {
                Ok(word) => evidence.injected(word),
                Err(lost) => {
                    evidence.injected("lost");
                    evidence.lost(format!("{how}: {lost}"));
                }
            }
        }
        evidence.finish();
    }

    /// How many of the states of a broken recording are found to have lost something.
    pub fn losses(&self, break_it: impl Fn(&str) -> bool, states: usize) -> Vec<String> {
        let recording = self.record().without_syncs(break_it);
        self.cuts(&recording, states)
            .into_iter()
            .filter_map(|(_, verdict)| verdict.err())
            .collect()
    }

    fn record(&self) -> Recording {
        self.drill.reset();
        let recording = Recording::of(&self.drill.sandbox, self.job);
        let found = look(&self.drill.sandbox.database());
        assert!(found.as_ref() == Some(&self.new), "the job leads elsewhere");
        recording
    }

    /// States that differ, each with how to get it again and what was found in it.
    fn cuts(&self, recording: &Recording, wanted: usize) -> Vec<(String, Verdict)> {
        let lasting = Lasting::of(&recording.ops);
        let count = recording.ops.len();
        let mut random = Random::new(self.name);
        let mut seen = BTreeSet::new();
        let mut list = Vec::new();
        for attempt in 0..wanted * 20 {
            if list.len() == wanted {
                break;
            }
            let cut = choose(recording, attempt, &mut random);
            let disk = after(&recording.before, &recording.ops, &lasting, cut);
            let reported = cut.point == count;
            if !seen.insert((disk.fingerprint(), reported)) {
                continue;
            }
            disk.write(&self.drill.sandbox.path(""), &mut random);
            let last = cut.point.checked_sub(1).map(|last| &recording.ops[last]);
            let how = format!(
                "{cut:?} of {count}, after a change of {}",
                last.map_or("nothing", |op| &op.path)
            );
            let verdict = self.judge(recording, &disk, reported);
            if verdict.is_err() {
                keep_for_a_look(self.test, list.len(), &disk);
            }
            list.push((how, verdict));
        }
        list
    }

    fn judge(&self, recording: &Recording, disk: &Disk, reported: bool) -> Verdict {
        let word = self.look_at_copy(recording, disk, reported)?;
        if let Some(kept) = &self.kept
            && is_changed(&recording.before, disk)
            && !self.holds(kept)
        {
            return Err("the database has changed, and there is no whole copy of it".into());
        }
        if reported && !self.kept_at_last.iter().all(|kept| self.holds(kept)) {
            return Err("success was reported, and a backup is missing".into());
        }
        for step in &self.again {
            self.step(step)?;
        }
        let mut left = catch_unwind(AssertUnwindSafe(|| self.drill.unsettled()))
            .map_err(|_| "a record cannot be read")?;
        // The bytes of what was no database stay until a person has looked at them.
        left.retain(|line| !line.contains(".damaged is"));
        if !left.is_empty() {
            return Err(format!("left behind: {left:?}"));
        }
        if !self.kept_at_last.iter().all(|kept| self.is_archived(kept)) {
            return Err("a state is in no backup at last".into());
        }
        Ok(word)
    }

    /// What an application would find, looked at on a copy.
    fn look_at_copy(&self, recording: &Recording, disk: &Disk, reported: bool) -> Verdict {
        let found = look(&self.drill.copy_of_files());
        let is_new = found.as_ref() == Some(&self.new);
        let is_old = match &self.old {
            Some(old) => found.as_ref() == Some(old),
            None => disk.file(DATABASE) == recording.before.file(DATABASE),
        };
        match (is_old, is_new) {
            (_, true) if reported => Ok("new, after the report"),
            _ if reported => Err("success was reported, and it is not the new state".into()),
            (true, _) => Ok("old"),
            (_, true) => Ok("new"),
            _ if self.between && found.is_some() => Ok("between, until the next start"),
            _ => Err(match found {
                Some(_) => "neither the old state nor the new one".into(),
                None => "the database cannot be read".into(),
            }),
        }
    }

    fn step(&self, step: &Step) -> Result<(), String> {
        let sandbox = &self.drill.sandbox;
        let output = Command::new("timeout")
            .args(["-s", "KILL", SECONDS_PER_RUN])
            .arg(env!("CARGO_BIN_EXE_safestep"))
            .args(step.args)
            .current_dir(sandbox.path(""))
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .stdin(Stdio::null())
            .output()
            .expect("timeout of coreutils");
        let run = Run::of(&output);
        let command = step.args.join(" ");
        if run.code != 0 {
            return Err(format!("{command}: exit {}\n{}", run.code, run.stderr));
        }
        match &step.leads_to {
            Some(wanted) if look(&sandbox.database()).as_ref() != Some(wanted) => {
                Err(format!("{command} led to another state"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a raw snapshot or an archive, or what is kept of a damaged file, has this state.
    fn holds(&self, kept: &str) -> bool {
        let backups = self.drill.sandbox.backups();
        let raw = files_ending(&backups, ".snapshot.db")
            .into_iter()
            .any(|path| {
                let copy = self.drill.sandbox.path("snapshot-copy.db");
                fs::copy(path, &copy).expect("copy");
                look(&copy).is_some_and(|found| {
                    found.split_once('\n').map(|it| it.1) == kept.split_once('\n').map(|it| it.1)
                })
            });
        raw || self.is_archived(kept)
    }

    fn is_archived(&self, kept: &str) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.drill.is_backed_up(kept))).unwrap_or(false)
    }
}

/// The first cuts are at every so many points, with all and with nothing kept; then everything is by chance.
fn choose(recording: &Recording, attempt: usize, random: &mut Random) -> Cut {
    let count = recording.ops.len();
    let rules = if attempt.is_multiple_of(2) {
        Rules::Strict
    } else {
        Rules::Ordered
    };
    let point = match attempt {
        0..4 => count,
        _ if random.below(12) == 0 => count,
        // Right before a sync the most is at stake.
        _ => {
            let point = usize::try_from(random.below(count as u64 + 1)).expect("small");
            let sync = recording.ops[point..]
                .iter()
                .position(|op| matches!(op.what, What::Sync { .. }));
            match random.below(2) {
                0 => point + sync.unwrap_or(0),
                _ => point,
            }
        }
    };
    let keep = match (attempt, random.below(10)) {
        (0..2, _) | (_, 0) => Keep::None,
        (2..4, _) | (_, 1) => Keep::All,
        _ => Keep::random(random),
    };
    Cut { rules, point, keep }
}

/// Whether a byte of the database is no longer what it was, or a journal says that one was about to change.
fn is_changed(before: &Disk, now: &Disk) -> bool {
    let file = |disk: &Disk, suffix| {
        disk.file(&format!("{DATABASE}{suffix}"))
            .unwrap_or_default()
    };
    ["", "-journal", "-wal"]
        .iter()
        .any(|suffix| file(now, suffix) != file(before, suffix))
}

/// The state, or nothing where it cannot be read.
fn look(path: &Path) -> Option<String> {
    if !fs::read(path).ok()?.starts_with(b"SQLite format 3") {
        return None;
    }
    catch_unwind(|| state(path)).ok()
}

/// A state in which something is lost stays under `target`.
fn keep_for_a_look(test: &str, number: usize, disk: &Disk) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("powercut-{test}-{number}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("folder");
    disk.write(&folder, &mut Random::seeded(1));
    println!("the state is kept in {}", folder.display());
}
