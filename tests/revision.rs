//! `revision`: a developer's way from a change of the schema to a pair of files that a job accepts.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use support::{Run, Sandbox, mode_of};

/// Without the shipped migrations, and with this target.
fn empty(schema: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.migrations()).unwrap();
    fs::create_dir(sandbox.migrations()).unwrap();
    target(&sandbox, schema);
    sandbox
}

fn target(sandbox: &Sandbox, schema: &str) {
    fs::write(sandbox.migrations().join("schema.sql"), schema).unwrap();
}

fn autogenerate(sandbox: &Sandbox, message: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["revision", "-m", message, "--autogenerate"];
    arguments.extend(more);
    sandbox.run(&arguments)
}

fn file(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.migrations().join(name)).unwrap()
}

/// At revision 001 of a schema of two tables, with rows.
fn library() -> Sandbox {
    let sandbox = empty(LIBRARY);
    autogenerate(&sandbox, "library", &[]).expect_code(0);
    sandbox.run(&["run", "--create-if-missing"]).expect_code(0);
    sandbox.sql(
        "INSERT INTO authors (id, name) VALUES (3, 'Ada'), (7, 'Büchner'); DELETE FROM authors WHERE id = 7; \
         INSERT INTO books (author_id, title) VALUES (3, 'Notes'), (3, NULL)",
    );
    sandbox
}

const LIBRARY: &str = "CREATE TABLE authors (\n\tid INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice\n\tname TEXT NOT NULL\n);\n\
     CREATE TABLE books (\n\tauthor_id INTEGER NOT NULL REFERENCES authors (id) ON DELETE CASCADE,\n\ttitle TEXT\n);\n\
     CREATE INDEX ix_books_author ON books (author_id);\n\
     CREATE VIEW titles AS SELECT title FROM books;\n\
     CREATE TRIGGER keep_title AFTER UPDATE OF title ON books BEGIN SELECT old.title; END;\n";

#[test]
fn an_empty_pair_has_the_next_number_a_name_from_the_message_and_is_for_everybody_to_read() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[
        "revision",
        "-m",
        "Füge users.status hinzu!",
        "--rev-id",
        "009_status",
    ]);
    let run = run.expect_code(0);
    assert!(
        run.stdout.contains("009_fuege_users_status_hinzu.up.sql"),
        "{}",
        run.stdout
    );
    let up = sandbox
        .migrations()
        .join("009_fuege_users_status_hinzu.up.sql");
    assert_eq!(mode_of(&up), 0o644);
    assert!(
        fs::read_to_string(up)
            .unwrap()
            .starts_with("-- alembic: 009_status\n")
    );
    let (code, document) = sandbox.run_json(&["run", "--create-if-missing"]);
    assert_eq!((code, &document["to"]), (0, &"009".into()), "{document}");
}

#[test]
fn projects_that_number_by_time_go_on_by_time() {
    let sandbox = empty("");
    for way in ["up", "down"] {
        fs::write(
            sandbox
                .migrations()
                .join(format!("20200101000000_first.{way}.sql")),
            "SELECT 1;",
        )
        .unwrap();
    }
    let (code, document) = sandbox.run_json(&["revision", "-m", "second"]);
    assert_eq!(code, 0, "{document}");
    let number: i64 = document["revision"].as_str().unwrap().parse().unwrap();
    assert!(number > 20_260_000_000_000, "{number}");
}

