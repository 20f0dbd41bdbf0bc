//! Migration files that are broken, or reach for what is not theirs.

use std::fs;
use std::os::unix::fs::symlink;

use crate::golden::chosen;
use crate::support::{Sandbox, content, text, tool};
use crate::trial::Trial;

const DOWN: &str = "SELECT 1;\n";

fn write(sandbox: &Sandbox, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(sandbox.migrations().join(name), bytes).unwrap();
}

/// A ninth migration.
fn ninth(sandbox: &Sandbox, up: impl AsRef<[u8]>) {
    write(sandbox, "009_ninth.up.sql", up);
    write(sandbox, "009_ninth.down.sql", DOWN);
}

fn clear(sandbox: &Sandbox) {
    for entry in fs::read_dir(sandbox.migrations()).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("/00") || path.to_string_lossy().contains("/009") {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
    }
}

#[test]
fn folders_of_migrations_that_are_broken_are_refused_with_what_is_wrong() {
    let mut trial = Trial::new(
        "folder",
        "migration files that are no migrations",
        "folders_of_migrations_that_are_broken",
    );
    let sandbox = Sandbox::at("008");
    let up = "CREATE TABLE ninth (n INTEGER);\n";
    let pair = |name: &str| {
        write(&sandbox, &format!("{name}.up.sql"), up);
        write(&sandbox, &format!("{name}.down.sql"), DOWN);
    };
    let path = |name: &str| sandbox.migrations().join(name);
    let cases: Vec<(&str, Box<dyn Fn() + '_>)> = vec![
        (
            "a byte order mark",
            Box::new(|| ninth(&sandbox, format!("\u{feff}{up}"))),
        ),
        (
            "UTF-16",
            Box::new(|| {
                ninth(
                    &sandbox,
                    up.bytes().flat_map(|b| [b, 0]).collect::<Vec<u8>>(),
                )
            }),
        ),
        (
            "invalid UTF-8",
            Box::new(|| ninth(&sandbox, b"SELECT '\xff';")),
        ),
        (
            "a NUL",
            Box::new(|| ninth(&sandbox, "SELECT 1;\0DROP TABLE users;")),
        ),
        (
            "seventeen megabytes",
            Box::new(|| ninth(&sandbox, "-- long\n".repeat(2_200_000))),
        ),
        (
            "a folder with the name of a file",
            Box::new(|| fs::create_dir(path("009_ninth.up.sql")).unwrap()),
        ),
        (
            "a FIFO",
            Box::new(|| drop(tool("mkfifo", &[text(&path("009_ninth.up.sql"))]))),
        ),
        (
            "a link to nothing",
            Box::new(|| symlink("nothing", path("009_ninth.up.sql")).unwrap()),
        ),
        (
            "a link to itself",
            Box::new(|| symlink("009_ninth.up.sql", path("009_ninth.up.sql")).unwrap()),
        ),
        (
            "a link to a device",
            Box::new(|| symlink("/dev/zero", path("009_ninth.up.sql")).unwrap()),
        ),
        ("a negative number", Box::new(|| pair("-009_ninth"))),
        ("a number with a sign", Box::new(|| pair("+009_ninth"))),
        ("a number in other digits", Box::new(|| pair("٠٠٩_ninth"))),
        ("a number with a point", Box::new(|| pair("9.5_ninth"))),
        ("a hexadecimal number", Box::new(|| pair("0x9_ninth"))),
        (
            "a number that is too large",
            Box::new(|| pair("9223372036854775808_ninth")),
        ),
        (
            "a number that is there already, written otherwise",
            Box::new(|| pair("8_again")),
        ),
        ("a gap", Box::new(|| pair("010_tenth"))),
        ("no name", Box::new(|| pair("009"))),
        ("no number", Box::new(|| pair("ninth"))),
        (
            "no way down",
            Box::new(|| write(&sandbox, "009_ninth.up.sql", up)),
        ),
        (
            "no way up",
            Box::new(|| write(&sandbox, "009_ninth.down.sql", up)),
        ),
        (
            "other names up and down",
            Box::new(|| {
                write(&sandbox, "009_a.up.sql", up);
                write(&sandbox, "009_b.down.sql", DOWN);
            }),
        ),
        (
            "names that differ in case",
            Box::new(|| {
                pair("009_ninth");
                write(&sandbox, "009_Ninth.up.sql", up);
            }),
        ),
        (
            "an ending in capitals",
            Box::new(|| {
                write(&sandbox, "009_ninth.UP.SQL", up);
                write(&sandbox, "009_ninth.down.sql", DOWN);
            }),
        ),
        (
            "a directive that nobody knows",
            Box::new(|| ninth(&sandbox, format!("-- drops: everything\n{up}"))),
        ),
        (
            "the id of another migration",
            Box::new(|| ninth(&sandbox, format!("-- alembic: 008_add_google_avatar\n{up}"))),
        ),
    ];
    for (name, make) in chosen(cases, 8) {
        clear(&sandbox);
        make();
        trial.case(name);
        trial.untouched(&sandbox, &["run", "plan", "check", "heads"]);
    }
    clear(&sandbox);
    // What is odd, and fine.
    let elsewhere = sandbox.path("elsewhere.sql");
    fs::write(&elsewhere, up.replace('\n', "\r\n")).unwrap();
    symlink(&elsewhere, path("009_ninth.up.sql")).unwrap();
    write(&sandbox, "009_ninth.down.sql", "DROP TABLE ninth;\r\n");
    write(
        &sandbox,
        "9223372036854775807_last.up.sql",
        "CREATE TABLE last (n);",
    );
    write(
        &sandbox,
        "9223372036854775807_last.down.sql",
        "-- drops: table last\nDROP TABLE last;",
    );
    trial.case("links as in a ConfigMap, CRLF, and the largest number");
    trial.commands(
        &sandbox,
        &["plan", "run", "upgrade +1", "downgrade 008"],
        |_, _| None,
    );
    trial.finish();
}

