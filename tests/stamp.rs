//! Recording a revision without running a migration.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Sandbox, run};

fn without_history(revision: &str) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    sandbox.sql(
        "DROP TABLE _sqlx_migrations; DROP TABLE alembic_version; DROP TABLE _safestep_migrations",
    );
    sandbox
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], parts: &[&str]) -> Value {
    let before = sandbox.content();
    let (code, document) = sandbox.run_json(args);
    assert_eq!(code, 4, "{document:#}");
    assert_eq!(sandbox.content(), before);
    assert!(sandbox.archives().is_empty());
    let text = format!(
        "{}\n{}",
        document["error"]["message"].as_str().unwrap(),
        document["error"]["hint"].as_str().unwrap()
    );
    for part in parts {
        assert!(text.contains(part), "'{part}' in {text}");
    }
    document
}

/// All three tables say so.
#[track_caller]
fn recorded_at(sandbox: &Sandbox, number: usize, alembic: &[&str]) {
    let versions: Vec<String> = (0..=number).map(|version| version.to_string()).collect();
    for table in ["_sqlx_migrations", "_safestep_migrations"] {
        let sql = format!("SELECT version FROM {table} ORDER BY version");
        assert_eq!(sandbox.query(&sql), versions, "{table}");
    }
    assert_eq!(
        sandbox.query("SELECT version_num FROM alembic_version"),
        alembic
    );
}

#[test]
fn a_stamp_records_the_revision_that_the_schema_is_that_of() {
    for (name, number, alembic) in [
        ("003", 3, &["003_add_user_management_fields"][..]),
        ("004_github", 4, &["004_github_invitation"]),
        ("head", 8, &["008_add_google_avatar"]),
        ("base", 0, &[]),
    ] {
        let sandbox = without_history(&format!("{number:03}"));
        let rows = "SELECT name, sql FROM sqlite_schema WHERE name = 'users'";
        let before = sandbox.query(rows);
        let document = run(&sandbox, &["stamp", name]);
        assert_eq!(document["outcome"], "stamped");
        assert_eq!(document["to"], format!("{number:03}"));
        assert_eq!(document["applied"].as_array().unwrap().len(), 0);
        assert_eq!(sandbox.archives().len(), 1, "backup first");
        recorded_at(&sandbox, number, alembic);
        assert_eq!(sandbox.query(rows), before);
        assert_eq!(run(&sandbox, &["stamp", name])["outcome"], "nothing_to_do");
        run(&sandbox, &["run"]);
        recorded_at(&sandbox, 8, &["008_add_google_avatar"]);
    }
}

#[test]
fn a_stamp_of_another_revision_is_refused_with_the_differences_and_the_command_to_insist() {
    let sandbox = without_history("004");
    let document = refused(
        &sandbox,
        &["stamp", "006"],
        &[
            "the schema is not that of 006",
            "`safestep stamp 006 --force`",
        ],
    );
    assert_eq!(document["error"]["code"], "schema_differs");
    assert!(!document["error"]["problems"].as_array().unwrap().is_empty());
    let human = sandbox.run(&["stamp", "006"]).expect_code(4).stderr;
    assert!(human.contains("The database was not touched."), "{human}");
}

#[test]
fn a_stamp_below_what_is_there_already_is_refused() {
    let sandbox = Sandbox::at("head");
    sandbox.add_migration("009_more", "CREATE TABLE more (a);");
    run(&sandbox, &["run"]);
    let archives = sandbox.archives();
    let (code, document) = sandbox.run_json(&["stamp", "008"]);
    assert_eq!(code, 4, "{document:#}");
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("everything of 009 already"), "{message}");
    assert_eq!(sandbox.archives(), archives);
}

#[test]
fn a_forced_stamp_records_what_it_is_told_and_lists_the_differences() {
    let sandbox = Sandbox::at("004");
    let document = run(&sandbox, &["stamp", "006", "--force"]);
    assert_eq!(document["outcome"], "stamped");
    assert_eq!(
        (&document["from"], &document["to"]),
        (&"004".into(), &"006".into())
    );
    assert!(!document["warnings"].as_array().unwrap().is_empty());
    recorded_at(&sandbox, 6, &["006_drop_user_invitation_columns"]);
    assert_eq!(sandbox.current(), "006");
    let back = run(&sandbox, &["restore", "latest", "--yes"]);
    assert_eq!(back["to"], "004");
    assert_eq!(sandbox.current(), "004");
}

#[test]
fn a_stamp_changes_no_row_of_the_application() {
    let sandbox = without_history("003");
    sandbox.add_users(&[("ann", " Admin "), ("bob", "nonsense")]);
    run(&sandbox, &["stamp", "003"]);
    assert_eq!(
        sandbox.query("SELECT role FROM users ORDER BY id"),
        [" Admin ", "nonsense"]
    );
}

#[test]
fn a_stamp_puts_branches_and_dirty_rows_and_gaps_right() {
    for spoil in [
        "INSERT INTO alembic_version VALUES ('003_add_user_management_fields')",
        "UPDATE _sqlx_migrations SET success = 0 WHERE version = 4",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
        "INSERT INTO _sqlx_migrations VALUES (9, 'later', '2026-01-01', 1, x'00', 1)",
        "UPDATE alembic_version SET version_num = '040_later'",
    ] {
        let sandbox = Sandbox::at("004");
        sandbox.sql(spoil);
        let document = run(&sandbox, &["stamp", "004"]);
        assert_eq!(document["from"], "unknown", "{spoil}");
        recorded_at(&sandbox, 4, &["004_github_invitation"]);
    }
}

#[test]
fn a_changed_file_is_for_repair_and_not_for_a_stamp() {
    let sandbox = Sandbox::at("004");
    let path = sandbox.migrations().join("002_add_webhook_fields.up.sql");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}-- more\n")).unwrap();
    sandbox.run(&["stamp", "004"]).expect_code(3);
    sandbox.run(&["stamp", "003", "--force"]).expect_code(3);
}

#[test]
fn a_stamp_needs_a_database_and_a_revision_that_there_is() {
    let sandbox = Sandbox::new();
    sandbox.run(&["stamp", "head"]).expect_code(4);
    assert!(!sandbox.database().exists());
    let sandbox = Sandbox::at("004");
    sandbox.run(&["stamp", "099"]).expect_code(2);
    sandbox.sql("DELETE FROM _sqlx_migrations WHERE version = 2");
    sandbox.run(&["stamp", "-1"]).expect_code(2);
    assert!(sandbox.archives().is_empty());
}

#[test]
fn where_there_is_no_revision_0_the_base_is_a_database_without_tables() {
    let sandbox = Sandbox::new();
    for entry in fs::read_dir(sandbox.migrations()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    sandbox.add_migration("001_notes", "CREATE TABLE notes (a);");
    run(&sandbox, &["run", "--create-if-missing"]);
    refused(
        &sandbox,
        &["stamp", "base"],
        &["notes", "`safestep stamp base --force`"],
    );
    let document = run(&sandbox, &["stamp", "base", "--force"]);
    assert_eq!(document["to"], "none");
    assert_eq!(
        sandbox.query("SELECT count(*) FROM _sqlx_migrations"),
        ["0"]
    );
}
