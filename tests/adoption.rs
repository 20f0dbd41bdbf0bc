//! Databases that others have made: by Alembic, by `create_all`, stamped, dirty, newer than we are.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Sandbox, run};

const IDS: [&str; 9] = [
    "",
    "001_add_is_parameter",
    "002_add_webhook_fields",
    "003_add_user_management_fields",
    "004_github_invitation",
    "005_make_password_hash_nullable",
    "006_drop_user_invitation_columns",
    "007_drop_password_hash",
    "008_add_google_avatar",
];

/// But for the tables that taking over adds.
const SCHEMA: &str = "SELECT name, sql FROM sqlite_schema \
    WHERE tbl_name NOT IN ('_sqlx_migrations', '_safestep_migrations') ORDER BY name";

fn revision(number: usize) -> String {
    format!("{number:03}")
}

/// As Alembic leaves it: `alembic_version` alone.
fn by_alembic(number: usize) -> Sandbox {
    let sandbox = Sandbox::at(&revision(number));
    sandbox.sql("DROP TABLE _sqlx_migrations; DROP TABLE _safestep_migrations");
    sandbox
}

/// As `create_all` leaves it: no history at all.
fn without_history(number: usize) -> Sandbox {
    let sandbox = by_alembic(number);
    sandbox.sql("DROP TABLE alembic_version");
    sandbox
}

/// Both history tables say `number`, and nothing is left to do there.
#[track_caller]
fn in_step_at(sandbox: &Sandbox, number: usize) {
    assert_eq!(sandbox.current(), revision(number));
    let expected: Vec<String> = IDS[number..=number]
        .iter()
        .filter(|id| !id.is_empty())
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        sandbox.query("SELECT version_num FROM alembic_version"),
        expected
    );
    let versions: Vec<String> = (0..=number).map(|version| format!("{version}|1")).collect();
    assert_eq!(
        sandbox.query("SELECT version, success FROM _sqlx_migrations ORDER BY version"),
        versions
    );
    let kept: Vec<String> = (0..=number)
        .map(|version| format!("{version}|{}", IDS[version]))
        .collect();
    assert_eq!(
        sandbox.query("SELECT version, alembic FROM _safestep_migrations ORDER BY version"),
        kept
    );
    let document = run(sandbox, &["upgrade", &revision(number)]);
    assert_eq!(document["outcome"], "nothing_to_do", "{document:#}");
}

#[track_caller]
fn refused(sandbox: &Sandbox, parts: &[&str]) -> Value {
    let before = fs::read(sandbox.database()).unwrap();
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 4, "{document:#}");
    let message = document["error"]["message"].as_str().unwrap();
    let hint = document["error"]["hint"].as_str().unwrap();
    for part in parts {
        assert!(
            message.contains(part) || hint.contains(part),
            "'{part}' in {message}\n{hint}"
        );
    }
    assert!(
        fs::read(sandbox.database()).unwrap() == before,
        "the database was touched"
    );
    assert!(sandbox.archives().is_empty());
    document
}

#[test]
fn a_database_of_alembic_is_taken_over_at_every_revision_and_brought_to_head() {
    for number in 1..=8 {
        let sandbox = by_alembic(number);
        let (_, current) = sandbox.run_json(&["current"]);
        assert_eq!(
            (&current["revision"], &current["origin"]),
            (&revision(number).into(), &"alembic".into())
        );
        let document = run(&sandbox, &["run"]);
        assert_eq!(
            document["outcome"],
            if number == 8 { "adopted" } else { "migrated" }
        );
        assert_eq!(document["applied"].as_array().unwrap().len(), 8 - number);
        assert_eq!(sandbox.archives().len(), 1, "backup first");
        in_step_at(&sandbox, 8);
    }
}

#[test]
fn a_database_of_alembic_can_be_taken_over_where_it_stands_and_taken_down_from_there() {
    for number in 1..=8 {
        let sandbox = by_alembic(number);
        let before = sandbox.query(SCHEMA);
        assert_eq!(
            run(&sandbox, &["upgrade", &revision(number)])["outcome"],
            "adopted"
        );
        in_step_at(&sandbox, number);
        let after = sandbox.query(SCHEMA);
        assert_eq!(before, after, "taking over changes no schema");
        run(&sandbox, &["downgrade", "base"]);
        in_step_at(&sandbox, 0);
    }
}

#[test]
fn a_downgrade_may_be_the_first_thing_that_happens_to_a_database_of_alembic() {
    let sandbox = by_alembic(8);
    run(&sandbox, &["downgrade", "003"]);
    in_step_at(&sandbox, 3);
}