#[test]
fn from_an_empty_folder_to_a_second_revision_and_back_with_every_row() {
    let sandbox = library();
    let before = sandbox.query("SELECT group_concat(name || sql, char(10)) FROM sqlite_schema WHERE name NOT LIKE '\\_s%' ESCAPE '\\' ORDER BY name");
    target(
        &sandbox,
        &LIBRARY
            .replace(
                "name TEXT NOT NULL",
                "full_name TEXT NOT NULL COLLATE NOCASE CHECK (full_name <> '')",
            )
            .replace("title TEXT\n", "title TEXT,\n\tpages INTEGER\n"),
    );
    autogenerate(
        &sandbox,
        "full name",
        &["--rename", "authors.name:full_name"],
    )
    .expect_code(0);
    let up = file(&sandbox, "002_full_name.up.sql");
    assert!(
        up.contains("-- renames: column authors.name to full_name"),
        "{up}"
    );
    assert!(
        up.contains("-- never given twice"),
        "comments of the target stay: {up}"
    );
    assert!(
        up.contains("ALTER TABLE books ADD COLUMN pages INTEGER;"),
        "{up}"
    );
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(
        sandbox.query("SELECT id || full_name FROM authors"),
        ["3Ada"]
    );
    assert_eq!(
        sandbox.query("SELECT rowid || coalesce(title, '?') FROM books"),
        ["1Notes", "2?"]
    );
    assert_eq!(
        sandbox.query("SELECT seq FROM sqlite_sequence WHERE name = 'authors'"),
        ["7"]
    );
    sandbox.run(&["downgrade", "-1"]).expect_code(0);
    let after = sandbox.query("SELECT group_concat(name || sql, char(10)) FROM sqlite_schema WHERE name NOT LIKE '\\_s%' ESCAPE '\\' ORDER BY name");
    let sorted = |list: Vec<String>| {
        let mut lines: Vec<String> = list.join("\n").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(after), sorted(before));
    assert_eq!(sandbox.query("SELECT id || name FROM authors"), ["3Ada"]);
    sandbox.run(&["downgrade", "-1"]).expect_code(0);
}

#[test]
fn the_target_that_is_reached_already_writes_nothing() {
    let sandbox = Sandbox::new();
    let before = support::files_ending(&sandbox.migrations(), "");
    let (code, document) = sandbox.run_json(&["revision", "-m", "nothing", "--autogenerate"]);
    assert_eq!(
        (code, &document["outcome"]),
        (0, &"nothing_to_do".into()),
        "{document}"
    );
    assert_eq!(support::files_ending(&sandbox.migrations(), ""), before);
}

