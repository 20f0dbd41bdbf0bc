//! The loss gate: what a migration takes away is named, with its file and the line that owns up to it.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use serde_json::Value;
use support::Sandbox;

/// At head, with tables of an application's own.
fn with(setup: &str) -> Sandbox {
    let sandbox = Sandbox::at("head");
    sandbox.sql(setup);
    sandbox
}

/// Runs a job that the gate must stop, and returns what it says.
#[track_caller]
fn stopped(sandbox: &Sandbox) -> Vec<String> {
    let before = sandbox.content();
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 5, "{document:#}");
    assert_eq!(
        document["error"]["code"], "verification_failed",
        "{document:#}"
    );
    let proof = &document["proof"];
    assert!(proof["live_digest"].is_string(), "{document:#}");
    assert_eq!(proof["live_digest"], proof["snapshot_digest"]);
    assert_eq!(sandbox.content(), before, "the content changed");
    let problems = document["error"]["problems"].as_array().expect("problems");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    problems
        .iter()
        .map(|problem| {
            format!(
                "{}: {}",
                text(&problem["subject"]),
                text(&problem["message"])
            )
        })
        .collect()
}

#[track_caller]
fn passes(sandbox: &Sandbox) {
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["outcome"], "migrated");
}

/// The lines that a message asks for.
fn lines(problem: &str) -> Vec<String> {
    let starts = problem.match_indices("'-- ").map(|(at, _)| at + 1);
    let ends = ["' to the top", "' or, where"];
    starts
        .map(|start| {
            let rest = &problem[start..];
            let end = ends
                .iter()
                .filter_map(|end| rest.find(end))
                .min()
                .expect("an end");
            rest[..end].to_owned()
        })
        .collect()
}

/// The SQL that makes `goods` anew, as people write it.
fn rebuild(table: &str, more: &str) -> String {
    let new = table.replacen("goods", "goods_new", 1);
    format!(
        "{new};\nINSERT INTO goods_new (id, name, price) SELECT id, name, price FROM goods;\nDROP TABLE goods;\n\
         ALTER TABLE goods_new RENAME TO goods;\n{more}"
    )
}

const COLUMNS: &str = "id INTEGER PRIMARY KEY, name TEXT, price INT";

/// What follows `CREATE TABLE goods` before and after (nothing: `COLUMNS`), with statements behind it, and the line that
/// the gate asks for.
const CASES: [(&str, &str, &str); 23] = [
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT CHECK (price>0))",
        "",
        "-- drops: check goods (price > 0)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, CONSTRAINT fair CHECK (price > 0 AND price < 99))",
        "",
        "-- drops: check goods.fair",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, CONSTRAINT fair CHECK (price > 0))",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, CONSTRAINT fair CHECK (price > -5))",
        "-- drops: check goods.fair",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT CHECK (name IN ('a, b', 'it''s  (odd')), price INT)",
        "",
        "-- drops: check goods (name in ( 'a, b' , 'it''s  (odd' ))",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, price INT)",
        "",
        "-- drops: collate goods.name",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, price INT)",
        "(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price INT)",
        "-- drops: collate goods.name",
    ),
    (
        "(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, price INT)",
        "",
        "-- drops: autoincrement goods",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT) STRICT",
        "",
        "-- drops: strict goods",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, dear INT AS (price * 2))",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, dear INT)",
        "-- drops: generated goods.dear",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, UNIQUE (name, price))",
        "",
        "-- drops: unique goods (name, price)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT)",
        "(id INTEGER, name TEXT, price INT)",
        "-- drops: primary key goods",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT UNIQUE ON CONFLICT IGNORE, price INT)",
        "(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price INT)",
        "-- drops: on conflict goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users (id), price INT)",
        "",
        "-- drops: foreign key goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users (id), price INT)",
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES pipelines, price INT)",
        "-- drops: foreign key goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users (id) ON DELETE CASCADE, price INT)",
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users, price INT)",
        "-- drops: on delete goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, FOREIGN KEY (name) REFERENCES users ON UPDATE SET NULL)",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT, FOREIGN KEY (name) REFERENCES users ON UPDATE CASCADE)",
        "-- drops: on update goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users DEFERRABLE INITIALLY DEFERRED, price INT REFERENCES users)",
        "(id INTEGER PRIMARY KEY, name TEXT REFERENCES users, price INT REFERENCES users DEFERRABLE INITIALLY DEFERRED)",
        "-- drops: deferrable goods (name)",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE UNIQUE INDEX ix ON goods (name)",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name)",
        "-- drops: index ix",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name) WHERE price > 0",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name)",
        "-- drops: index ix",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name) WHERE price > 0",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name) WHERE price > 1",
        "-- drops: index ix",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name, price DESC)",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name, price)",
        "-- drops: index ix",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name COLLATE NOCASE)",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (name)",
        "-- drops: index ix",
    ),
    (
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (lower(name), price)",
        "(id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE INDEX ix ON goods (upper(name), price)",
        "-- drops: index ix",
    ),
];