#[test]
fn a_database_without_any_history_is_placed_by_its_schema() {
    for number in 0..=8 {
        let sandbox = without_history(number);
        let (_, current) = sandbox.run_json(&["current"]);
        assert_eq!(
            (&current["revision"], &current["origin"]),
            (&revision(number).into(), &"schema".into())
        );
        run(&sandbox, &["run"]);
        in_step_at(&sandbox, 8);
    }
}

#[test]
fn an_alembic_table_without_a_row_is_the_base_schema() {
    let sandbox = without_history(0);
    sandbox.sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))");
    run(&sandbox, &["upgrade", "base"]);
    in_step_at(&sandbox, 0);
    run(&sandbox, &["run"]);
    in_step_at(&sandbox, 8);
    let table = sandbox.query("SELECT sql FROM sqlite_schema WHERE name = 'alembic_version'");
    assert!(
        table[0].contains("VARCHAR(32)"),
        "an existing table stays as it is: {table:?}"
    );
}

#[test]
fn tables_of_the_application_s_own_do_not_stand_in_the_way() {
    let sandbox = without_history(4);
    sandbox.sql("CREATE TABLE plugin_data (a); CREATE INDEX ix_plugin ON plugin_data (a); CREATE VIEW v AS SELECT 1");
    run(&sandbox, &["run"]);
    in_step_at(&sandbox, 8);
    assert_eq!(sandbox.query("SELECT count(*) FROM plugin_data"), ["0"]);
}

#[test]
fn a_database_that_was_stamped_but_not_migrated_is_refused_with_the_differences() {
    let sandbox = without_history(3);
    sandbox.sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY); \
         INSERT INTO alembic_version VALUES ('008_add_google_avatar')",
    );
    let document = refused(
        &sandbox,
        &[
            "says that it is at 008",
            "nearest to 003",
            "invitations: the table is missing",
            "users.google_id: the column is missing",
            "users.password_hash: the column should not be there",
            "The schema is that of 003",
            "`safestep stamp 003`, then `safestep upgrade 008`",
        ],
    );
    assert!(document["error"]["problems"].as_array().unwrap().len() >= 4);
    sandbox.run(&["current"]).expect_code(4);
}

#[test]
fn a_database_whose_schema_is_that_of_no_revision_is_refused() {
    let sandbox = without_history(4);
    sandbox.sql("ALTER TABLE users DROP COLUMN email");
    refused(
        &sandbox,
        &[
            "no history",
            "nearest to 004",
            "users.email: the column is missing",
            "`safestep stamp 004 --force`, then `safestep upgrade 008`",
        ],
    );
}

#[test]
fn an_unknown_alembic_id_means_that_the_image_is_older_than_the_database() {
    for sandbox in [Sandbox::at("head"), by_alembic(8)] {
        sandbox.sql("UPDATE alembic_version SET version_num = '040_from_the_future'");
        refused(
            &sandbox,
            &[
                "'040_from_the_future'",
                "008_add_google_avatar",
                "image is most likely older",
                "a newer image is needed",
                "safestep restore",
            ],
        );
    }
}

#[test]
fn a_newer_version_in_sqlx_s_table_is_refused_as_well() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("INSERT INTO _sqlx_migrations VALUES (9, 'later', '2026-01-01', 1, x'00', 1)");
    refused(
        &sandbox,
        &[
            "009 'later'",
            "008_add_google_avatar",
            "image is most likely older",
            "a newer image is needed",
        ],
    );
}

#[test]
fn a_migration_that_sqlx_left_dirty_is_refused() {
    let sandbox = Sandbox::at("004");
    sandbox.sql("UPDATE _sqlx_migrations SET success = 0 WHERE version = 4");
    refused(
        &sandbox,
        &[
            "stopped in the middle of 004",
            "success = 0",
            "which of its statements",
            "`safestep stamp 004`",
            "`safestep upgrade 008`",
        ],
    );
}

#[test]
fn several_heads_of_alembic_are_refused_by_name() {
    let sandbox = Sandbox::at("004");
    sandbox.sql("INSERT INTO alembic_version VALUES ('003_add_user_management_fields')");
    refused(
        &sandbox,
        &[
            "2 rows",
            "003_add_user_management_fields, 004_github_invitation",
            "branches are not supported",
            "`safestep stamp 004`, then `safestep upgrade 008`",
        ],
    );
}

