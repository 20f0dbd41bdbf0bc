//! A job that fails: exit code 5, the database as before and proven to be, a backup, and words that help.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::Sandbox;

/// At head, with rows in several tables.
fn filled() -> Sandbox {
    let sandbox = Sandbox::at("head");
    sandbox.sql(
        "INSERT INTO users (id, username, created_at, role, blocked) VALUES \
           ('u1', 'ann', '2026-01-01', 'ADMIN', 0), ('u2', 'bob', '2026-01-02', 'READONLY', 0); \
         INSERT INTO sessions (id, token, user_id, expires_at, created_at) VALUES \
           ('s1', 't1', 'u1', '2027-01-01', '2026-01-01'), ('s2', 't2', 'u2', '2027-01-01', '2026-01-01'); \
         INSERT INTO pipelines (pipeline_name, has_requirements, total_runs, successful_runs, failed_runs) \
           VALUES ('etl', 1, 2, 1, 1); \
         CREATE VIEW admins AS SELECT * FROM users WHERE role = 'ADMIN'; \
         CREATE TRIGGER count_users AFTER INSERT ON users BEGIN UPDATE pipelines SET total_runs = total_runs + 1; END;",
    );
    sandbox
}

/// Runs a job that must fail with exit code 5 and leave everything as it was; returns its document.
#[track_caller]
fn fails(sandbox: &Sandbox, args: &[&str]) -> Value {
    let before = (sandbox.content(), sandbox.current());
    let journal_mode = sandbox.query("PRAGMA journal_mode");
    let (code, document) = sandbox.run_json(args);
    assert_eq!(code, 5, "{document:#}");
    assert_eq!(document["outcome"], "failed");
    assert_eq!(document["exit_code"], 5);
    let proof = &document["proof"];
    assert!(
        proof["live_digest"]
            .as_str()
            .is_some_and(|digest| digest.len() == 64),
        "{document:#}"
    );
    assert_eq!(proof["live_digest"], proof["snapshot_digest"]);
    assert_eq!(sandbox.content(), before.0, "the content changed");
    assert_eq!(sandbox.current(), before.1, "the revision changed");
    assert_eq!(sandbox.query("PRAGMA journal_mode"), journal_mode);
    let backup = document["backup"]["path"].as_str().expect("a backup");
    assert!(Path::new(backup).is_file(), "the backup is there");
    assert!(
        document["error"]["hint"].as_str().is_some_and(|hint| hint
            .contains("run the same command again")
            || hint.contains("Correct")),
        "{document:#}"
    );
    document
}

#[track_caller]
fn message(document: &Value) -> &str {
    document["error"]["message"].as_str().expect("a message")
}

/// After the cause is mended, the same command brings the database to `revision`.
#[track_caller]
fn succeeds(sandbox: &Sandbox, revision: &str) {
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(sandbox.current(), revision);
}

fn add(sandbox: &Sandbox, up: &str) {
    sandbox.add_migration("009_test", up);
}

#[test]
fn an_unknown_role_stops_the_job_and_names_the_value() {
    let sandbox = Sandbox::at("003");
    sandbox.sql(
        "INSERT INTO users (id, username, password_hash, created_at, role) VALUES \
         ('u1', 'ann', 'x', '2026-01-01', 'superuser'), ('u2', 'bob', 'x', '2026-01-01', 'readonly')",
    );
    let document = fails(&sandbox, &["run"]);
    for part in [
        "users.role",
        "1 row(s)",
        "'superuser'",
        "READONLY, WRITE, ADMIN",
    ] {
        assert!(
            message(&document).contains(part),
            "{part} in {}",
            message(&document)
        );
    }
    assert_eq!(
        document["normalised"],
        serde_json::json!([]),
        "nothing was normalised in the end"
    );
    assert_eq!(document["applied"], serde_json::json!([]));
    sandbox.sql("UPDATE users SET role = 'admin' WHERE role = 'superuser'");
    succeeds(&sandbox, "008");
    assert_eq!(
        sandbox.query("SELECT role FROM users ORDER BY id"),
        ["ADMIN", "READONLY"]
    );
}

