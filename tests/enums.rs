//! Enum columns come to their exact spellings in the migration's transaction, or the job fails and says why.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::Sandbox;

/// The roles of all users in the order of their ids.
fn roles(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT role FROM users ORDER BY id")
}

fn with_roles(revision: &str, roles: &[&str]) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    let named: Vec<(String, &str)> = roles
        .iter()
        .enumerate()
        .map(|(i, role)| (format!("u{i:03}"), *role))
        .collect();
    let users: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, role)| (name.as_str(), *role))
        .collect();
    sandbox.add_users(&users);
    sandbox
}

/// At head, with one more revision that adds `users.status`, and a map for that column alone.
fn with_status(map: &str, values: &[Option<&str>]) -> Sandbox {
    let sandbox = with_roles("head", &vec!["READONLY"; values.len()]);
    sandbox.add_migration("009_status", "ALTER TABLE users ADD COLUMN status VARCHAR;");
    sandbox.run(&["run"]).expect_code(0);
    for (index, value) in values.iter().enumerate() {
        if let Some(value) = value {
            sandbox.sql(&format!(
                "UPDATE users SET status = '{value}' WHERE id = 'u{index:03}'"
            ));
        }
    }
    write_map(
        &sandbox,
        &format!("[[column]]\ntable = 'users'\ncolumn = 'status'\n{map}"),
    );
    sandbox
}

fn write_map(sandbox: &Sandbox, text: &str) {
    fs::write(sandbox.migrations().join("enums.toml"), text).unwrap();
}

fn statuses(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT coalesce(status, 'NULL') FROM users ORDER BY id")
}

#[track_caller]
fn run(sandbox: &Sandbox) -> Value {
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    document
}

#[track_caller]
fn fails_over_values(sandbox: &Sandbox, parts: &[&str]) -> Value {
    let before = sandbox.content();
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 5, "{document:#}");
    let message = document["error"]["message"].as_str().unwrap();
    for part in parts {
        assert!(message.contains(part), "'{part}' in {message}");
    }
    assert!(
        document["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("alias in enums.toml")
    );
    assert_eq!(sandbox.content(), before);
    document
}

#[test]
fn ten_thousand_users_at_003_arrive_at_head_with_exact_roles() {
    let sandbox = Sandbox::at("003");
    sandbox.sql(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) \
         INSERT INTO users (id, username, password_hash, created_at, role) \
         SELECT printf('%032d', i), 'user' || i, 'x', '2026-01-01', \
           CASE i % 5 WHEN 0 THEN 'readonly' WHEN 1 THEN ' Admin ' WHEN 2 THEN 'WRITE' WHEN 3 THEN 'Write' ELSE 'Viewer' END FROM n",
    );
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "migrated");
    let mut found: Vec<String> = document["normalised"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            format!(
                "{}.{} {} {} {}",
                change["table"], change["column"], change["from"], change["to"], change["rows"]
            )
            .replace('"', "")
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "users.role  Admin  ADMIN 2000",
            "users.role Viewer READONLY 2000",
            "users.role Write WRITE 2000",
            "users.role readonly READONLY 2000",
        ]
    );
    let wrong = "SELECT count(*) FROM users WHERE role IS NOT CASE substr(username, 5) % 5 \
        WHEN 0 THEN 'READONLY' WHEN 1 THEN 'ADMIN' WHEN 2 THEN 'WRITE' WHEN 3 THEN 'WRITE' ELSE 'READONLY' END";
    assert_eq!(sandbox.query(wrong), ["0"]);
    let all =
        "SELECT count(*), count(DISTINCT id), min(username), sum(substr(username, 5)) FROM users";
    assert_eq!(sandbox.query(all), ["10000|10000|user0|49995000"]);
    assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn case_blanks_and_aliases_are_recognised() {
    let sandbox = with_roles(
        "head",
        &[
            "admin",
            "Admin",
            "  ADMIN",
            "write\t",
            "\nreadOnly ",
            "viewer",
            "VIEWER",
            " Viewer ",
            "WRITE",
        ],
    );
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "normalised");
    assert_eq!(
        roles(&sandbox),
        [
            "ADMIN", "ADMIN", "ADMIN", "WRITE", "READONLY", "READONLY", "READONLY", "READONLY",
            "WRITE"
        ]
    );
    assert_eq!(document["normalised"].as_array().unwrap().len(), 8);
    assert_eq!(
        sandbox.archives().len(),
        1,
        "backup first, also for rows alone"
    );
    assert_eq!(run(&sandbox)["outcome"], "nothing_to_do");
}

