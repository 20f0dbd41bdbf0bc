//! The shipped migrations, run by the real program, against what the real Alembic built (`tests/alembic/recorded`).
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use safestep::migration::Migrations;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use support::{Sandbox, block_on, connect, query_on, shipped_migrations};

const HEAD: usize = 8;

/// File name and Alembic's revision id: they differ for 001.
const REVISIONS: [(&str, Option<&str>); HEAD + 1] = [
    ("000_base", None),
    (
        "001_add_is_parameter_to_secret",
        Some("001_add_is_parameter"),
    ),
    ("002_add_webhook_fields", Some("002_add_webhook_fields")),
    (
        "003_add_user_management_fields",
        Some("003_add_user_management_fields"),
    ),
    ("004_github_invitation", Some("004_github_invitation")),
    (
        "005_make_password_hash_nullable",
        Some("005_make_password_hash_nullable"),
    ),
    (
        "006_drop_user_invitation_columns",
        Some("006_drop_user_invitation_columns"),
    ),
    ("007_drop_password_hash", Some("007_drop_password_hash")),
    ("008_add_google_avatar", Some("008_add_google_avatar")),
];

/// Rows in every table of the base schema, with two sessions of users who are gone.
const ROWS_AT_BASE: &str = "
    INSERT INTO users (rowid, id, username, password_hash, created_at) VALUES
        (3, 'u3', 'ada', 'h3', '2024-01-01'), (7, 'u7', 'o''brien', 'h7', '2024-01-02'),
        (5, 'u5', 'jürgen 🚀', '', '2024-01-03');
    INSERT INTO sessions VALUES
        ('s1', 't1', 'u3', '2024-02-01', '2024-01-01'), ('s2', 't2', 'gone', '2024-02-01', '2024-01-01'),
        ('s3', 't3', 'u7', '2024-02-01', '2024-01-01'), ('s4', 't4', 'gone, too', '2024-02-01', '2024-01-01');
    INSERT INTO pipelines VALUES ('sales', 1, NULL, 3, 2, 1), ('it''s quoted', 0, '2024-01-01', 0, 0, 0);
    INSERT INTO pipeline_runs (id, pipeline_name, status, log_file, env_vars, setup_duration, started_at) VALUES
        ('r1', 'sales', 'SUCCESS', 'r1.log', '{\"a\": [1, null]}', 0.1, '2024-01-01'),
        ('r2', 'sales', 'FAILED', 'r2.log', NULL, NULL, '2024-01-02'),
        ('r3', 'sales', 'RUNNING', 'line one' || char(10) || 'line two', '{}', 1e300, '2024-01-03');
    INSERT INTO scheduled_jobs VALUES ('j1', 'sales', 'CRON', '0 6 * * *', 1, '2024-01-01');
    INSERT INTO secrets VALUES ('k1', 'TOKEN', 'gAAAAAB', '2024-01-01', '2024-01-01');";

/// Users as they are at 004.
const USERS_AT_004: &str = "
    INSERT INTO users (id, username, password_hash, created_at, role) VALUES
        ('u1', 'ada', 'h', '2024-01-01', 'ADMIN'), ('u2', 'mei', 'h', '2024-01-01', 'WRITE');";

/// What tells that no row of the base tables was lost, doubled or renumbered.
const KEPT: [&str; 6] = [
    "SELECT rowid, id, username, created_at FROM users ORDER BY rowid",
    "SELECT rowid, id, token, user_id, expires_at, created_at FROM sessions ORDER BY rowid",
    "SELECT rowid, pipeline_name, has_requirements, last_cache_warmup, total_runs, successful_runs, failed_runs
     FROM pipelines ORDER BY rowid",
    "SELECT rowid, id, pipeline_name, status, log_file, env_vars, quote(setup_duration), started_at
     FROM pipeline_runs ORDER BY rowid",
    "SELECT rowid, id, pipeline_name, trigger_type, trigger_value, enabled, created_at
     FROM scheduled_jobs ORDER BY rowid",
    "SELECT rowid, id, \"key\", value, created_at, updated_at FROM secrets ORDER BY rowid",
];