#[test]
fn every_kind_of_loss_in_a_rebuild_is_stopped_and_its_line_lets_it_pass() {
    for (before, after, line) in CASES {
        let plain = format!("({COLUMNS})");
        let after = if after.is_empty() {
            plain.as_str()
        } else {
            after
        };
        let sandbox = with(&format!(
            "CREATE TABLE goods {before}; INSERT INTO goods (id, name, price) VALUES (1, 'a, b', 3); \
             INSERT INTO pipelines (pipeline_name, has_requirements, total_runs, successful_runs, failed_runs) \
             VALUES ('a, b', 0, 0, 0, 0)"
        ));
        let (table, more) = after.split_once("; ").unwrap_or((after, ""));
        let up = rebuild(&format!("CREATE TABLE goods {table}"), more);
        sandbox.add_migration("009_goods", &up);
        let problems = stopped(&sandbox);
        assert_eq!(problems.len(), 1, "{before}: {problems:#?}");
        assert!(
            problems[0].starts_with("migrations/009_goods.up.sql: "),
            "{problems:?}"
        );
        assert_eq!(lines(&problems[0]), [line], "{problems:?}");
        sandbox.add_migration("009_goods", &format!("{line}\n{up}"));
        passes(&sandbox);
    }
}

#[test]
fn a_faithful_rebuild_in_another_layout_passes() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY AUTOINCREMENT, \"name\" TEXT COLLATE NOCASE UNIQUE ON CONFLICT IGNORE \
         REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, price INT CONSTRAINT fair CHECK (price>0), \
         twice INT AS (price*2) STORED, CHECK (price <> id)) STRICT; \
         CREATE UNIQUE INDEX ix ON goods (price DESC, lower(name)) WHERE price IS NOT NULL",
    );
    let same = "create table goods (id integer primary key autoincrement,\n [name] text -- who\n collate nocase unique on conflict \
                ignore, price int, twice int generated always as (price * 2) stored,\n check(\"price\" > 0), check (price<>id),\n\
                foreign key (name) references users(id) on delete cascade deferrable initially deferred) strict";
    let index =
        "create unique index IX on goods(\"price\" desc, LOWER(name)) where price is not null";
    sandbox.add_migration("009_goods", &rebuild(same, index));
    passes(&sandbox);
}

#[test]
fn a_not_null_or_default_that_goes_loses_nothing() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price INT DEFAULT 0)",
    );
    sandbox.add_migration(
        "009_goods",
        &rebuild(&format!("CREATE TABLE goods ({COLUMNS})"), ""),
    );
    passes(&sandbox);
}

