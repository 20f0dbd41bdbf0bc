//! What may lie where the database should be.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::golden::chosen;
use crate::support::{Sandbox, block_on, connect, content, copy_tree, query, text, tool};
use crate::trial::{Trial, bounded};
use sqlx::Connection;

/// Every verb that opens the database.
const ALL: [&str; 7] = [
    "run",
    "plan",
    "check",
    "current",
    "doctor",
    "backup",
    "downgrade -1",
];

/// A sandbox at 003 whose database is replaced again and again.
struct World {
    sandbox: Sandbox,
    good: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ann", "ADMIN"), ("bob", "readonly")]);
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
        let good = fs::read(sandbox.database()).unwrap();
        Self { sandbox, good }
    }

    fn path(&self) -> PathBuf {
        self.sandbox.database()
    }

    /// An empty folder for the next thing.
    fn clear(&self) {
        for folder in ["data", "backups"] {
            let _ = fs::remove_dir_all(self.sandbox.path(folder));
        }
        fs::create_dir(self.sandbox.path("data")).unwrap();
    }

    /// The good database with these bytes at this place.
    fn patched(&self, at: usize, bytes: &[u8]) {
        let mut database = self.good.clone();
        database[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(self.path(), database).unwrap();
    }
}

#[test]
fn what_is_no_database_is_refused_by_every_command_and_stays_as_it_is() {
    let mut trial = Trial::new(
        "no_database",
        "things that are no database at its path",
        "what_is_no_database_is_refused",
    );
    let world = World::new();
    let header = |at: usize, bytes: &'static [u8]| move |world: &World| world.patched(at, bytes);
    let cases: Vec<(&str, Box<dyn Fn(&World)>)> = vec![
        ("nothing", Box::new(|_| ())),
        ("a folder", Box::new(|w| fs::create_dir(w.path()).unwrap())),
        (
            "a FIFO",
            Box::new(|w| drop(tool("mkfifo", &[text(&w.path())]))),
        ),
        (
            "a socket",
            Box::new(|w| drop(UnixListener::bind(w.path()).unwrap())),
        ),
        (
            "a device",
            Box::new(|w| symlink("/dev/zero", w.path()).unwrap()),
        ),
        (
            "a link to nothing",
            Box::new(|w| symlink("nothing.db", w.path()).unwrap()),
        ),
        (
            "a link to itself",
            Box::new(|w| symlink("fastflow.db", w.path()).unwrap()),
        ),
        (
            "an empty file",
            Box::new(|w| fs::write(w.path(), "").unwrap()),
        ),
        ("one byte", Box::new(|w| fs::write(w.path(), "S").unwrap())),
        (
            "text",
            Box::new(|w| fs::write(w.path(), "hello\n".repeat(1000)).unwrap()),
        ),
        (
            "zeros",
            Box::new(|w| fs::write(w.path(), vec![0; 8192]).unwrap()),
        ),
        (
            "random bytes, as of an encrypted database",
            Box::new(|w| {
                let noise: Vec<u8> = (0..16_384_u32)
                    .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1])
                    .collect();
                fs::write(w.path(), noise).unwrap();
            }),
        ),
        (
            "an SQLite 2 database",
            Box::new(|w| {
                fs::write(
                    w.path(),
                    "** This file contains an SQLite 2.1 database **\0".repeat(50),
                )
                .unwrap()
            }),
        ),
        (
            "a header alone",
            Box::new(|w| fs::write(w.path(), &w.good[..100]).unwrap()),
        ),
        (
            "half a page",
            Box::new(|w| fs::write(w.path(), &w.good[..2048]).unwrap()),
        ),
        (
            "one page of many",
            Box::new(|w| fs::write(w.path(), &w.good[..4096]).unwrap()),
        ),
        (
            "a page and a half less",
            Box::new(|w| fs::write(w.path(), &w.good[..w.good.len() - 6000]).unwrap()),
        ),
        (
            "header: another magic",
            Box::new(header(0, b"SQLite format 4\0")),
        ),
        ("header: a page size of 0", Box::new(header(16, &[0, 0]))),
        (
            "header: a page size that is no power of 2",
            Box::new(header(16, &[0x12, 0x34])),
        ),
        ("header: another page size", Box::new(header(16, &[2, 0]))),
        (
            "header: a newer format to write",
            Box::new(header(18, &[9])),
        ),
        ("header: a newer format to read", Box::new(header(19, &[9]))),
        (
            "header: all of a page reserved",
            Box::new(header(20, &[255])),
        ),
        (
            "header: another payload fraction",
            Box::new(header(21, &[1, 2, 3])),
        ),
        (
            "header: more pages than there are",
            Box::new(header(28, &[0, 1, 0, 0])),
        ),
        (
            "header: a freelist that leads nowhere",
            Box::new(header(32, &[0, 1, 0, 0, 0, 0, 0, 7])),
        ),
        (
            "header: a freelist of the schema",
            Box::new(header(32, &[0, 0, 0, 1, 0, 0, 0, 1])),
        ),
        (
            "header: an unknown schema format",
            Box::new(header(44, &[0, 0, 0, 9])),
        ),
        (
            "header: an unknown encoding",
            Box::new(header(56, &[0, 0, 0, 7])),
        ),
        ("the schema's page", Box::new(header(100, &[0xff; 64]))),
        ("the schema's cells", Box::new(header(4000, &[0xff; 96]))),
    ];
    for (name, make) in chosen(cases, 5) {
        world.clear();
        make(&world);
        trial.case(name);
        trial.untouched(&world.sandbox, &ALL);
        trial.untouched(
            &world.sandbox,
            &["run --create-if-missing"].repeat(usize::from(
                !["nothing", "a link to nothing", "an empty file"].contains(&name),
            )),
        );
    }
    trial.finish();
}