fn name_of(revision: usize) -> String {
    format!("{revision:03}")
}

/// What the real Alembic built there.
fn recorded(direction: &str, revision: usize) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "tests/alembic/recorded/{direction}-{revision:03}.json"
    ));
    serde_json::from_str(&fs::read_to_string(&path).expect("a recorded schema")).expect("JSON")
}

/// The schema as `tests/alembic/dump.py` tells it, read through SQLite's pragma functions.
fn dump(database: &Path) -> Value {
    block_on(async {
        let mut connection = connect(database).await;
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                      AND name NOT IN ('alembic_version', '_sqlx_migrations', '_safestep_migrations') ORDER BY name";
        let mut schema = json!({});
        for table in query_on(&mut connection, tables).await {
            schema[&table] = dump_table(&mut connection, &table).await;
        }
        connection.close().await.expect("close");
        schema
    })
}

async fn dump_table(connection: &mut SqliteConnection, table: &str) -> Value {
    let columns = objects(
        connection,
        &format!(
            "SELECT json_object('cid', cid, 'name', name, 'type', type, 'notnull', \"notnull\", \
             'default', dflt_value, 'pk', pk, 'hidden', hidden) FROM pragma_table_xinfo('{table}') ORDER BY cid"
        ),
    )
    .await;
    let foreign_keys = objects(
        connection,
        &format!(
            "SELECT json_object('id', id, 'seq', seq, 'table', \"table\", 'from', \"from\", 'to', \"to\", \
             'on_update', on_update, 'on_delete', on_delete, 'match', \"match\") \
             FROM pragma_foreign_key_list('{table}') ORDER BY id, seq"
        ),
    )
    .await;
    let mut indexes = objects(
        connection,
        &format!(
            "SELECT json_object('name', name, 'unique', \"unique\", 'origin', origin, 'partial', partial) \
             FROM pragma_index_list('{table}') ORDER BY name"
        ),
    )
    .await;
    for index in &mut indexes {
        let name = index["name"]
            .as_str()
            .expect("an index has a name")
            .to_owned();
        let terms = objects(
            connection,
            &format!(
                "SELECT json_object('seqno', seqno, 'name', name, 'desc', \"desc\", 'coll', coll, 'key', \"key\") \
                 FROM pragma_index_xinfo('{name}') ORDER BY seqno"
            ),
        )
        .await;
        index["columns"] = Value::Array(terms);
    }
    json!({ "columns": columns, "foreign_keys": foreign_keys, "indexes": indexes })
}

