//! `plan`: says what the job would do and whether it would go through, agrees with the job, and changes nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::time::SystemTime;

use serde_json::{Value, json};
use support::Sandbox;

/// At head, with rows that later migrations stumble over: two people share a picture, one has none.
fn filled() -> Sandbox {
    let sandbox = Sandbox::at("head");
    sandbox.sql(
        "INSERT INTO users (id, username, created_at, role, avatar_url) VALUES \
           ('u1', 'ann', '2026-01-01', 'ADMIN', 'same.png'), ('u2', 'bob', '2026-01-02', 'READONLY', 'same.png'), \
           ('u3', 'cy', '2026-01-03', 'WRITE', NULL); \
         INSERT INTO sessions (id, token, user_id, expires_at, created_at) VALUES \
           ('s1', 't1', 'u1', '2027-01-01', '2026-01-01'), ('s2', 't2', 'gone', '2025-01-01', '2026-01-01');",
    );
    sandbox
}

/// The bytes of the database and when it was last written.
fn untouched(sandbox: &Sandbox) -> (Vec<u8>, SystemTime) {
    let path = sandbox.database();
    let modified = fs::metadata(&path)
        .expect("metadata")
        .modified()
        .expect("mtime");
    (fs::read(path).expect("the database"), modified)
}

/// Plans, and fails the test if that changed the database or left anything beside it.
#[track_caller]
fn plan(sandbox: &Sandbox, args: &[&str]) -> (i32, Value) {
    let before = untouched(sandbox);
    let mut all = vec!["plan"];
    all.extend(args);
    let (code, document) = sandbox.run_json(&all);
    assert!(
        before == untouched(sandbox),
        "the plan changed the database"
    );
    assert_eq!(code, document["exit_code"], "{document:#}");
    (code, document)
}

/// The words of all findings, fatal or not.
fn findings(document: &Value, fatal: bool) -> String {
    let of_files = document["files"].as_array().expect("files").iter();
    let all = of_files
        .chain([document])
        .flat_map(|part| part["findings"].as_array().expect("findings"));
    all.filter(|finding| finding["fatal"] == fatal)
        .map(|finding| {
            format!(
                "{}: {}\n",
                finding["subject"].as_str().unwrap(),
                finding["message"].as_str().unwrap()
            )
        })
        .collect()
}

/// Plans a ninth migration and then really runs it: both must come to the same end.
#[track_caller]
fn agree(sandbox: &Sandbox, up: &str, expected: &str) -> Value {
    sandbox.add_migration("009_test", up);
    let (code, document) = plan(sandbox, &[]);
    assert_eq!(document["outcome"], expected, "{up}\n{document:#}");
    let job = sandbox.run(&["run"]);
    assert_eq!(
        job.code, code,
        "the job came to another end than the plan\n{up}\n{}\n{document:#}",
        job.stderr
    );
    document
}

#[track_caller]
fn fails(up: &str, words: &str) {
    let sandbox = filled();
    let document = agree(&sandbox, up, "would_fail");
    let found = findings(&document, true);
    assert!(found.contains(words), "{up}\nfound: {found}");
    assert!(
        document["error"]["hint"]
            .as_str()
            .is_some_and(|hint| !hint.is_empty())
    );
}

#[track_caller]
fn goes_through(up: &str) -> Value {
    agree(&filled(), up, "planned")
}