/// The page on which a table or index begins.
fn root(world: &World, name: &str) -> usize {
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'");
    query(&world.path(), &sql)[0].parse().unwrap()
}

#[test]
fn a_damaged_page_is_found_before_anything_is_changed() {
    let mut trial = Trial::new(
        "damaged",
        "databases with damaged pages",
        "a_damaged_page_is_found",
    );
    let world = World::new();
    world.sandbox.sql("CREATE TABLE spare (t TEXT); INSERT INTO spare VALUES (hex(zeroblob(20000))); DROP TABLE spare");
    let good = fs::read(world.path()).unwrap();
    let page = |name: &str| (root(&world, name) - 1) * 4096;
    let freelist = u32::from_be_bytes(good[32..36].try_into().unwrap()) as usize;
    let cases = [
        ("zeros in a table", page("users"), vec![0_u8; 4096]),
        ("noise in a table", page("users"), vec![0x5a; 4096]),
        (
            "a number of cells that is too large",
            page("users") + 3,
            vec![0xff, 0xff],
        ),
        ("the cells of a table", page("users") + 4000, vec![0xff; 96]),
        (
            "zeros in an index",
            page("ix_users_username"),
            vec![0; 4096],
        ),
        (
            "zeros in a history table",
            page("_sqlx_migrations"),
            vec![0; 4096],
        ),
        (
            "a trunk of the freelist",
            (freelist - 1) * 4096,
            vec![0xff; 16],
        ),
        ("another number of free pages", 36, vec![0, 0, 0, 99]),
    ];
    for (name, at, bytes) in chosen(cases, 5) {
        world.clear();
        let mut database = good.clone();
        database[at..at + bytes.len()].copy_from_slice(&bytes);
        fs::write(world.path(), database).unwrap();
        trial.case(name);
        trial.untouched(&world.sandbox, &ALL);
    }
    trial.finish();
}

