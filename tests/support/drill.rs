//! A database that is brought into the same state again and again, to be disturbed in ever new ways.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{self, IDENTITY};
use super::{Sandbox, copy_tree, files_ending, state, unpack_archive, unpack_stream};

/// Statements that commit one by one, and VACUUM, which needs to be outside a transaction.
pub const NON_TRANSACTIONAL: &str = "-- no-transaction
CREATE INDEX ix_pipeline_runs_status ON pipeline_runs (status);
UPDATE users SET avatar_url = 'https://example.org/' || username;
CREATE TABLE between_the_statements (n INTEGER);
VACUUM;
UPDATE pipeline_runs SET exit_code = length(log_file);
";

const FILL: &str = "
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
INSERT INTO users (id, username, password_hash, created_at, role)
SELECT printf('%032x', i), 'user' || i, 'hash' || i, '2026-01-01 00:00:00',
    CASE i % 3 WHEN 0 THEN 'readonly' WHEN 1 THEN 'Write' ELSE 'ADMIN' END FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
INSERT INTO pipeline_runs (id, pipeline_name, status, log_file, started_at)
SELECT printf('%032x', i), 'pipeline' || (i % 50),
    CASE i % 4 WHEN 0 THEN 'success' WHEN 1 THEN 'Failed' WHEN 2 THEN 'RUNNING' ELSE 'pending' END,
    '/logs/' || i || '.log', '2026-01-01 00:00:00' FROM n;
";

/// The journal mode of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Delete,
    Wal,
}

/// A sandbox that can be set back to one state again and again.
pub struct Drill {
    pub sandbox: Sandbox,
}

impl Drill {
    /// At `revision`, with as many users and runs as `rows`; the roles and states are written as people type them.
    pub fn at(revision: &str, mode: Mode, rows: usize) -> Self {
        let sandbox = Sandbox::at("003");
        sandbox.sql(&FILL.replace("{ROWS}", &rows.to_string()));
        if revision != "003" {
            sandbox.run(&["upgrade", revision]).expect_code(0);
            fs::remove_dir_all(sandbox.path("backups")).unwrap();
        }
        if mode == Mode::Wal {
            sandbox.use_wal();
        }
        let drill = Self { sandbox };
        drill.save();
        drill
    }

    /// The state as it is now is the one to come back to.
    pub fn save(&self) {
        let saved = self.sandbox.path("saved");
        let _ = fs::remove_dir_all(&saved);
        for name in ["data", "migrations", "backups"] {
            let from = self.sandbox.path(name);
            if from.exists() {
                copy_tree(&from, &saved.join(name));
            }
        }
    }

    /// Back to the state that was saved.
    pub fn reset(&self) {
        for name in ["data", "migrations", "backups"] {
            let _ = fs::remove_dir_all(self.sandbox.path(name));
            let from = self.sandbox.path("saved").join(name);
            if from.exists() {
                copy_tree(&from, &self.sandbox.path(name));
            }
        }
    }

    /// What the database holds; reading it recovers it, as any connection does.
    pub fn state(&self) -> String {
        state(&self.sandbox.database())
    }

    /// A copy of the files as a crash left them, so that looking does not recover what the program has to.
    pub fn copy_of_files(&self) -> PathBuf {
        let peek = self.sandbox.path("peek");
        let _ = fs::remove_dir_all(&peek);
        fs::create_dir(&peek).unwrap();
        for suffix in ["", "-journal", "-wal"] {
            let name = format!("fastflow.db{suffix}");
            let _ = fs::copy(self.sandbox.path("data").join(&name), peek.join(&name));
        }
        peek.join("fastflow.db")
    }

    /// The state, read from a copy.
    pub fn peek(&self) -> String {
        state(&self.copy_of_files())
    }

    /// What is left of a job that was cut short: files, journals, records without an outcome. Nothing, after the next start.
    pub fn unsettled(&self) -> Vec<String> {
        let mut left: Vec<String> = [self.sandbox.backups(), self.sandbox.path("data")]
            .iter()
            .flat_map(|folder| files_ending(folder, ""))
            .filter_map(|path| litter(&path))
            .collect();
        left.extend(self.uncopied());
        for record in records(&self.sandbox.backups()) {
            if record["outcome"].is_null() {
                left.push(format!("a record without an outcome: {record}"));
            }
        }
        left
    }

