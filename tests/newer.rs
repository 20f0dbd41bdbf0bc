//! The scripts that a database keeps of its migrations, and the way back from a newer revision with an older image.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Sandbox, run};

const STATUS_UP: &str =
    "-- alembic: 009_add_status\nALTER TABLE users ADD COLUMN status VARCHAR;\n";
const STATUS_DOWN: &str = "-- drops: column users.status\nALTER TABLE users DROP COLUMN status;\n";
const NOTES_UP: &str = "-- alembic: 010_add_notes\nCREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);\nINSERT INTO notes (text) VALUES ('hello');\n";
const NOTES_DOWN: &str = "-- drops: table notes\nDROP TABLE notes;\n";

fn write(sandbox: &Sandbox, name: &str, up: &str, down: &str) {
    fs::write(sandbox.migrations().join(format!("{name}.up.sql")), up).unwrap();
    fs::write(sandbox.migrations().join(format!("{name}.down.sql")), down).unwrap();
}

fn remove(sandbox: &Sandbox, name: &str) {
    for ending in ["up", "down"] {
        fs::remove_file(sandbox.migrations().join(format!("{name}.{ending}.sql"))).unwrap();
    }
}

/// A newer image brought the database to 010; here is the older one, whose files end at 008.
fn newer_than_the_files() -> Sandbox {
    by_a_newer_image(STATUS_DOWN, NOTES_DOWN)
}

fn by_a_newer_image(status_down: &str, notes_down: &str) -> Sandbox {
    let sandbox = Sandbox::at("head");
    sandbox.add_users(&[("ann", "ADMIN")]);
    write(&sandbox, "009_add_status", STATUS_UP, status_down);
    write(&sandbox, "010_add_notes", NOTES_UP, notes_down);
    run(&sandbox, &["run"]);
    remove(&sandbox, "009_add_status");
    remove(&sandbox, "010_add_notes");
    sandbox
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: i32) -> Value {
    let before = sandbox.content();
    let (found, document) = sandbox.run_json(args);
    assert_eq!(found, code, "{document:#}");
    assert_eq!(sandbox.content(), before);
    document
}

#[track_caller]
fn says(document: &Value, parts: &[&str]) {
    let text = format!(
        "{}\n{}",
        document["error"]["message"].as_str().unwrap(),
        document["error"]["hint"].as_str().unwrap()
    );
    for part in parts {
        assert!(text.contains(part), "'{part}' in {text}");
    }
}

fn kept(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT version FROM _safestep_migrations ORDER BY version")
}

/// The database keeps exactly the files up to a version, byte for byte.
#[track_caller]
fn keeps_the_files_up_to(sandbox: &Sandbox, number: usize) {
    let names = sandbox.query("SELECT name FROM _safestep_migrations ORDER BY version");
    assert_eq!(names.len(), number + 1, "{names:?}");
    for (version, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("{version:03}_")), "{name}");
        for way in ["up", "down"] {
            let file = sandbox.migrations().join(format!("{name}.{way}.sql"));
            let sql = format!("SELECT {way} FROM _safestep_migrations WHERE version = {version}");
            assert_eq!(sandbox.query(&sql), [fs::read_to_string(file).unwrap()]);
        }
    }
}

#[test]
fn the_scripts_of_every_applied_revision_are_kept_in_the_database_and_those_taken_back_are_not() {
    let sandbox = Sandbox::at("003");
    keeps_the_files_up_to(&sandbox, 3);
    run(&sandbox, &["run"]);
    keeps_the_files_up_to(&sandbox, 8);
    run(&sandbox, &["downgrade", "005"]);
    keeps_the_files_up_to(&sandbox, 5);
    run(&sandbox, &["downgrade", "base"]);
    keeps_the_files_up_to(&sandbox, 0);
}

#[test]
fn a_plan_outside_a_transaction_keeps_its_scripts_as_well() {
    let sandbox = Sandbox::at("head");
    write(
        &sandbox,
        "009_compact",
        "-- no-transaction\nVACUUM;\n",
        "SELECT 1;\n",
    );
    run(&sandbox, &["run"]);
    keeps_the_files_up_to(&sandbox, 9);
    let fresh = Sandbox::new();
    write(
        &fresh,
        "009_compact",
        "-- no-transaction\nVACUUM;\n",
        "SELECT 1;\n",
    );
    run(&fresh, &["run", "--create-if-missing"]);
    keeps_the_files_up_to(&fresh, 9);
}

#[test]
fn a_failed_job_keeps_no_script() {
    let sandbox = Sandbox::at("003");
    sandbox.add_migration("009_bad", "UPDATE nowhere SET a = 1;");
    let (code, _) = sandbox.run_json(&["run"]);
    assert_eq!(code, 5);
    keeps_the_files_up_to(&sandbox, 3);
}