/// Settings and kinds of schema that other programs use: everything works, or is refused with a reason.
#[test]
fn databases_of_every_make_are_migrated_or_refused_with_a_reason() {
    let mut trial = Trial::new(
        "makes",
        "databases of every make",
        "databases_of_every_make",
    );
    let makes: Vec<(&str, &str)> = vec![
        ("UTF-16", "PRAGMA encoding = 'UTF-16le';"),
        (
            "UTF-16, the other way round",
            "PRAGMA encoding = 'UTF-16be';",
        ),
        ("pages of 512 bytes", "PRAGMA page_size = 512;"),
        ("pages of 65536 bytes", "PRAGMA page_size = 65536;"),
        ("auto_vacuum full", "PRAGMA auto_vacuum = FULL;"),
        (
            "auto_vacuum incremental",
            "PRAGMA auto_vacuum = INCREMENTAL;",
        ),
        (
            "application_id and user_version",
            "PRAGMA application_id = 252006674; PRAGMA user_version = 2147483647;",
        ),
        ("legacy file format", "PRAGMA legacy_file_format = ON;"),
        ("WAL mode", "PRAGMA journal_mode = WAL;"),
        ("persistent journal", "PRAGMA journal_mode = PERSIST;"),
    ];
    for (name, pragmas) in chosen(makes, 5) {
        let sandbox = Sandbox::new();
        made(&sandbox, pragmas);
        trial.case(name);
        let commands = [
            "run",
            "check",
            "backup",
            "downgrade -1",
            "restore latest --yes",
            "run",
        ];
        trial.commands(&sandbox, &commands, |command, run| {
            (run.code != 0).then(|| format!("{command}: exit {}", run.code))
        });
        let sane = sandbox.query("SELECT count(*) FROM users WHERE username = 'ann'") == ["1"];
        assert!(
            sane && sandbox.query("PRAGMA integrity_check") == ["ok"],
            "{name}"
        );
    }
    trial.finish();
}

/// A database at 003 that was begun with these settings, with a user in it.
fn made(sandbox: &Sandbox, pragmas: &str) {
    fs::write(sandbox.database(), "").unwrap();
    sandbox.sql(&format!(
        "{pragmas} CREATE TABLE first (n); DROP TABLE first;"
    ));
    sandbox.run(&["upgrade", "003"]).expect_code(0);
    sandbox.add_users(&[("ann", "ADMIN")]);
}

