//! The commands that only look: `--sql`, `heads`, `show`, `current`, `history`, `check`. None of them changes the database.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::time::SystemTime;

use serde_json::{Value, json};
use support::{Run, Sandbox};

fn untouched(sandbox: &Sandbox) -> Option<(Vec<u8>, SystemTime)> {
    let path = sandbox.database();
    let modified = fs::metadata(&path).ok()?.modified().expect("mtime");
    Some((fs::read(path).expect("the database"), modified))
}

#[track_caller]
fn look(sandbox: &Sandbox, args: &[&str]) -> Run {
    let before = untouched(sandbox);
    let run = sandbox.run(args);
    assert!(
        before == untouched(sandbox),
        "{args:?} changed the database"
    );
    run
}

#[track_caller]
fn look_json(sandbox: &Sandbox, args: &[&str]) -> (i32, Value) {
    let mut all = args.to_vec();
    all.extend(["--output", "json"]);
    let run = look(sandbox, &all);
    (run.code, run.json())
}

/// Schema and history of a database, without what tells when and how fast, and without the scripts that only a job keeps.
fn state(sandbox: &Sandbox) -> String {
    sandbox.sql("DROP TABLE IF EXISTS _safestep_migrations");
    support::state(&sandbox.database())
}

/// Runs the SQL that `args` print on the sandbox's database, whose result must be that of the job in the other one.
#[track_caller]
fn same_end(by_hand: &Sandbox, args: &[&str], by_job: &Sandbox, job: &[&str]) {
    let script = look(by_hand, args).expect_code(0).stdout;
    by_hand.sql(&script);
    by_job.run(job).expect_code(0);
    assert_eq!(state(by_hand), state(by_job), "{script}");
}

#[track_caller]
fn nothing_left(sandbox: &Sandbox) {
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(
        (code, &document["outcome"]),
        (0, &json!("nothing_to_do")),
        "{document:#}"
    );
}

#[test]
fn the_sql_of_an_upgrade_run_by_hand_leaves_what_the_job_leaves() {
    for start in ["000", "003", "006"] {
        let (by_hand, by_job) = (Sandbox::at(start), Sandbox::at(start));
        same_end(&by_hand, &["run", "--sql"], &by_job, &["run"]);
        nothing_left(&by_hand);
    }
}

#[test]
fn the_sql_of_a_downgrade_run_by_hand_leaves_what_the_job_leaves() {
    let (by_hand, by_job) = (Sandbox::at("head"), Sandbox::at("head"));
    same_end(
        &by_hand,
        &["downgrade", "002", "--sql"],
        &by_job,
        &["downgrade", "002"],
    );
    same_end(
        &by_hand,
        &["upgrade", "+1", "--sql"],
        &by_job,
        &["upgrade", "+1"],
    );
    let run = look(&by_hand, &["downgrade", "head", "--sql"]).expect_code(2);
    assert!(
        run.stderr.contains("safestep upgrade 008"),
        "{}",
        run.stderr
    );
}

#[test]
fn without_a_database_the_sql_goes_from_one_named_revision_to_another() {
    let builder = Sandbox::new();
    let script = look(&builder, &["upgrade", "none:head", "--sql"])
        .expect_code(0)
        .stdout;
    assert!(!builder.database().exists());
    fs::File::create(builder.database()).expect("an empty file");
    builder.sql(&script);
    nothing_left(&builder);
    assert_eq!(state(&builder), state(&Sandbox::at("head")));
    let same = look(&Sandbox::new(), &["run", "--create-if-missing", "--sql"]).expect_code(0);
    assert_eq!(same.stdout, script);

    let alembic = Sandbox::at("003");
    alembic.sql("DROP TABLE _sqlx_migrations");
    let script = look(&Sandbox::new(), &["upgrade", "003_add_user:5", "--sql"])
        .expect_code(0)
        .stdout;
    assert!(script.contains("a database, from 003 to 005"), "{script}");
    alembic.sql(&script);
    assert_eq!(alembic.current(), "005");
    alembic.run(&["run"]).expect_code(0);
    assert_eq!(state(&alembic), state(&Sandbox::at("head")));
}

