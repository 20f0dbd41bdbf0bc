//! Backups that can be trusted: read with the system's own tools, private, kept and pruned as promised.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use support::{
    Run, Sandbox, block_on, connect_wal, content, files_ending, mode_of, query_on, text, tool,
};

fn manifest(archive: &Path) -> Value {
    serde_json::from_str(&tool("tar", &["-xOzf", text(archive), "manifest.json"]))
        .expect("manifest")
}

#[test]
fn tar_and_sha256sum_confirm_what_the_manifest_says() {
    let sandbox = Sandbox::at("003");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let archive = sandbox.backup();
    assert_eq!(
        tool("tar", &["-tzf", text(&archive)]),
        "manifest.json\nfastflow.db\n"
    );
    let script = "tar xOzf \"$0\" fastflow.db | sha256sum";
    let sum = tool("sh", &["-c", script, text(&archive)]);
    let manifest = manifest(&archive);
    assert_eq!(sum.split_whitespace().next(), manifest["sha256"].as_str());
    assert_eq!(manifest["format_version"], 1);
    assert_eq!(manifest["from"], "003");
    assert_eq!(
        manifest["source"],
        text(&fs::canonicalize(sandbox.database()).unwrap())
    );
    assert_eq!(manifest["rows"]["users"], 1);
    assert_eq!(manifest["rows"]["sessions"], 0);
    let size = manifest["page_size"].as_u64().unwrap() * manifest["page_count"].as_u64().unwrap();
    assert_eq!(manifest["size_bytes"], size);
    let name = archive.file_name().unwrap().to_str().unwrap();
    assert!(
        name.ends_with(&format!(
            "_003-003_{}.tar.gz",
            manifest["id"].as_str().unwrap()
        )),
        "{name}"
    );
}

#[test]
fn the_unpacked_database_opens_read_only_in_a_read_only_folder_and_leaves_no_trace() {
    for wal in [false, true] {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ann", "ADMIN")]);
        if wal {
            sandbox.use_wal();
        }
        let archive = sandbox.backup();
        assert_eq!(
            manifest(&archive)["journal_mode"],
            if wal { "wal" } else { "delete" }
        );
        let folder = sandbox.unpack(&archive, "unpacked");
        let database = folder.join("fastflow.db");
        let read_only = |path: &Path, mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        read_only(&database, 0o400);
        read_only(&folder, 0o500);
        let names = block_on(async {
            let options = SqliteConnectOptions::new()
                .filename(&database)
                .read_only(true);
            let mut connection = options.connect().await.expect("opens");
            let names = query_on(&mut connection, "SELECT username FROM users").await;
            assert_eq!(
                query_on(&mut connection, "PRAGMA integrity_check").await,
                ["ok"]
            );
            connection.close().await.unwrap();
            names
        });
        assert_eq!(names, ["ann"]);
        // The shell of the distribution, an older SQLite, where there is one.
        if let Ok(output) = Command::new("sqlite3")
            .args(["-readonly", text(&database), "SELECT username FROM users"])
            .output()
        {
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ann");
        }
        let left: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
        read_only(&folder, 0o700);
    }
}