#[test]
fn the_words_for_people_count_the_rows_of_each_spelling() {
    let sandbox = with_roles("head", &["admin", "admin", "viewer"]);
    let human = sandbox.run(&["run"]).expect_code(0).stdout;
    assert!(
        human.contains("users.role: 'admin' -> 'ADMIN' (2 rows)"),
        "{human}"
    );
    assert!(
        human.contains("users.role: 'viewer' -> 'READONLY' (1 row)"),
        "{human}"
    );
}

#[test]
fn every_enum_column_of_fast_flow_is_looked_after() {
    let sandbox = Sandbox::at("head");
    sandbox.sql(
        "INSERT INTO pipeline_runs (id, pipeline_name, status, log_file, started_at) VALUES ('r', 'p', 'success', 'l', '2026'); \
         INSERT INTO scheduled_jobs (id, pipeline_name, trigger_type, trigger_value, enabled, created_at) \
           VALUES ('j', 'p', 'Interval', '5', 1, '2026'); \
         INSERT INTO invitations (id, recipient_email, token, expires_at, role) VALUES ('i', 'a@b', 't', '2027', 'write')",
    );
    run(&sandbox);
    assert_eq!(
        sandbox.query("SELECT status FROM pipeline_runs"),
        ["SUCCESS"]
    );
    assert_eq!(
        sandbox.query("SELECT trigger_type FROM scheduled_jobs"),
        ["INTERVAL"]
    );
    assert_eq!(sandbox.query("SELECT role FROM invitations"), ["WRITE"]);
}

#[test]
fn an_unknown_value_fails_with_table_column_value_and_count() {
    let sandbox = with_roles("003", &["root", "root", "superuser", "readonly"]);
    let document = fails_over_values(
        &sandbox,
        &[
            "users.role: 2 row(s) hold 'root'",
            "users.role: 1 row(s) hold 'superuser'",
            "allowed: READONLY, WRITE, ADMIN",
        ],
    );
    assert_eq!(document["error"]["code"], "unknown_enum_values");
    assert_eq!(document["error"]["problems"].as_array().unwrap().len(), 2);
    assert_eq!(
        roles(&sandbox)[3],
        "readonly",
        "nothing was normalised on the way"
    );
}

#[test]
fn an_unknown_value_at_head_is_a_failure_as_well_and_costs_no_backup() {
    let sandbox = with_roles("head", &["root"]);
    let document = fails_over_values(&sandbox, &["users.role: 1 row(s) hold 'root'"]);
    assert_eq!(document["backup"], Value::Null);
    assert!(sandbox.archives().is_empty());
}

#[test]
fn many_unknown_values_are_cut_short_in_the_list() {
    let names: Vec<String> = (0..30).map(|i| format!("role{i}")).collect();
    let sandbox = with_roles("003", &names.iter().map(String::as_str).collect::<Vec<_>>());
    fails_over_values(&sandbox, &["'role0'", "and 10 more values"]);
}

#[test]
fn near_misses_are_never_guessed() {
    for value in [
        "ADMINS",
        "",
        "READ ONLY",
        "A",
        "ADMIN,WRITE",
        "'; DROP TABLE users; --",
    ] {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ann", &value.replace('\'', "''"))]);
        fails_over_values(&sandbox, &[&format!("hold '{value}'")]);
    }
}

#[test]
fn bytes_that_look_like_a_value_are_no_value() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("INSERT INTO users (id, username, created_at, role) VALUES ('u', 'u', '2026', CAST('ADMIN' AS BLOB))");
    fails_over_values(&sandbox, &["users.role: 1 row(s) hold 'ADMIN'"]);
}