#[test]
fn the_sql_begins_with_what_a_dba_must_know_and_names_every_file() {
    let sandbox = Sandbox::at("006");
    let (code, document) = look_json(&sandbox, &["upgrade", "head", "--sql"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("shown")));
    assert_eq!(
        (&document["from"], &document["to"]),
        (&json!("006"), &json!("008"))
    );
    let script = document["sql"].as_str().expect("sql");
    assert!(script.contains("sqlite3 -bail"), "{script}");
    let order: Vec<usize> = [
        "PRAGMA foreign_keys = OFF;\nBEGIN IMMEDIATE;\n",
        "\n-- up 007 drop password hash, Alembic 007_drop_password_hash\n-- migrations/007_drop_password_hash.up.sql\n",
        "ALTER TABLE users DROP COLUMN password_hash;\n",
        "VALUES (7, 'drop password hash', TRUE, x'",
        "INSERT INTO alembic_version (version_num) VALUES ('007_drop_password_hash');\n",
        "\n-- up 008",
        "\nCOMMIT;\n",
    ]
    .iter()
    .map(|part| script.find(part).unwrap_or_else(|| panic!("{part} is missing:\n{script}")))
    .collect();
    assert!(order.is_sorted(), "{script}");
    let script = look(&Sandbox::at("head"), &["run", "--sql"])
        .expect_code(0)
        .stdout;
    assert!(script.ends_with("-- There is nothing to do.\n"), "{script}");
}

#[test]
fn a_file_outside_a_transaction_is_outside_begin_and_commit_in_the_sql_too() {
    let write = |sandbox: &Sandbox| {
        sandbox.add_migration(
            "009_compact",
            "-- no-transaction\nALTER TABLE users ADD COLUMN a;\nVACUUM -- no semicolon",
        );
        sandbox.add_migration("010_more", "ALTER TABLE users ADD COLUMN b;");
    };
    let (by_hand, by_job) = (Sandbox::at("head"), Sandbox::at("head"));
    write(&by_hand);
    write(&by_job);
    same_end(&by_hand, &["run", "--sql"], &by_job, &["run"]);
    nothing_left(&by_hand);
}

#[test]
fn heads_is_one_line_and_needs_no_database() {
    let sandbox = Sandbox::new();
    let run = look(&sandbox, &["heads"]).expect_code(0);
    assert_eq!(run.stdout, "008 008_add_google_avatar add google avatar\n");
    let (_, document) = look_json(&sandbox, &["heads"]);
    assert_eq!(document["heads"][0]["alembic"], "008_add_google_avatar");
}