#[test]
fn schemas_that_need_the_application_are_refused_or_left_alone() {
    let mut trial = Trial::new(
        "extensions",
        "schemas that need the application's extensions, or are another application's",
        "schemas_that_need_the_application",
    );
    // Written into the schema as an application with the extension would have done it.
    let cases: Vec<(&str, &str)> = vec![
        (
            "a virtual table of an unknown module",
            "INSERT INTO sqlite_schema VALUES ('table', 'geo', 'geo', 0, 'CREATE VIRTUAL TABLE geo USING unknown_module(a)')",
        ),
        (
            "an unknown collation in an index",
            "CREATE TABLE own (t TEXT); INSERT INTO own VALUES ('a'), ('b'); CREATE INDEX ix_own ON own (t COLLATE NOCASE); UPDATE sqlite_schema SET sql = 'CREATE INDEX ix_own ON own (t COLLATE GERMAN)' WHERE name = 'ix_own'",
        ),
        (
            "an unknown collation in a column",
            "CREATE TABLE own (t TEXT COLLATE NOCASE UNIQUE); INSERT INTO own VALUES ('a'), ('b'); UPDATE sqlite_schema SET sql = 'CREATE TABLE own (t TEXT COLLATE GERMAN UNIQUE)' WHERE name = 'own'",
        ),
        (
            "an unknown function in a CHECK",
            "CREATE TABLE own (t TEXT CHECK (lower(t) = t)); INSERT INTO own VALUES ('a'); UPDATE sqlite_schema SET sql = 'CREATE TABLE own (t TEXT CHECK (grmpf(t) = t))' WHERE name = 'own'",
        ),
        (
            "an unknown function in an index",
            "CREATE TABLE own (t TEXT); INSERT INTO own VALUES ('a'); CREATE INDEX ix_own ON own (lower(t)); UPDATE sqlite_schema SET sql = 'CREATE INDEX ix_own ON own (grmpf(t))' WHERE name = 'ix_own'",
        ),
        (
            "an unknown function in a generated column",
            "CREATE TABLE own (t TEXT, g TEXT AS (lower(t)) STORED); INSERT INTO own VALUES ('a'); UPDATE sqlite_schema SET sql = 'CREATE TABLE own (t TEXT, g TEXT AS (grmpf(t)) STORED)' WHERE name = 'own'",
        ),
        (
            "an unknown function in a view",
            "CREATE VIEW own AS SELECT grmpf(username) AS g FROM users",
        ),
        (
            "a view on nothing",
            "CREATE VIEW own AS SELECT * FROM nowhere",
        ),
        (
            "a trigger that fails",
            "CREATE TRIGGER own AFTER UPDATE ON users BEGIN SELECT RAISE(ABORT, 'no changes today'); END",
        ),
        (
            "a schema that is no SQL",
            "CREATE TABLE own (t TEXT); UPDATE sqlite_schema SET sql = 'CREATE TABLE own (((' WHERE name = 'own'",
        ),
        (
            "a root page that is not there",
            "CREATE TABLE own (t TEXT); UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'own'",
        ),
        (
            "two tables on one page",
            "CREATE TABLE own (t TEXT); UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'users') WHERE name = 'own'",
        ),
        (
            "names that need quotes",
            "CREATE TABLE \"a \"\"b' c;--\" (\"d \"\"e\" TEXT, \"\" INTEGER); CREATE INDEX \"i \"\"x\" ON \"a \"\"b' c;--\" (\"d \"\"e\")",
        ),
    ];
    for (name, sql) in chosen(cases, 5) {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ann", "ADMIN")]);
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
        sandbox.sql(&format!("PRAGMA writable_schema = ON; {sql}"));
        let before = fs::read(sandbox.database()).unwrap();
        trial.case(name);
        trial.untouched(&sandbox, &["plan", "check", "current", "doctor", "backup"]);
        trial.commands(&sandbox, &["run"], |_, run| {
            let untouched = fs::read(sandbox.database()).unwrap() == before;
            (untouched == (run.code == 0))
                .then(|| "changed and refused, or the other way round".into())
        });
    }
    let sandbox = Sandbox::new();
    fs::write(sandbox.database(), "").unwrap();
    sandbox.sql("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT); INSERT INTO moz_places (url) VALUES ('x'); PRAGMA user_version = 75");
    trial.case("the database of another application");
    trial.untouched(
        &sandbox,
        &[
            "run",
            "plan",
            "check",
            "current",
            "doctor",
            "backup",
            "stamp head",
        ],
    );
    trial.finish();
}