#[test]
fn unknown_keep_reports_the_rows_and_leaves_them() {
    let sandbox = with_status(
        "values = ['active']\nunknown = 'keep'",
        &[Some("archived"), Some("Active"), Some("archived")],
    );
    let document = run(&sandbox);
    assert_eq!(statuses(&sandbox), ["archived", "active", "archived"]);
    assert_eq!(document["warnings"][0]["subject"], "users.status");
    assert!(
        document["warnings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("2 row(s) hold 'archived'"),
        "{document:#}"
    );
    let again = run(&sandbox);
    assert_eq!(again["outcome"], "nothing_to_do");
    assert!(
        again["warnings"].to_string().contains("'archived'"),
        "it is said again: {again:#}"
    );
}

#[test]
fn lower_case_columns_stay_lower_case_and_null_stays_null() {
    let values = [
        Some("ACTIVE"),
        None,
        Some("Pending "),
        Some("rejected"),
        None,
    ];
    let sandbox = with_status("values = ['active', 'pending', 'rejected']", &values);
    let document = run(&sandbox);
    assert_eq!(
        statuses(&sandbox),
        ["active", "NULL", "pending", "rejected", "NULL"]
    );
    assert_eq!(
        document["normalised"],
        json!([
            { "table": "users", "column": "status", "from": "ACTIVE", "to": "active", "rows": 1 },
            { "table": "users", "column": "status", "from": "Pending ", "to": "pending", "rows": 1 },
        ])
    );
}

#[test]
fn the_shipped_map_serves_the_lower_case_column_of_revision_009_already() {
    let sandbox = with_roles("head", &["WRITE", "WRITE"]);
    sandbox.add_migration(
        "009_status",
        "ALTER TABLE users ADD COLUMN status VARCHAR DEFAULT 'ACTIVE' NOT NULL;",
    );
    let document = run(&sandbox);
    assert_eq!(document["normalised"][0]["rows"], 2);
    assert_eq!(statuses(&sandbox), ["active", "active"]);
}

#[test]
fn nothing_is_written_where_nothing_is_wrong() {
    let sandbox = with_roles("head", &["READONLY", "WRITE", "ADMIN"]);
    let before = (
        fs::read(sandbox.database()).unwrap(),
        fs::metadata(sandbox.database())
            .unwrap()
            .modified()
            .unwrap(),
    );
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "nothing_to_do");
    assert_eq!(document["normalised"], json!([]));
    assert_eq!(document["backup"], Value::Null);
    let after = (
        fs::read(sandbox.database()).unwrap(),
        fs::metadata(sandbox.database())
            .unwrap()
            .modified()
            .unwrap(),
    );
    assert!(before == after);
    assert!(sandbox.archives().is_empty());
}

#[test]
fn rows_that_are_right_are_not_rewritten() {
    let sandbox = with_roles("head", &["READONLY", "write", "ADMIN"]);
    sandbox.sql(
        "CREATE TABLE touched (id); CREATE TRIGGER watch AFTER UPDATE ON users BEGIN INSERT INTO touched VALUES (new.id); END",
    );
    run(&sandbox);
    assert_eq!(sandbox.query("SELECT id FROM touched"), ["u001"]);
}

#[test]
fn a_column_that_collates_without_case_is_normalised_too() {
    let sandbox = with_roles("head", &["WRITE", "WRITE", "WRITE", "WRITE"]);
    sandbox.add_migration(
        "009_level",
        "ALTER TABLE users ADD COLUMN level VARCHAR COLLATE NOCASE;",
    );
    run(&sandbox);
    sandbox.sql("CREATE INDEX ix_level ON users (level)");
    for (index, value) in ["high", "HIGH", "High", "LOW"].iter().enumerate() {
        sandbox.sql(&format!(
            "UPDATE users SET level = '{value}' WHERE id = 'u{index:03}'"
        ));
    }
    write_map(
        &sandbox,
        "[[column]]\ntable = 'users'\ncolumn = 'level'\nvalues = ['HIGH', 'LOW']\n",
    );
    let document = run(&sandbox);
    let counts: Vec<String> = document["normalised"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{} {}", c["from"], c["rows"]))
        .collect();
    assert_eq!(counts, ["\"High\" 1", "\"high\" 1"]);
    assert_eq!(
        sandbox.query("SELECT level FROM users ORDER BY id"),
        ["HIGH", "HIGH", "HIGH", "LOW"]
    );
    assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn names_that_need_quotes_work() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("CREATE TABLE \"odd \"\"table\" (\"group\" TEXT); INSERT INTO \"odd \"\"table\" VALUES ('A')");
    write_map(
        &sandbox,
        "[[column]]\ntable = 'odd \"table'\ncolumn = 'group'\nvalues = ['a']\n",
    );
    run(&sandbox);
    assert_eq!(
        sandbox.query("SELECT \"group\" FROM \"odd \"\"table\""),
        ["a"]
    );
}

#[test]
fn columns_that_do_not_exist_at_the_revision_are_skipped() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["downgrade", "base"]).expect_code(0);
    assert_eq!(sandbox.current(), "000");
    run(&sandbox);
}

#[test]
fn a_downgrade_normalises_what_is_left_too() {
    let sandbox = with_roles("head", &["admin"]);
    sandbox.run(&["downgrade", "005"]).expect_code(0);
    assert_eq!(roles(&sandbox), ["ADMIN"]);
}

