//! The rules of retention beside the real restic: the same backups under the same policy, and the same ones stay, for the
//! same reasons.
//!
//! Behind the feature `agreement`, since restic has to be installed (`.ci/run` does it, with apt).
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;
#[path = "policies/world.rs"]
#[allow(unreachable_pub, dead_code)]
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use safestep::retention::{Candidate, Reason, Verdict};
use serde_json::Value;
use support::text;
use tempfile::TempDir;

const POLICIES: [&str; 24] = [
    "--keep-last 1",
    "--keep-last 7",
    "--keep-last 1000",
    "--keep-hourly 1",
    "--keep-hourly 9",
    "--keep-hourly 100",
    "--keep-daily 1",
    "--keep-daily 4",
    "--keep-daily 100",
    "--keep-weekly 2",
    "--keep-weekly 6",
    "--keep-weekly 100",
    "--keep-monthly 3",
    "--keep-monthly 100",
    "--keep-yearly 2",
    "--keep-yearly 100",
    "--keep-within 1d",
    "--keep-within 1m",
    "--keep-within 2m7d5h",
    "--keep-within 1y",
    "--keep-within 10y",
    "--keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 75",
    "--keep-last 2 --keep-within 36h --keep-weekly 3",
    "--keep-hourly 24 --keep-daily 7 --keep-monthly 2 --keep-within 3d",
];

/// At the edges of hours, days, weeks, months and years, a leap day among them, and a month behind the newest that has no
/// such day.
const TIMES: [&str; 38] = [
    "2023-12-31 23:59:59",
    "2024-01-01 00:00:00",
    "2024-02-28 12:00:00",
    "2024-02-29 00:00:00",
    "2024-02-29 23:59:59",
    "2024-03-01 00:00:00",
    "2024-12-29 23:59:59",
    "2024-12-30 00:00:00",
    "2024-12-31 12:00:00",
    "2025-01-01 00:00:00",
    "2025-03-31 13:37:00",
    "2025-03-31 13:37:01",
    "2025-10-26 00:30:00",
    "2025-10-26 01:30:00",
    "2025-12-28 23:59:59",
    "2025-12-29 00:00:00",
    "2025-12-31 23:59:59",
    "2026-01-01 00:00:00",
    "2026-01-04 23:59:59",
    "2026-01-05 00:00:00",
    "2026-01-31 23:59:59",
    "2026-02-01 00:00:00",
    "2026-02-28 13:37:00",
    "2026-03-01 13:37:00",
    "2026-03-03 13:36:59",
    "2026-03-03 13:37:00",
    "2026-03-03 13:37:01",
    "2026-03-22 10:00:00",
    "2026-03-24 08:37:00",
    "2026-03-29 23:59:59",
    "2026-03-30 00:00:00",
    "2026-03-30 13:37:00",
    "2026-03-30 13:37:01",
    "2026-03-31 12:59:59",
    "2026-03-31 13:00:00",
    "2026-03-31 13:00:01",
    "2026-03-31 13:36:00",
    "2026-03-31 13:37:00",
];

struct Restic {
    folder: TempDir,
}

impl Restic {
    /// A repository with a snapshot of an empty file at each of the times.
    fn new(times: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let restic = Self { folder };
        restic.run(&["init"]);
        for time in times {
            restic.run(&["backup", "--quiet", "--time", time, "empty"]);
        }
        restic
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, args: &[&str]) -> String {
        let output = Command::new("restic")
            .current_dir(self.path())
            .args(["--no-cache", "--repo", "repository"])
            .args(args)
            .env("RESTIC_PASSWORD", "nobody has to guess it")
            .env("HOME", text(self.path()))
            .env("TZ", "UTC")
            .output()
            .expect("restic is installed");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic {args:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What stays by a policy, with the reasons.
    fn forget(&self, options: &str) -> BTreeMap<String, Vec<String>> {
        let mut args = vec!["forget", "--dry-run", "--json", "--group-by", ""];
        args.extend(options.split_whitespace());
        let printed = self.run(&args);
        let document: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
        let reasons = document[0]["reasons"].as_array().unwrap().iter();
        reasons
            .map(|reason| {
                let time = reason["snapshot"]["time"].as_str().unwrap();
                let matches = reason["matches"].as_array().unwrap().iter();
                let matches = matches.map(|words| words.as_str().unwrap().to_owned());
                (time.replace('T', " ").replace('Z', ""), matches.collect())
            })
            .collect()
    }
}

/// What stays by ours. An old restic (0.14 is Debian 12's) does not keep the oldest where a rule has too few.
fn ours(
    options: &str,
    candidates: &[Candidate],
    knows_oldest: bool,
) -> BTreeMap<String, Vec<String>> {
    let verdicts = world::judged(&world::policy(options), candidates);
    let is_theirs = |reason: &&Reason| match reason {
        Reason::Oldest(_) => knows_oldest,
        Reason::Within(_) | Reason::Rule(_) => true,
        _ => false,
    };
    let mut stay = BTreeMap::new();
    for (candidate, verdict) in candidates.iter().zip(verdicts) {
        let Verdict::Stays(reasons) = verdict else {
            continue;
        };
        let words: Vec<String> = reasons
            .iter()
            .filter(is_theirs)
            .map(ToString::to_string)
            .collect();
        if !words.is_empty() {
            stay.insert(candidate.name.clone(), words);
        }
    }
    stay
}

#[test]
fn the_same_backups_stay_for_the_same_reasons_as_with_restic() {
    let restic = Restic::new(&TIMES);
    let knows_oldest = restic.run(&["help", "forget"]).contains("oldest");
    let candidates = world::candidates(&TIMES);
    for options in POLICIES {
        let theirs = restic.forget(options);
        assert!(!theirs.is_empty(), "{options}");
        assert_eq!(
            ours(options, &candidates, knows_oldest),
            theirs,
            "{options}"
        );
    }
}