#[test]
fn what_lies_beside_a_database_is_rolled_back_ignored_or_refused() {
    let mut trial = Trial::new(
        "journals",
        "journals, WAL files and other things beside the database",
        "what_lies_beside_a_database",
    );
    let looks = ["plan", "check", "current", "doctor"];
    let world = World::new();
    // A journal as a killed process leaves it: copied out of a transaction that is rolled back later.
    world.sandbox.sql("CREATE TABLE big (t TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO big SELECT hex(randomblob(200)) FROM n");
    let before = content(&world.path());
    let old = fs::read(world.path()).unwrap();
    let hot = hot(&world.path());
    world.clear();
    copy_tree(&hot, &world.sandbox.path("data"));
    let (database, journal) = (
        fs::read(world.path()).unwrap(),
        world.sandbox.path("data/fastflow.db-journal"),
    );
    let bytes = fs::read(&journal).unwrap();
    assert!(database != old, "the transaction has reached the file");
    trial.case("a hot journal");
    trial.untouched(&world.sandbox, &looks);
    for command in ["backup", "run", "downgrade -1"] {
        world.clear();
        copy_tree(&hot, &world.sandbox.path("data"));
        trial.case(&format!("a hot journal, and {command}"));
        trial.commands(&world.sandbox, &[command], |_, run| {
            let kept = content(&world.path()) == before;
            (run.code != 0 || kept != (command == "backup"))
                .then(|| "not rolled back, or not done".into())
        });
    }
    let set = |database: &[u8], suffix: &str, bytes: &[u8]| {
        world.clear();
        fs::write(world.path(), database).unwrap();
        fs::write(
            world.sandbox.path(&format!("data/fastflow.db{suffix}")),
            bytes,
        )
        .unwrap();
    };
    let all = ["plan", "check", "current", "doctor", "backup"];
    // The name of a super-journal that does not exist: SQLite takes the journal for spent.
    let name = b"/nowhere/super-journal";
    let sum: u32 = name.iter().map(|byte| u32::from(*byte)).sum();
    let tail = [
        &[0, 0, 0, 1][..],
        name,
        &u32::try_from(name.len()).unwrap().to_be_bytes(),
        &sum.to_be_bytes(),
        &bytes[..8],
    ]
    .concat();
    for (what, journal) in [
        ("a spent journal", vec![0; 512]),
        ("a journal of text", b"hello\n".repeat(500)),
        (
            "a journal with the name of another that is gone",
            [&bytes[..], &tail].concat(),
        ),
    ] {
        set(&old, "-journal", &journal);
        trial.case(what);
        trial.unchanged(&world.sandbox, &all);
    }
    world.clear();
    fs::write(world.path(), &old).unwrap();
    fs::create_dir(&journal).unwrap();
    trial.case("a journal that is a folder");
    trial.untouched(&world.sandbox, &["plan", "current", "backup", "run"]);
    for (what, wal) in [
        ("a WAL file of zeros", vec![0; 8192]),
        ("a WAL file of text", b"hello\n".repeat(3000)),
        ("an empty WAL file", Vec::new()),
    ] {
        set(&old, "-wal", &wal);
        trial.case(what);
        trial.unchanged(&world.sandbox, &["current", "doctor", "backup"]);
    }
    // SQLite cannot tell; any application would see the same.
    let wal = wal_of_another();
    trial.case("a WAL file of another database");
    for command in ["plan", "current", "doctor", "backup", "run"] {
        set(&old, "-wal", &wal);
        trial.untouched(&world.sandbox, &[command]);
    }
    trial.finish();
}

/// A folder with a database and its journal as they are in the middle of a large transaction.
fn hot(database: &Path) -> PathBuf {
    let data = database.parent().unwrap();
    let target = data.parent().unwrap().join("hot");
    in_the_middle(
        database,
        "PRAGMA cache_size = 5; BEGIN; UPDATE big SET t = hex(randomblob(200))",
        || copy_tree(data, &target),
    );
    target
}

fn wal_of_another() -> Vec<u8> {
    let sandbox = Sandbox::at("008");
    sandbox.use_wal();
    let mut wal = Vec::new();
    in_the_middle(&sandbox.database(), "CREATE TABLE other (n); BEGIN", || {
        wal = fs::read(sandbox.path("data/fastflow.db-wal")).unwrap();
    });
    wal
}