/// `users` anew, with something different about a column; the pattern of Alembic's batch operations.
fn rebuild(avatar_url: &str, value: &str, more: &str) -> String {
    format!(
        "CREATE TABLE _alembic_tmp_users (id CHAR(32) NOT NULL, username VARCHAR NOT NULL, created_at DATETIME NOT NULL, \
           email VARCHAR, role VARCHAR DEFAULT 'READONLY' NOT NULL, blocked BOOLEAN DEFAULT '0' NOT NULL, \
           microsoft_id VARCHAR, github_id VARCHAR, google_id VARCHAR, avatar_url VARCHAR {avatar_url}, PRIMARY KEY (id){more});\n\
         INSERT INTO _alembic_tmp_users (id, username, created_at, email, role, blocked, microsoft_id, github_id, google_id, avatar_url)\n\
           SELECT id, username, created_at, email, role, blocked, microsoft_id, github_id, google_id, {value} FROM users;\n\
         DROP TABLE users;\n\
         ALTER TABLE _alembic_tmp_users RENAME TO users;\n\
         CREATE UNIQUE INDEX ix_users_username ON users (username);\n\
         CREATE UNIQUE INDEX ix_users_github_id ON users (github_id);\n\
         CREATE UNIQUE INDEX ix_users_google_id ON users (google_id);\n"
    )
}

#[test]
fn a_plan_tells_file_by_file_what_runs_what_it_touches_and_what_is_lost() {
    let sandbox = Sandbox::at("003");
    sandbox.add_users(&[("ann", "ADMIN"), ("bob", " readonly ")]);
    sandbox.sql("UPDATE users SET invitation_token = 'x' WHERE id = 'ann'");
    let (code, document) = plan(&sandbox, &[]);
    assert_eq!(
        (code, &document["outcome"]),
        (0, &json!("planned")),
        "{document:#}"
    );
    assert_eq!(
        (&document["from"], &document["to"]),
        (&json!("003"), &json!("008"))
    );
    assert_eq!(document["one_transaction"], true);
    let files = document["files"].as_array().expect("files");
    assert_eq!(files.len(), 5);

    assert_eq!(files[0]["tables"][0]["table"], "invitations");
    assert_eq!(files[0]["tables"][0]["effects"], json!(["created"]));
    assert_eq!(
        files[0]["statements"][3],
        json!({
            "number": 4, "line": 19, "text": "ALTER TABLE users ADD COLUMN github_id VARCHAR", "rows": null
        })
    );
    let rebuilt = &files[1]["tables"];
    assert_eq!(rebuilt.as_array().expect("tables").len(), 1, "{rebuilt:#}");
    assert_eq!(rebuilt[0]["effects"], json!(["rebuilt"]));
    assert_eq!(rebuilt[0]["rows"], 2);
    assert!(
        rebuilt[0]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes >= 8192),
        "{rebuilt:#}"
    );
    let lost: Vec<&Value> = files
        .iter()
        .flat_map(|file| file["losses"].as_array().expect("losses"))
        .collect();
    assert_eq!(
        lost,
        [
            &json!({"kind": "column", "name": "users.invitation_token", "count": 1, "declared": true}),
            &json!({"kind": "column", "name": "users.invitation_expires_at", "count": 0, "declared": true}),
            &json!({"kind": "column", "name": "users.password_hash", "count": 2, "declared": true}),
        ]
    );
    assert_eq!(document["normalise"][0]["from"], " readonly ");
    assert!(
        findings(&document, true).is_empty() && findings(&document, false).is_empty(),
        "{document:#}"
    );
    assert!(
        document["estimate"]["copied_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0)
    );
    sandbox.run(&["run"]).expect_code(0);
}

#[test]
fn the_text_for_people_is_aligned_and_ends_with_the_verdict_and_the_next_command() {
    let sandbox = Sandbox::at("005");
    sandbox.sql("INSERT INTO users (id, username, created_at, password_hash) VALUES ('a', 'ann', '2026', 'h')");
    let run = sandbox.run(&["plan", "007"]).expect_code(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        lines[0].ends_with(": 005 -> 007, 2 files, in one transaction"),
        "{}",
        run.stdout
    );
    assert!(
        lines.contains(&"007 drop password hash: migrations/007_drop_password_hash.up.sql"),
        "{}",
        run.stdout
    );
    assert!(
        lines.contains(&"  LOSE         column users.password_hash          1 value"),
        "{}",
        run.stdout
    );
    assert!(
        lines.contains(&"  drop         column users.invitation_token       0 values"),
        "{}",
        run.stdout
    );
    assert!(
        lines.contains(&"            1  line 5    ALTER TABLE users DROP COLUMN password_hash"),
        "{}",
        run.stdout
    );
    assert!(
        lines[lines.len() - 2].starts_with("It would go through."),
        "{}",
        run.stdout
    );
    assert_eq!(lines[lines.len() - 1], "To do it: safestep upgrade 007");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 160),
        "{}",
        run.stdout
    );
}