#[test]
fn a_ninth_migration_that_fails_at_its_third_statement_leaves_nothing_behind() {
    let sandbox = filled();
    let good = "CREATE TABLE labels (id INTEGER PRIMARY KEY);\n\nALTER TABLE users ADD COLUMN label INTEGER;\n\n";
    add(
        &sandbox,
        &format!("{good}-- the culprit\nINSERT INTO labels\nSELECT nope FROM users;\n"),
    );
    let document = fails(&sandbox, &["run"]);
    assert_eq!(document["error"]["statement"], 3);
    assert_eq!(document["error"]["line"], 7);
    assert_eq!(document["from"], "008");
    assert_eq!(document["to"], "009");
    for part in [
        "009_test.up.sql",
        "statement 3",
        "line 7",
        "no such column: nope",
        "INSERT INTO labels",
    ] {
        assert!(
            message(&document).contains(part),
            "{part} in {}",
            message(&document)
        );
    }
    add(
        &sandbox,
        &format!("{good}INSERT INTO labels SELECT rowid FROM users;\n"),
    );
    succeeds(&sandbox, "009");
}

#[test]
fn the_words_for_people_say_what_failed_in_what_state_everything_is_and_what_comes_next() {
    let sandbox = filled();
    add(&sandbox, "SELECT 1;\nINSERT INTO nowhere VALUES (1);\n");
    let run = sandbox.run(&["run"]).expect_code(5);
    assert_eq!(run.stdout, "", "a failure says nothing on standard output");
    let archive = sandbox.archives().remove(0);
    for part in [
        "error: ",
        "009_test.up.sql failed at statement 2, line 2: no such table: nowhere",
        "state: The database is as it was before (revision 008)",
        "equals the snapshot's",
        &format!("backup: {}", archive.display()),
        "next: Correct ",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
}

#[test]
fn a_migration_that_fails_after_others_of_the_same_job_takes_them_back_too() {
    let sandbox = Sandbox::at("003");
    add(&sandbox, "INSERT INTO nowhere VALUES (1);");
    let document = fails(&sandbox, &["run"]);
    assert_eq!(document["from"], "003");
    assert_eq!(sandbox.current(), "003");
    add(&sandbox, "SELECT 1;");
    succeeds(&sandbox, "009");
}

#[test]
fn a_new_foreign_key_violation_is_a_failure_that_names_child_and_parent() {
    let sandbox = filled();
    add(
        &sandbox,
        "UPDATE sessions SET user_id = 'gone' WHERE id = 's1';",
    );
    let document = fails(&sandbox, &["run"]);
    for part in ["sessions", "'gone'", "users", "foreign key violation"] {
        assert!(
            message(&document).contains(part),
            "{part} in {}",
            message(&document)
        );
    }
    add(
        &sandbox,
        "UPDATE sessions SET user_id = 'u2' WHERE id = 's1';",
    );
    succeeds(&sandbox, "009");
}

#[test]
fn an_upgrade_that_deletes_the_parents_of_rows_is_a_foreign_key_failure() {
    let sandbox = filled();
    add(
        &sandbox,
        "-- deletes: rows users\nDELETE FROM users WHERE id = 'u1';",
    );
    let document = fails(&sandbox, &["run"]);
    assert!(
        message(&document).contains(
            "sessions: 1 row(s) refer to 'u1' in users, which is not there, and did not before"
        ),
        "{}",
        message(&document)
    );
}

/// Runs an undeclared loss, then adds the line that the message asks for.
#[track_caller]
fn loss_must_be_declared(up: &str, line: &str) {
    let sandbox = filled();
    add(&sandbox, up);
    let document = fails(&sandbox, &["run"]);
    assert_eq!(
        document["error"]["code"], "verification_failed",
        "{document:#}"
    );
    let asked_for = message(&document)
        .split('\'')
        .find(|part| part.starts_with("-- "));
    assert_eq!(asked_for, Some(line), "{}", message(&document));
    add(&sandbox, &format!("{line}\n{up}"));
    succeeds(&sandbox, "009");
}

#[test]
fn a_dropped_table_must_be_declared() {
    loss_must_be_declared("DROP TABLE invitations;", "-- drops: table invitations");
}

#[test]
fn a_dropped_column_must_be_declared() {
    loss_must_be_declared(
        "ALTER TABLE users DROP COLUMN email;",
        "-- drops: column users.email",
    );
}

#[test]
fn a_dropped_index_must_be_declared() {
    loss_must_be_declared(
        "DROP INDEX ix_users_google_id;",
        "-- drops: index ix_users_google_id",
    );
}

#[test]
fn a_dropped_trigger_must_be_declared() {
    loss_must_be_declared("DROP TRIGGER count_users;", "-- drops: trigger count_users");
}

#[test]
fn a_dropped_view_must_be_declared() {
    loss_must_be_declared("DROP VIEW admins;", "-- drops: view admins");
}

#[test]
fn deleted_rows_must_be_declared() {
    loss_must_be_declared(
        "DELETE FROM sessions WHERE id = 's1';",
        "-- deletes: rows sessions",
    );
}

#[test]
fn every_loss_of_a_rebuild_that_forgets_things_is_listed_at_once() {
    let sandbox = filled();
    add(
        &sandbox,
        "CREATE TABLE sessions_new (id CHAR(32) NOT NULL PRIMARY KEY, token VARCHAR NOT NULL, user_id CHAR(32) NOT NULL);\n\
         INSERT INTO sessions_new SELECT id, token, user_id FROM sessions WHERE id = 's1';\n\
         DROP TABLE sessions;\nALTER TABLE sessions_new RENAME TO sessions;\n",
    );
    let document = fails(&sandbox, &["run"]);
    for part in [
        "-- drops: column sessions.expires_at",
        "-- drops: column sessions.created_at",
        "-- drops: index ix_sessions_token",
        "-- drops: index ix_sessions_user_id",
        "FOREIGN KEY (user_id) -> users (id)",
        "had 2 rows and has 1",
    ] {
        assert!(
            message(&document).contains(part),
            "{part} in {}",
            message(&document)
        );
    }
    assert!(
        document["error"]["problems"]
            .as_array()
            .is_some_and(|list| list.len() >= 6)
    );
}

#[test]
fn a_migration_cannot_end_the_transaction_of_the_job() {
    let sandbox = filled();
    for word in ["COMMIT", "END", "ROLLBACK", "BEGIN"] {
        add(
            &sandbox,
            &format!("CREATE TABLE half (a);\n{word};\nCREATE TABLE other (a);\n"),
        );
        let document = fails(&sandbox, &["run"]);
        for part in [
            "009_test.up.sql",
            "statement 2",
            "line 2",
            "is not allowed",
            "-- no-transaction",
        ] {
            assert!(
                message(&document).contains(part),
                "{word}: {part} in {}",
                message(&document)
            );
        }
    }
    add(&sandbox, "CREATE TABLE whole (a);");
    succeeds(&sandbox, "009");
}

#[test]
fn statements_that_reach_beyond_the_transaction_are_refused() {
    let sandbox = filled();
    let cases = [
        ("ATTACH 'elsewhere.db' AS elsewhere", "ATTACH"),
        (
            "PRAGMA journal_mode = DELETE",
            "PRAGMA journal_mode is not allowed",
        ),
        (
            "PRAGMA writable_schema = ON",
            "PRAGMA writable_schema is not allowed",
        ),
        (
            "SELECT load_extension('evil')",
            "not authorized to use function: load_extension",
        ),
        ("VACUUM", "VACUUM"),
        ("VACUUM INTO 'copy.db'", "VACUUM INTO"),
        (
            "DELETE FROM alembic_version",
            "alembic_version is kept by the job",
        ),
        (
            "DROP TABLE _sqlx_migrations",
            "_sqlx_migrations is kept by the job",
        ),
    ];
    for (sql, part) in cases {
        add(&sandbox, &format!("CREATE TABLE half (a);\n{sql};\n"));
        let document = fails(&sandbox, &["run"]);
        assert!(
            message(&document).contains(part),
            "{sql}: {part} in {}",
            message(&document)
        );
        assert_eq!(document["error"]["line"], 2, "{sql}");
    }
    assert!(!sandbox.path("elsewhere.db").exists());
    assert!(!sandbox.path("copy.db").exists());
}

#[test]
fn a_migration_outside_a_transaction_that_fails_midway_is_undone_by_a_restore() {
    for wal in [false, true] {
        let sandbox = filled();
        if wal {
            sandbox.use_wal();
        }
        let first = "-- no-transaction\nCREATE TABLE half AS SELECT * FROM users;\n";
        add(&sandbox, &format!("{first}DELETE FROM nowhere;\n"));
        let document = fails(&sandbox, &["run"]);
        assert_eq!(document["error"]["statement"], 2);
        assert_eq!(document["error"]["line"], 3);
        assert_eq!(
            document["proof"]["method"], "pages_restored",
            "the first statement had been committed"
        );
        add(&sandbox, first);
        succeeds(&sandbox, "009");
        assert_eq!(sandbox.query("SELECT count(*) FROM half"), ["2"]);
    }
}

#[test]
fn a_vacuum_or_a_change_of_journal_mode_outside_a_transaction_is_undone_too() {
    for (start, change) in [("DELETE", "WAL"), ("WAL", "DELETE")] {
        let sandbox = filled();
        sandbox.sql(&format!("PRAGMA journal_mode = {start}"));
        sandbox.sql(
            "CREATE TABLE bulk (b); INSERT INTO bulk SELECT zeroblob(100000); DROP TABLE bulk;",
        );
        add(
            &sandbox,
            &format!(
                "-- no-transaction\nVACUUM;\nPRAGMA journal_mode = {change};\nDELETE FROM nowhere;\n"
            ),
        );
        fails(&sandbox, &["run"]);
    }
}

#[test]
fn the_no_transaction_marker_counts_only_as_the_first_line() {
    let sandbox = filled();
    add(&sandbox, "-- a comment\n-- no-transaction\nVACUUM;\n");
    let before = fs::read(sandbox.database()).expect("database");
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 3, "{document:#}");
    assert!(
        message(&document).contains("very first characters"),
        "{document:#}"
    );
    assert_eq!(fs::read(sandbox.database()).expect("database"), before);
}

