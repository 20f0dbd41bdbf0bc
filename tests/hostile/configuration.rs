//! Flags, variables, `safestep.toml` and `enums.toml` that make no sense.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use crate::golden::chosen;
use crate::support::{Sandbox, text, tool};
use crate::trial::Trial;

/// Every variable that is read, and what must not be taken for a value of it.
const VARIABLES: [&str; 12] = [
    "SAFESTEP_DATABASE",
    "SAFESTEP_MIGRATIONS",
    "SAFESTEP_BACKUPS",
    "SAFESTEP_LOCK_TIMEOUT",
    "SAFESTEP_KEEP_LAST",
    "SAFESTEP_KEEP_WITHIN",
    "SAFESTEP_MAX_TOTAL",
    "SAFESTEP_COMPRESSION",
    "SAFESTEP_LOG_DIR",
    "SAFESTEP_CONFIG",
    "DATABASE_URL",
    "DATA_DIR",
];

#[test]
fn variables_that_make_no_sense_are_refused_and_never_passed_over() {
    let mut trial = Trial::new(
        "variables",
        "environment variables and flags that make no sense",
        "variables_that_make_no_sense",
    );
    let sandbox = Sandbox::at("003");
    let not_utf8 = OsStr::from_bytes(b"da\xffta");
    let values: [(&str, &OsStr); 4] = [
        ("empty", OsStr::new("")),
        ("not UTF-8", not_utf8),
        ("blanks", OsStr::new("  ")),
        ("nonsense", OsStr::new("/nowhere/at all")),
    ];
    let before = fs::read(sandbox.database()).unwrap();
    for variable in VARIABLES {
        for (what, value) in values {
            trial.case(&format!("{variable} {what}"));
            let mut command = sandbox.command(&["current"]);
            command.env(variable, value);
            trial.runs(&sandbox, vec![("current", command)], |_, run| {
                (what == "not UTF-8" && run.code != 2).then(|| "passed over".into())
            });
        }
    }
    for value in [
        "-1s",
        "1.5s",
        "0",
        "0s",
        "99999999999999999999",
        "18446744073709551615h",
        "1y",
        "30 s",
        "1e3",
        "३s",
        "s",
        "30seconds",
        "\u{1b}[2J",
    ] {
        trial.case(&format!("--lock-timeout {}", value.escape_debug()));
        let runs = vec![(
            "current",
            sandbox.command(&["current", "--lock-timeout", value]),
        )];
        trial.runs(&sandbox, runs, |_, _| None);
    }
    for value in [
        "-1",
        "0",
        "1.5",
        "many",
        "99999999999999999999999",
        "18446744073709551615",
        " 3",
    ] {
        trial.case(&format!("--keep-last {value}"));
        let keep = format!("--keep-last={value}");
        trial.runs(
            &sandbox,
            vec![("current", sandbox.command(&["current", &keep]))],
            |_, _| None,
        );
    }
    let urls = [
        "postgresql://user:secret@host/db",
        "postgresql+asyncpg://user:secret@host:5432/db?sslmode=require",
        "postgres:///db",
        "mysql://user:secret@host/db",
        "mysql+pymysql://host/db",
        "mssql+pyodbc://user:secret@host/db",
        "oracle://host/db",
        "mongodb://host/db",
        "duckdb:///file.db",
        "libsql://host",
        "https://host/db",
        "http://user:secret@host/",
        "SQLITE:///data/fastflow.db",
        "sqlite:///data/fastflow.db?mode=ro",
        "sqlite+aiosqlite:///data/fastflow.db?timeout=5",
        "sqlite+pysqlcipher://:secret@/data/fastflow.db",
        "sqlite://host/data/fastflow.db",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite::memory:",
        "sqlite:///:memory:",
        ":memory:",
        "sqlite:///file:data/fastflow.db?mode=ro&uri=true",
        "file:data/fastflow.db",
        "file:///data/fastflow.db?mode=ro",
        "file::memory:?cache=shared",
        "jdbc:sqlite:data/fastflow.db",
        "data/",
        "data/fastflow.db/",
        "data/fastflow.db/x",
        ".",
        "..",
        "/",
        "~/fastflow.db",
    ];
    for url in chosen(urls, 5) {
        trial.case(&format!("DATABASE_URL {url}"));
        let mut command = sandbox.command(&["current"]);
        command.env("DATABASE_URL", url);
        trial.runs(&sandbox, vec![("current", command)], |_, run| {
            (run.stderr.contains("secret") || run.stdout.contains("secret"))
                .then(|| "a password is printed".into())
        });
    }
    let flags: [&[&str]; 12] = [
        &["--database", ""],
        &["--migrations", ""],
        &["--migrations", "data/fastflow.db"],
        &["--migrations", "/dev/null"],
        &["--backups", ""],
        &["--backups", "data/fastflow.db"],
        &["--config", ""],
        &["--config", "nowhere.toml"],
        &["--config", "data"],
        &["--config", "/dev/zero"],
        &["--output", "xml"],
        &["--log-dir", "data/fastflow.db"],
    ];
    for flags in flags {
        trial.case(&flags.join(" "));
        let runs = ["current", "backups list", "backup"].map(|name| {
            let mut args: Vec<&str> = name.split(' ').collect();
            args.extend(flags);
            (name, sandbox.command(&args))
        });
        trial.runs(&sandbox, runs.into(), |_, _| {
            (fs::read(sandbox.database()).unwrap() != before).then(|| "changed".into())
        });
    }
    for revision in [
        "",
        " ",
        "-",
        "+",
        "+0",
        "-0",
        "+99",
        "-99",
        "99999999999999999999",
        "head+1",
        "base-1",
        "0x3",
        "%",
        "'; DROP TABLE users; --",
        "\u{1b}[2J",
        "003:",
        "head head",
    ] {
        trial.case(&format!("upgrade '{}'", revision.escape_debug()));
        trial.runs(
            &sandbox,
            vec![("upgrade", sandbox.command(&["upgrade", revision]))],
            |_, _| (fs::read(sandbox.database()).unwrap() != before).then(|| "changed".into()),
        );
    }
    trial.finish();
}

