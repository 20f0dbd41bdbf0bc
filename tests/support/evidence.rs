//! What a test injected and what came of it: one row of `docs/reliability.md`, as a line on standard output and as a file
//! under `target/reliability`, from which `tests/reliability.rs` makes the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::full;

/// One row, while it is being counted.
pub struct Evidence {
    section: &'static str,
    subject: String,
    scenario: String,
    command: String,
    outcomes: BTreeMap<String, u64>,
    lost: Vec<String>,
    injected: u64,
}

impl Evidence {
    /// A row about this program. `section` is a heading of the page, `scenario` is what was disturbed and how, `command` runs
    /// it again (in full).
    pub fn new(
        section: &'static str,
        scenario: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        Self::about("safestep", section, scenario, command)
    }

    /// The same of another program, with its version.
    pub fn about(
        subject: impl Into<String>,
        section: &'static str,
        scenario: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        Self {
            section,
            subject: subject.into(),
            scenario: scenario.into(),
            command: command.into(),
            outcomes: BTreeMap::new(),
            lost: Vec::new(),
            injected: 0,
        }
    }

    /// One fault was injected; `outcome` is what was found after it, in a word or three ("old", "new", "refused, 75").
    pub fn injected(&mut self, outcome: impl Into<String>) {
        self.counted(1, outcome);
    }

    /// As many faults at once, as another program counted them.
    pub fn counted(&mut self, count: u64, outcome: impl Into<String>) {
        self.injected += count;
        *self.outcomes.entry(outcome.into()).or_default() += count;
    }

    /// Something was lost or changed that should not have been. `how` is enough to do it again.
    pub fn lost(&mut self, how: impl Into<String>) {
        self.lost.push(how.into());
    }

    /// How many faults so far.
    pub fn count(&self) -> u64 {
        self.injected
    }

    /// Prints the row and writes it down. Fails the test if this program lost something, or if nothing was injected.
    #[track_caller]
    pub fn finish(self) {
        let outcomes: Vec<String> = self
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{outcome}: {count}"))
            .collect();
        println!(
            "reliability: {} | {} | {} | {} injected | {} | lost or changed: {}",
            self.section,
            self.subject,
            self.scenario,
            self.injected,
            outcomes.join(", "),
            self.lost.len()
        );
        let folder = folder();
        fs::create_dir_all(&folder).expect("folder for the rows");
        let name: String = format!("{}-{}-{}", self.section, self.subject, self.scenario)
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .collect();
        let row = json!({
            "section": self.section,
            "subject": self.subject,
            "scenario": self.scenario,
            "command": self.command,
            "injected": self.injected,
            "outcomes": self.outcomes,
            "lost_or_changed": self.lost.len(),
            "full": full(),
        });
        fs::write(folder.join(format!("{name}.json")), format!("{row:#}\n")).expect("row");
        assert!(self.injected > 0, "nothing was injected");
        if self.subject == "safestep" {
            assert!(
                self.lost.is_empty(),
                "lost or changed:\n{}",
                self.lost.join("\n")
            );
        }
    }
}

/// All rows that the tests of this build folder have written.
pub fn rows() -> Vec<Value> {
    super::files_ending(&folder(), ".json")
        .iter()
        .map(|path| serde_json::from_slice(&fs::read(path).expect("row")).expect("JSON"))
        .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("target")
        .join("reliability")
}
