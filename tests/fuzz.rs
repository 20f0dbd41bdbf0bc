//! Runs every fuzz target for a while, on stable too: `cargo install cargo-fuzz`, then
//! `cargo test --features fuzzing --test fuzz -- --nocapture`. `SAFESTEP_FUZZ_SECONDS` says for how long each (15 s unless
//! told otherwise); what is found is in `fuzz/artifacts`, and belongs into `tests/found` when it is mended.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use support::evidence::Evidence;

/// Each with what must hold for every input.
const TARGETS: [(&str, &str); 9] = [
    (
        "archive",
        "an archive is refused, or is exactly what its manifest says",
    ),
    ("enums", "enums.toml is refused, or right the second time"),
    (
        "grammar",
        "names, literals and declarations mean what was written",
    ),
    (
        "migrations",
        "a folder of migrations is refused, or read as sqlx reads it",
    ),
    ("records", "a job record is refused, or stays in its folder"),
    (
        "revisions",
        "a revision argument is refused, or is a revision of the folder",
    ),
    (
        "schemas",
        "a drafted migration leads to the other schema and back",
    ),
    (
        "script",
        "a migration stays in its transaction and leaves the history alone",
    ),
    (
        "settings",
        "settings are refused, or such that a job can work",
    ),
];

#[test]
fn nothing_that_a_fuzzer_makes_up_is_taken_for_what_it_is_not() {
    let seconds = std::env::var("SAFESTEP_FUZZ_SECONDS").unwrap_or_else(|_| "15".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = cargo_fuzz(root, &["build", "--sanitizer", "none"]).status();
    assert!(
        built.expect("cargo-fuzz").success(),
        "the targets are built"
    );
    for (target, promise) in TARGETS {
        let command =
            format!("SAFESTEP_FUZZ_SECONDS={seconds} cargo test --features fuzzing --test fuzz");
        let mut evidence = Evidence::new("Fuzzing", format!("{target}: {promise}"), command);
        let (executions, end) = run(root, target, &seconds);
        evidence.counted(executions, "held");
        if let Some(end) = end {
            evidence.lost(end);
        }
        evidence.finish();
    }
}

/// How many inputs were tried, and the last lines where one did not hold.
fn run(root: &Path, target: &str, seconds: &str) -> (u64, Option<String>) {
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root.join(&corpus)).expect("a folder for the corpus");
    let found = format!("tests/found/{target}");
    let time = format!("-max_total_time={seconds}");
    let mut command = cargo_fuzz(root, &["run", "--sanitizer", "none", target]);
    command.args([&corpus, &found, "--", &time]);
    command.args([
        "-dict=fuzz/words.dict",
        "-max_len=4096",
        "-rss_limit_mb=1024",
        "-timeout=20",
        "-print_final_stats=1",
    ]);
    let output = command.output().expect("cargo-fuzz");
    let log = String::from_utf8_lossy(&output.stderr);
    let executions = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or(0, |number| number.trim().parse().expect("a number"));
    let last: Vec<&str> = log.lines().rev().take(60).collect();
    let end = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    (executions, (!output.status.success()).then_some(end))
}

fn cargo_fuzz(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .arg("fuzz")
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null());
    command
}