    /// Where there is a place off site below the backups: what lies there and is no backup, and what should and does not.
    fn uncopied(&self) -> Vec<String> {
        let store = self.sandbox.path("backups/store");
        let shelf = store.join("fastflow");
        if !store.exists() {
            return Vec::new();
        }
        let labels = files_ending(&shelf, ".label.json");
        let label_of = |archive: &Path| {
            let name = archive.file_name().unwrap().to_string_lossy();
            shelf.join(format!("{}.label.json", name.trim_end_matches(".tar.gz")))
        };
        let copies = files_ending(&shelf, ".tar.gz");
        let bare = copies.iter().filter(|copy| !label_of(copy).exists());
        let bare = bare.map(|copy| format!("{} has no label", copy.display()));
        let alone = (labels.len() > copies.len()).then(|| "a label has no archive".to_owned());
        let archives = self.sandbox.archives();
        let missing = archives
            .iter()
            .filter(|archive| !shelf.join(archive.file_name().unwrap()).exists())
            .map(|archive| format!("{} is not off site", archive.display()));
        bare.chain(alone).chain(missing).collect()
    }

    #[track_caller]
    pub fn assert_settled(&self) {
        let left = self.unsettled();
        assert!(left.is_empty(), "{left:#?}");
    }

    /// Whether one of the backups holds exactly this.
    pub fn is_backed_up(&self, wanted: &str) -> bool {
        self.sandbox.archives().iter().any(|archive| {
            let target = self.sandbox.path("from-archive.db");
            if archive.extension().is_some_and(|end| end == "age") {
                let identity = self.sandbox.path(IDENTITY);
                unpack_stream(&keys::decrypted(archive, &identity)[..], &target);
            } else {
                unpack_archive(archive, &target);
            }
            // The copy is in rollback-journal mode, whatever the database was in.
            without_mode(&state(&target)) == without_mode(wanted)
        })
    }

    #[track_caller]
    pub fn assert_backed_up(&self, wanted: &str) {
        assert!(
            self.is_backed_up(wanted),
            "no backup of the old state in {:?}",
            self.sandbox.archives()
        );
    }
}

fn without_mode(state: &str) -> &str {
    state
        .split_once('\n')
        .expect("a journal mode and a schema")
        .1
}

/// Why a file is not one that a settled job leaves.
fn litter(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    if name.ends_with("-journal") {
        // One that is empty or begins with a zero is spent: SQLite writes over it the next time.
        let spent = matches!(fs::read(path).expect("journal").first(), None | Some(0));
        return (!spent).then(|| format!("{name} is hot"));
    }
    if let Some(stem) = name.strip_suffix(".label.json") {
        let archive = path.with_file_name(format!("{stem}.tar.gz.age"));
        return (!archive.exists()).then(|| format!("{name} has no archive"));
    }
    if let Some(stem) = name.strip_suffix(".offsite.json") {
        let archive = path.with_file_name(format!("{stem}.tar.gz"));
        return (!archive.exists()).then(|| format!("{name} has no archive"));
    }
    let expected = [
        "safestep-offsite-lock",
        "safestep-download-lock",
        ".tar.gz",
        ".tar.zst",
        ".tar",
        ".age",
        ".job.json",
        "safestep-lock",
        "fastflow.db",
        "fastflow.db-wal",
        "fastflow.db-shm",
        ".damaged",
    ];
    let is_litter =
        !expected.iter().any(|end| name.ends_with(end)) || name.ends_with(".unpacked.db");
    is_litter.then(|| format!("{name} is left behind"))
}

/// The job records of a backups folder.
pub fn records(folder: &Path) -> Vec<Value> {
    files_ending(folder, ".job.json")
        .iter()
        .map(|path| serde_json::from_slice(&fs::read(path).expect("record")).expect("JSON"))
        .collect()
}