#[test]
fn a_rename_is_never_guessed() {
    let sandbox = library();
    target(&sandbox, &LIBRARY.replace("name TEXT", "full_name TEXT"));
    let run = autogenerate(&sandbox, "full name", &[]).expect_code(2);
    for words in ["--rename authors.name:full_name", "--drop authors.name"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert!(!sandbox.migrations().join("002_full_name.up.sql").exists());
    let run = autogenerate(&sandbox, "full name", &["--drop", "authors.name"]).expect_code(2);
    assert!(
        run.stderr
            .contains("--fill \"authors.full_name=<SQL expression>\""),
        "{}",
        run.stderr
    );
    autogenerate(
        &sandbox,
        "full name",
        &[
            "--drop",
            "authors.name",
            "--fill",
            "authors.full_name=upper(name)",
        ],
    )
    .expect_code(0);
    let up = file(&sandbox, "002_full_name.up.sql");
    assert!(up.contains("-- drops: column authors.name"), "{up}");
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT full_name FROM authors"), ["ADA"]);
    let down = file(&sandbox, "002_full_name.down.sql");
    assert!(down.contains("A backup has them"), "{down}");
    sandbox.run(&["downgrade", "-1"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT name FROM authors"), [""]);
}

#[test]
fn a_renamed_table_keeps_its_rows_and_its_children() {
    let sandbox = library();
    let schema = LIBRARY
        .replace("CREATE TABLE authors", "CREATE TABLE people")
        .replace("REFERENCES authors", "REFERENCES people");
    target(&sandbox, &schema);
    let run = autogenerate(&sandbox, "people", &[]).expect_code(2);
    assert!(
        run.stderr.contains("--rename authors:people"),
        "{}",
        run.stderr
    );
    autogenerate(&sandbox, "people", &["--rename", "authors:people"]).expect_code(0);
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT id || name FROM people"), ["3Ada"]);
    assert_eq!(
        sandbox.query("SELECT count(*) FROM books JOIN people ON id = author_id"),
        ["2"]
    );
    sandbox.run(&["downgrade", "-1"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT id || name FROM authors"), ["3Ada"]);
}

#[test]
fn renamings_that_cannot_be_are_refused() {
    let sandbox = library();
    target(&sandbox, &LIBRARY.replace("name TEXT", "full_name TEXT"));
    for rename in [
        "authors.nome:full_name",
        "authors.name:fullname",
        "authors.name",
        "writers:people",
        "books.title:title",
    ] {
        let run = autogenerate(&sandbox, "x", &["--rename", rename]).expect_code(2);
        assert!(
            run.stderr.contains(rename.split(':').next().unwrap()),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_name_in_a_drop_or_a_fill_that_is_nowhere_is_refused() {
    let sandbox = library();
    target(
        &sandbox,
        &LIBRARY.replace("name TEXT NOT NULL", "name TEXT"),
    );
    for (flag, value) in [
        ("--drop", "books.titel"),
        ("--drop", "book"),
        ("--fill", "books.titel=1"),
    ] {
        let run = autogenerate(&sandbox, "x", &[flag, value]).expect_code(2);
        assert!(run.stderr.contains("is not in the"), "{}", run.stderr);
    }
}

#[test]
fn a_target_may_be_a_database_or_what_a_command_prints() {
    let sandbox = library();
    let other = empty("");
    fs::write(other.database(), "").unwrap();
    let with_year = LIBRARY.replace("title TEXT\n", "title TEXT,\n\tyear INTEGER\n");
    sandbox
        .run(&["revision", "-m", "unused", "--from", "x"])
        .expect_code(2);
    other.sql(&with_year);
    let database = other.database();
    autogenerate(&sandbox, "year", &["--from", support::text(&database)]).expect_code(0);
    assert!(
        file(&sandbox, "schema.sql").contains("year INTEGER"),
        "schema.sql is kept"
    );
    fs::write(
        sandbox.path("printed.sql"),
        with_year.replace("year INTEGER", "year INTEGER,\n\tprice REAL"),
    )
    .unwrap();
    autogenerate(&sandbox, "price", &["--from-command", "cat printed.sql"]).expect_code(0);
    let up = file(&sandbox, "003_price.up.sql");
    assert!(
        up.contains("ALTER TABLE books ADD COLUMN price REAL;"),
        "{up}"
    );
    sandbox.run(&["run"]).expect_code(0);
}

#[test]
fn a_command_that_fails_or_prints_no_schema_says_so() {
    let sandbox = library();
    for (command, words) in [
        ("echo oh dear >&2; exit 3", "oh dear"),
        ("true", "printed no CREATE statement"),
        ("echo CREATE TABLE oops", "printed what is no schema"),
        ("echo hello", "printed what is no schema"),
    ] {
        let run = autogenerate(&sandbox, "x", &["--from-command", command]).expect_code(2);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    let run = autogenerate(&sandbox, "x", &["--from", "nowhere.db"]).expect_code(4);
    assert!(run.stderr.contains("nowhere.db"), "{}", run.stderr);
    target(&sandbox, "CREATE TABLE oops");
    let run = autogenerate(&sandbox, "x", &[]).expect_code(3);
    assert!(run.stderr.contains("schema.sql"), "{}", run.stderr);
}

#[test]
fn what_models_do_not_speak_of_is_kept_or_asked_about() {
    let sandbox = library();
    let models = "CREATE TABLE authors (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, born INTEGER);\n\
                  CREATE TABLE books (author_id INTEGER NOT NULL REFERENCES authors (id) ON DELETE CASCADE, title TEXT);\n\
                  CREATE INDEX ix_books_author ON books (author_id);\n";
    fs::write(sandbox.path("models.sql"), models).unwrap();
    let run = autogenerate(&sandbox, "born", &["--from-command", "cat models.sql"]).expect_code(2);
    assert!(run.stderr.contains("--models"), "{}", run.stderr);
    autogenerate(
        &sandbox,
        "born",
        &["--from-command", "cat models.sql", "--models"],
    )
    .expect_code(0);
    let up = file(&sandbox, "002_born.up.sql");
    assert!(
        !up.contains("DROP") && up.contains("ADD COLUMN born INTEGER"),
        "{up}"
    );
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(
        sandbox
            .query("SELECT name FROM sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY 1"),
        ["keep_title", "titles"]
    );
}

#[test]
fn a_migration_that_fails_on_an_empty_database_is_named_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.add_migration("009_broken", "ALTER TABLE nowhere ADD COLUMN x;");
    let run = autogenerate(&sandbox, "x", &[]).expect_code(3);
    assert!(run.stderr.contains("009_broken.up.sql"), "{}", run.stderr);
}

#[test]
fn a_rebuild_under_a_runner_that_enforces_foreign_keys_stops_before_children_are_deleted() {
    let sandbox = library();
    target(
        &sandbox,
        &LIBRARY.replace("name TEXT NOT NULL", "name TEXT"),
    );
    autogenerate(&sandbox, "nullable", &[]).expect_code(0);
    let script = format!(
        "PRAGMA foreign_keys = ON; BEGIN;\n{}\nCOMMIT;",
        file(&sandbox, "002_nullable.up.sql")
    );
    let words = sandbox.try_sql(&script).expect_err("the guard stops it");
    assert!(words.contains("foreign_keys_must_be_off"), "{words}");
    assert_eq!(sandbox.query("SELECT count(*) FROM books"), ["2"]);
    sandbox.run(&["run"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT count(*) FROM books"), ["2"]);
}

#[test]
fn on_a_terminal_it_asks_what_was_renamed() {
    let sandbox = library();
    target(&sandbox, &LIBRARY.replace("name TEXT", "full_name TEXT"));
    let command = "revision -m 'full name' --autogenerate";
    let Some(run) = sandbox.run_on_a_terminal(command, "full_name\n") else {
        return;
    };
    assert!(
        run.stdout.contains("authors.name is gone"),
        "{}",
        run.stdout
    );
    let up = file(&sandbox, "002_full_name.up.sql");
    assert!(up.contains("RENAME COLUMN name TO full_name"), "{up}");
}

#[test]
fn nothing_is_dropped_that_was_not_said_to_be_dropped() {
    let sandbox = library();
    target(&sandbox, "");
    let run = autogenerate(&sandbox, "all gone", &[]).expect_code(2);
    for words in ["--drop authors", "--drop books"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    // A hand-written migration that schema.sql does not know yet.
    target(&sandbox, LIBRARY);
    fs::write(
        sandbox.migrations().join("002_pages.up.sql"),
        "ALTER TABLE books ADD COLUMN pages INT;\n",
    )
    .unwrap();
    fs::write(
        sandbox.migrations().join("002_pages.down.sql"),
        "-- drops: column books.pages\nALTER TABLE books DROP COLUMN pages;\n",
    )
    .unwrap();
    sandbox.run(&["run"]).expect_code(0);
    let check = sandbox.run(&["check"]).expect_code(5);
    assert!(
        check.stderr.contains("safestep heads --schema"),
        "{}",
        check.stderr
    );
    let run = autogenerate(&sandbox, "x", &[]).expect_code(2);
    assert!(run.stderr.contains("--drop books.pages"), "{}", run.stderr);
    let schema = sandbox.run(&["heads", "--schema"]).expect_code(0).stdout;
    target(&sandbox, &schema);
    sandbox.run(&["check"]).expect_code(0);
}

#[test]
fn without_schema_sql_it_says_how_to_begin_one() {
    let sandbox = library();
    fs::remove_file(sandbox.migrations().join("schema.sql")).unwrap();
    let run = autogenerate(&sandbox, "x", &[]).expect_code(2);
    assert!(
        run.stderr.contains("safestep heads --schema > "),
        "{}",
        run.stderr
    );
}

#[test]
fn a_view_on_something_that_is_not_there_is_refused() {
    let sandbox = library();
    target(
        &sandbox,
        &format!("{LIBRARY}CREATE VIEW wrong AS SELECT name FROM authorz;\n"),
    );
    let run = autogenerate(&sandbox, "wrong", &[]).expect_code(2);
    assert!(
        run.stderr.contains("the view wrong") && run.stderr.contains("authorz"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_command_that_does_not_end_ends_with_the_program_and_leaves_nothing_behind() {
    let sandbox = library();
    let pid = sandbox.path("pid");
    let command = format!("echo $$ > {}; sleep 600; true", pid.display());
    let child = sandbox.spawn(&[
        "revision",
        "-m",
        "x",
        "--autogenerate",
        "--from-command",
        &command,
    ]);
    support::wait_until("the command runs", || {
        fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))
    });
    support::send(&child, rustix::process::Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let group = fs::read_to_string(&pid).unwrap();
    let folder = std::path::Path::new("/proc").join(group.trim());
    support::wait_until("the command is gone", || !folder.exists());
}

#[test]
fn a_way_down_that_does_not_lead_back_is_noted() {
    let sandbox = library();
    target(
        &sandbox,
        &LIBRARY.replace("title TEXT\n", "title TEXT,\n\tpages INTEGER\n"),
    );
    autogenerate(&sandbox, "pages", &[]).expect_code(0);
    sandbox.run(&["run"]).expect_code(0);
    fs::write(
        sandbox.migrations().join("002_pages.down.sql"),
        "SELECT 1;\n",
    )
    .unwrap();
    let (code, document) = sandbox.run_json(&["downgrade", "-1"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(
        document["warnings"][0]["subject"], "books.pages",
        "{document:#}"
    );
}