#[test]
fn a_gap_in_sqlx_s_rows_is_refused() {
    let sandbox = Sandbox::at("004");
    sandbox.sql("DELETE FROM _sqlx_migrations WHERE version = 2");
    refused(&sandbox, &["002 was never applied", "`safestep stamp 004`"]);
}

/// Our rows say 003 and Alembic has gone on to 006 by itself, with the schema to show for it.
fn alembic_went_on() -> Sandbox {
    let sandbox = Sandbox::at("006");
    sandbox.sql("DELETE FROM _sqlx_migrations WHERE version > 3");
    sandbox
}

#[test]
fn where_alembic_went_on_by_itself_the_schema_decides_and_the_rows_are_caught_up() {
    let sandbox = alembic_went_on();
    assert_eq!(sandbox.current(), "006");
    run(&sandbox, &["upgrade", "006"]);
    in_step_at(&sandbox, 6);
    let sandbox = alembic_went_on();
    run(&sandbox, &["run"]);
    in_step_at(&sandbox, 8);
}

#[test]
fn where_alembic_went_back_by_itself_the_schema_decides_and_the_rows_are_taken_back() {
    let ahead = Sandbox::at("006");
    let rows = ahead.query(
        "SELECT version, description, hex(checksum) FROM _sqlx_migrations WHERE version > 3",
    );
    let sandbox = Sandbox::at("003");
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        sandbox.sql(&format!(
            "INSERT INTO _sqlx_migrations VALUES ({}, '{}', '2026-01-01', 1, x'{}', 1)",
            cells[0], cells[1], cells[2]
        ));
    }
    assert_eq!(sandbox.current(), "003");
    run(&sandbox, &["upgrade", "003"]);
    in_step_at(&sandbox, 3);
    run(&sandbox, &["run"]);
    in_step_at(&sandbox, 8);
}

#[test]
fn where_both_tables_are_wrong_the_database_is_refused() {
    let sandbox = alembic_went_on();
    sandbox.sql("UPDATE alembic_version SET version_num = '005_make_password_hash_nullable'");
    refused(
        &sandbox,
        &[
            "says that it is at 005",
            "nearest to 006",
            "`safestep stamp 006`",
        ],
    );
}

#[test]
fn sqlx_s_table_alone_gets_alembic_s_beside_it() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("DROP TABLE alembic_version");
    let document = run(&sandbox, &["run"]);
    assert_eq!(document["outcome"], "adopted");
    in_step_at(&sandbox, 8);
    let table = sandbox.query("SELECT sql FROM sqlite_schema WHERE name = 'alembic_version'");
    assert!(table[0].contains("VARCHAR(64)"), "{table:?}");
}

#[test]
fn the_rows_of_a_database_are_all_there_after_it_was_taken_over() {
    let sandbox = without_history(3);
    sandbox.add_users(&[("ann", "ADMIN"), ("bob", "WRITE")]);
    sandbox.sql("INSERT INTO sessions VALUES ('s', 't', 'ann', '2027', '2026')");
    run(&sandbox, &["run"]);
    assert_eq!(
        sandbox.query("SELECT id, username, role FROM users ORDER BY id"),
        ["ann|ann|ADMIN", "bob|bob|WRITE"]
    );
    assert_eq!(sandbox.query("SELECT id, user_id FROM sessions"), ["s|ann"]);
}

#[test]
fn a_failure_while_taking_over_leaves_the_history_as_it_was() {
    let sandbox = by_alembic(3);
    sandbox.add_users(&[("ann", "ADMIN")]);
    sandbox.add_migration("009_bad", "UPDATE users SET role = NULL;");
    let before = sandbox.content();
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 5, "{document:#}");
    assert_eq!(sandbox.content(), before);
    assert_eq!(
        sandbox.query("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'"),
        ["0"]
    );
}

#[test]
fn revisions_that_differ_in_a_detail_alone_are_told_apart_by_it() {
    let up = "CREATE TABLE goods_new (id INTEGER PRIMARY KEY, price INT CHECK (price > 0));\nDROP TABLE goods;\n\
              ALTER TABLE goods_new RENAME TO goods;\n";
    let plain = "CREATE TABLE goods (id INTEGER PRIMARY KEY, price INT);";
    for (number, rebuilt) in [(9, ""), (10, up)] {
        let sandbox = without_history(8);
        sandbox.add_migration("009_goods", plain);
        sandbox.add_migration("010_check", up);
        sandbox.sql(&format!("{plain} {rebuilt}"));
        assert_eq!(sandbox.current(), revision(number));
    }
    let sandbox = without_history(8);
    sandbox.add_migration("009_goods", plain);
    sandbox.add_migration("010_check", up);
    sandbox.sql("CREATE TABLE goods (id INTEGER PRIMARY KEY, price INT CHECK (price > 5))");
    refused(&sandbox, &["009 and 010 have the same schema"]);
}