/// Statements that reach for what belongs to the job, the file or the machine, with what they should have got if they could.
#[test]
fn statements_that_reach_too_far_are_refused_or_harmless() {
    let mut trial = Trial::new(
        "reach",
        "migrations that reach for what is not theirs",
        "statements_that_reach_too_far",
    );
    let inside: Vec<String> = [
        "COMMIT", "END TRANSACTION", "ROLLBACK", "BEGIN IMMEDIATE", "SAVEPOINT safestep_job", "RELEASE safestep_job",
        "ROLLBACK TO safestep_job", "ROLLBACK TO \"SAFESTEP_JOB\"", "SAVEPOINT mine; ROLLBACK TO mine; RELEASE mine; RELEASE mine",
        "ATTACH '/tmp/other.db' AS other", "DETACH main", "ATTACH ':memory:' AS other", "VACUUM", "VACUUM INTO '/tmp/copy.db'",
        "SELECT load_extension('libc.so.6')", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'y')",
        "SELECT edit('x')", "SELECT fts3_tokenizer('simple')",
        "INSERT INTO sqlite_dbpage (pgno, data) VALUES (1, zeroblob(4096))", "SELECT * FROM sqlite_dbpage",
        "DELETE FROM sqlite_schema", "UPDATE sqlite_master SET sql = ''", "INSERT INTO sqlite_sequence VALUES ('users', 9)",
        "CREATE TABLE sqlite_mine (n)", "DROP TABLE sqlite_schema",
        "DELETE FROM _sqlx_migrations", "UPDATE ALEMBIC_VERSION SET version_num = 'x'", "INSERT INTO \"_Safestep_Migrations\" DEFAULT VALUES",
        "DROP TABLE alembic_version", "ALTER TABLE _sqlx_migrations ADD COLUMN mine", "ALTER TABLE alembic_version RENAME TO mine",
        "CREATE INDEX mine ON _sqlx_migrations (version)", "CREATE UNIQUE INDEX mine ON alembic_version (1)",
        "CREATE TRIGGER mine AFTER INSERT ON _sqlx_migrations BEGIN DELETE FROM users; END",
        "CREATE TRIGGER mine AFTER UPDATE ON alembic_version BEGIN DELETE FROM users; END",
        "CREATE TEMP TRIGGER mine AFTER INSERT ON main._sqlx_migrations BEGIN DELETE FROM users; END",
        "CREATE TRIGGER mine AFTER UPDATE ON users BEGIN DELETE FROM _sqlx_migrations; END; UPDATE users SET username = username",
        "CREATE TEMP TABLE _sqlx_migrations (version)", "CREATE TEMP VIEW alembic_version AS SELECT 'x' AS version_num",
        "CREATE TEMP TABLE users (id); DELETE FROM users", "CREATE TEMP TABLE scratch AS SELECT * FROM users; DROP TABLE scratch",
        "CREATE TEMP TRIGGER mine AFTER INSERT ON secrets BEGIN DELETE FROM users; END",
        "CREATE TEMP TABLE sqlite_schema (n)",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema", "PRAGMA writable_schema = RESET",
        "SELECT 1; SELECT 2; SELECT * FROM users", "EXPLAIN DELETE FROM users", "EXPLAIN QUERY PLAN SELECT 1", "ANALYZE", "REINDEX",
        "SELECT ?1", "SELECT :name", ";;;", "", "-- nothing but a comment", "/* never closed", "SELECT 'never closed", "SELECT \"never closed",
        "SELECT [never closed", "CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT 1;", "SELEKT 1", "SELECT 1 SELECT 2", "SELECT 1 -- no end",
        "CREATE VIRTUAL TABLE v USING unknown_module(a)", "CREATE VIRTUAL TABLE v USING dbstat", "CREATE TABLE t (n CHECK (grmpf(n)))",
        "CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT ';'; SELECT RAISE(IGNORE); END",
    ].map(str::to_owned).into();
    let pragmas = [
        "writable_schema = ON",
        "journal_mode = OFF",
        "journal_mode = MEMORY",
        "journal_mode('off')",
        "main.journal_mode = \"Off\"",
        "journal_mode = [memory]",
        "journal_mode = WAL",
        "locking_mode = NORMAL",
        "synchronous = OFF",
        "foreign_keys = ON",
        "mmap_size = 999999999999",
        "temp_store_directory = '/tmp'",
        "data_store_directory = '/tmp'",
        "temp_store = MEMORY",
        "wal_checkpoint(TRUNCATE)",
        "wal_autocheckpoint = 0",
        "schema_version = 1",
        "user_version = 7",
        "application_id = 7",
        "cache_spill = OFF",
        "cache_size = 1",
        "busy_timeout = 0",
        "secure_delete = ON",
        "recursive_triggers = ON",
        "case_sensitive_like = ON",
        "ignore_check_constraints = ON",
        "query_only = ON",
        "read_uncommitted = ON",
        "trusted_schema = OFF",
        "cell_size_check = OFF",
        "checkpoint_fullfsync = 0",
        "fullfsync = 0",
        "hard_heap_limit = 1",
        "soft_heap_limit = 1",
        "max_page_count = 1",
        "threads = 9",
        "page_size = 512",
        "auto_vacuum = FULL",
        "encoding = 'UTF-16'",
        "defer_foreign_keys = ON",
        "legacy_alter_table = ON",
        "automatic_index = OFF",
        "reverse_unordered_selects = ON",
        "shrink_memory",
        "lock_status",
        "no_such_pragma = 1",
        "count_changes = 1",
        "empty_result_callbacks = 1",
        "full_column_names = 1",
        "default_cache_size = 1",
        "parser_trace = 1",
        "vdbe_debug = 1",
        "key = 'x'",
        "rekey = 'x'",
        "activate_extensions = 'x'",
    ];
    let deep = [
        "(".repeat(100_000),
        "SELECT ".repeat(100_000),
        "SELECT NOT ".to_owned() + &"NOT ".repeat(100_000) + "1",
        format!("SELECT {}1", "1+".repeat(200_000)),
        format!(
            "CREATE TABLE t (n CHECK ({}1{}))",
            "(".repeat(5000),
            ")".repeat(5000)
        ),
        "SELECT ".to_owned() + &"(SELECT ".repeat(500) + "1" + &")".repeat(500),
    ];
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN"), ("bob", "WRITE")]);
    let good = fs::read(sandbox.database()).unwrap();
    let users = |sandbox: &Sandbox| sandbox.query("SELECT group_concat(username) FROM users");
    let mut attempt = |name: &str, sql: &str| {
        fs::write(sandbox.database(), &good).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(sandbox.path(&format!("data/fastflow.db{suffix}")));
        }
        let _ = fs::remove_dir_all(sandbox.path("backups"));
        ninth(&sandbox, sql);
        let before = content(&sandbox.database());
        trial.case(name);
        trial.commands(&sandbox, &["plan", "run"], |command, run| {
            let kept = content(&sandbox.database()) == before;
            let is_whole =
                users(&sandbox) == ["ann,bob"] && sandbox.query("PRAGMA integrity_check") == ["ok"];
            let is_true = kept
                || (command == "run" && run.code == 0 && is_whole && sandbox.current() == "009");
            (!is_true || run.code == 6).then(|| "not as it was, and not as it should be".to_owned())
        });
    };
    for sql in chosen(&inside, 8) {
        attempt(sql, sql);
    }
    for sql in chosen(deep, 8) {
        attempt(
            &format!("nested: {}… ({} letters)", &sql[..20], sql.len()),
            &sql,
        );
    }
    for pragma in chosen(pragmas, 8) {
        attempt(
            &format!("PRAGMA {pragma}"),
            &format!("PRAGMA {pragma}; UPDATE users SET avatar_url = 'x'"),
        );
        attempt(
            &format!("outside: PRAGMA {pragma}"),
            &format!(
                "-- no-transaction\nPRAGMA {pragma}; UPDATE users SET avatar_url = 'x'; UPDATE users SET grmpf = 1"
            ),
        );
    }
    for sql in [
        "BEGIN; DELETE FROM users",
        "BEGIN; UPDATE users SET avatar_url = 'x'; COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "ATTACH '/tmp/other.db' AS other",
        "VACUUM INTO '/tmp/copy.db'",
        "CREATE TEMP TABLE _sqlx_migrations (version)",
        "CREATE TRIGGER mine AFTER INSERT ON _sqlx_migrations BEGIN DELETE FROM users; END",
    ] {
        attempt(
            &format!("outside: {sql}"),
            &format!("-- no-transaction\n{sql};"),
        );
    }
    trial.finish();
}