#[test]
fn a_database_without_kept_scripts_has_nothing_to_do_until_the_next_job_that_changes_something() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("DROP TABLE _safestep_migrations");
    let before = fs::read(sandbox.database()).unwrap();
    assert_eq!(run(&sandbox, &["run"])["outcome"], "nothing_to_do");
    assert!(fs::read(sandbox.database()).unwrap() == before, "rewritten");
    assert!(sandbox.archives().is_empty());
    sandbox.add_migration("009_more", "CREATE TABLE more (a);");
    run(&sandbox, &["run"]);
    keeps_the_files_up_to(&sandbox, 9);
    sandbox.sql("DELETE FROM _safestep_migrations WHERE version = 4");
    assert_eq!(run(&sandbox, &["run"])["outcome"], "nothing_to_do");
    assert_eq!(kept(&sandbox).len(), 9);
}

#[test]
fn a_migration_may_not_write_the_kept_scripts() {
    for statement in [
        "UPDATE _safestep_migrations SET down = 'DROP TABLE users'",
        "DELETE FROM _safestep_migrations",
        "DROP TABLE _safestep_migrations",
        "ALTER TABLE _safestep_migrations RENAME TO mine",
    ] {
        let sandbox = Sandbox::at("head");
        sandbox.add_migration("009_bad", &format!("{statement};"));
        says(
            &refused(&sandbox, &["run"], 5),
            &["_safestep_migrations is kept by the job"],
        );
    }
}

#[test]
fn run_and_upgrade_on_a_newer_database_say_where_it_is_and_how_to_go_back() {
    let sandbox = newer_than_the_files();
    for args in [&["run"][..], &["upgrade", "head"], &["upgrade", "005"]] {
        let document = refused(&sandbox, args, 4);
        says(
            &document,
            &[
                "010 'add notes'",
                "010_add_notes",
                "the newest is 008_add_google_avatar",
                "`safestep downgrade 008`",
            ],
        );
        let newer = &document["error"]["newer"];
        assert_eq!(newer["downgrade_to"], "008");
        assert_eq!(newer["revisions"][0]["alembic"], "009_add_status");
        assert_eq!(newer["revisions"][1]["description"], "add notes");
    }
    assert_eq!(sandbox.archives().len(), 1, "that of the newer image");
}

#[test]
fn a_newer_database_goes_down_by_the_scripts_that_it_keeps() {
    for target in ["008", "-2", "008_add_google_avatar", "010_add_notes-2"] {
        let sandbox = newer_than_the_files();
        let document = run(&sandbox, &["downgrade", target]);
        assert_eq!(document["outcome"], "migrated");
        assert_eq!(document["from"], "010");
        assert_eq!(document["to"], "008");
        let versions: Vec<&Value> = document["applied"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| &step["version"])
            .collect();
        assert_eq!(versions, ["010", "009"]);
        assert_eq!(sandbox.archives().len(), 2, "backup first");
        keeps_the_files_up_to(&sandbox, 8);
        assert_eq!(
            sandbox.query("SELECT version_num FROM alembic_version"),
            ["008_add_google_avatar"]
        );
        assert_eq!(sandbox.query("SELECT username FROM users"), ["ann"]);
        assert_eq!(run(&sandbox, &["run"])["outcome"], "nothing_to_do");
    }
}

#[test]
fn a_newer_database_may_stop_halfway_down_and_go_on_from_there() {
    let sandbox = newer_than_the_files();
    run(&sandbox, &["downgrade", "-1"]);
    assert_eq!(sandbox.current(), "009");
    assert_eq!(kept(&sandbox).len(), 10);
    says(
        &refused(&sandbox, &["run"], 4),
        &["009 'add status'", "`safestep downgrade 008`"],
    );
    assert_eq!(
        run(&sandbox, &["downgrade", "009"])["outcome"],
        "nothing_to_do"
    );
    run(&sandbox, &["downgrade", "005"]);
    keeps_the_files_up_to(&sandbox, 5);
    run(&sandbox, &["run"]);
    keeps_the_files_up_to(&sandbox, 8);
}

#[test]
fn a_kept_way_down_outside_a_transaction_runs_like_one_from_a_file() {
    let down = format!("-- no-transaction\n{NOTES_DOWN}VACUUM;\n");
    let sandbox = by_a_newer_image(STATUS_DOWN, &down);
    run(&sandbox, &["downgrade", "008"]);
    keeps_the_files_up_to(&sandbox, 8);
}

#[test]
fn a_kept_way_down_that_fails_outside_a_transaction_is_undone_from_the_snapshot() {
    let down = "-- no-transaction\n-- drops: table notes\nDROP TABLE notes;\nVACUUM;\nDROP TABLE nowhere;\n";
    let sandbox = by_a_newer_image(STATUS_DOWN, down);
    let document = refused(&sandbox, &["downgrade", "008"], 5);
    assert_eq!(document["proof"]["method"], "pages_restored");
    assert_eq!(sandbox.current(), "010");
}

