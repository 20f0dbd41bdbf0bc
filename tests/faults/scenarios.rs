//! What is killed: each command in each situation that makes it go another way.

use std::fs;

use super::engine::{MISSING, Scenario, Stop, Then, die_at};
use super::support::drill::{Drill, Mode, NON_TRANSACTIONAL};
use super::support::keys::{self, IDENTITY};
use super::support::{Sandbox, block_on, connect, connect_wal};

const ROWS: usize = 40;
/// Fails at its end, when its first statements have done something.
const FAILING: &str =
    "CREATE TABLE half (n INTEGER);\nUPDATE users SET email = 'x';\nSELECT nothing FROM nowhere;\n";

pub fn upgrade(mode: Mode) -> Scenario {
    Scenario::new(
        name(mode, "upgrade"),
        Drill::at("003", mode, ROWS),
        &["run"],
    )
}

pub fn fresh() -> Scenario {
    let sandbox = Sandbox::at("003");
    let it = Drill { sandbox };
    Scenario::new("upgrade of a database without rows", it, &["run"])
}

/// A reader kept its snapshot, so nothing could be checkpointed, until all processes died.
pub fn large_wal() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    let database = it.sandbox.database();
    block_on(async {
        use sqlx::Connection;
        let mut reader = connect(&database).await;
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM users")
            .execute(&mut reader)
            .await
            .unwrap();
        let mut writer = connect_wal(&database).await;
        for round in 0..40 {
            let sql =
                format!("UPDATE pipeline_runs SET log_file = hex(zeroblob(1500)) || '{round}'");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut writer)
                .await
                .unwrap();
        }
        it.save();
        writer.close().await.unwrap();
        reader.close().await.unwrap();
    });
    it.reset();
    let wal = fs::metadata(it.sandbox.path("data/fastflow.db-wal")).unwrap();
    assert!(wal.len() > 3_000_000, "the WAL has {} bytes", wal.len());
    Scenario::new("upgrade, several MB in the WAL", it, &["run"])
}

pub fn failing(mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    it.sandbox.add_migration("009_failing", FAILING);
    Scenario::new(name(mode, "upgrade that fails"), it, &["run"]).failing(5)
}

/// More backups than are kept, some of jobs that failed and have no archive of their own.
pub fn pruning() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    for round in 0..4 {
        it.sandbox
            .sql(&format!("UPDATE users SET email = 'round {round}'"));
        it.sandbox.backup();
    }
    it.sandbox.add_migration("009_failing", FAILING);
    for _ in 0..4 {
        it.sandbox.run(&["run"]).expect_code(5);
    }
    it.sandbox
        .add_migration("009_failing", "CREATE TABLE nine (n INTEGER);\n");
    Scenario::new("upgrade, backups pruned", it, &["run", "--keep-last", "2"])
}

pub fn downgrade(mode: Mode) -> Scenario {
    let it = Drill::at("head", mode, ROWS);
    let name = name(mode, "downgrade");
    Scenario::new(name, it, &["downgrade", "005"])
}

pub fn steps(mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    Scenario::new(name(mode, "plan outside a transaction"), it, &["run"]).in_steps()
}

/// The plan leaves the database in the other journal mode.
pub fn journal_mode(from: Mode) -> Scenario {
    let it = Drill::at("head", from, ROWS);
    let other = if from == Mode::Wal { "DELETE" } else { "WAL" };
    it.sandbox.add_migration(
        "009_journal",
        &format!(
            "-- no-transaction\nUPDATE users SET email = 'before';\nPRAGMA journal_mode = {other};\nUPDATE users SET email = 'after';\nVACUUM;\n"
        ),
    );
    let text = if from == Mode::Wal {
        "plan that leaves WAL mode"
    } else {
        "plan that enters WAL mode"
    };
    Scenario::new(text, it, &["run"]).in_steps()
}

pub fn failing_steps(mode: Mode) -> Scenario {
    let it = Drill::at("head", mode, ROWS);
    let failing = format!("{NON_TRANSACTIONAL}{FAILING}");
    it.sandbox.add_migration("009_in_steps", &failing);
    Scenario::new(
        name(mode, "plan outside a transaction that fails"),
        it,
        &["run"],
    )
    .in_steps()
    .failing(5)
}

const RESTORE: &[&str] = &["restore", "latest", "--yes"];

/// At head, with a backup of 003 and a row that came later. Also what the backup holds.
fn with_a_backup(mode: Mode) -> (Drill, String) {
    let it = Drill::at("003", mode, ROWS);
    let wanted = it.state();
    it.sandbox.run(&["run"]).expect_code(0);
    it.sandbox
        .sql("INSERT INTO pipelines VALUES ('later', 1, NULL, 0, 0, 0, 0)");
    (it, wanted)
}