async fn objects(connection: &mut SqliteConnection, sql: &str) -> Vec<Value> {
    let lines = query_on(connection, sql).await;
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[track_caller]
fn expect_schema(sandbox: &Sandbox, direction: &str, revision: usize) {
    assert_same(
        &dump(&sandbox.database()),
        &recorded(direction, revision),
        &format!("{direction}-{revision:03}"),
    );
}

/// Fails with the lines that differ, not with two pages of JSON.
#[track_caller]
fn assert_same(ours: &Value, alembics: &Value, what: &str) {
    let (ours, alembics) = (lines(ours), lines(alembics));
    let only = |these: &[String], those: &[String]| -> String {
        let missing = these.iter().filter(|line| !those.contains(line));
        missing.map(|line| format!("\n  {line}")).collect()
    };
    assert!(
        ours == alembics,
        "{what}\nonly ours:{}\nonly Alembic's:{}",
        only(&ours, &alembics),
        only(&alembics, &ours)
    );
}

/// One line for every column, foreign key, index and index term, with its table, in order.
fn lines(schema: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for (table, parts) in schema.as_object().expect("tables") {
        all.push(table.clone());
        for (part, list) in parts.as_object().expect("parts") {
            for item in list.as_array().expect("a list") {
                all.push(format!("{table} {part} {item}"));
            }
        }
    }
    all
}

/// What must be the same before and after every step.
fn kept(sandbox: &Sandbox) -> Vec<String> {
    KEPT.iter().flat_map(|sql| sandbox.query(sql)).collect()
}

/// The row of `alembic_version`; none at base, as Alembic leaves it.
#[track_caller]
fn expect_alembic_version(sandbox: &Sandbox, revision: usize) {
    let expected: Vec<&str> = REVISIONS[revision].1.into_iter().collect();
    assert_eq!(
        sandbox.query("SELECT version_num FROM alembic_version"),
        expected
    );
}

#[track_caller]
fn go(sandbox: &Sandbox, command: &str, revision: usize) {
    let (code, document) = sandbox.run_json(&[command, &name_of(revision)]);
    assert_eq!(code, 0, "{command} {revision}: {document:#}");
    assert_eq!(document["outcome"], "migrated", "{command} {revision}");
    assert_eq!(document["to"], name_of(revision));
    assert_eq!(sandbox.current(), name_of(revision));
    expect_alembic_version(sandbox, revision);
}

#[test]
fn an_empty_database_is_at_every_revision_what_alembic_builds_up_and_down() {
    let sandbox = Sandbox::at("000");
    expect_schema(&sandbox, "up", 0);
    expect_alembic_version(&sandbox, 0);
    for revision in 1..=HEAD {
        go(&sandbox, "upgrade", revision);
        expect_schema(&sandbox, "up", revision);
    }
    for revision in (0..HEAD).rev() {
        go(&sandbox, "downgrade", revision);
        expect_schema(&sandbox, "down", revision);
    }
}

#[test]
fn a_filled_database_is_at_every_revision_what_alembic_builds_and_keeps_every_row() {
    let sandbox = Sandbox::at("000");
    sandbox.sql(ROWS_AT_BASE);
    let before = kept(&sandbox);
    assert_eq!(before.len(), 14);
    for revision in 1..=HEAD {
        go(&sandbox, "upgrade", revision);
        expect_schema(&sandbox, "up", revision);
        assert_eq!(kept(&sandbox), before, "up to {revision}");
        if revision == 5 {
            assert_eq!(
                sandbox.query("SELECT password_hash FROM users ORDER BY rowid"),
                ["h3", "", "h7"]
            );
        }
    }
    for revision in (0..HEAD).rev() {
        if revision == 4 {
            sandbox.sql("UPDATE users SET password_hash = '!' WHERE password_hash IS NULL");
        }
        go(&sandbox, "downgrade", revision);
        expect_schema(&sandbox, "down", revision);
        assert_eq!(kept(&sandbox), before, "down to {revision}");
    }
    assert_eq!(
        sandbox.query("SELECT DISTINCT password_hash FROM users"),
        ["!"]
    );
}

#[test]
fn every_revision_is_reached_from_nothing_in_one_job_and_left_for_base_in_one_job() {
    for revision in 1..=HEAD {
        let sandbox = Sandbox::at(&name_of(revision));
        expect_schema(&sandbox, "up", revision);
        expect_alembic_version(&sandbox, revision);
        sandbox.run(&["downgrade", "base"]).expect_code(0);
        expect_alembic_version(&sandbox, 0);
        // From 005 on, the column order of users is the one that Alembic leaves on its way down from head.
        expect_schema(&sandbox, if revision < 5 { "up" } else { "down" }, 0);
    }
}

#[test]
fn every_revision_is_reached_from_base_in_one_job_with_rows_in_every_table() {
    for revision in 1..=HEAD {
        let sandbox = Sandbox::at("base");
        sandbox.sql(ROWS_AT_BASE);
        let before = kept(&sandbox);
        go(&sandbox, "upgrade", revision);
        expect_schema(&sandbox, "up", revision);
        assert_eq!(kept(&sandbox), before, "up to {revision}");
    }
}

#[test]
fn alembic_ids_are_understood_as_names_of_revisions() {
    let sandbox = Sandbox::at("base");
    for (revision, (_, id)) in REVISIONS.iter().enumerate().skip(1) {
        let id = id.expect("an Alembic id");
        sandbox.run(&["upgrade", id]).expect_code(0);
        assert_eq!(sandbox.current(), name_of(revision));
    }
}

#[test]
fn the_password_hash_of_every_user_is_required_before_going_down_to_004() {
    let sandbox = Sandbox::at("base");
    sandbox.sql(ROWS_AT_BASE);
    sandbox.run(&["upgrade", "head"]).expect_code(0);
    sandbox.run(&["downgrade", "005"]).expect_code(0);
    let before = sandbox.content();

    let (code, document) = sandbox.run_json(&["downgrade", "004"]);
    assert_eq!(code, 5, "{document:#}");
    let message = document["error"]["message"].as_str().expect("a message");
    assert!(message.contains("3 row(s) in users have none"), "{message}");
    assert!(
        message.contains("UPDATE users SET password_hash = '!' WHERE password_hash IS NULL"),
        "{message}"
    );
    assert_eq!(sandbox.content(), before);
    expect_schema(&sandbox, "down", 5);

    sandbox.sql("UPDATE users SET password_hash = '!' WHERE password_hash IS NULL");
    go(&sandbox, "downgrade", 4);
}

#[test]
fn the_indexes_that_only_create_all_makes_survive_005_and_do_not_stop_the_way_down_to_002() {
    let made = "SELECT name, sql FROM sqlite_schema WHERE name IN \
                ('ix_users_email', 'ix_users_invitation_token', 'ix_users_microsoft_id') ORDER BY name";
    let sandbox = Sandbox::at("003");
    sandbox.sql(
        "CREATE INDEX ix_users_email ON users (email);
         CREATE UNIQUE INDEX ix_users_microsoft_id ON users (microsoft_id);
         CREATE UNIQUE INDEX ix_users_invitation_token ON users (invitation_token);",
    );
    let before = sandbox.query(made);
    assert_eq!(before.len(), 3);
    go(&sandbox, "upgrade", 5);
    assert_eq!(sandbox.query(made), before);
    go(&sandbox, "upgrade", HEAD);
    assert_eq!(
        sandbox.query(made),
        [before[0].as_str(), before[2].as_str()]
    );
    go(&sandbox, "downgrade", 4);
    assert_eq!(sandbox.query(made), before);
    go(&sandbox, "downgrade", 2);
    assert!(sandbox.query(made).is_empty());
    expect_schema(&sandbox, "down", 2);
}

#[test]
fn views_on_users_outlive_its_rebuild() {
    let sandbox = Sandbox::at("004");
    sandbox.sql(USERS_AT_004);
    sandbox.sql("CREATE VIEW people AS SELECT username, role FROM users;");
    let before = sandbox.query("SELECT * FROM people ORDER BY 1");
    go(&sandbox, "upgrade", 5);
    assert_eq!(sandbox.query("SELECT * FROM people ORDER BY 1"), before);
    go(&sandbox, "downgrade", 4);
    assert_eq!(sandbox.query("SELECT * FROM people ORDER BY 1"), before);
}

#[test]
fn schema_sql_applied_to_an_empty_database_is_the_schema_at_head() {
    let sandbox = Sandbox::new();
    fs::File::create(sandbox.database()).expect("an empty database");
    sandbox.sql(&fs::read_to_string(shipped_migrations().join("schema.sql")).expect("schema.sql"));
    expect_schema(&sandbox, "up", HEAD);
}

#[test]
fn schema_sql_is_the_text_that_the_migrations_leave_in_a_new_database() {
    let text = "SELECT replace(sql, char(10), ' ') FROM sqlite_schema WHERE sql IS NOT NULL \
                AND name NOT IN ('alembic_version', '_sqlx_migrations', '_safestep_migrations') ORDER BY name";
    let migrated = Sandbox::at("head");
    let written = Sandbox::new();
    fs::File::create(written.database()).expect("an empty database");
    written.sql(&fs::read_to_string(shipped_migrations().join("schema.sql")).expect("schema.sql"));
    assert_eq!(written.query(text), migrated.query(text));
}

#[test]
fn every_migration_but_the_base_has_the_alembic_id_that_fast_flow_gave_it() {
    let migrations = Migrations::read(&shipped_migrations()).expect("the shipped migrations");
    let found: Vec<(String, Option<&str>)> = migrations
        .all()
        .iter()
        .map(|migration| {
            let file = migration
                .up
                .path
                .file_name()
                .expect("a file name")
                .to_string_lossy();
            (
                file.trim_end_matches(".up.sql").to_owned(),
                migration.alembic.as_deref(),
            )
        })
        .collect();
    let expected: Vec<(String, Option<&str>)> = REVISIONS
        .iter()
        .map(|(name, id)| ((*name).to_owned(), *id))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_recorded_alembic_revisions_and_ours_are_the_same_ones() {
    let versions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alembic/versions");
    for (name, id) in REVISIONS.iter().skip(1) {
        let text =
            fs::read_to_string(versions.join(format!("{name}.py"))).expect("a revision of Alembic");
        let line = format!("revision = \"{}\"", id.expect("an Alembic id"));
        assert!(text.lines().any(|other| other == line), "{name}: {line}");
    }
}

#[test]
fn a_fresh_clone_gets_its_database_from_one_run_and_a_second_run_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    fs::remove_dir(sandbox.path("data")).expect("a clone has no data folder");

    let (code, document) = sandbox.run_json(&["run", "--create-if-missing"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["outcome"], "created");
    assert_eq!(
        (&document["from"], &document["to"]),
        (&json!("none"), &json!("008"))
    );
    expect_schema(&sandbox, "up", HEAD);
    expect_alembic_version(&sandbox, HEAD);
    let bytes = fs::read(sandbox.database()).expect("the database");

    let (code, document) = sandbox.run_json(&["run", "--create-if-missing"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["outcome"], "nothing_to_do");
    assert_eq!(fs::read(sandbox.database()).expect("the database"), bytes);
    assert!(sandbox.archives().is_empty());
}

#[test]
fn a_fresh_clone_without_the_flag_is_told_about_it_and_gets_no_database() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["run"]).expect_code(4);
    assert!(run.stderr.contains("--create-if-missing"), "{}", run.stderr);
    assert!(!sandbox.database().exists());
}

#[test]
fn where_alembic_took_a_database_of_ours_back_to_base_the_schema_is_believed_and_not_the_rows_of_sqlx()
 {
    let ours = Sandbox::at("head");
    let sandbox = Sandbox::at("base");
    sandbox.sql(&format!(
        "ATTACH '{}' AS ours;
         DELETE FROM _sqlx_migrations;
         INSERT INTO _sqlx_migrations SELECT * FROM ours._sqlx_migrations;",
        ours.database().display()
    ));
    assert_eq!(sandbox.current(), "000");
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["applied"].as_array().expect("applied").len(), HEAD);
    expect_schema(&sandbox, "up", HEAD);
    expect_alembic_version(&sandbox, HEAD);
}

#[test]
fn an_emptied_alembic_version_is_filled_again_where_sqlx_and_the_schema_agree() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("DELETE FROM alembic_version");
    assert_eq!(sandbox.current(), "008");
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["outcome"], "adopted");
    expect_alembic_version(&sandbox, HEAD);
}

#[test]
fn a_folder_without_revision_0_goes_down_to_nothing_and_up_again() {
    let sandbox = Sandbox::new();
    for entry in fs::read_dir(sandbox.migrations()).expect("migrations") {
        fs::remove_file(entry.expect("entry").path()).expect("removed");
    }
    sandbox.add_migration("001_goods", "CREATE TABLE goods (id INTEGER PRIMARY KEY);");
    fs::write(
        sandbox.migrations().join("001_goods.down.sql"),
        "-- drops: table goods\nDROP TABLE goods;\n",
    )
    .expect("down file");
    sandbox.run(&["run", "--create-if-missing"]).expect_code(0);
    sandbox.run(&["downgrade", "base"]).expect_code(0);
    assert_eq!(sandbox.current(), "none");
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(sandbox.current(), "001");
}