#[test]
fn show_tells_everything_about_a_revision_however_it_is_named() {
    let sandbox = Sandbox::at("006");
    for name in [
        "7",
        "007",
        "007_drop_password_hash",
        "007_drop",
        "+1",
        "006+1",
        "current+1",
    ] {
        let run = look(&sandbox, &["show", name]);
        if name == "current+1" {
            run.expect_code(2);
            continue;
        }
        let text = run.expect_code(0).stdout;
        assert!(
            text.starts_with(
                "revision  007 drop password hash\nalembic   007_drop_password_hash\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("\napplied   no\n")
                && text.contains("\ndrops     column users.password_hash\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\nALTER TABLE users DROP COLUMN password_hash;\n"),
            "{text}"
        );
    }
    let (code, document) = look_json(&sandbox, &["show", "current", "--down"]);
    assert_eq!((code, &document["version"]), (0, &json!("006")));
    assert_eq!(
        (&document["applied"], &document["direction"]),
        (&json!(true), &json!("down"))
    );
    assert!(
        document["installed_on"]
            .as_str()
            .is_some_and(|text| text.starts_with("20"))
    );
    assert!(
        document["sql"]
            .as_str()
            .is_some_and(|sql| sql.contains("ADD COLUMN invitation_token"))
    );
    assert_eq!(document["checksum"].as_str().map(str::len), Some(96));
    let run = look(&Sandbox::new(), &["show"]).expect_code(0);
    assert!(
        run.stdout.contains("applied   there is no database"),
        "{}",
        run.stdout
    );
    look(&sandbox, &["show", "nope"]).expect_code(2);
}

#[test]
fn current_and_history_say_in_detail_when_and_on_whose_word() {
    let sandbox = Sandbox::at("006");
    sandbox.sql("DELETE FROM _sqlx_migrations WHERE version = 6");
    let text = look(&sandbox, &["current", "--verbose"])
        .expect_code(0)
        .stdout;
    assert!(
        text.starts_with("006 006_drop_user_invitation_columns\n"),
        "{text}"
    );
    assert!(
        text.contains("\nknown from   alembic_version, confirmed by the schema"),
        "{text}"
    );
    assert!(
        text.contains("\napplied      not recorded in _sqlx_migrations"),
        "{text}"
    );
    assert!(
        text.ends_with("pending: 007 007_drop_password_hash\npending: 008 008_add_google_avatar\n"),
        "{text}"
    );
    let (_, document) = look_json(&sandbox, &["history", "-r", "5:7"]);
    let versions: Vec<&Value> = document["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["version"])
        .collect();
    assert_eq!(versions, ["005", "006", "007"]);
    let five = &document["revisions"][0];
    assert!(
        five["elapsed_ns"].is_number() && five["installed_on"].is_string(),
        "{five:#}"
    );
    assert!(document["revisions"][1]["installed_on"].is_null());
    for (range, count) in [
        ("005:", 4),
        (":current", 7),
        ("base:002", 3),
        ("-1:+1", 3),
        ("head:head", 1),
    ] {
        let run = look(&sandbox, &["history", "-r", range]).expect_code(0);
        assert_eq!(run.stdout.lines().count(), count, "{range}\n{}", run.stdout);
    }
    let run = look(&sandbox, &["history", "--verbose", "-r", "005:005"]).expect_code(0);
    assert!(
        run.stdout.contains("         checksum     ") && run.stdout.contains(" UTC ("),
        "{}",
        run.stdout
    );
    look(&sandbox, &["history", "-r", "005"]).expect_code(2);
}

#[test]
fn current_with_check_heads_fails_unless_the_database_is_at_head() {
    let (code, document) = look_json(&Sandbox::at("006"), &["current", "--check-heads"]);
    assert_eq!((code, &document["revision"]), (5, &json!("006")));
    assert_eq!(
        document["error"]["problems"].as_array().map(Vec::len),
        Some(2)
    );
    look(&Sandbox::at("head"), &["current", "--check-heads"]).expect_code(0);
}

#[test]
fn check_is_clean_at_head_and_notes_what_no_migration_made() {
    let sandbox = Sandbox::at("head");
    sandbox.sql("CREATE TABLE mine (a); CREATE INDEX ix_mine ON users (email, role);");
    let (code, document) = look_json(&sandbox, &["check"]);
    assert_eq!(
        (code, &document["outcome"]),
        (0, &json!("clean")),
        "{document:#}"
    );
    let notes: Vec<&Value> = document["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| &note["subject"])
        .collect();
    assert_eq!(notes, ["mine", "users: ix_mine"]);
}

#[test]
fn check_tells_pending_from_drift_and_what_to_run_next() {
    let sandbox = Sandbox::at("006");
    let (code, document) = look_json(&sandbox, &["check"]);
    assert_eq!(
        (code, &document["outcome"]),
        (5, &json!("pending")),
        "{document:#}"
    );
    assert_eq!(document["pending"], json!(["007", "008"]));
    assert!(
        document["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("safestep run"))
    );

    sandbox.sql("DROP INDEX ix_users_github_id; ALTER TABLE users ADD COLUMN odd;");
    let run = look(&sandbox, &["check"]).expect_code(5);
    assert!(
        run.stderr
            .contains("users.odd: the column should not be there"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("users: ix_users_github_id: the index is missing"),
        "{}",
        run.stderr
    );
    let (_, document) = look_json(&sandbox, &["check"]);
    assert_eq!(document["outcome"], "drifted");
    assert_eq!(document["differences"].as_array().map(Vec::len), Some(2));
}

#[test]
fn check_finds_a_constraint_that_was_lost_and_only_notes_another_default() {
    let sandbox = Sandbox::at("head");
    sandbox.add_migration(
        "009_goods",
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, price INT DEFAULT 1 CHECK (price > 0));",
    );
    sandbox.run(&["run"]).expect_code(0);
    fs::remove_file(sandbox.migrations().join("schema.sql")).unwrap();
    let (code, document) = look_json(&sandbox, &["check"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("clean")));
    sandbox.sql("DROP TABLE goods; CREATE TABLE goods (id INTEGER PRIMARY KEY, price INT CHECK (price > 0))");
    let (code, document) = look_json(&sandbox, &["check"]);
    assert_eq!(
        (code, &document["notes"][0]["subject"]),
        (0, &json!("goods.price"))
    );
    sandbox
        .sql("DROP TABLE goods; CREATE TABLE goods (id INTEGER PRIMARY KEY, price INT DEFAULT 1)");
    let run = look(&sandbox, &["check"]).expect_code(5);
    assert!(
        run.stderr.contains("goods: it lacks CHECK (price > 0)"),
        "{}",
        run.stderr
    );
}

#[test]
fn check_says_when_schema_sql_is_ahead_of_the_migrations() {
    let sandbox = Sandbox::at("head");
    let path = sandbox.migrations().join("schema.sql");
    let schema = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{schema}\nCREATE TABLE goods (id INTEGER PRIMARY KEY);\n"),
    )
    .unwrap();
    let (code, document) = look_json(&sandbox, &["check"]);
    assert_eq!((code, &document["outcome"]), (5, &json!("unwritten")));
    assert_eq!(document["unwritten"][0]["subject"], "goods");
    let hint = document["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("safestep revision --autogenerate"), "{hint}");
    sandbox
        .run(&["revision", "-m", "goods", "--autogenerate"])
        .expect_code(0);
    sandbox.run(&["run"]).expect_code(0);
    look(&sandbox, &["check"]).expect_code(0);
}