#[test]
fn backups_are_private_whatever_the_umask() {
    let sandbox = Sandbox::at("003");
    let run_open = |args: &[&str]| {
        let output = Command::new("sh")
            .args([
                "-c",
                "umask 000; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_safestep"),
            ])
            .args(args)
            .current_dir(sandbox.path("."))
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .output()
            .expect("sh");
        Run::of(&output).expect_code(0);
    };
    run_open(&["backup"]);
    run_open(&["run"]);
    run_open(&["restore", "latest", "--yes"]);
    assert_eq!(mode_of(&sandbox.path("backups")), 0o700);
    assert_eq!(mode_of(&sandbox.backups()), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(sandbox.backups()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode_of(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 5, "archives and records: {seen}");
    assert_eq!(mode_of(&sandbox.path("backups/logs")), 0o700);
    assert_eq!(
        tool("tar", &["-tvzf", text(&sandbox.archives()[0])])
            .matches("-rw-------")
            .count(),
        2
    );
}

#[test]
fn an_existing_folder_that_others_can_read_becomes_private_and_a_public_database_does_not_make_a_public_backup()
 {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::at("003");
    fs::create_dir_all(sandbox.backups()).unwrap();
    fs::set_permissions(sandbox.backups(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(sandbox.database(), fs::Permissions::from_mode(0o644)).unwrap();
    let archive = sandbox.backup();
    assert_eq!(mode_of(&sandbox.backups()), 0o700);
    assert_eq!(mode_of(&archive), 0o600);
}

#[test]
fn a_backup_of_a_live_wal_database_holds_what_is_only_in_the_wal() {
    let sandbox = Sandbox::at("003");
    block_on(async {
        let mut application = connect_wal(&sandbox.database()).await;
        let insert = "INSERT INTO users (id, username, password_hash, created_at) VALUES ('w', 'only-in-the-wal', 'x', '2026')";
        sqlx::query(insert).execute(&mut application).await.unwrap();
        let main = fs::read(sandbox.database()).unwrap();
        assert!(
            !main.windows(15).any(|bytes| bytes == b"only-in-the-wal"),
            "the row is not in the file yet"
        );
        let folder = sandbox.unpack(&sandbox.backup(), "unpacked");
        let copy = tokio::task::block_in_place(|| content(&folder.join("fastflow.db")));
        assert!(copy.contains("only-in-the-wal"));
        // The application goes on, and its next row is not in that backup.
        sqlx::query("DELETE FROM users")
            .execute(&mut application)
            .await
            .unwrap();
        application.close().await.unwrap();
    });
}

#[test]
fn a_backup_does_not_wait_for_a_writer_in_wal_mode_and_holds_only_what_is_committed() {
    let sandbox = Sandbox::at("003");
    block_on(async {
        let mut application = connect_wal(&sandbox.database()).await;
        let mut transaction = application.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let insert = "INSERT INTO users (id, username, password_hash, created_at) VALUES ('w', 'not-yet', 'x', '2026')";
        sqlx::query(insert)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let folder = sandbox.unpack(&sandbox.backup(), "unpacked");
        transaction.commit().await.unwrap();
        let copy = tokio::task::block_in_place(|| content(&folder.join("fastflow.db")));
        assert!(!copy.contains("not-yet"));
        application.close().await.unwrap();
    });
}

#[test]
fn a_backup_touches_neither_the_bytes_nor_the_time_of_the_database() {
    let sandbox = Sandbox::at("003");
    let before = (
        fs::read(sandbox.database()).unwrap(),
        fs::metadata(sandbox.database())
            .unwrap()
            .modified()
            .unwrap(),
    );
    sandbox.backup();
    let after = (
        fs::read(sandbox.database()).unwrap(),
        fs::metadata(sandbox.database())
            .unwrap()
            .modified()
            .unwrap(),
    );
    assert!(before == after);
}

#[test]
fn a_second_backup_of_the_same_content_names_the_first() {
    let sandbox = Sandbox::at("003");
    let first = sandbox.backup();
    let (_, document) = sandbox.run_json(&["backup"]);
    assert_eq!(document["outcome"], "backed_up");
    assert_eq!(document["backup"]["path"], text(&first));
    assert_eq!(document["backup"]["reused"], true);
    assert_eq!(sandbox.archives(), [first]);
}

/// `latest` passes over what restores replaced, and goes by age.
#[test]
fn latest_brings_back_what_was_backed_up_last_also_where_an_older_backup_holds_the_same() {
    let sandbox = Sandbox::at("008");
    sandbox.sql("CREATE TABLE state (of); INSERT INTO state VALUES ('old')");
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.sql("UPDATE state SET of = 'new'");
    let restored = support::run(&sandbox, &["restore", "latest", "--yes"]);
    let replaced = restored["backup"]["id"].as_str().unwrap().to_owned();
    for (wanted, state) in [(replaced.as_str(), "new"), ("latest", "new")] {
        sandbox.run(&["restore", wanted, "--yes"]).expect_code(0);
        assert_eq!(sandbox.query("SELECT of FROM state"), [state], "{wanted}");
        sandbox.run(&["backup"]).expect_code(0);
        sandbox.sql("UPDATE state SET of = 'damaged'");
    }
    sandbox.sql("UPDATE state SET of = 'newest'");
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.run(&["restore", &replaced, "--yes"]).expect_code(0);
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.sql("UPDATE state SET of = 'damaged'");
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(0);
    assert_eq!(sandbox.query("SELECT of FROM state"), ["new"]);
}

#[test]
fn a_damaged_twin_is_not_taken_for_a_backup() {
    let sandbox = Sandbox::at("003");
    let first = sandbox.backup();
    let mut bytes = fs::read(&first).unwrap();
    let end = bytes.len() - 100;
    bytes[end] ^= 0xff;
    fs::write(&first, bytes).unwrap();
    let (_, document) = sandbox.run_json(&["backup"]);
    assert_eq!(document["backup"]["reused"], false, "{document:#}");
    assert_ne!(document["backup"]["path"], text(&first));
}

/// Takes backups of ever new content in quick succession; returns their paths in order.
fn backups_of_new_content(
    sandbox: &Sandbox,
    count: usize,
    args: &[&str],
) -> Vec<std::path::PathBuf> {
    (0..count)
        .map(|index| {
            sandbox.add_users(&[(&format!("user{index}"), "WRITE")]);
            let mut all = vec!["backup"];
            all.extend(args);
            let (code, document) = sandbox.run_json(&all);
            assert_eq!(code, 0, "{document:#}");
            document["backup"]["path"].as_str().unwrap().into()
        })
        .collect()
}

#[test]
fn backups_are_never_overwritten_even_many_in_one_second() {
    let sandbox = Sandbox::at("003");
    let first = sandbox.backup();
    let bytes = fs::read(&first).unwrap();
    let mut paths = backups_of_new_content(&sandbox, 8, &[]);
    paths.insert(0, first.clone());
    assert_eq!(
        sandbox.archives(),
        paths,
        "the names sort in the order of time"
    );
    assert_eq!(fs::read(&first).unwrap(), bytes);
}

#[test]
fn retention_keeps_the_newest() {
    let sandbox = Sandbox::at("003");
    let paths = backups_of_new_content(&sandbox, 6, &["--keep-last", "3"]);
    assert_eq!(sandbox.archives(), paths[3..]);
}

#[test]
fn retention_of_one_keeps_the_backup_that_was_just_made() {
    let sandbox = Sandbox::at("003");
    for _ in 0..4 {
        let paths = backups_of_new_content(&sandbox, 1, &["--keep-last", "1"]);
        assert_eq!(sandbox.archives(), paths);
        sandbox.sql("DELETE FROM users");
    }
}

#[test]
fn retention_keeps_ten_unless_told_otherwise_and_never_none() {
    let sandbox = Sandbox::at("003");
    let paths = backups_of_new_content(&sandbox, 12, &[]);
    assert_eq!(sandbox.archives(), paths[2..]);
    for wrong in ["0", "-2", "many"] {
        let run = sandbox
            .run(&["backup", &format!("--keep-last={wrong}")])
            .expect_code(2);
        assert!(
            run.stderr.contains("--keep-last: ") && run.stderr.contains("next: Give "),
            "{}",
            run.stderr
        );
    }
    assert_eq!(sandbox.archives().len(), 10);
}

#[test]
fn a_migration_prunes_too_and_keeps_its_own_backup() {
    let sandbox = Sandbox::at("003");
    backups_of_new_content(&sandbox, 3, &[]);
    let (code, document) = sandbox.run_json(&["run", "--keep-last", "1"]);
    assert_eq!(code, 0);
    let archives = sandbox.archives();
    assert_eq!(archives.len(), 1);
    assert_eq!(document["backup"]["path"], text(&archives[0]));
    assert_eq!(
        files_ending(&sandbox.backups(), ".job.json").len(),
        1,
        "records go with their archives"
    );
}

#[test]
fn a_backup_settles_what_a_job_left_before_it_prunes() {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["run"]).expect_code(0);
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let archive = sandbox.archives().remove(0);
    let mut job: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    job["outcome"] = Value::Null;
    fs::write(&record, job.to_string()).unwrap();
    sandbox.add_users(&[("zoe", "WRITE")]);
    sandbox.run(&["backup"]).expect_code(0);
    let job: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert_eq!(job["outcome"]["outcome"], "completed", "{job:#}");
    backups_of_new_content(&sandbox, 3, &["--keep-last", "1"]);
    assert!(!record.exists() && !archive.exists(), "it is settled now");
}

#[test]
fn a_damaged_database_is_not_backed_up_and_pushes_no_good_backup_out() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    sandbox.run(&["backup"]).expect_code(0);
    let good = sandbox.archives();
    let mut bytes = fs::read(sandbox.database()).unwrap();
    let size = bytes.len();
    bytes[size - 8192..size - 4096].fill(0xA5);
    fs::write(sandbox.database(), bytes).unwrap();
    for _ in 0..3 {
        let run = sandbox.run(&["backup", "--keep-last", "1"]).expect_code(4);
        assert!(run.stderr.contains("is damaged"), "{}", run.stderr);
    }
    assert_eq!(sandbox.archives(), good);
    sandbox
        .run(&["restore", "latest", "--yes", "--keep-last", "1"])
        .expect_code(0);
    assert_eq!(sandbox.query("PRAGMA integrity_check"), ["ok"]);
    assert!(
        good[0].exists(),
        "the copy of the damaged one did not push it out"
    );
}

#[test]
fn latest_says_of_which_databases_the_backups_are_when_none_is_of_this_one() {
    let sandbox = Sandbox::at("008");
    sandbox.run(&["backup"]).expect_code(0);
    fs::create_dir(sandbox.path("vol")).unwrap();
    fs::rename(sandbox.database(), sandbox.path("vol/fastflow.db")).unwrap();
    let database = ["--database", "vol/fastflow.db"];
    let run = sandbox
        .run(&["restore", "latest", "--yes", database[0], database[1]])
        .expect_code(7);
    assert!(run.stderr.contains("data/fastflow.db"), "{}", run.stderr);
    let archives = sandbox.archives();
    let name = support::text(&archives[0]);
    let (code, document) = sandbox.run_json(&["restore", name, "--yes", database[0], database[1]]);
    assert_eq!(code, 0, "{document:#}");
    let warning = document["warnings"][0]["message"].as_str().unwrap();
    assert!(warning.contains("data/fastflow.db"), "{warning}");
}

#[test]
fn latest_is_never_a_copy_of_an_empty_file() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.database(), "").unwrap();
    sandbox.run(&["run", "--create-if-missing"]).expect_code(0);
    assert_eq!(sandbox.current(), "008");
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(7);
    assert_eq!(sandbox.current(), "008");
}