#[test]
fn a_database_in_wal_mode_with_an_open_writer_is_planned_and_not_changed() {
    let sandbox = Sandbox::at("005");
    sandbox.use_wal();
    support::block_on(async {
        let mut writer = support::connect_wal(&sandbox.database()).await;
        sqlx::raw_sql(
            "INSERT INTO users (id, username, created_at, password_hash) VALUES ('a', 'ann', '2026', 'h'); \
             BEGIN IMMEDIATE; UPDATE users SET username = 'eve'",
        )
        .execute(&mut writer)
        .await
        .expect("a writer");
        let (code, document) = plan(&sandbox, &["+2"]);
        assert_eq!(code, 0, "{document:#}");
        assert_eq!(document["files"][1]["losses"][0]["count"], 1);
    });
}

#[test]
fn nothing_pending_is_nothing_to_do_and_the_way_down_is_planned_like_the_way_up() {
    let sandbox = filled();
    let (code, document) = plan(&sandbox, &[]);
    assert_eq!((code, &document["outcome"]), (0, &json!("nothing_to_do")));
    let (code, document) = plan(&sandbox, &["-1"]);
    assert_eq!(
        (code, &document["outcome"]),
        (0, &json!("planned")),
        "{document:#}"
    );
    assert_eq!(document["files"][0]["direction"], "down");
    let lost = &document["files"][0]["losses"];
    assert_eq!(
        lost[1],
        json!({"kind": "column", "name": "users.avatar_url", "count": 2, "declared": true}),
        "{lost:#}"
    );
    // Three files later a column that came back empty is required.
    let (code, document) = plan(&sandbox, &["004"]);
    assert_eq!((code, &document["outcome"]), (5, &json!("would_fail")));
    assert!(
        findings(&document, true).contains("users.password_hash: becomes NOT NULL, and 3 row(s)"),
        "{document:#}"
    );
    sandbox.run(&["downgrade", "004"]).expect_code(5);
}

#[test]
fn a_new_not_null_is_counted_behind_the_copy_of_a_rebuild() {
    fails(
        &rebuild("NOT NULL", "avatar_url", ""),
        "users.avatar_url: becomes NOT NULL, and 1 row(s)",
    );
    goes_through(&rebuild("NOT NULL", "coalesce(avatar_url, 'none.png')", ""));
    goes_through(&format!(
        "UPDATE users SET avatar_url = 'none.png' WHERE avatar_url IS NULL;\n{}",
        rebuild("NOT NULL", "avatar_url", "")
    ));
}

#[test]
fn a_new_unique_index_is_counted_with_its_terms_and_its_condition() {
    let index = |text: &str| format!("CREATE UNIQUE INDEX ix_users_avatar ON users ({text};");
    fails(
        &index("avatar_url)"),
        "the index ix_users_avatar is unique, and 2 row(s) share 1 value(s)",
    );
    fails(
        &index("lower(avatar_url) DESC, blocked)"),
        "2 row(s) share 1 value(s)",
    );
    goes_through(&index("avatar_url) WHERE role = 'ADMIN'"));
    goes_through(&index("avatar_url, username)"));
    goes_through(&format!(
        "UPDATE users SET avatar_url = id || '.png';\n{}",
        index("avatar_url)")
    ));
    fails(
        &rebuild("", "avatar_url", ", UNIQUE (avatar_url)"),
        "UNIQUE (avatar_url BINARY)",
    );
}

