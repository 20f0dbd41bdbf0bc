//! What a user types and reads: arguments, configuration, exit codes, documents, logs.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;
use support::{Run, Sandbox, files_ending, query, text};

/// Every file below a folder with its bytes and its time.
fn everything(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(
                    path.display().to_string(),
                    (fs::read(&path).unwrap(), modified),
                );
            }
        }
    }
    found
}

#[test]
fn a_missing_database_is_exit_code_4_with_a_hint_about_the_volume_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    for args in [
        &["run"][..],
        &["current"],
        &["backup"],
        &["downgrade", "003"],
    ] {
        let run = sandbox.run(args).expect_code(4);
        let path = sandbox.database();
        assert!(
            run.stderr
                .contains(&format!("there is no database at {}", text(&path))),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("volume") && run.stderr.contains("--create-if-missing"),
            "{}",
            run.stderr
        );
        assert!(!path.exists());
    }
    assert_eq!(
        fs::read_dir(sandbox.path("data")).unwrap().count(),
        0,
        "nothing is left beside it"
    );
}

#[test]
fn an_empty_file_is_filled_only_when_asked_to() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.database(), b"").unwrap();
    sandbox.run(&["run", "--create-if-missing"]).expect_code(0);
    assert_eq!(sandbox.current(), "008");
}

#[test]
fn a_url_of_another_database_is_exit_code_4_without_its_password() {
    let sandbox = Sandbox::at("003");
    let url = "postgresql://fast:s3cret@db.example/flow";
    for run in [
        sandbox.run(&["run", "-d", url]),
        Run::of(
            &sandbox
                .command(&["run"])
                .env("DATABASE_URL", url)
                .output()
                .unwrap(),
        ),
        sandbox.run(&["run", "-d", url, "--output", "json"]),
    ] {
        let run = run.expect_code(4);
        assert!(
            run.stderr.contains("postgresql") && run.stderr.contains("not for SQLite"),
            "{}",
            run.stderr
        );
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("s3cret"));
    }
}

#[test]
fn a_damaged_database_is_not_migrated() {
    let sandbox = Sandbox::at("003");
    sandbox.sql(
        "CREATE TABLE bulk (b); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
         INSERT INTO bulk SELECT zeroblob(500) FROM n",
    );
    let mut bytes = fs::read(sandbox.database()).unwrap();
    let middle = bytes.len() - 40 * 4096;
    bytes[middle..middle + 4096].fill(0xee);
    fs::write(sandbox.database(), &bytes).unwrap();
    let run = sandbox.run(&["run"]).expect_code(4);
    assert!(run.stderr.contains("damaged"), "{}", run.stderr);
    assert!(
        run.stderr.contains("Do not migrate a damaged database"),
        "{}",
        run.stderr
    );
    assert!(fs::read(sandbox.database()).unwrap() == bytes);
}

#[test]
fn a_second_run_has_nothing_to_do_and_changes_no_byte_and_no_time() {
    for wal in [false, true] {
        let sandbox = Sandbox::at("003");
        if wal {
            sandbox.use_wal();
        }
        sandbox.run(&["run"]).expect_code(0);
        let before = everything(&sandbox.path("."));
        let run = sandbox.run(&["run"]).expect_code(0);
        assert_eq!(
            run.stdout,
            format!(
                "Nothing to do: {} is at 008.\n",
                text(&fs::canonicalize(sandbox.database()).unwrap())
            )
        );
        assert_eq!(run.stderr, "", "and says no more than that");
        let (_, document) = sandbox.run_json(&["run"]);
        assert_eq!(document["outcome"], "nothing_to_do");
        assert_eq!(document["backup"], Value::Null);
        let after = everything(&sandbox.path("."));
        let of_the_file = |all: &BTreeMap<String, (Vec<u8>, SystemTime)>| {
            all.iter()
                .filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with("-wal"))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert!(
            of_the_file(&before) == of_the_file(&after),
            "wal: {wal}: {:?}",
            after.keys()
        );
    }
}