pub fn restore(mode: Mode) -> Scenario {
    let (it, wanted) = with_a_backup(mode);
    let mut scenario = Scenario::new(name(mode, "restore"), it, RESTORE);
    scenario.kept.push(wanted);
    scenario
}

pub fn restore_then_backup() -> Scenario {
    let (it, wanted) = with_a_backup(Mode::Wal);
    let name = "restore, and then another command";
    let mut scenario = Scenario::new(name, it, RESTORE).then(&["backup"], Then::AsLeft);
    scenario.kept.push(wanted);
    scenario
}

pub fn restore_larger() -> Scenario {
    let it = Drill::at("head", Mode::Delete, 400);
    let wanted = it.state();
    it.sandbox.backup();
    it.sandbox
        .sql("DELETE FROM users; DELETE FROM pipeline_runs; VACUUM");
    let mut scenario = Scenario::new("restore of a larger database", it, RESTORE);
    scenario.kept.push(wanted);
    scenario
}

pub fn restore_page_size(mode: Mode) -> Scenario {
    let it = Drill::at("head", mode, ROWS);
    let wanted = it.state();
    it.sandbox.backup();
    it.sandbox
        .sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; DELETE FROM users");
    if mode == Mode::Wal {
        it.sandbox.use_wal();
    }
    let mut scenario = Scenario::new(name(mode, "restore of another page size"), it, RESTORE)
        .changes_journal_mode();
    scenario.kept.push(wanted);
    scenario
}

pub fn restore_missing() -> Scenario {
    let it = Drill::at("head", Mode::Wal, ROWS);
    let wanted = it.state();
    it.sandbox.backup();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(it.sandbox.path(&format!("data/fastflow.db{suffix}")));
    }
    let mut scenario = Scenario::new("restore of a missing file", it, RESTORE);
    scenario.kept.push(wanted);
    scenario
}

/// Its WAL and journal are of the file that is thrown away.
pub fn restore_damaged() -> Scenario {
    let it = Drill::at("head", Mode::Wal, ROWS);
    let wanted = it.state();
    it.sandbox.backup();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = it.sandbox.path(&format!("data/fastflow.db{suffix}"));
        fs::write(path, format!("no database{suffix}").repeat(1000)).unwrap();
    }
    let mut scenario = Scenario::new("restore over a damaged file", it, RESTORE);
    scenario.kept.push(wanted);
    assert_eq!(scenario.old, MISSING);
    scenario
}

/// A job outside a transaction that was killed between its statements. Also what was there before.
fn halfway(mode: Mode) -> (Drill, String) {
    let it = Drill::at("head", mode, ROWS);
    let old = it.state();
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    let stop = Stop {
        point: "migrate.statement".into(),
        n: 3,
    };
    die_at(&it, &["run"], &stop).unwrap();
    assert_ne!(it.peek(), old);
    (it, old)
}

pub fn restore_halfway() -> Scenario {
    let (it, before) = halfway(Mode::Delete);
    it.reset();
    it.sandbox.backup();
    it.save();
    let stop = Stop {
        point: "migrate.statement".into(),
        n: 3,
    };
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    die_at(&it, &["run"], &stop).unwrap();
    let mut scenario = Scenario::new("restore over a job cut short", it, RESTORE);
    scenario.kept.push(before);
    scenario
}

pub fn recovery(mode: Mode) -> Scenario {
    let (it, before) = halfway(mode);
    let mut scenario = Scenario::new(name(mode, "recovery"), it, &["run"]).in_steps();
    scenario.old.clone_from(&before);
    scenario.kept.push(before);
    scenario
}

/// The next run undoes the job, and has nothing else to do.
pub fn withdrawn() -> Scenario {
    let (it, before) = halfway(Mode::Wal);
    for file in ["009_in_steps.up.sql", "009_in_steps.down.sql"] {
        fs::remove_file(it.sandbox.migrations().join(file)).unwrap();
    }
    let name = "recovery, the migration is gone";
    let mut scenario = Scenario::new(name, it, &["run"]).in_steps();
    scenario.kept.push(before);
    scenario
}

pub fn backup(mode: Mode) -> Scenario {
    let it = Drill::at("head", mode, ROWS);
    let mut scenario = Scenario::new(name(mode, "backup"), it, &["backup"]);
    scenario.kept.push(scenario.old.clone());
    scenario
}

const CREATE: &[&str] = &["run", "--create-if-missing"];

pub fn creation() -> Scenario {
    let it = Drill {
        sandbox: Sandbox::new(),
    };
    Scenario::new("creation of a database", it, CREATE)
}