#[test]
fn a_new_check_is_evaluated_on_the_rows_that_are_there() {
    fails(
        &rebuild("CHECK (avatar_url LIKE 'https:%')", "avatar_url", ""),
        "would be false for 2 row(s)",
    );
    goes_through(&rebuild(
        "CHECK (avatar_url LIKE '%.png')",
        "avatar_url",
        "",
    ));
    fails(
        "ALTER TABLE users ADD COLUMN age INTEGER DEFAULT 3 CHECK (age > 17);",
        "would be false for 3 row(s)",
    );
}

#[test]
fn the_orphans_of_a_new_foreign_key_are_counted() {
    let column = "ALTER TABLE users ADD COLUMN boss CHAR(32) REFERENCES users (id);";
    goes_through(column);
    fails(
        &format!("{column}\nUPDATE users SET boss = 'nobody' WHERE id = 'u1';"),
        "FOREIGN KEY (boss) to users is new, and 1 row(s)",
    );
}

#[test]
fn a_column_that_sqlite_adds_to_empty_tables_only_is_found_although_the_twin_is_empty() {
    fails(
        "ALTER TABLE users ADD COLUMN age INTEGER NOT NULL;",
        "users.age: becomes NOT NULL, and 3 row(s)",
    );
    fails(
        "ALTER TABLE users ADD COLUMN since DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL;",
        "Cannot add a column with non-constant default to a table that has rows",
    );
    goes_through("ALTER TABLE invitations ADD COLUMN age INTEGER NOT NULL;");
    goes_through("ALTER TABLE users ADD COLUMN age INTEGER DEFAULT 18 NOT NULL;");
}

#[test]
fn losses_without_a_declaration_are_what_the_gate_would_refuse() {
    fails(
        "ALTER TABLE users DROP COLUMN avatar_url;",
        "column users.avatar_url vanished without being declared",
    );
    fails(
        "DROP TABLE sessions;",
        "table sessions vanished without being declared",
    );
    fails(
        "DELETE FROM sessions WHERE expires_at < '2026-01-01';",
        "sessions had 2 rows and has 1",
    );
    goes_through("DELETE FROM sessions WHERE expires_at < '1999-01-01';");
    let document = goes_through(
        "-- drops: table sessions\n-- deletes: rows users\nDROP TABLE sessions;\nDELETE FROM users WHERE avatar_url IS NULL;",
    );
    let file = &document["files"][0];
    assert_eq!(
        file["losses"][0],
        json!({"kind": "table", "name": "sessions", "count": 2, "declared": true})
    );
    assert_eq!(
        file["losses"][1],
        json!({"kind": "rows", "name": "users", "count": 1, "declared": true})
    );
    assert_eq!(file["statements"][1]["rows"], 1);
    assert_eq!(file["tables"][1]["effects"], json!(["deleted"]));
}

#[test]
fn a_rebuild_that_forgets_rows_is_found() {
    let copy = rebuild("", "avatar_url", "")
        .replace("FROM users;", "FROM users WHERE avatar_url IS NOT NULL;");
    fails(&copy, "users had 3 rows and has 2");
    let sandbox = filled();
    sandbox.add_migration(
        "009_test",
        &copy.replace(
            "INSERT INTO _alembic_tmp_users",
            "-- drops: nothing\nINSERT INTO _alembic_tmp_users",
        ),
    );
    let (_, document) = plan(&sandbox, &[]);
    assert_eq!(
        document["files"][0]["tables"][0]["effects"],
        json!(["rebuilt"]),
        "{document:#}"
    );
}

#[test]
fn unknown_enum_values_fail_the_plan_unless_the_plan_may_put_them_right() {
    let sandbox = Sandbox::at("005");
    sandbox.sql(
        "INSERT INTO users (id, username, created_at, role) VALUES ('a', 'ann', '2026', 'BOSS')",
    );
    let (code, document) = plan(&sandbox, &[]);
    assert_eq!((code, &document["outcome"]), (5, &json!("would_fail")));
    assert!(
        findings(&document, true).contains("users.role: 1 row(s) hold 'BOSS'"),
        "{document:#}"
    );
    sandbox.run(&["run"]).expect_code(5);
    let document = agree(
        &sandbox,
        "UPDATE users SET role = 'ADMIN' WHERE role = 'BOSS';",
        "planned",
    );
    assert_eq!(document["files"][3]["statements"][0]["rows"], 1);
}

