//! Migration files that were changed after they were applied: shown as a diff, and repaired on request.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use support::{Sandbox, run};

const FILE: &str = "002_add_webhook_fields.up.sql";

fn file(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.migrations().join(name)
}

#[track_caller]
fn edit(sandbox: &Sandbox, name: &str, from: &str, to: &str) {
    let path = file(sandbox, name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn add_a_comment(sandbox: &Sandbox) {
    edit(sandbox, FILE, "\n\n", "\n-- a comment that came later\n\n");
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: i32) -> Value {
    let before = sandbox.content();
    let (found, document) = sandbox.run_json(args);
    assert_eq!(found, code, "{document:#}");
    assert_eq!(sandbox.content(), before);
    assert!(sandbox.archives().is_empty());
    document
}

fn checksums(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT version, hex(checksum) FROM _sqlx_migrations ORDER BY version")
}

#[test]
fn a_changed_file_is_shown_as_a_diff_of_what_was_applied() {
    let sandbox = Sandbox::at("005");
    add_a_comment(&sandbox);
    let document = refused(&sandbox, &["run"], 3);
    let problem = &document["error"]["problems"][0];
    assert_eq!(problem["subject"], "002");
    let diff = problem["diff"].as_str().unwrap();
    assert!(diff.starts_with("--- as it was applied\n+++ "), "{diff}");
    assert!(diff.contains("\n+-- a comment that came later\n"), "{diff}");
    let removed = diff.lines().filter(|line| line.starts_with('-')).count();
    assert_eq!(removed, 1, "only the heading: {diff}");
    let text = sandbox.run(&["run"]).expect_code(3).stderr;
    assert!(text.contains("    +-- a comment that came later"), "{text}");
    assert!(text.contains("`safestep repair`"), "{text}");
}

#[test]
fn either_line_ending_is_no_change_but_a_blank_is() {
    let sandbox = Sandbox::at("005");
    let path = file(&sandbox, FILE);
    let unix = fs::read_to_string(&path).unwrap();
    fs::write(&path, unix.replace('\n', "\r\n")).unwrap();
    assert_eq!(
        run(&sandbox, &["upgrade", "005"])["outcome"],
        "nothing_to_do"
    );
    assert_eq!(run(&sandbox, &["repair"])["outcome"], "nothing_to_do");
    fs::write(
        &path,
        unix.replacen(";\n", "; \r\n", 1).replace("\r\n", "\n"),
    )
    .unwrap();
    let document = refused(&sandbox, &["run"], 3);
    let diff = document["error"]["problems"][0]["diff"].as_str().unwrap();
    let changed = |sign: char| diff.lines().filter(|line| line.starts_with(sign)).count();
    assert_eq!((changed('-'), changed('+')), (2, 2), "{diff}");
}

#[test]
fn where_the_applied_text_is_not_kept_the_error_says_so() {
    for spoil in [
        "DROP TABLE _safestep_migrations",
        "UPDATE _safestep_migrations SET up = 'SELECT 1' WHERE version = 2",
    ] {
        let sandbox = Sandbox::at("005");
        sandbox.sql(spoil);
        add_a_comment(&sandbox);
        let document = refused(&sandbox, &["run"], 3);
        let problem = &document["error"]["problems"][0];
        assert_eq!(problem["diff"], Value::Null);
        let message = problem["message"].as_str().unwrap();
        assert!(
            message.contains("does not keep the text that was applied"),
            "{message}"
        );
    }
}

#[test]
fn nothing_is_repaired_where_nothing_was_changed() {
    let sandbox = Sandbox::at("005");
    let before = fs::read(sandbox.database()).unwrap();
    assert_eq!(run(&sandbox, &["repair"])["outcome"], "nothing_to_do");
    assert!(fs::read(sandbox.database()).unwrap() == before);
    assert!(sandbox.archives().is_empty());
}

#[test]
fn a_repair_shows_the_changes_and_wants_yes_where_nobody_can_answer() {
    let sandbox = Sandbox::at("005");
    add_a_comment(&sandbox);
    let document = refused(&sandbox, &["repair"], 2);
    let diff = document["changed"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("+-- a comment that came later"), "{diff}");
    assert!(
        document["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("--yes")
    );
    let run = sandbox.run(&["repair"]).expect_code(2);
    assert!(
        run.stdout.contains("    +-- a comment that came later"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_repair_records_the_files_as_they_are_and_changes_nothing_else() {
    let sandbox = Sandbox::at("005");
    sandbox.add_users(&[("ann", "ADMIN"), ("bob", " viewer ")]);
    add_a_comment(&sandbox);
    let rest = "SELECT * FROM users";
    let schema = "SELECT name, sql FROM sqlite_schema ORDER BY name";
    let (rows, objects) = (sandbox.query(rest), sandbox.query(schema));
    let before = checksums(&sandbox);
    let document = run(&sandbox, &["repair", "--yes"]);
    assert_eq!(document["outcome"], "repaired");
    assert_eq!(
        (&document["from"], &document["to"]),
        (&"005".into(), &"005".into())
    );
    assert_eq!(document["changed"].as_array().unwrap().len(), 1);
    assert_eq!(sandbox.archives().len(), 1, "backup first");
    assert_eq!(
        sandbox.query(rest),
        rows,
        "enum values wait for the next run"
    );
    assert_eq!(sandbox.query(schema), objects);
    let after = checksums(&sandbox);
    let differing: Vec<usize> = (0..after.len())
        .filter(|at| before[*at] != after[*at])
        .collect();
    assert_eq!(differing, [2]);
    let text = fs::read_to_string(file(&sandbox, FILE)).unwrap();
    assert_eq!(
        sandbox.query("SELECT up FROM _safestep_migrations WHERE version = 2"),
        [text]
    );
    assert_eq!(run(&sandbox, &["run"])["to"], "008");
}

#[test]
fn a_repair_is_refused_where_the_changed_files_build_another_schema() {
    let sandbox = Sandbox::at("005");
    let text = fs::read_to_string(file(&sandbox, FILE)).unwrap();
    fs::write(
        file(&sandbox, FILE),
        format!("{text}\nALTER TABLE pipelines ADD COLUMN forgotten VARCHAR;\n"),
    )
    .unwrap();
    let document = refused(&sandbox, &["repair", "--yes"], 4);
    assert_eq!(document["error"]["code"], "schema_differs");
    assert_eq!(
        document["error"]["problems"][0]["subject"],
        "pipelines.forgotten"
    );
    // By hand, and then the file says how it is.
    sandbox.sql("ALTER TABLE pipelines ADD COLUMN forgotten VARCHAR");
    assert_eq!(run(&sandbox, &["repair", "--yes"])["outcome"], "repaired");
}

#[test]
fn a_repair_is_refused_where_only_a_default_is_another() {
    let sandbox = Sandbox::at("005");
    edit(&sandbox, FILE, "DEFAULT '0'", "DEFAULT '7'");
    let document = refused(&sandbox, &["repair", "--yes"], 4);
    assert_eq!(
        document["error"]["problems"][0]["subject"],
        "pipelines.webhook_runs"
    );
}

#[test]
fn where_no_schema_can_be_built_the_repair_says_so_and_goes_on() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("CREATE TABLE by_hand (a)");
    sandbox.add_migration("009_needs_it", "INSERT INTO by_hand VALUES (1);");
    run(&sandbox, &["run"]);
    let archives = sandbox.archives().len();
    edit(&sandbox, "009_needs_it.up.sql", "(1)", "(2)");
    let document = run(&sandbox, &["repair", "--yes"]);
    assert_eq!(document["outcome"], "repaired");
    let warning = document["warnings"][0]["message"].as_str().unwrap();
    assert!(warning.contains("could not be compared"), "{warning}");
    assert_eq!(sandbox.archives().len(), archives + 1);
    assert_eq!(run(&sandbox, &["run"])["outcome"], "nothing_to_do");
}

#[test]
fn a_repair_does_not_mend_what_is_no_changed_file() {
    let sandbox = Sandbox::at("004");
    sandbox.sql("UPDATE _sqlx_migrations SET success = 0 WHERE version = 4");
    refused(&sandbox, &["repair", "--yes"], 4);
    let missing = Sandbox::new();
    missing.run(&["repair", "--yes"]).expect_code(4);
}