#[test]
fn a_crash_loop_of_one_failing_job_keeps_one_archive() {
    for wal in [false, true] {
        let sandbox = filled();
        if wal {
            sandbox.use_wal();
        }
        add(&sandbox, "CREATE TABLE half (a);\nDELETE FROM nowhere;\n");
        let ids: Vec<Value> = (0..10)
            .map(|_| fails(&sandbox, &["run"])["backup"]["id"].clone())
            .collect();
        assert_eq!(sandbox.archives().len(), 1);
        assert!(
            ids.iter().all(|id| *id == ids[0]),
            "each names the one backup: {ids:?}"
        );
        assert_eq!(
            support::files_ending(&sandbox.backups(), ".snapshot.db").len(),
            0
        );
    }
}

#[test]
fn a_crash_loop_of_a_failing_job_outside_a_transaction_keeps_one_archive() {
    for wal in [false, true] {
        let sandbox = filled();
        if wal {
            sandbox.use_wal();
        }
        add(
            &sandbox,
            "-- no-transaction\nCREATE TABLE half (a);\nDELETE FROM nowhere;\n",
        );
        for _ in 0..10 {
            fails(&sandbox, &["run"]);
        }
        assert_eq!(sandbox.archives().len(), 1, "wal: {wal}");
    }
}