#[test]
fn two_databases_of_one_name_do_not_prune_or_restore_each_other() {
    let sandbox = Sandbox::at("003");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let first = sandbox.backup();
    fs::create_dir(sandbox.path("other")).unwrap();
    sandbox
        .run(&[
            "upgrade",
            "003",
            "--create-if-missing",
            "-d",
            "other/fastflow.db",
        ])
        .expect_code(0);
    for _ in 0..3 {
        sandbox
            .run(&["backup", "-d", "other/fastflow.db", "--keep-last", "1"])
            .expect_code(0);
        support::query(&sandbox.path("other/fastflow.db"), "DELETE FROM users");
    }
    assert!(
        first.exists(),
        "retention of the other database took this one's only backup"
    );
}

#[test]
fn the_list_and_one_backup_are_shown_to_people_and_machines() {
    let sandbox = Sandbox::at("003");
    let none = sandbox.run(&["backups", "list"]).expect_code(0);
    assert!(
        none.stdout.contains("There are no backups in"),
        "{}",
        none.stdout
    );
    sandbox.run(&["backups", "show"]).expect_code(7);
    let manual = sandbox.backup();
    sandbox.run(&["run"]).expect_code(0);
    sandbox.add_users(&[("bob", "WRITE")]);
    sandbox.run(&["downgrade", "005"]).expect_code(0);

    let human = sandbox.run(&["backups", "list"]).expect_code(0).stdout;
    let (_, list) = sandbox.run_json(&["backups", "list"]);
    let backups = list["backups"].as_array().unwrap();
    assert_eq!(
        backups.len(),
        2,
        "the first migration found the backup by hand of the same content: {list:#}"
    );
    assert_eq!(list["unusable"], serde_json::json!([]));
    assert_eq!(backups[0]["path"], text(&manual));
    assert_eq!(backups[1]["manifest"]["from"], "008");
    for backup in backups {
        assert!(
            human.contains(backup["manifest"]["id"].as_str().unwrap()),
            "{human}"
        );
    }
    assert!(
        human.contains("by hand") && human.contains("migration to 005"),
        "{human}"
    );

    let id = backups[0]["manifest"]["id"].as_str().unwrap();
    let (code, shown) = sandbox.run_json(&["backups", "show", id]);
    assert_eq!(code, 0);
    assert_eq!(shown["backup"], backups[0]);
    let shown = sandbox.run(&["backups", "show", id]).expect_code(0).stdout;
    for part in [
        id,
        text(&manual),
        "003",
        "tar xOzf",
        &format!("safestep restore {id}"),
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let unpack = shown
        .lines()
        .find(|line| line.starts_with("unpack"))
        .unwrap()
        .trim_start_matches("unpack")
        .trim();
    let command = unpack.replace("copy.db", text(&sandbox.path("copy.db")));
    tool("sh", &["-c", &command]);
    assert!(
        content(&sandbox.path("copy.db")).contains("users"),
        "the printed command works"
    );
}

#[test]
fn a_damaged_archive_is_listed_as_unusable_and_does_not_break_the_list() {
    let sandbox = Sandbox::at("003");
    let good = sandbox.backup();
    let folder = sandbox.backups();
    fs::write(
        folder.join("20260101T000000Z_000-001_aaaaaaaa.tar.gz"),
        b"no gzip at all",
    )
    .unwrap();
    fs::write(folder.join("20260102T000000Z_000-001_bbbbbbbb.tar.gz"), b"").unwrap();
    let bytes = fs::read(&good).unwrap();
    fs::write(
        folder.join("20260103T000000Z_000-001_cccccccc.tar.gz"),
        &bytes[..50],
    )
    .unwrap();
    let (code, list) = sandbox.run_json(&["backups", "list"]);
    assert_eq!(code, 0);
    assert_eq!(list["backups"].as_array().unwrap().len(), 1);
    let unusable = list["unusable"].as_array().unwrap();
    assert_eq!(unusable.len(), 3, "{list:#}");
    for (line, id) in unusable.iter().zip(["aaaaaaaa", "bbbbbbbb", "cccccccc"]) {
        assert!(line.as_str().unwrap().contains(id), "{line}");
    }
    let human = sandbox.run(&["backups", "list"]).expect_code(0).stdout;
    assert_eq!(human.matches("UNUSABLE").count(), 3, "{human}");
    // Pruning leaves them to a person.
    backups_of_new_content(&sandbox, 2, &["--keep-last", "1"]);
    assert_eq!(sandbox.archives().len(), 4);
}

#[test]
fn a_database_at_no_known_revision_can_still_be_backed_up() {
    let sandbox = Sandbox::at("003");
    sandbox.sql("UPDATE alembic_version SET version_num = 'from_the_future'");
    let archive = sandbox.backup();
    assert_eq!(manifest(&archive)["from"], "unknown");
    let without = sandbox
        .run(&["backup", "--migrations", "nowhere"])
        .expect_code(0);
    assert!(
        without.stdout.contains("already there"),
        "{}",
        without.stdout
    );
}

#[test]
fn a_database_with_a_name_too_long_for_a_tar_header_is_backed_up_and_restored() {
    let sandbox = Sandbox::new();
    let database = format!("data/{}.db", "long_".repeat(30));
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--database", &database]);
        sandbox.run(&all).expect_code(0);
    };
    run(&["upgrade", "003", "--create-if-missing"]);
    run(&["run"]);
    run(&["restore", "latest", "--yes"]);
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    assert_eq!(support::query(&sandbox.path(&database), sql), ["3"]);
}