#[test]
fn a_file_that_does_not_compile_is_named_with_statement_and_line() {
    let sandbox = filled();
    sandbox.add_migration(
        "009_test",
        "ALTER TABLE users ADD COLUMN a;\n\nUPDATE users SET email = 1\n  WHERE nope = 1;\n",
    );
    let (code, document) = plan(&sandbox, &[]);
    assert_eq!(
        (code, &document["outcome"]),
        (5, &json!("would_fail")),
        "{document:#}"
    );
    let error = &document["error"];
    assert_eq!(error["code"], "migration_failed");
    assert!(
        error["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("009_test.up.sql"))
    );
    assert_eq!(
        (&error["statement"], &error["line"]),
        (&json!(2), &json!(4)),
        "{error:#}"
    );
    for refused in [
        "COMMIT;",
        "VACUUM;",
        "ATTACH 'x' AS y;",
        "DELETE FROM alembic_version;",
        "SELECT * FROM missing;",
        "SELECT ?;",
    ] {
        agree(&filled(), refused, "would_fail");
    }
}

#[test]
fn a_file_outside_a_transaction_and_a_vacuum_are_planned() {
    let sandbox = filled();
    let document = agree(
        &sandbox,
        "-- no-transaction\nALTER TABLE users ADD COLUMN a;\nVACUUM;\n",
        "planned",
    );
    assert_eq!(document["one_transaction"], false);
    assert_eq!(document["files"][0]["no_transaction"], true);
    assert!(
        document["estimate"]["copied_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 50_000)
    );
    agree(
        &filled(),
        "-- no-transaction\nBEGIN;\nALTER TABLE users ADD COLUMN a;\n",
        "would_fail",
    );
}

#[test]
fn views_triggers_virtual_tables_and_odd_names_do_not_disturb_a_plan() {
    let sandbox = filled();
    sandbox.sql(
        "CREATE VIEW admins AS SELECT * FROM users WHERE role = 'ADMIN';
         CREATE TABLE \"odd 'name\" (\"a b\" INTEGER PRIMARY KEY AUTOINCREMENT, \"order\" TEXT);
         INSERT INTO \"odd 'name\" (\"order\") VALUES ('x'), (NULL);
         CREATE TABLE keyed (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
         INSERT INTO keyed VALUES ('a', 1);
         CREATE VIRTUAL TABLE notes USING fts5(body);
         INSERT INTO notes VALUES ('hello');
         CREATE TRIGGER log AFTER UPDATE ON users BEGIN DELETE FROM keyed; END;
         ANALYZE;",
    );
    let document = agree(
        &sandbox,
        "-- deletes: rows keyed\nUPDATE users SET email = 'x' WHERE id = 'u1';\n\
         ALTER TABLE \"odd 'name\" ADD COLUMN c DEFAULT 1;\nALTER TABLE keyed ADD COLUMN w;\nINSERT INTO notes VALUES ('more');\n\
         UPDATE \"odd 'name\" SET \"order\" = 'y' WHERE \"order\" IS NULL;\nCREATE TABLE s AS SELECT count(*) AS n FROM admins;",
        "planned",
    );
    let tables = document["files"][0]["tables"].as_array().expect("tables");
    let of = |name: &str| {
        tables
            .iter()
            .find(|table| table["table"] == name)
            .expect("a table")
            .clone()
    };
    assert_eq!(of("users")["effects"], json!(["updated"]));
    assert_eq!(of("keyed")["effects"], json!(["altered", "deleted"]));
    assert_eq!(of("odd 'name")["rows"], 2);
    assert_eq!(of("s")["effects"], json!(["created"]));
    assert_eq!(findings(&document, false), "");
}

#[test]
fn what_cannot_be_told_without_running_is_a_note_and_no_failure() {
    let sandbox = filled();
    sandbox.add_migration(
        "009_test",
        "CREATE TABLE seen (id NOT NULL);\nINSERT INTO seen SELECT max(id) FROM users;\n\
         UPDATE OR IGNORE users SET avatar_url = id;\nCREATE UNIQUE INDEX ix_users_avatar ON users (avatar_url);",
    );
    let (code, document) = plan(&sandbox, &[]);
    assert_eq!(code, 0, "{document:#}");
    let notes = findings(&document, false);
    assert!(
        notes.contains("statement 2, line 2: fails on empty tables"),
        "{notes}"
    );
    assert!(
        notes.contains("the index ix_users_avatar is new; which rows break it cannot be told"),
        "{notes}"
    );
    sandbox.run(&["run"]).expect_code(0);
}

#[test]
fn what_triggers_and_conflict_clauses_may_mend_is_no_failure() {
    let mended = "CREATE TRIGGER picture AFTER INSERT ON kept WHEN new.p IS NULL BEGIN UPDATE kept SET p = 'none.png' WHERE id = new.id; END;";
    goes_through(&format!(
        "-- drops: table kept, trigger picture\nCREATE TABLE kept (id, p);\n{mended}\nINSERT INTO kept SELECT id, avatar_url FROM users;\n\
         CREATE UNIQUE INDEX ix_kept ON kept (id);\nCREATE TABLE final (id, p NOT NULL);\nINSERT INTO final SELECT id, p FROM kept;\nDROP TABLE kept;"
    ));
    goes_through(&rebuild(
        "DEFAULT 'none.png' NOT NULL ON CONFLICT REPLACE",
        "avatar_url",
        "",
    ));
    fails(
        "CREATE UNIQUE INDEX ix_users_name ON users (substr(username, 1, 0) COLLATE NOCASE);",
        "3 row(s) share 1 value(s)",
    );
}

#[test]
fn a_file_of_many_statements_is_planned_in_good_time() {
    let mut up =
        String::from("CREATE TABLE codes (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);\n");
    for number in 0..1000 {
        up.push_str(&format!("INSERT INTO codes (code) VALUES ('code {number}');\nUPDATE users SET email = 'x' WHERE id = '{number}';\n"));
    }
    let started = std::time::Instant::now();
    let document = goes_through(&up);
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    assert_eq!(
        document["files"][0]["statements"].as_array().map(Vec::len),
        Some(2001)
    );
}

#[test]
fn renamed_tables_and_columns_keep_their_rows_in_the_plan() {
    let up = "ALTER TABLE sessions RENAME TO logins;\nALTER TABLE logins RENAME COLUMN token TO secret;\n\
              -- both names are gone, which the gate refuses unless it is declared\nDELETE FROM logins WHERE secret = 't1';";
    let declared = "-- drops: table sessions, index ix_sessions_token, index ix_sessions_user_id\n";
    let sandbox = filled();
    sandbox.sql("UPDATE sessions SET user_id = 'u1'");
    sandbox.add_migration("009_test", &format!("{declared}{up}"));
    let (_, document) = plan(&sandbox, &[]);
    let file = &document["files"][0];
    assert_eq!(file["tables"][0]["table"], "sessions", "{document:#}");
    assert_eq!(file["tables"][0]["effects"][0], "renamed");
    assert_eq!(file["statements"][2]["rows"], 1);
    assert_eq!(
        file["losses"].as_array().expect("losses").len(),
        1,
        "{file:#}"
    );
    assert_eq!(file["losses"][0]["count"], 1);
}

#[test]
fn a_missing_database_and_an_unknown_revision_are_refused_as_everywhere() {
    let sandbox = Sandbox::new();
    let (code, document) = sandbox.run_json(&["plan"]);
    assert_eq!(
        (code, &document["error"]["code"]),
        (4, &json!("database_missing"))
    );
    let sandbox = Sandbox::at("003");
    assert_eq!(plan(&sandbox, &["nope"]).0, 2);
}