#[test]
fn constraints_of_a_declared_column_or_table_go_along() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE REFERENCES users ON DELETE CASCADE, price INT, \
         UNIQUE (name, price), CHECK (name <> '')); CREATE TABLE bin (a INT CHECK (a > 0)); CREATE INDEX ib ON bin (a); \
         CREATE TRIGGER tb AFTER INSERT ON bin BEGIN SELECT 1; END",
    );
    let up = "CREATE TABLE goods_new (id INTEGER PRIMARY KEY, price INT);\nDROP TABLE goods;\n\
              ALTER TABLE goods_new RENAME TO goods;\nDROP TABLE bin;\n";
    sandbox.add_migration("009_goods", up);
    let problems = stopped(&sandbox);
    let asked: Vec<String> = problems.iter().flat_map(|problem| lines(problem)).collect();
    assert_eq!(
        asked,
        ["-- drops: table bin", "-- drops: column goods.name"]
    );
    sandbox.add_migration("009_goods", &format!("{}\n{up}", asked.join("\n")));
    passes(&sandbox);
}

#[test]
fn the_file_that_took_it_is_named_and_one_that_brings_it_back_makes_it_good() {
    let sandbox = with("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT)");
    sandbox.add_migration("009_first", "CREATE TABLE other (a);");
    sandbox.add_migration("010_second", "ALTER TABLE goods DROP COLUMN name;");
    sandbox.add_migration("011_third", "CREATE INDEX ix ON goods (price);");
    let problems = stopped(&sandbox);
    assert_eq!(
        problems,
        [
            "migrations/010_second.up.sql: column goods.name vanished without being declared; if that is meant, add the line \
          '-- drops: column goods.name' to the top of that file"
        ]
    );
    sandbox.add_migration("011_third", "ALTER TABLE goods ADD COLUMN name TEXT;");
    passes(&sandbox);
    assert_eq!(sandbox.current(), "011");
}

#[test]
fn a_renamed_column_needs_a_line_that_says_so_or_one_that_drops_it() {
    for line in [
        "-- renames: column goods.name to full_name",
        "-- drops: column goods.name",
    ] {
        let sandbox = with(
            "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT CHECK (length(name) > 1), price INT, UNIQUE (name)); \
             CREATE INDEX ix ON goods (lower(name)) WHERE name <> 'name'; \
             CREATE TABLE parts (good TEXT REFERENCES goods (name));",
        );
        let up = "ALTER TABLE goods RENAME COLUMN name TO full_name;\n";
        sandbox.add_migration("009_goods", up);
        let asked = lines(&stopped(&sandbox)[0]);
        assert_eq!(
            asked,
            [
                "-- drops: column goods.name",
                "-- renames: column goods.name to full_name"
            ]
        );
        sandbox.add_migration("009_goods", &format!("{line}\n{up}"));
        if line.contains("renames") {
            passes(&sandbox);
        } else {
            assert!(
                stopped(&sandbox).len() > 1,
                "index and foreign key changed, too"
            );
        }
    }
}

#[test]
fn the_rows_of_a_renamed_table_are_counted_on_under_its_new_name() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT); CREATE TABLE parts (g INT REFERENCES goods); \
         CREATE INDEX ix ON goods (name); CREATE TRIGGER tg AFTER INSERT ON goods BEGIN SELECT 1; END; \
         INSERT INTO goods VALUES (1, 'a', 1), (2, 'b', 2);",
    );
    let up = "ALTER TABLE goods RENAME TO wares;\n";
    sandbox.add_migration("009_goods", up);
    let problems = stopped(&sandbox);
    assert_eq!(
        lines(&problems[0]),
        ["-- drops: table goods", "-- renames: table goods to wares"]
    );
    let renames = "-- renames: table goods to wares\n";
    let up_and_gone = format!("{renames}{up}DELETE FROM wares WHERE id = 1;\n");
    sandbox.add_migration("009_goods", &up_and_gone);
    assert_eq!(
        stopped(&sandbox),
        [
            "migrations/009_goods.up.sql: wares had 2 rows and has 1; if that is meant, add the line \
          '-- deletes: rows wares' to the top of that file"
        ]
    );
    sandbox.add_migration("009_goods", &format!("{renames}{up}"));
    sandbox.add_migration(
        "010_goods",
        "-- renames: column wares.name to label\nALTER TABLE wares RENAME name TO label;\n",
    );
    passes(&sandbox);
}