#[test]
fn details_do_not_stand_in_the_way_and_doctor_lists_them() {
    let sandbox = without_history(8);
    let create = sandbox
        .query("SELECT sql FROM sqlite_schema WHERE name = 'secrets'")
        .join("");
    let other = create
        .replace("value VARCHAR", "value TEXT COLLATE NOCASE")
        .replace("DEFAULT '0'", "CHECK (is_parameter IN (0, 1))");
    sandbox.sql(&format!(
        "DROP TABLE secrets; {other}; CREATE UNIQUE INDEX ix_secrets_key ON secrets (\"key\")"
    ));
    let doctor = sandbox.run(&["doctor"]);
    for part in [
        "secrets.value: its type should be varchar, and is text",
        "secrets.value: its collation should be none, and is nocase",
        "secrets.is_parameter: its default should be '0', and is none",
        "secrets: it has CHECK (is_parameter in ( 0 , 1 )), which should not be there",
    ] {
        assert!(
            doctor.stdout.contains(part),
            "{part} in {}{}",
            doctor.stdout,
            doctor.stderr
        );
    }
    run(&sandbox, &["run"]);
    in_step_at(&sandbox, 8);
}

/// What the error's advice says, done: the commands between backquotes, in order.
#[track_caller]
fn follow_the_advice(sandbox: &Sandbox) -> Vec<String> {
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 4, "{document:#}");
    let hint = document["error"]["hint"].as_str().unwrap();
    let commands: Vec<String> = hint
        .split('`')
        .filter_map(|part| part.strip_prefix("safestep "))
        .map(ToString::to_string)
        .collect();
    assert!(!commands.is_empty(), "{hint}");
    for command in &commands {
        let words: Vec<&str> = command.split(' ').collect();
        run(sandbox, &words);
    }
    commands
}

#[test]
fn the_commands_of_a_refusal_lead_to_head() {
    let stamped_only = without_history(3);
    stamped_only.sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY); \
         INSERT INTO alembic_version VALUES ('008_add_google_avatar')",
    );
    let branches = Sandbox::at("004");
    branches.sql("INSERT INTO alembic_version VALUES ('003_add_user_management_fields')");
    let dirty = Sandbox::at("004");
    dirty.sql("UPDATE _sqlx_migrations SET success = 0 WHERE version = 4");
    let gap = Sandbox::at("004");
    gap.sql("DELETE FROM _sqlx_migrations WHERE version = 2");
    let both_wrong = alembic_went_on();
    both_wrong.sql("UPDATE alembic_version SET version_num = '005_make_password_hash_nullable'");
    for sandbox in [stamped_only, branches, dirty, gap, both_wrong] {
        let commands = follow_the_advice(&sandbox);
        assert_eq!(commands.len(), 2, "{commands:?}");
        in_step_at(&sandbox, 8);
        assert_eq!(sandbox.archives().len(), 2, "each backup first");
    }
}

#[test]
fn two_revisions_of_the_same_schema_are_told_apart_by_a_person() {
    let sandbox = without_history(8);
    sandbox.add_migration("009_rows_only", "UPDATE users SET role = 'ADMIN';");
    refused(
        &sandbox,
        &[
            "008 and 009 have the same schema",
            "`safestep stamp 009`",
            "`safestep stamp 008`, then `safestep upgrade 009`",
        ],
    );
    run(&sandbox, &["stamp", "008"]);
    assert_eq!(sandbox.current(), "008");
}

/// As SQLModel's `create_all` at head leaves it, with a table that is stamped by nobody.
#[test]
fn create_all_at_head_is_taken_over_without_running_a_migration() {
    let sandbox = without_history(8);
    sandbox.add_users(&[("ann", "ADMIN")]);
    let before = sandbox.query(SCHEMA);
    let document = run(&sandbox, &["run"]);
    assert_eq!(document["outcome"], "adopted");
    assert_eq!(document["applied"].as_array().unwrap().len(), 0);
    let after: Vec<String> = sandbox.query(SCHEMA);
    let added: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(
        added.iter().all(|line| line.contains("alembic_version")),
        "{added:?}"
    );
    in_step_at(&sandbox, 8);
}