#[test]
fn old_orphans_are_reported_and_not_fatal() {
    let sandbox = filled();
    sandbox.sql("DELETE FROM users WHERE id = 'u2'");
    add(&sandbox, "CREATE TABLE fine (a);");
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    let warnings = document["warnings"].to_string();
    assert!(
        warnings.contains("1 row(s) refer to rows that are not there"),
        "{warnings}"
    );
}

#[test]
fn a_rebuild_that_renumbers_row_ids_does_not_make_old_orphans_new() {
    let sandbox = filled();
    sandbox.sql(
        "INSERT INTO sessions (rowid, id, token, user_id, expires_at, created_at) VALUES \
         (900, 's9', 't9', 'gone', '2027-01-01', '2026-01-01')",
    );
    let rebuild = "CREATE TABLE kept AS SELECT * FROM sessions ORDER BY id DESC;\nDROP TABLE sessions;\n\
        CREATE TABLE sessions (id CHAR(32) NOT NULL, token VARCHAR NOT NULL, user_id CHAR(32) NOT NULL, \
        expires_at DATETIME NOT NULL, created_at DATETIME NOT NULL, PRIMARY KEY (id), \
        FOREIGN KEY(user_id) REFERENCES users (id));\n\
        INSERT INTO sessions SELECT * FROM kept;\nDROP TABLE kept;\n\
        CREATE UNIQUE INDEX ix_sessions_token ON sessions (token);\n\
        CREATE INDEX ix_sessions_user_id ON sessions (user_id);\n";
    add(&sandbox, rebuild);
    succeeds(&sandbox, "009");
    assert_eq!(
        sandbox.query("SELECT rowid FROM sessions WHERE id = 's9'"),
        ["1"],
        "it was renumbered"
    );
}