/// Runs these statements, the last of which leaves a transaction open, and looks before it is rolled back.
fn in_the_middle(database: &Path, sql: &'static str, look: impl FnOnce()) {
    block_on(async {
        let mut connection = connect(database).await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        look();
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}

/// As a user who may not do everything: `setpriv` of util-linux where the tests run as root.
fn as_nobody(sandbox: &Sandbox, args: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(sandbox.path("safestep"))
        .args(args.split(' '))
        .current_dir(sandbox.path(""))
        .env_remove("DATABASE_URL")
        .env_remove("DATA_DIR");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The command, run by somebody who is not root.
fn plainly(sandbox: &Sandbox, args: &str) -> Command {
    if is_root() {
        as_nobody(sandbox, args)
    } else {
        sandbox.command(&args.split(' ').collect::<Vec<_>>())
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_we_may_not_read_or_write_is_said() {
    let mut trial = Trial::new(
        "denied",
        "files and folders that we may not read or write",
        "what_we_may_not_read_or_write",
    );
    let cases: Vec<(&str, &[(&str, u32)])> = vec![
        (
            "a database that may not be read",
            &[("data/fastflow.db", 0)],
        ),
        (
            "a database that may not be written",
            &[("data/fastflow.db", 0o444)],
        ),
        ("a folder that may not be written", &[("data", 0o555)]),
        ("a folder that may not be entered", &[("data", 0o000)]),
        (
            "a folder and a database that may not be written",
            &[("data/fastflow.db", 0o444), ("data", 0o555)],
        ),
        (
            "migrations that may not be read",
            &[("migrations/003_add_user_management_fields.up.sql", 0)],
        ),
        (
            "a folder of migrations that may not be read",
            &[("migrations", 0)],
        ),
        (
            "a folder of backups that may not be written",
            &[("backups", 0o555)],
        ),
        (
            "a folder of backups that may not be entered",
            &[("backups", 0)],
        ),
        (
            "a lock file that may not be written",
            &[("data/.fastflow.db.safestep-lock", 0o444)],
        ),
        (
            "a lock file that may not be read",
            &[("data/.fastflow.db.safestep-lock", 0)],
        ),
        (
            "a configuration file that may not be read",
            &[("safestep.toml", 0)],
        ),
        (
            "an enum map that may not be read",
            &[("migrations/enums.toml", 0)],
        ),
        ("a job record that may not be read", &[("record", 0)]),
        ("an archive that may not be read", &[("archive", 0)]),
    ];
    for (name, modes) in chosen(cases, 5) {
        let sandbox = Sandbox::at("003");
        sandbox.run(&["backup"]).expect_code(0);
        sandbox.run(&["upgrade", "004"]).expect_code(0);
        fs::write(sandbox.path("safestep.toml"), "").unwrap();
        fs::copy(env!("CARGO_BIN_EXE_safestep"), sandbox.path("safestep")).unwrap();
        if is_root() {
            tool("chown", &["-R", "65534:65534", text(&sandbox.path(""))]);
        }
        for (path, bits) in modes {
            let path = match *path {
                "record" => {
                    crate::support::files_ending(&sandbox.backups(), ".job.json")[0].clone()
                }
                "archive" => sandbox.archives().pop().unwrap(),
                path => sandbox.path(path),
            };
            mode(&path, *bits);
        }
        trial.case(name);
        let before = fs::read(sandbox.database()).ok();
        let commands = [
            "plan",
            "check",
            "current",
            "doctor",
            "backups list",
            "backup",
            "restore latest --yes",
            "run",
        ];
        let runs = commands.map(|args| (args, plainly(&sandbox, args)));
        let before = std::cell::RefCell::new(before);
        trial.runs(&sandbox, runs.into(), |_, run| {
            let after = fs::read(sandbox.database()).ok();
            let before = before.replace(after.clone());
            let is_changed = after != before && after.is_some() && before.is_some();
            (is_changed && run.code != 0).then(|| "changed and refused".into())
        });
        for path in ["data", "migrations", "backups"] {
            mode(&sandbox.path(path), 0o755);
        }
    }
    trial.finish();
}

#[test]
fn a_database_of_another_user_is_refused() {
    if !is_root() {
        return assert!(
            fs::metadata("/etc/passwd").is_ok(),
            "files of others are there without root, too: see the other tests"
        );
    }
    let mut trial = Trial::new(
        "owner",
        "a database that belongs to somebody else",
        "a_database_of_another_user",
    );
    let sandbox = Sandbox::at("003");
    sandbox.backup();
    fs::copy(env!("CARGO_BIN_EXE_safestep"), sandbox.path("safestep")).unwrap();
    for path in ["", "data", "migrations", "backups", "backups/fastflow"] {
        mode(&sandbox.path(path), 0o755);
    }
    mode(&sandbox.database(), 0o644);
    chown(sandbox.path("backups"), Some(65534), Some(65534)).unwrap();
    trial.case("root's, and we are nobody");
    let before = fs::read(sandbox.database()).unwrap();
    let runs = [
        "plan",
        "check",
        "current",
        "doctor",
        "backups list",
        "backup",
        "run",
    ];
    let runs = runs.map(|args| (args, as_nobody(&sandbox, args)));
    trial.runs(&sandbox, runs.into(), |_, _| {
        (fs::read(sandbox.database()).unwrap() != before).then(|| "changed".into())
    });
    trial.finish();
}

#[test]
fn a_database_may_have_any_name_and_lie_behind_links() {
    let mut trial = Trial::new(
        "names",
        "odd names of databases, and links to them",
        "a_database_may_have_any_name",
    );
    let good = World::new().good;
    let long = format!("{}.db", "n".repeat(200));
    let names = [
        "with blanks.db",
        "it's \"quoted\".db",
        "a\nb.db",
        "100%.db",
        "50%20.db",
        "what?.db",
        "mode=ro?cache=shared.db",
        "#1.db",
        "file:app.db",
        "-v.db",
        "ünïcödé.db",
        "no-extension",
        ".hidden",
        "semi;colon.db",
        "a&b=c.db",
        "$HOME.db",
        "back\\slash.db",
        "manifest.json",
        long.as_str(),
    ];
    for name in chosen(names, 5) {
        let sandbox = Sandbox::new();
        let path = sandbox.path("data").join(name);
        fs::write(&path, &good).unwrap();
        trial.case(&name.replace('\n', "\\n"));
        let commands = [
            "run",
            "check",
            "downgrade -1",
            "restore latest --yes",
            "doctor",
        ];
        let runs = commands.map(|args| {
            let mut command = sandbox.command(&args.split(' ').collect::<Vec<_>>());
            command.arg("--database").arg(format!("data/{name}"));
            (args, command)
        });
        trial.runs(&sandbox, runs.into(), |args, run| {
            (run.code != 0).then(|| format!("{args}: exit {}", run.code))
        });
        assert_eq!(
            query(&path, "SELECT group_concat(version) FROM _sqlx_migrations"),
            ["0,1,2,3,4,5,6,7,8"],
            "{name}"
        );
        let strangers: Vec<_> = fs::read_dir(sandbox.path("data"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| !n.contains(name))
            .collect();
        assert!(strangers.is_empty(), "{name}: {strangers:?}");
    }
    for (what, name) in [
        ("a name that is not UTF-8", &b"a\xffb.db"[..]),
        ("a name that is too long", &[b'n'; 300][..]),
    ] {
        let sandbox = Sandbox::new();
        trial.case(what);
        let runs = ["run", "plan", "doctor"].map(|args| {
            let mut command = sandbox.command(&[args]);
            command
                .arg("--database")
                .arg(Path::new("data").join(std::ffi::OsStr::from_bytes(name)));
            (args, command)
        });
        trial.runs(&sandbox, runs.into(), |_, _| None);
    }
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("real")).unwrap();
    let real = sandbox.path("real/target.db");
    fs::write(&real, &good).unwrap();
    symlink("../real/target.db", sandbox.database()).unwrap();
    trial.case("a link");
    trial.commands(&sandbox, &["run", "doctor"], |_, _| None);
    assert!(sandbox.path("real/.target.db.safestep-lock").exists());
    assert!(
        fs::symlink_metadata(sandbox.database())
            .unwrap()
            .is_symlink()
    );
    let sandbox = Sandbox::new();
    fs::write(sandbox.database(), &good).unwrap();
    fs::hard_link(sandbox.database(), sandbox.path("second.db")).unwrap();
    trial.case("two names of one file");
    trial.commands(
        &sandbox,
        &["run", "downgrade -1", "restore latest --yes", "doctor"],
        |_, _| None,
    );
    assert!(fs::read(sandbox.path("second.db")).unwrap() == fs::read(sandbox.database()).unwrap());
    let _ = bounded(sandbox.command(&["current"]));
    trial.finish();
}