#[test]
fn old_orphans_of_renamed_tables_are_no_new_ones() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY); CREATE TABLE parts (g INT REFERENCES goods); \
         INSERT INTO parts VALUES (9);",
    );
    let renames = "-- renames: table goods to wares, table parts to bits\n";
    let up = "ALTER TABLE goods RENAME TO wares;\nALTER TABLE parts RENAME TO bits;\n";
    let orphan = "INSERT INTO bits VALUES (10);\n";
    sandbox.add_migration("009_goods", &format!("{renames}{up}{orphan}"));
    let problems = stopped(&sandbox);
    assert!(problems[0].contains("refer to 10 in wares"), "{problems:?}");
    sandbox.add_migration("009_goods", &format!("{renames}{up}"));
    sandbox.run(&["plan"]).expect_code(0);
    passes(&sandbox);
}

#[test]
fn a_renaming_that_did_not_happen_excuses_nothing() {
    let sandbox = with("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT)");
    let up = "-- renames: column goods.name to label\nALTER TABLE goods DROP COLUMN name;\n";
    sandbox.add_migration("009_goods", up);
    let problems = stopped(&sandbox);
    assert_eq!(lines(&problems[0]), ["-- drops: column goods.name"]);
}

#[test]
fn rows_that_are_deleted_while_others_are_inserted_must_be_declared() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT); INSERT INTO goods VALUES (1, 'a', 1), (2, 'b', 2)",
    );
    sandbox.add_migration("009_first", "DELETE FROM goods WHERE id > 7;");
    let up = "DELETE FROM goods WHERE id = 1;\nINSERT INTO goods VALUES (3, 'c', 3);\n";
    sandbox.add_migration("010_goods", up);
    assert_eq!(
        stopped(&sandbox),
        [
            "migrations/010_goods.up.sql: it deletes 1 row(s) of goods, and others are inserted; if that is meant, add the line \
          '-- deletes: rows goods' to the top of that file"
        ]
    );
    sandbox.add_migration("010_goods", &format!("-- deletes: rows Goods\n{up}"));
    passes(&sandbox);
}

#[test]
fn rows_of_tables_that_the_plan_makes_for_itself_may_come_and_go() {
    let sandbox = with("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT)");
    sandbox.add_migration(
        "009_goods",
        "CREATE TABLE work (a);\nCREATE TEMP TABLE goods_kept AS SELECT 1 AS a;\nINSERT INTO work VALUES (1), (2);\n\
         DELETE FROM work WHERE a = 1;\nDELETE FROM goods_kept;\nDROP TABLE goods_kept;\n",
    );
    passes(&sandbox);
}

#[test]
fn a_full_text_index_is_one_table_whatever_its_module_keeps() {
    let sandbox = with(
        "CREATE VIRTUAL TABLE notes USING fts5 (title, body); INSERT INTO notes VALUES ('a', 'b'), ('c', 'd')",
    );
    sandbox.add_migration(
        "009_notes",
        "INSERT INTO notes (notes) VALUES ('optimize');\nUPDATE notes SET body = 'x' WHERE title = 'a';\n",
    );
    passes(&sandbox);
    sandbox.add_migration("010_notes", "DROP TABLE notes;");
    let problems = stopped(&sandbox);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(lines(&problems[0]), ["-- drops: table notes"]);
    sandbox.add_migration(
        "010_notes",
        "DROP TABLE notes;\nCREATE VIRTUAL TABLE notes USING fts5 (title);\n",
    );
    let asked: Vec<String> = stopped(&sandbox).iter().flat_map(|p| lines(p)).collect();
    assert_eq!(
        asked,
        ["-- drops: column notes.body", "-- deletes: rows notes"]
    );
}