#[test]
fn a_bad_map_is_refused_before_the_database_is_touched() {
    let column = "[[column]]\ntable = 'users'\ncolumn = 'role'\n";
    let cases = [
        (
            format!("{column}values = ['A']\n{column}values = ['A']"),
            "users.role: appears twice",
        ),
        (format!("{column}values = []"), "has no values"),
        (column.to_owned(), "missing field `values`"),
        (
            format!("{column}values = ['A', 'a ']"),
            "differ only in case or blanks",
        ),
        (
            format!("{column}values = ['A']\naliases = {{ b = 'C' }}"),
            "leads to 'C', which is not among the values",
        ),
        (
            format!("{column}values = ['A', 'B']\naliases = {{ a = 'B' }}"),
            "is also the value 'A'",
        ),
        (
            format!("{column}values = ['A']\nunknown = 'guess'"),
            "guess",
        ),
        (format!("{column}value = ['A']"), "value"),
        ("[[columns]]".to_owned(), "columns"),
        ("not toml at all".to_owned(), "enums.toml"),
    ];
    let sandbox = with_roles("003", &["root"]);
    let before = fs::read(sandbox.database()).unwrap();
    for (map, part) in cases {
        write_map(&sandbox, &map);
        let run = sandbox.run(&["run"]).expect_code(3);
        assert!(
            run.stderr.contains("enums.toml") && run.stderr.contains(part),
            "'{part}' in {}",
            run.stderr
        );
        assert!(
            run.stderr.contains("The database was not touched"),
            "{}",
            run.stderr
        );
    }
    fs::write(sandbox.migrations().join("enums.toml"), b"\xff\xfe").unwrap();
    let run = sandbox.run(&["run"]).expect_code(3);
    assert!(run.stderr.contains("not UTF-8"), "{}", run.stderr);
    assert!(fs::read(sandbox.database()).unwrap() == before);
}

#[test]
fn without_a_map_nothing_is_normalised() {
    let sandbox = with_roles("003", &["root", "readonly"]);
    fs::remove_file(sandbox.migrations().join("enums.toml")).unwrap();
    run(&sandbox);
    assert_eq!(roles(&sandbox), ["root", "readonly"]);
}

#[test]
fn two_columns_of_one_table_are_brought_right_each_by_its_own_rule() {
    let sandbox = with_roles("008", &["readonly", "ADMIN", "Write", "READONLY"]);
    sandbox.add_migration("009_status", "ALTER TABLE users ADD COLUMN status VARCHAR;");
    run(&sandbox);
    sandbox.sql(
        "UPDATE users SET role = 'Write', status = 'ACTIVE' WHERE id = 'u001'; \
         UPDATE users SET status = 'Active' WHERE id = 'u002'; UPDATE users SET role = 'Admin' WHERE id = 'u003';",
    );
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "normalised", "{document:#}");
    assert_eq!(roles(&sandbox), ["READONLY", "WRITE", "WRITE", "ADMIN"]);
    assert_eq!(statuses(&sandbox), ["NULL", "active", "active", "NULL"]);
    let rows: i64 = document["normalised"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["rows"].as_i64().unwrap())
        .sum();
    assert_eq!(rows, 4);
}

#[test]
fn a_wrong_value_in_a_table_that_no_migration_touches_is_brought_right_as_well() {
    for mode in ["wal", "delete"] {
        let sandbox = with_roles("003", &["readonly"]);
        sandbox.query(&format!("PRAGMA journal_mode = {mode}"));
        sandbox.sql("INSERT INTO pipeline_runs (id, pipeline_name, status, log_file, started_at) VALUES ('r', 'p', 'Running', 'l', '2026')");
        run(&sandbox);
        assert_eq!(
            sandbox.query("SELECT status FROM pipeline_runs"),
            ["RUNNING"]
        );
        assert_eq!(roles(&sandbox), ["READONLY"]);
    }
}

/// At head, with more rows than a job with nothing to do looks at, the last of them with a wrong value.
fn with_many_runs() -> Sandbox {
    let sandbox = Sandbox::at("head");
    sandbox.sql(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO pipeline_runs (id, pipeline_name, status, log_file, started_at) \
         SELECT i, 'p', CASE i WHEN 10000 THEN 'success' ELSE 'SUCCESS' END, 'l', '2026' FROM n",
    );
    sandbox
}

#[test]
fn a_job_with_nothing_else_to_do_says_which_large_tables_it_did_not_look_at() {
    let sandbox = with_many_runs();
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "nothing_to_do");
    assert_eq!(document["not_surveyed"], json!(["pipeline_runs"]));
    let words = sandbox.run(&["run"]).expect_code(0).stdout;
    assert!(words.contains("pipeline_runs"), "{words}");
    assert!(words.contains("--verify full"), "{words}");
}

#[test]
fn a_large_table_is_looked_at_when_it_is_asked_for_and_when_there_is_something_to_do() {
    let sandbox = with_many_runs();
    let (code, document) = sandbox.run_json(&["run", "--verify", "full"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("normalised")));
    let sandbox = with_many_runs();
    sandbox.add_migration("009_more", "CREATE TABLE more (a);");
    let document = run(&sandbox);
    assert_eq!(document["outcome"], "migrated");
    assert_eq!(document["normalised"][0]["rows"], 1);
}