#[test]
fn one_more_orphan_beside_old_ones_is_new() {
    let sandbox = filled();
    sandbox.sql("UPDATE sessions SET user_id = 'gone' WHERE id = 's1'");
    add(
        &sandbox,
        "UPDATE sessions SET user_id = 'gone' WHERE id = 's2';",
    );
    let document = fails(&sandbox, &["run"]);
    assert!(
        message(&document).contains("1 row(s) refer to 'gone'"),
        "{}",
        message(&document)
    );
}

#[test]
fn a_migration_that_refuses_with_raise_speaks_in_its_own_words() {
    let sandbox = filled();
    add(
        &sandbox,
        "CREATE TEMP TABLE gate (a);\nCREATE TEMP TRIGGER guard BEFORE INSERT ON gate BEGIN\n  \
         SELECT RAISE(ABORT, 'give every user a label first');\nEND;\nINSERT INTO gate VALUES (1);\n",
    );
    let document = fails(&sandbox, &["run"]);
    assert!(message(&document).contains("give every user a label first"));
    assert!(
        document["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("migration's message")
    );
}

#[test]
fn a_downgrade_that_fails_is_undone_as_well() {
    let sandbox = filled();
    add(&sandbox, "CREATE TABLE extra (a);");
    succeeds(&sandbox, "009");
    fs::write(
        sandbox.migrations().join("009_test.down.sql"),
        "-- drops: table extra\nDROP TABLE extra;\nDROP TABLE nowhere;\n",
    )
    .expect("down file");
    let document = fails(&sandbox, &["downgrade", "008"]);
    assert!(
        message(&document).contains("009_test.down.sql failed at statement 2, line 3"),
        "{}",
        message(&document)
    );
    fs::write(
        sandbox.migrations().join("009_test.down.sql"),
        "-- drops: table extra\nDROP TABLE extra;\n",
    )
    .expect("down file");
    sandbox.run(&["downgrade", "008"]).expect_code(0);
    assert_eq!(sandbox.current(), "008");
}

/// Does something to the folder of migrations, which must end in exit code 3 with the database untouched.
#[track_caller]
fn folder_is_refused(parts: &[&str], spoil: impl FnOnce(&Path)) {
    let sandbox = Sandbox::at("003");
    spoil(&sandbox.migrations());
    let before = fs::read(sandbox.database()).expect("database");
    let modified = fs::metadata(sandbox.database())
        .expect("database")
        .modified()
        .expect("time");
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 3, "{document:#}");
    for part in parts {
        assert!(
            message(&document).contains(part),
            "{part} in {}",
            message(&document)
        );
    }
    let human = sandbox.run(&["run"]).expect_code(3);
    assert!(
        human.stderr.contains("The database was not touched"),
        "{}",
        human.stderr
    );
    assert_eq!(fs::read(sandbox.database()).expect("database"), before);
    assert_eq!(
        fs::metadata(sandbox.database())
            .expect("database")
            .modified()
            .expect("time"),
        modified
    );
    assert!(
        sandbox.archives().is_empty(),
        "no backup of a database that is not touched"
    );
}