#[test]
fn a_declaration_in_the_down_file_counts_on_the_way_down() {
    let sandbox = with("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT)");
    sandbox.add_migration(
        "009_goods",
        "ALTER TABLE goods ADD COLUMN stock INT CHECK (stock >= 0);",
    );
    passes(&sandbox);
    let down = sandbox.migrations().join("009_goods.down.sql");
    let up = rebuild(&format!("CREATE TABLE goods ({COLUMNS})"), "");
    fs::write(&down, &up).expect("down file");
    let (code, document) = sandbox.run_json(&["downgrade", "008"]);
    assert_eq!(code, 5, "{document:#}");
    let problems = document["error"]["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1, "{document:#}");
    assert_eq!(problems[0]["subject"], "migrations/009_goods.down.sql");
    fs::write(&down, format!("-- drops: column goods.stock\n{up}")).expect("down file");
    let (code, document) = sandbox.run_json(&["downgrade", "008"]);
    assert_eq!(code, 0, "{document:#}");
}

#[test]
fn a_virtual_table_whose_module_is_missing_is_no_obstacle() {
    let sandbox = with(
        "PRAGMA writable_schema = ON; \
         INSERT INTO sqlite_schema VALUES ('table', 'geo', 'geo', 0, 'CREATE VIRTUAL TABLE geo USING nosuch (a)'); \
         PRAGMA writable_schema = OFF",
    );
    sandbox.add_migration("009_goods", "CREATE TABLE goods (id INTEGER PRIMARY KEY);");
    passes(&sandbox);
}

#[test]
fn in_a_file_outside_a_transaction_the_line_goes_below_the_marker() {
    let sandbox = with("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT)");
    let up = "ALTER TABLE goods DROP COLUMN name;\nVACUUM;\n";
    sandbox.add_migration("009_goods", &format!("-- no-transaction\n{up}"));
    let problems = stopped(&sandbox);
    assert!(
        problems[0].ends_with(
            "add the line '-- drops: column goods.name' below the first line of that file"
        ),
        "{problems:?}"
    );
    let line = "-- drops: column goods.name";
    sandbox.add_migration("009_goods", &format!("-- no-transaction\n{line}\n{up}"));
    passes(&sandbox);
}

#[test]
fn tables_that_change_places_are_followed() {
    let setup = "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT CHECK (name <> '')); \
                 CREATE TABLE wares (id INTEGER PRIMARY KEY, price INT COLLATE NOCASE); \
                 INSERT INTO goods VALUES (1, 'a'), (2, 'b');";
    let swap = "-- renames: table goods to tmp, table wares to goods, table tmp to wares\n\
                -- renames: column wares.name to label\n\
                ALTER TABLE goods RENAME TO tmp;\nALTER TABLE wares RENAME TO goods;\nALTER TABLE tmp RENAME TO wares;\n\
                ALTER TABLE wares RENAME name TO label;\n";
    let sandbox = with(setup);
    sandbox.add_migration("009_swap", swap);
    sandbox.add_migration("010_goods", "CREATE TABLE more (a);");
    passes(&sandbox);

    let sandbox = with(setup);
    sandbox.add_migration("009_swap", swap);
    sandbox.add_migration("010_goods", "DELETE FROM wares WHERE id = 2;");
    assert_eq!(
        stopped(&sandbox),
        [
            "migrations/010_goods.up.sql: wares had 2 rows and has 1; if that is meant, add the line '-- deletes: rows wares' \
          to the top of that file"
        ]
    );
}

#[test]
fn a_new_table_under_the_old_name_of_a_renamed_one_is_another_table() {
    let sandbox = with(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price INT CHECK (price > 0)); \
         INSERT INTO goods VALUES (1, 'a', 1), (2, 'b', 2);",
    );
    let up = "-- renames: table goods to goods_old\nALTER TABLE goods RENAME TO goods_old;\n\
              CREATE TABLE goods (id INTEGER PRIMARY KEY);\n";
    sandbox.add_migration("009_goods", up);
    sandbox.add_migration("010_goods", "DROP TABLE goods_old;");
    assert_eq!(lines(&stopped(&sandbox)[0])[0], "-- drops: table goods_old");
    sandbox.add_migration("010_goods", "SELECT 1;");
    passes(&sandbox);
}
