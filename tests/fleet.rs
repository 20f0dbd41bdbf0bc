//! Many databases: each job stands for itself, whatever happens to the others.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

#[path = "fleet/broken.rs"]
#[allow(unreachable_pub)]
mod broken;
#[path = "fleet/finding.rs"]
mod finding;
#[path = "fleet/stopping.rs"]
mod stopping;
mod support;
#[path = "fleet/tenants.rs"]
#[allow(unreachable_pub)]
mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use broken::{LOCKED, NINTH, WAYS, Writer, evidence};
use support::{Run, files_ending, full, text, wait_until};
use tenants::{PATTERN, Tenants, count, databases, part, with_outcome};

const SHARDS: usize = 4;

/// One process for each shard, all at the same time; their reports. The one to be killed is, as soon as it has begun, and is
/// started again.
fn run_shards(tenants: &Tenants, to_be_killed: Option<usize>) -> Vec<(i32, Value)> {
    let start = |shard: usize| {
        let shard = format!("{shard}/{SHARDS}");
        let args = ["run", "--all", PATTERN, "--shard", &shard];
        let rest = ["--output", "json", "--lock-timeout", "1s"];
        tenants.sandbox.spawn(&[&args[..], &rest].concat())
    };
    let mut children: Vec<_> = (0..SHARDS).map(start).collect();
    if let Some(shard) = to_be_killed {
        let begun = tenants.names.len() / 6;
        wait_until("a part is done", || {
            stopping::records(tenants).len() >= begun
        });
        children[shard].kill().unwrap();
        assert!(!children[shard].wait().unwrap().success());
        children[shard] = start(shard);
    }
    children
        .into_iter()
        .map(|child| {
            let run = Run::of(&child.wait_with_output().unwrap());
            (run.code, run.json())
        })
        .collect()
}

#[test]
fn over_four_shards_all_are_migrated_but_those_that_are_broken_which_are_untouched() {
    let total = if full() { 1_000 } else { 60 };
    let tenants = Tenants::new(total);
    tenants.sandbox.add_migration("009_unique_email", NINTH);
    let step = total / WAYS.len();
    let broken: BTreeMap<&str, usize> = (0..WAYS.len())
        .map(|way| (tenants.names[way * step + way].as_str(), way))
        .collect();
    let mut writer = None;
    let mut before = BTreeMap::new();
    for (name, way) in &broken {
        let path = tenants.path(name);
        (WAYS[*way].break_it)(&path);
        before.insert(*name, evidence(&path, &WAYS[*way]));
        if *way == LOCKED {
            writer = Some(Writer::hold(&path));
        }
    }
    let started = Instant::now();
    let reports = run_shards(&tenants, Some(2));
    let took = started.elapsed();
    writer.unwrap().let_go();

    let mut seen = BTreeSet::new();
    for (code, report) in &reports {
        println!(
            "{}: exit code {code}, {}",
            report["shard"], report["counts"]
        );
        assert_eq!(report["found"], total);
        for database in databases(report) {
            let path = database["database"].as_str().unwrap().to_owned();
            assert!(seen.insert(path), "twice: {database:#}");
        }
        let codes: BTreeSet<i64> = databases(report)
            .iter()
            .filter_map(|database| database["exit_code"].as_i64())
            .filter(|code| *code != 0)
            .collect();
        let expected = match codes.iter().copied().collect::<Vec<_>>()[..] {
            [] => 0,
            _ if codes.contains(&75) => 75,
            [only] => only,
            _ => 5,
        };
        assert_eq!(i64::from(*code), expected, "{codes:?}");
    }
    assert_eq!(seen.len(), total, "every database is in one report");
    let sum = |outcome: &str| -> usize {
        reports
            .iter()
            .map(|(_, report)| count(report, outcome))
            .sum()
    };
    // The killed one has found what it had done itself.
    let migrated = sum("migrated") + sum("nothing_to_do");
    assert_eq!(migrated, total - WAYS.len());
    assert!(with_outcome(&reports[2].1, "nothing_to_do").len() == sum("nothing_to_do"));
    assert_eq!(sum("failed"), WAYS.len());
    for (name, way) in &broken {
        let way = &WAYS[*way];
        let report = reports
            .iter()
            .find(|(_, report)| {
                with_outcome(report, "failed")
                    .iter()
                    .any(|failed| failed == name)
            })
            .unwrap_or_else(|| panic!("{}: not among the failures", way.name));
        let part = part(&report.1, name);
        assert_eq!(part["error"]["code"], way.error, "{}: {part:#}", way.name);
        assert_eq!(part["exit_code"], way.exit_code, "{}: {part:#}", way.name);
        let now = evidence(&tenants.path(name), way);
        assert!(now == before[name], "{} was touched", way.name);
    }
    let sound = tenants
        .names
        .iter()
        .filter(|name| !broken.contains_key(name.as_str()));
    for name in sound {
        assert_eq!(tenants.revision(name), "009", "{name}");
        let folder = tenants.sandbox.path("backups").join(name).join("app");
        assert_eq!(files_ending(&folder, ".tar.gz").len(), 1, "{name}");
    }
    println!("{total} databases in {} ms", took.as_millis());
    let again = run_shards(&tenants, None);
    let sum =
        |outcome: &str| -> usize { again.iter().map(|(_, report)| count(report, outcome)).sum() };
    // Nobody writes to the locked one any more.
    assert_eq!(sum("nothing_to_do"), total - WAYS.len());
    assert_eq!((sum("migrated"), sum("failed")), (1, WAYS.len() - 1));
}