#[test]
fn current_and_history_tell_the_truth_about_a_newer_database() {
    let sandbox = newer_than_the_files();
    let current = run(&sandbox, &["current"]);
    assert_eq!(current["revision"], "010");
    assert_eq!(current["alembic"], "010_add_notes");
    assert_eq!(
        (&current["head"], &current["is_head"]),
        (&"008".into(), &false.into())
    );
    assert_eq!(current["newer_than_files"], true);
    let text = sandbox.run(&["current"]).expect_code(0).stdout;
    assert_eq!(
        text,
        "010 010_add_notes (newer than the files, which end at 008 008_add_google_avatar)\n"
    );
    let text = sandbox.run(&["history"]).expect_code(0).stdout;
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "applied  010 010_add_notes (current) (not among the files)",
            "applied  009 009_add_status (not among the files)",
            "applied  008 008_add_google_avatar (head)",
        ]
    );
}

#[test]
fn current_and_history_tell_what_is_known_where_the_scripts_are_not_kept() {
    let sandbox = newer_than_the_files();
    sandbox.sql("DROP TABLE _safestep_migrations");
    let current = run(&sandbox, &["current"]);
    assert_eq!(current["revision"], "010");
    assert_eq!(current["alembic"], "010_add_notes");
    let history = run(&sandbox, &["history"]);
    let revisions = history["revisions"].as_array().unwrap();
    assert_eq!(revisions.len(), 11);
    assert!(revisions.iter().all(|revision| revision["applied"] == true));
    assert_eq!(revisions[10]["in_files"], false);
    // Only Alembic names it: nobody knows its number.
    let sandbox = Sandbox::at("head");
    sandbox.sql("UPDATE alembic_version SET version_num = '040_later'");
    let text = sandbox.run(&["current"]).expect_code(0).stdout;
    assert!(
        text.starts_with("'040_later' (newer than the files"),
        "{text}"
    );
    let history = run(&sandbox, &["history"]);
    assert_eq!(history["revision"], "unknown");
    assert_eq!(history["revisions"][0]["applied"], Value::Null);
    assert_eq!(history["revisions"][9]["alembic"], "040_later");
}

#[test]
fn without_all_the_scripts_a_newer_image_is_needed() {
    for spoil in [
        "DROP TABLE _safestep_migrations",
        "DELETE FROM _safestep_migrations WHERE version = 9",
        "DELETE FROM _safestep_migrations WHERE version = 10",
        "UPDATE _safestep_migrations SET up = up || ' ' WHERE version = 9",
        "UPDATE _safestep_migrations SET name = '011_add_status' WHERE version = 9",
        "UPDATE _safestep_migrations SET down = CAST(x'ff' AS TEXT) WHERE version = 10",
        "UPDATE _safestep_migrations SET down = CAST(zeroblob(17000000) AS TEXT) WHERE version = 10",
        "UPDATE _safestep_migrations SET name = CAST(x'ff' AS TEXT) WHERE version = 9",
        "UPDATE alembic_version SET version_num = '040_later'",
    ] {
        let sandbox = newer_than_the_files();
        sandbox.sql(spoil);
        for args in [&["run"][..], &["downgrade", "008"]] {
            let document = refused(&sandbox, args, 4);
            says(&document, &["010 'add notes'", "a newer image is needed"]);
            assert_eq!(
                document["error"]["newer"]["downgrade_to"],
                Value::Null,
                "{spoil}"
            );
        }
    }
}

#[test]
fn a_kept_script_is_judged_like_a_file() {
    let forged = |down: &str| {
        let sandbox = newer_than_the_files();
        let down = down.replace('\'', "''");
        sandbox.sql(&format!(
            "UPDATE _safestep_migrations SET down = '{down}' WHERE version = 10"
        ));
        sandbox
    };
    for (down, reason) in [
        ("ATTACH '/tmp/x.db' AS x;", "ATTACH"),
        ("PRAGMA writable_schema = ON;", "writable_schema"),
        ("COMMIT;", "COMMIT"),
        ("DELETE FROM _sqlx_migrations;", "is kept by the job"),
        ("DROP TABLE notes;", "vanished without being declared"),
        (
            "-- drops: table notes\nDROP TABLE notes; DELETE FROM users;",
            "deletes: rows users",
        ),
    ] {
        let sandbox = forged(down);
        let document = refused(&sandbox, &["downgrade", "008"], 5);
        says(&document, &[reason]);
        assert!(document["proof"].is_object(), "{document:#}");
    }
    let document = refused(&forged("DROP TABLE nowhere;"), &["downgrade", "008"], 5);
    says(
        &document,
        &[
            "_safestep_migrations/010_add_notes.down.sql failed at statement 1",
            "kept in the database, not in a file",
        ],
    );
}

#[test]
fn a_backup_of_a_newer_database_names_its_revision() {
    let sandbox = newer_than_the_files();
    let document = run(&sandbox, &["backup"]);
    assert_eq!(document["from"], "010");
}

#[test]
fn doctor_names_the_revision_and_the_way_back() {
    let sandbox = newer_than_the_files();
    let text = sandbox.run(&["doctor"]).expect_code(4).stdout;
    assert!(text.contains("010 'add notes'"), "{text}");
    assert!(text.contains("`safestep downgrade 008`"), "{text}");
}