pub fn creation_in_steps() -> Scenario {
    let it = Drill {
        sandbox: Sandbox::new(),
    };
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    Scenario::new("creation of a database in steps", it, CREATE)
}

/// The database forgets its history and is stamped with it.
pub fn stamp() -> Scenario {
    let it = Drill::at("head", Mode::Delete, ROWS);
    it.sandbox.sql(
        "DROP TABLE _sqlx_migrations; DROP TABLE alembic_version; DROP TABLE _safestep_migrations",
    );
    Scenario::new("stamp", it, &["stamp", "head"])
}

pub fn repair() -> Scenario {
    let it = Drill::at("head", Mode::Wal, ROWS);
    let file = it.sandbox.migrations().join("008_add_google_avatar.up.sql");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}-- a comment\n")).unwrap();
    Scenario::new("repair", it, &["repair", "--yes"])
}

/// The job knows to whom it encrypts, and has no identity.
pub fn encrypted(mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    keys::encrypting(&it.sandbox);
    Scenario::new(name(mode, "upgrade with encrypted backups"), it, &["run"])
}

/// As [`pruning`], where the backups are encrypted.
pub fn encrypted_pruning() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    keys::encrypting(&it.sandbox);
    for round in 0..4 {
        it.sandbox
            .sql(&format!("UPDATE users SET email = 'round {round}'"));
        it.sandbox.backup();
    }
    let name = "upgrade, encrypted backups pruned";
    Scenario::new(name, it, &["run", "--keep-last", "2"])
}

pub fn encrypted_steps() -> Scenario {
    let it = Drill::at("003", Mode::Delete, ROWS);
    keys::encrypting(&it.sandbox);
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    let name = "plan outside a transaction with encrypted backups";
    Scenario::new(name, it, &["run"]).in_steps()
}

pub fn encrypted_restore() -> Scenario {
    let it = Drill::at("003", Mode::Delete, ROWS);
    keys::encrypting(&it.sandbox);
    let wanted = it.state();
    it.sandbox.run(&["run"]).expect_code(0);
    let args = &["restore", "latest", "--yes", "--identity-file", IDENTITY];
    let mut scenario = Scenario::new("restore of an encrypted backup", it, args);
    scenario.kept.push(wanted);
    scenario
}

/// A place off site that is set back with the backups.
fn with_copies(it: &Drill, more: &str) {
    let store = it.sandbox.path("backups/store");
    fs::create_dir_all(&store).unwrap();
    let config = format!("[offsite]\nurl = \"file://{}\"\n{more}", store.display());
    fs::write(it.sandbox.path("safestep.toml"), config).unwrap();
}

/// What is not copied, the next backup copies.
pub fn copied(mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    with_copies(&it, "");
    let name = name(mode, "upgrade with copies off site");
    Scenario::new(name, it, &["run"]).then(&["backup"], Then::AsLeft)
}

pub fn copied_before(mode: Mode) -> Scenario {
    let it = Drill::at("003", mode, ROWS);
    with_copies(&it, "required = true\n");
    let name = name(mode, "upgrade with a required copy");
    Scenario::new(name, it, &["run"])
}

pub fn copied_before_steps() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    with_copies(&it, "required = true\n");
    it.sandbox.add_migration("009_in_steps", NON_TRANSACTIONAL);
    let name = "plan outside a transaction with a required copy";
    Scenario::new(name, it, &["run"]).in_steps()
}

/// Copies are pruned, too.
pub fn copies_pruned() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    with_copies(&it, "keep_last = 2\n");
    for round in 0..3 {
        it.sandbox
            .sql(&format!("UPDATE users SET email = 'round {round}'"));
        it.sandbox.backup();
    }
    it.sandbox.sql("UPDATE users SET email = 'last'");
    let args = &["run", "--keep-last", "2"];
    let next = &["backup", "--keep-last", "2"];
    Scenario::new("upgrade, copies pruned", it, args).then(next, Then::AsLeft)
}

pub fn restore_of_a_copy() -> Scenario {
    let it = Drill::at("003", Mode::Wal, ROWS);
    with_copies(&it, "");
    let wanted = it.state();
    it.sandbox.run(&["run"]).expect_code(0);
    let args = &["restore", "--remote", "latest", "--yes"];
    let mut scenario = Scenario::new("restore of a copy", it, args);
    scenario.kept.push(wanted);
    scenario
}

/// The name of a scenario, with the journal mode.
fn name(mode: Mode, what: &str) -> String {
    let mode = match mode {
        Mode::Delete => "DELETE",
        Mode::Wal => "WAL",
    };
    format!("{what}, {mode}")
}