#[test]
fn the_index_of_an_indexed_job_says_which_shard_it_is() {
    let tenants = Tenants::new(12);
    let mut seen = 0;
    for index in 0..3 {
        let mut command = tenants
            .sandbox
            .command(&["run", "--all", PATTERN, "--shards", "3", "--output", "json"]);
        let output = command
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .output()
            .unwrap();
        let report = Run::of(&output).expect_code(0).json();
        assert_eq!(report["shard"]["index"], index);
        assert_eq!(report["shard"]["of"], 3);
        seen += databases(&report).len();
    }
    assert_eq!(seen, 12);
    assert!(
        tenants
            .names
            .iter()
            .all(|name| tenants.revision(name) == "008")
    );
}

#[test]
fn settings_that_make_no_sense_are_exit_code_2_and_touch_nothing() {
    let tenants = Tenants::new(2);
    let before = tenants.contents();
    let wrong: [&[&str]; 17] = [
        &["--all", PATTERN, "--shard", "4/4"],
        &["--all", PATTERN, "--shard", "1"],
        &["--all", PATTERN, "--shard", "0/0"],
        &["--all", PATTERN, "--shard=-1/4"],
        &["--all", PATTERN, "--shard", "0/2", "--shards", "2"],
        &["--all", PATTERN, "--shards", "2"],
        &["--all", PATTERN, "--shards", "0"],
        &["--all", PATTERN, "--shards", "many"],
        &["--all", PATTERN, "--jobs", "0"],
        &["--all", PATTERN, "--jobs", "33"],
        &["--all", PATTERN, "--max-failures", "few"],
        &["--all", PATTERN, "--database", "tenants/t0000/app.db"],
        &["--all", ""],
        &["--all", "tenants/[/app.db"],
        &["--all", PATTERN, "--sql"],
        &["--shard", "0/2"],
        &["--jobs", "2"],
    ];
    for args in wrong {
        let run = tenants.sandbox.run(&[&["run"], args].concat());
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
    }
    for (index, shards) in [("2", "2"), ("x", "2"), ("-1", "2")] {
        let mut command = tenants
            .sandbox
            .command(&["run", "--all", PATTERN, "--shards", shards]);
        let output = command.env("JOB_COMPLETION_INDEX", index).output().unwrap();
        let run = Run::of(&output).expect_code(2);
        assert!(
            run.stderr.contains("JOB_COMPLETION_INDEX"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(tenants.contents(), before);
    let logs = tenants.sandbox.path("backups/logs");
    let made = fs::read_dir(tenants.sandbox.path("backups"));
    assert!(
        made.into_iter()
            .flatten()
            .all(|entry| entry.unwrap().path() == logs)
    );
}

#[test]
fn flags_come_before_variables_and_these_before_the_file() {
    let tenants = Tenants::new(3);
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = tenants
            .sandbox
            .command(&[args, &["--output", "json"]].concat());
        Run::of(&command.envs(env.iter().copied()).output().unwrap())
    };
    fs::write(
        tenants.sandbox.path("safestep.toml"),
        "all = \"tenants/t0000/*.db\"\njobs = 1\n",
    )
    .unwrap();
    let document = run(&["run"], &[]).expect_code(0).json();
    assert_eq!(
        (&document["counts"]["total"], &document["jobs"]),
        (&1.into(), &1.into())
    );
    let env = [
        ("SAFESTEP_ALL", PATTERN),
        ("SAFESTEP_JOBS", "2"),
        ("DATABASE_URL", "postgresql://u:p@h/db"),
    ];
    let document = run(&["run"], &env).expect_code(0).json();
    assert_eq!(
        (&document["counts"]["total"], &document["jobs"]),
        (&3.into(), &2.into())
    );
    let document = run(
        &["run", "--all", "tenants/t000[12]/app.db", "--jobs", "3"],
        &env,
    )
    .expect_code(0)
    .json();
    assert_eq!(
        (&document["counts"]["total"], &document["jobs"]),
        (&2.into(), &3.into())
    );
    let document = run(
        &[
            "run",
            "--database",
            "tenants/t0001/app.db",
            "--backups",
            "backups/t0001",
        ],
        &env,
    )
    .expect_code(0)
    .json();
    assert_eq!(document["outcome"], "nothing_to_do");
    let document = run(
        &["run"],
        &[
            ("SAFESTEP_ALL", PATTERN),
            ("SAFESTEP_SHARD", "1/2"),
            ("SAFESTEP_SHARDS", "2"),
        ],
    );
    assert_eq!(document.code, 2);
}

#[test]
fn files_that_are_not_acceptable_are_told_once_and_no_database_is_touched() {
    let tenants = Tenants::new(3);
    let before = tenants.contents();
    fs::remove_file(
        tenants
            .sandbox
            .migrations()
            .join("005_make_password_hash_nullable.down.sql"),
    )
    .unwrap();
    let (code, document) = tenants.run(&["run"]);
    assert_eq!(code, 3, "{document:#}");
    assert_eq!(document["error"]["code"], "migrations_not_acceptable");
    assert_eq!(tenants.contents(), before);
}

/// Runs a command as a person would type it, in a shell.
fn type_in(folder: &Path, command: &str) -> Run {
    let program = Path::new(env!("CARGO_BIN_EXE_safestep"));
    let folders = format!("{}:/usr/bin:/bin", text(program.parent().unwrap()));
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", folders)
        .output();
    Run::of(&output.unwrap())
}

#[test]
fn the_report_says_how_to_go_back_with_one_tenant_and_that_works() {
    let tenants = Tenants::new(4);
    let odd = tenants.sandbox.path("tenants/o'neil & co");
    fs::create_dir(&odd).unwrap();
    fs::copy(tenants.path("t0000"), odd.join("app.db")).unwrap();
    tenants.sandbox.add_migration("009_unique_email", NINTH);
    tenants::sql(&tenants.path("t0003"), WAYS_DUPLICATE);
    let before = tenants.contents();
    let run = tenants
        .sandbox
        .run(&["run", "--all", PATTERN])
        .expect_code(5);
    let lines: Vec<&str> = run.stdout.lines().chain(run.stderr.lines()).collect();
    let command_for = |name: &str| -> String {
        let marker = "to go back: ";
        let line = lines
            .iter()
            .find(|line| line.contains(marker) && line.contains(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {lines:#?}"));
        line[line.find(marker).unwrap() + marker.len()..].to_owned()
    };
    for name in ["t0000", "t0003", "neil & co"] {
        let command = command_for(name);
        type_in(Path::new("/"), &format!("{command} --yes")).expect_code(0);
    }
    let restored = support::content(&odd.join("app.db"));
    assert_eq!(restored, before[0]);
    // As the documentation has it.
    type_in(
        &tenants.sandbox.path("."),
        "safestep restore latest -d tenants/t0001/app.db --backups backups/t0001 --yes",
    )
    .expect_code(0);
    let now = tenants.contents();
    assert_eq!(
        (&now[0], &now[1], &now[3]),
        (&before[0], &before[1], &before[3])
    );
    assert_ne!(now[2], before[2], "nobody has touched the others");
}

/// Which the ninth migration refuses.
const WAYS_DUPLICATE: &str = "UPDATE users SET email = 'the same'";

#[test]
fn the_advice_for_a_failure_names_its_database() {
    let tenants = Tenants::new(2);
    fs::write(tenants.path("t0001"), "no database\n".repeat(400)).unwrap();
    let (code, document) = tenants.run(&["run"]);
    assert_eq!(code, 4, "{document:#}");
    let hint = part(&document, "t0001")["error"]["hint"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = tenants.path("t0001");
    assert!(
        hint.contains(&format!(
            "safestep restore latest --database {}",
            text(&path)
        )),
        "{hint}"
    );
    let log = files_ending(&tenants.sandbox.path("backups/logs"), ".jsonl").remove(0);
    let log = fs::read_to_string(log).unwrap();
    let of_it = |line: &&str| line.contains(&format!("\"database\":\"{}\"", text(&path)));
    assert_eq!(log.lines().filter(of_it).count(), 1, "{log}");
}

#[test]
fn the_log_of_many_databases_says_nothing_of_what_they_hold() {
    let tenants = Tenants::new(2);
    support::query(
        &tenants.path("t0001"),
        "UPDATE users SET role = 'marker4711'",
    );
    let (code, document) = tenants.run(&["run"]);
    assert_eq!(code, 5, "{document:#}");
    assert!(document.to_string().contains("marker4711"), "{document:#}");
    let log = files_ending(&tenants.sandbox.path("backups/logs"), ".jsonl").remove(0);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("unknown_enum_values"), "{log}");
    assert!(!log.contains("marker4711"), "{log}");
}

#[test]
fn other_jobs_can_be_done_on_many_databases_too() {
    let tenants = Tenants::new(3);
    let (code, document) = tenants.run(&["upgrade", "005"]);
    assert_eq!((code, count(&document, "migrated")), (0, 3), "{document:#}");
    assert!(
        tenants
            .names
            .iter()
            .all(|name| tenants.revision(name) == "005")
    );
    let (code, document) = tenants.run(&["backup"]);
    assert_eq!(
        (code, count(&document, "backed_up")),
        (0, 3),
        "{document:#}"
    );
    let (code, document) = tenants.run(&["downgrade", "003"]);
    assert_eq!((code, count(&document, "migrated")), (0, 3), "{document:#}");
    assert!(
        tenants
            .names
            .iter()
            .all(|name| tenants.revision(name) == "003")
    );
    // What each left of its own.
    let folders: Vec<PathBuf> = tenants
        .names
        .iter()
        .map(|name| tenants.sandbox.path("backups").join(name).join("app"))
        .collect();
    assert!(
        folders
            .iter()
            .all(|folder| files_ending(folder, ".tar.gz").len() >= 2),
        "{folders:?}"
    );
}