#[test]
fn a_migration_with_a_bad_name_is_refused() {
    folder_is_refused(&["nine_x.up.sql", "<number>_<name>"], |folder| {
        fs::write(folder.join("nine_x.up.sql"), "SELECT 1;").unwrap();
    });
    folder_is_refused(&["009_x.sql", ".up.sql or .down.sql"], |folder| {
        fs::write(folder.join("009_x.sql"), "SELECT 1;").unwrap();
    });
}

#[test]
fn a_gap_in_the_numbers_is_refused() {
    folder_is_refused(&["010_x.up.sql", "009 is missing"], |folder| {
        fs::write(folder.join("010_x.up.sql"), "SELECT 1;").unwrap();
        fs::write(folder.join("010_x.down.sql"), "SELECT 1;").unwrap();
    });
    folder_is_refused(&["005 is missing"], |folder| {
        fs::remove_file(folder.join("005_make_password_hash_nullable.up.sql")).unwrap();
        fs::remove_file(folder.join("005_make_password_hash_nullable.down.sql")).unwrap();
    });
}

#[test]
fn a_migration_without_its_down_file_is_refused() {
    folder_is_refused(
        &["008_add_google_avatar.up.sql", ".down.sql is missing"],
        |folder| {
            fs::remove_file(folder.join("008_add_google_avatar.down.sql")).unwrap();
        },
    );
}

#[test]
fn two_migrations_with_one_number_are_refused() {
    folder_is_refused(&["008_twin.up.sql", "same number"], |folder| {
        fs::write(folder.join("008_twin.up.sql"), "SELECT 1;").unwrap();
        fs::write(folder.join("008_twin.down.sql"), "SELECT 1;").unwrap();
    });
}

#[test]
fn files_that_are_no_plain_utf8_text_are_refused() {
    let cases: [(&[u8], &str); 3] = [
        (b"\xEF\xBB\xBFSELECT 1;", "byte order mark"),
        (b"SELECT 1;\0SELECT 2;", "NUL byte at offset 9"),
        (b"SELECT '\xFF';", "not UTF-8 at offset 8"),
    ];
    for (bytes, part) in cases {
        folder_is_refused(&["009_x.up.sql", part], |folder| {
            fs::write(folder.join("009_x.up.sql"), bytes).unwrap();
            fs::write(folder.join("009_x.down.sql"), "SELECT 1;").unwrap();
        });
    }
}

#[test]
fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let name = "002_add_webhook_fields.up.sql";
    folder_is_refused(&[name, "changed after it was applied"], |folder| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        fs::write(folder.join(name), text + "-- one more comment\n").unwrap();
    });
}

#[test]
fn other_line_endings_are_no_change() {
    let sandbox = Sandbox::at("003");
    for entry in fs::read_dir(sandbox.migrations()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace('\n', "\r\n")).unwrap();
        }
    }
    succeeds(&sandbox, "008");
    sandbox.run(&["downgrade", "base"]).expect_code(0);
}

#[test]
fn a_file_of_an_applied_migration_that_is_missing_is_refused_as_a_newer_database() {
    let sandbox = Sandbox::at("head");
    for suffix in ["up", "down"] {
        fs::remove_file(
            sandbox
                .migrations()
                .join(format!("008_add_google_avatar.{suffix}.sql")),
        )
        .unwrap();
    }
    let before = fs::read(sandbox.database()).unwrap();
    let run = sandbox.run(&["run"]).expect_code(4);
    assert!(
        run.stderr.contains("008") && run.stderr.contains("image"),
        "{}",
        run.stderr
    );
    assert_eq!(fs::read(sandbox.database()).unwrap(), before);
}