/// What `current` says it looks at.
fn database_of(output: &std::process::Output) -> String {
    let run = Run::of(output).expect_code(0);
    let document = run.json();
    let path = document["database"].as_str().unwrap();
    Path::new(path)
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn flags_come_before_variables_before_the_file_before_the_application_s_own_settings() {
    let sandbox = Sandbox::at("003");
    fs::create_dir(sandbox.path("dir")).unwrap();
    for name in ["flag.db", "env.db", "file.db", "url.db", "dir/fastflow.db"] {
        fs::copy(sandbox.database(), sandbox.path(name)).unwrap();
    }
    let current = || sandbox.command(&["current", "--output", "json"]);
    let url = format!("sqlite:///{}", text(&sandbox.path("url.db")));
    assert_eq!(database_of(&current().output().unwrap()), "fastflow.db");

    let document = Run::of(
        &current()
            .env("DATA_DIR", sandbox.path("dir"))
            .output()
            .unwrap(),
    )
    .json();
    assert!(
        document["database"]
            .as_str()
            .unwrap()
            .ends_with("dir/fastflow.db"),
        "{document:#}"
    );
    assert_eq!(
        database_of(
            &current()
                .env("DATA_DIR", sandbox.path("dir"))
                .env("DATABASE_URL", &url)
                .output()
                .unwrap()
        ),
        "url.db"
    );

    fs::write(
        sandbox.path("safestep.toml"),
        "database = 'file.db'\nkeep_last = 3\n",
    )
    .unwrap();
    assert_eq!(
        database_of(&current().env("DATABASE_URL", &url).output().unwrap()),
        "file.db"
    );
    assert_eq!(
        database_of(
            &current()
                .env("DATABASE_URL", &url)
                .env("SAFESTEP_DATABASE", "env.db")
                .output()
                .unwrap()
        ),
        "env.db"
    );
    let mut all = sandbox.command(&["current", "--output", "json", "-d", "flag.db"]);
    assert_eq!(
        database_of(&all.env("SAFESTEP_DATABASE", "env.db").output().unwrap()),
        "flag.db"
    );
    assert_eq!(
        database_of(
            &current()
                .env("SAFESTEP_DATABASE", "")
                .env("DATABASE_URL", "")
                .output()
                .unwrap()
        ),
        "file.db",
        "an empty variable is none"
    );
}

#[test]
fn paths_in_the_configuration_file_are_relative_to_it() {
    let sandbox = Sandbox::at("003");
    fs::create_dir(sandbox.path("etc")).unwrap();
    fs::copy(sandbox.database(), sandbox.path("etc/there.db")).unwrap();
    let settings = "database = 'there.db'\nmigrations = '../migrations'\nbackups = 'kept'\nlog_dir = 'logs'\nlock_timeout = '5s'\n";
    fs::write(sandbox.path("etc/config.toml"), settings).unwrap();
    let (code, document) = sandbox.run_json(&["run", "--config", "etc/config.toml"]);
    assert_eq!(code, 0, "{document:#}");
    assert!(
        document["database"]
            .as_str()
            .unwrap()
            .ends_with("etc/there.db"),
        "{document:#}"
    );
    assert_eq!(
        files_ending(&sandbox.path("etc/kept/there"), ".tar.gz").len(),
        1
    );
    assert_eq!(files_ending(&sandbox.path("etc/logs"), ".jsonl").len(), 1);
}

#[test]
fn a_wrong_configuration_is_exit_code_2_and_names_the_file() {
    let sandbox = Sandbox::at("003");
    for (settings, part) in [
        ("databse = 'x'", "databse"),
        ("keep_last = 'many'", "keep_last"),
        ("keep_last = 0", "0 backups"),
        ("[", "safestep.toml"),
        ("lock_timeout = 'soon'", "soon"),
    ] {
        fs::write(sandbox.path("safestep.toml"), settings).unwrap();
        let run = sandbox.run(&["run"]).expect_code(2);
        assert!(
            run.stderr.contains(part) && run.stderr.contains("next: "),
            "'{part}' in {}",
            run.stderr
        );
    }
    fs::remove_file(sandbox.path("safestep.toml")).unwrap();
    let run = sandbox
        .run(&["run", "--config", "nowhere.toml"])
        .expect_code(2);
    assert!(run.stderr.contains("nowhere.toml"), "{}", run.stderr);
    sandbox
        .run(&["run", "--lock-timeout", "forever"])
        .expect_code(2);
}

const MEMBERS: [&str; 19] = [
    "schema_version",
    "tool",
    "command",
    "outcome",
    "exit_code",
    "error",
    "database",
    "from",
    "to",
    "applied",
    "normalised",
    "backup",
    "phases",
    "blocked_ms",
    "elapsed_ms",
    "database_bytes",
    "snapshot_bytes_per_second",
    "warnings",
    "proof",
];

#[track_caller]
fn document_of_a_job(run: &Run, outcome: &str) -> Value {
    let document = run.json();
    for member in MEMBERS {
        assert!(
            document.get(member).is_some(),
            "{member} is missing in {document:#}"
        );
    }
    assert_eq!(document["outcome"], outcome);
    assert_eq!(document["exit_code"], run.code);
    assert_eq!(document["error"].is_null(), run.code == 0);
    if run.code != 0 {
        for member in ["code", "message", "hint"] {
            assert!(
                document["error"][member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member} in {document:#}"
            );
        }
    }
    document
}

#[test]
fn the_document_of_a_job_has_its_members_whatever_the_outcome() {
    let sandbox = Sandbox::new();
    let json = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        sandbox.run(&all)
    };
    document_of_a_job(&json(&["run"]), "failed");
    let created = document_of_a_job(&json(&["upgrade", "003", "--create-if-missing"]), "created");
    assert_eq!(created["applied"].as_array().unwrap().len(), 4);
    let migrated = document_of_a_job(&json(&["run"]), "migrated");
    assert_eq!(
        (&migrated["from"], &migrated["to"]),
        (&"003".into(), &"008".into())
    );
    let versions: Vec<&str> = migrated["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["004", "005", "006", "007", "008"]);
    assert!(
        migrated["phases"]
            .as_array()
            .unwrap()
            .iter()
            .all(|phase| phase["name"].is_string() && phase["ms"].is_u64())
    );
    assert!(migrated["blocked_ms"].is_u64());
    assert!(
        migrated["backup"]["id"]
            .as_str()
            .is_some_and(|id| id.len() == 8)
    );
    let nothing = document_of_a_job(&json(&["run"]), "nothing_to_do");
    assert_eq!(
        (&nothing["from"], &nothing["to"]),
        (&"008".into(), &"008".into())
    );
    assert_eq!(
        document_of_a_job(&json(&["downgrade", "-1"]), "migrated")["applied"][0]["direction"],
        "down"
    );
    document_of_a_job(&json(&["backup"]), "backed_up");
    document_of_a_job(&json(&["restore", "latest", "--yes"]), "restored");
    document_of_a_job(&json(&["upgrade", "077"]), "failed");
    document_of_a_job(&json(&["restore", "nothing", "--yes"]), "failed");
    document_of_a_job(&json(&["restore", "latest"]), "failed");
    sandbox.add_migration("009_bad", "DELETE FROM nowhere;");
    document_of_a_job(&json(&["run"]), "failed");
    sandbox.add_migration("011_gap", "SELECT 1;");
    let refused = document_of_a_job(&json(&["run"]), "failed");
    assert_eq!(refused["exit_code"], 3);
}

#[test]
fn errors_go_to_standard_error_and_only_the_document_to_standard_output() {
    let sandbox = Sandbox::at("003");
    let run = sandbox
        .run(&["run", "--output", "json", "--verbose"])
        .expect_code(0);
    run.json();
    assert!(run.stderr.contains("phase: migrate"), "{}", run.stderr);
    for args in [
        &["upgrade", "077"][..],
        &["restore", "nothing", "--yes"],
        &["run", "-d", "nowhere.db"],
    ] {
        let human = sandbox.run(args);
        assert_ne!(human.code, 0);
        assert_eq!(human.stdout, "");
        assert!(
            human.stderr.contains("error: ") && human.stderr.contains("next: "),
            "{}",
            human.stderr
        );
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        let machine = sandbox.run(&all).expect_code(human.code);
        assert_eq!(machine.json()["outcome"], "failed");
        assert!(
            machine.stderr.contains("error: "),
            "people who read the log of a container see it too"
        );
    }
    for args in [
        &["current"][..],
        &["history"],
        &["doctor"],
        &["backups", "list"],
    ] {
        let (code, document) = sandbox.run_json(args);
        assert_eq!((code, document["exit_code"].as_i64()), (0, Some(0)));
        assert_eq!(document["command"], args.join(" "));
        assert!(!sandbox.run(args).expect_code(0).stdout.is_empty());
    }
}

#[test]
fn help_completions_and_the_manual_are_there_and_wrong_flags_are_exit_code_2() {
    let sandbox = Sandbox::new();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
    ] {
        let run = sandbox.run(args).expect_code(0);
        assert!(run.stdout.contains("safestep"), "{args:?}: {}", run.stdout);
    }
    let help = sandbox.run(&["--help"]).stdout;
    for part in [
        "Exit codes",
        "restore",
        "--database",
        "--lock-timeout",
        "--output",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
    for args in [
        &["--nope"][..],
        &["run", "--nope"],
        &["fly"],
        &[],
        &["restore"],
        &["downgrade"],
        &["run", "--output", "xml"],
    ] {
        let run = sandbox.run(args).expect_code(2);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(!run.stderr.is_empty());
    }
    assert_eq!(fs::read_dir(sandbox.path("data")).unwrap().count(), 0);
}

#[test]
fn revisions_are_named_as_in_alembic() {
    let sandbox = Sandbox::at("000");
    for (direction, revision, then) in [
        ("upgrade", "+1", "001"),
        ("upgrade", "003", "003"),
        ("upgrade", "5", "005"),
        ("upgrade", "005+1", "006"),
        ("upgrade", "007_drop_password_hash", "007"),
        ("upgrade", "heads", "008"),
        ("downgrade", "-2", "006"),
        ("downgrade", "003_add", "003"),
        ("upgrade", "004_github_invitation+1", "005"),
        ("upgrade", "head-1", "007"),
        ("downgrade", "001_add_is_parameter", "001"),
        ("downgrade", "base", "000"),
        ("upgrade", "base+2", "002"),
        ("upgrade", "head", "008"),
        ("upgrade", "008", "008"),
    ] {
        let run = sandbox.run(&[direction, revision]).expect_code(0);
        assert_eq!(
            sandbox.current(),
            then,
            "{direction} {revision}: {}",
            run.stdout
        );
    }
    for (direction, revision, part) in [
        ("upgrade", "+1", "no revision '008+1'"),
        ("upgrade", "077", "no revision '077'"),
        ("upgrade", "nope", "safestep history"),
        ("upgrade", "", "no revision"),
        ("upgrade", "003", "safestep downgrade 003"),
        ("downgrade", "-99", "no revision"),
        ("downgrade", "+1", "no revision"),
    ] {
        let run = sandbox.run(&[direction, revision]).expect_code(2);
        assert!(
            run.stderr.contains(part),
            "{direction} {revision}: '{part}' in {}",
            run.stderr
        );
        assert_eq!(sandbox.current(), "008");
    }
    sandbox.run(&["downgrade", "005"]).expect_code(0);
    let run = sandbox.run(&["downgrade", "head"]).expect_code(2);
    assert!(
        run.stderr.contains("safestep upgrade 008"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_ambiguous_prefix_lists_its_candidates() {
    let sandbox = Sandbox::at("head");
    sandbox.add_migration("009_x", "-- alembic: ae1027a6acf\nSELECT 1;");
    sandbox.add_migration("010_y", "-- alembic: ae10333c0de\nSELECT 1;");
    for prefix in ["a", "ae10"] {
        let run = sandbox.run(&["upgrade", prefix]).expect_code(2);
        assert!(
            run.stderr.contains("more than one revision"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("ae1027a6acf, ae10333c0de"),
            "{}",
            run.stderr
        );
    }
    sandbox.run(&["upgrade", "ae102"]).expect_code(0);
    assert_eq!(sandbox.current(), "009");
    assert_eq!(
        sandbox.query("SELECT version_num FROM alembic_version"),
        ["ae1027a6acf"]
    );
}

#[test]
fn the_log_file_is_json_lines_and_tells_of_failures() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_bad", "DELETE FROM nowhere;");
    sandbox.run(&["run"]).expect_code(5);
    let logs = files_ending(&sandbox.path("backups/logs"), ".jsonl");
    assert_eq!(logs.len(), 1);
    let lines: Vec<Value> = fs::read_to_string(&logs[0])
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line["timestamp"].is_string() && line["level"].is_string())
    );
    let failure = lines
        .iter()
        .find(|line| line["level"] == "ERROR")
        .expect("the failure is logged");
    assert_eq!(failure["fields"]["exit_code"], 5);
    assert!(
        failure["fields"]["message"]
            .as_str()
            .unwrap()
            .contains("no such table: nowhere"),
        "{failure}"
    );
    sandbox
        .run(&["run", "--log-dir", "elsewhere"])
        .expect_code(5);
    assert_eq!(files_ending(&sandbox.path("elsewhere"), ".jsonl").len(), 1);
}

#[test]
fn a_log_folder_that_cannot_be_made_stops_nothing() {
    let sandbox = Sandbox::at("003");
    fs::write(sandbox.path("file"), "").unwrap();
    sandbox
        .run(&["run", "--log-dir", "file/logs"])
        .expect_code(0);
    assert_eq!(sandbox.current(), "008");
}

#[test]
fn a_database_behind_a_link_is_migrated_in_its_own_place() {
    let sandbox = Sandbox::at("003");
    std::os::unix::fs::symlink(sandbox.database(), sandbox.path("link.db")).unwrap();
    sandbox.run(&["run", "-d", "link.db"]).expect_code(0);
    assert!(
        fs::symlink_metadata(sandbox.path("link.db"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(sandbox.current(), "008");
    assert_eq!(
        sandbox.archives().len(),
        1,
        "backed up under the name of the file"
    );
}

#[test]
fn a_path_with_blanks_and_umlauts_works() {
    let sandbox = Sandbox::new();
    let name = "data/Größe & 100 %?.db";
    sandbox
        .run(&["upgrade", "003", "--create-if-missing", "-d", name])
        .expect_code(0);
    sandbox.run(&["run", "-d", name]).expect_code(0);
    sandbox
        .run(&["restore", "latest", "--yes", "-d", name])
        .expect_code(0);
    assert_eq!(
        query(
            &sandbox.path(name),
            "SELECT version_num FROM alembic_version"
        ),
        ["003_add_user_management_fields"]
    );
}

#[test]
fn a_revision_argument_of_endless_steps_is_refused() {
    let sandbox = Sandbox::at("003");
    let endless = format!("1{}", "+1".repeat(60_000));
    let run = sandbox.run(&["show", &endless]).expect_code(2);
    assert!(run.stderr.contains("there is no revision '1+1+1"));
}