#[test]
fn configuration_files_that_make_no_sense_are_refused_with_their_name() {
    let mut trial = Trial::new(
        "files",
        "safestep.toml and enums.toml that make no sense",
        "configuration_files_that_make_no_sense",
    );
    let sandbox = Sandbox::at("003");
    let deep = format!("database = {}", "[".repeat(100_000));
    let tables = format!("[{}a]", "a.".repeat(100_000));
    let huge = "# long\n".repeat(200_000);
    let texts: Vec<(&str, &[u8])> = vec![
        ("no TOML", b"database data"),
        ("invalid UTF-8", b"database = '\xff'"),
        ("a NUL", b"database = 'a\0b'"),
        ("a byte order mark", b"\xef\xbb\xbfkeep_last = 3"),
        ("an unknown key", b"databse = 'x'"),
        ("a key twice", b"keep_last = 3\nkeep_last = 4"),
        ("nested deeply", deep.as_bytes()),
        ("a name of many parts", tables.as_bytes()),
        ("larger than a megabyte", huge.as_bytes()),
        ("numbers as text", b"keep_last = '3'"),
        ("a negative number", b"keep_last = -3"),
        ("a huge number", b"keep_last = 99999999999999999999"),
        ("no number", b"keep_last = nan"),
        ("zero", b"keep_last = 0"),
        ("a number for a time", b"lock_timeout = 30"),
        ("an empty time", b"lock_timeout = ''"),
        ("an empty path", b"database = ''"),
        ("an empty folder", b"backups = ''"),
        ("a list", b"migrations = ['a', 'b']"),
        ("a date", b"database = 2026-01-01"),
        (
            "a PostgreSQL URL",
            b"database = 'postgresql://user:secret@host/db'",
        ),
    ];
    let path = sandbox.path("safestep.toml");
    for (name, bytes) in chosen(texts, 5) {
        fs::write(&path, bytes).unwrap();
        trial.case(&format!("safestep.toml: {name}"));
        trial.untouched(&sandbox, &["current", "backups list"]);
    }
    fs::remove_file(&path).unwrap();
    let places: [(&str, &dyn Fn(&std::path::Path)); 5] = [
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a FIFO", &|path| drop(tool("mkfifo", &[text(path)]))),
        ("a device", &|path| symlink("/dev/zero", path).unwrap()),
        ("a link to nothing", &|path| {
            symlink("nothing", path).unwrap()
        }),
        ("a link to itself", &|path| symlink(path, path).unwrap()),
    ];
    let map = sandbox.migrations().join("enums.toml");
    for (file, path) in [("safestep.toml", &path), ("enums.toml", &map)] {
        for (name, make) in places {
            let _ = fs::remove_file(path);
            make(path);
            trial.case(&format!("{file}: {name}"));
            trial.untouched(
                &sandbox,
                if file == "enums.toml" {
                    &["plan", "run", "doctor"]
                } else {
                    &["current"]
                },
            );
            let _ = fs::remove_dir(path);
        }
        let _ = fs::remove_file(path);
    }
    let column = |rest: &str| format!("[[column]]\ntable = 'users'\ncolumn = 'role'\n{rest}\n");
    let maps: Vec<(&str, Vec<u8>)> = vec![
        ("no TOML", b"[[column".to_vec()), ("invalid UTF-8", b"a = '\xff'".to_vec()), ("an unknown key", b"[colum]".to_vec()), ("nested deeply", deep.clone().into_bytes()), ("larger than a megabyte", huge.clone().into_bytes()),
        ("no values", column("values = []").into_bytes()), ("an empty value", column("values = ['']").into_bytes()), ("values that differ in case", column("values = ['A', 'a']").into_bytes()), ("a value twice", column("values = ['A', 'A']").into_bytes()),
        ("values that are numbers", column("values = [1]").into_bytes()), ("an alias of nothing", column("values = ['A']\naliases = { b = 'C' }").into_bytes()), ("an alias that is a value", column("values = ['A', 'B']\naliases = { a = 'B' }").into_bytes()), ("an alias of blanks", column("values = ['A']\naliases = { ' ' = 'A' }").into_bytes()),
        ("a value with a NUL", column("values = [\"A\\u0000B\"]").into_bytes()), ("an unknown treatment", column("values = ['A']\nunknown = 'delete'").into_bytes()), ("no table", b"[[column]]\ntable = ''\ncolumn = 'role'\nvalues = ['A']".to_vec()), ("a history table", b"[[column]]\ntable = '_sqlx_migrations'\ncolumn = 'description'\nvalues = ['A']\nunknown = 'keep'\naliases = { base = 'A' }".to_vec()), ("the schema", b"[[column]]\ntable = 'sqlite_schema'\ncolumn = 'type'\nvalues = ['TABLE', 'index']\nunknown = 'keep'".to_vec()),
        ("names with quotes", b"[[column]]\ntable = 'users\" SET x = 1; --'\ncolumn = 'role'\nvalues = ['A']".to_vec()),
    ];
    for (name, bytes) in chosen(maps, 5) {
        fs::write(&map, bytes).unwrap();
        trial.case(&format!("enums.toml: {name}"));
        trial.untouched(&sandbox, &["plan", "doctor", "current"]);
    }
    trial.finish();
}