#[test]
fn an_empty_or_missing_folder_of_migrations_is_refused() {
    let sandbox = Sandbox::at("003");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let run = sandbox
        .run(&["run", "--migrations", "empty"])
        .expect_code(3);
    assert!(
        run.stderr.contains("there is no migration in it"),
        "{}",
        run.stderr
    );
    let run = sandbox
        .run(&["run", "--migrations", "nowhere"])
        .expect_code(2);
    assert!(run.stderr.contains("--migrations"), "{}", run.stderr);
}

#[test]
fn sql_files_that_are_nearly_migrations_are_refused_and_not_passed_over() {
    for name in [
        "009-x.up.sql",
        "009x.up.sql",
        "x.sql",
        "009_x.sql",
        "v9_x.up.sql",
    ] {
        let sandbox = Sandbox::at("008");
        std::fs::write(sandbox.migrations().join(name), "SELECT 1;").expect("a file");
        let run = sandbox.run(&["run"]).expect_code(3);
        assert!(run.stderr.contains(name), "{}", run.stderr);
    }
}

#[test]
fn a_parameter_in_a_migration_is_refused_and_not_taken_for_null() {
    let sandbox = filled();
    add(&sandbox, "UPDATE users SET email = :email;");
    let document = fails(&sandbox, &["run"]);
    assert!(
        message(&document).contains("':email'"),
        "{}",
        message(&document)
    );
}

#[test]
fn a_way_down_that_does_not_lead_back_is_done_and_said() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration("009_kept", "ALTER TABLE users ADD COLUMN kept TEXT;\n");
    sandbox.run(&["run"]).expect_code(0);
    let (code, document) = sandbox.run_json(&["downgrade", "008"]);
    assert_eq!(code, 0, "{document:#}");
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("did not lead back"), "{document:#}");
    assert!(warnings.contains("users.kept"), "{document:#}");
}

/// A database whose index does not hold what its table does: only a full check compares the two.
fn with_an_index_that_lies() -> Sandbox {
    let sandbox = Sandbox::at("008");
    sandbox.sql(
        "CREATE TABLE lie (a, b); CREATE INDEX lie_a ON lie (a); INSERT INTO lie VALUES (1, 1), (2, 2); \
         CREATE TABLE spare (a, b); CREATE INDEX spare_b ON spare (b); INSERT INTO spare VALUES (1, 7), (2, 8);",
    );
    sandbox.sql(
        "PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'spare_b') WHERE name = 'lie_a'; \
         DELETE FROM sqlite_schema WHERE name = 'spare_b';",
    );
    sandbox.add_migration("009_more", "CREATE TABLE more (a);");
    sandbox
}

#[test]
fn an_index_that_does_not_hold_what_its_table_does_is_found_by_a_full_check() {
    let sandbox = with_an_index_that_lies();
    let (code, document) = sandbox.run_json(&["run", "--verify", "full"]);
    assert_eq!(code, 4, "{document:#}");
    assert!(message(&document).contains("lie_a"), "{document:#}");
    assert_eq!(sandbox.current(), "008");
}

#[test]
fn a_full_check_of_what_is_sound_goes_through_in_every_kind_of_job() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["run", "--verify", "full"]).expect_code(0);
    sandbox.add_migration(
        "009_more",
        "-- no-transaction\nCREATE TABLE more (a);\nVACUUM;\n",
    );
    sandbox.run(&["run", "--verify", "full"]).expect_code(0);
    sandbox.run(&["backup", "--verify", "full"]).expect_code(0);
    sandbox
        .run(&["restore", "latest", "--yes", "--verify", "full"])
        .expect_code(0);
    let run = sandbox.run(&["run", "--verify", "deep"]).expect_code(2);
    assert!(run.stderr.contains("'deep'"), "{}", run.stderr);
}
