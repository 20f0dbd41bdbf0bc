//! `safestep restore`: into the live file, under applications that have it open, and never from a bad archive.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::{Sandbox, block_on, connect, mode_of, query_on, text};

const DATABASE_OF_THE_APPLICATION: &str = "SAFESTEP_TEST_APPLICATION";

/// Not a test: what the other tests start as the application, a process of its own with one connection.
#[test]
fn this_binary_is_also_the_application_that_holds_the_database_open() {
    let Ok(path) = std::env::var(DATABASE_OF_THE_APPLICATION) else {
        return;
    };
    block_on(async {
        let mut connection = connect(Path::new(&path)).await;
        for line in std::io::stdin().lines() {
            let rows = query_on(&mut connection, &line.unwrap()).await;
            println!("\nrows:{}", rows.join(","));
        }
    });
}

/// A process that has the database open.
struct Application {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Application {
    fn start(database: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "this_binary_is_also_the_application_that_holds_the_database_open",
            ])
            .env(DATABASE_OF_THE_APPLICATION, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the application starts");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            stdout,
        }
    }

    /// What it reads, over the connection that it has had open since the start.
    fn ask(&mut self, sql: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{sql}").unwrap();
        for line in (&mut self.stdout).lines() {
            if let Some(rows) = line.unwrap().strip_prefix("rows:") {
                return rows.to_owned();
            }
        }
        panic!("the application ended");
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

const NAMES: &str =
    "SELECT group_concat(username) FROM (SELECT username FROM users ORDER BY username)";

/// At head with two users, a bulky table and a backup of that.
fn backed_up(journal_mode: &str) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::at("head");
    sandbox.add_users(&[("ann", "ADMIN"), ("bob", "WRITE")]);
    sandbox.sql(
        "CREATE TABLE bulk (a INTEGER PRIMARY KEY, b TEXT); \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO bulk SELECT i, hex(zeroblob(60)) || i FROM n",
    );
    sandbox.sql(&format!("PRAGMA journal_mode = {journal_mode}"));
    fs::set_permissions(sandbox.database(), fs::Permissions::from_mode(0o640)).unwrap();
    let archive = sandbox.backup();
    (sandbox, archive)
}

#[track_caller]
fn restores(sandbox: &Sandbox, wanted: &str) -> Value {
    let (code, document) = sandbox.run_json(&["restore", wanted, "--yes"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["outcome"], "restored");
    assert_eq!(
        document["proof"]["live_digest"],
        document["proof"]["snapshot_digest"]
    );
    document
}

/// Changes the database under an application, restores, and looks with its connection and a new one.
fn restored_under_an_application(change: &str) {
    for journal_mode in ["wal", "delete"] {
        let (sandbox, _) = backed_up(journal_mode);
        let before = sandbox.content();
        let inode = fs::metadata(sandbox.database()).unwrap().ino();
        let mut application = Application::start(&sandbox.database());
        assert_eq!(application.ask(NAMES), "ann,bob");
        sandbox.sql(change);
        assert_ne!(application.ask("SELECT count(*), coalesce(min(b), '') FROM sqlite_schema, (SELECT hex(randomblob(1)) AS b)"), "");
        assert_ne!(sandbox.content(), before, "the change is one");

        let document = restores(&sandbox, "latest");

        assert_eq!(document["proof"]["method"], "pages_restored");
        assert_eq!(
            application.ask(NAMES),
            "ann,bob",
            "{journal_mode}: the connection that was open all the while"
        );
        assert_eq!(application.ask("SELECT count(*) FROM bulk"), "2000");
        assert_eq!(application.ask("PRAGMA integrity_check"), "ok");
        assert!(
            sandbox.content() == before,
            "{journal_mode}: a new connection"
        );
        assert_eq!(sandbox.query("PRAGMA journal_mode"), [journal_mode]);
        assert_eq!(
            fs::metadata(sandbox.database()).unwrap().ino(),
            inode,
            "the same file"
        );
        assert_eq!(mode_of(&sandbox.database()), 0o640);
        // And it can go on writing, which everybody sees.
        application.ask("UPDATE users SET username = 'zoe' WHERE username = 'bob' RETURNING id");
        assert_eq!(sandbox.query(NAMES), ["ann,zoe"]);
    }
}

#[test]
fn changed_rows_are_restored_under_an_application() {
    restored_under_an_application(
        "UPDATE users SET username = 'eve-' || username; DELETE FROM bulk WHERE a % 2",
    );
}

#[test]
fn a_database_that_grew_fourfold_is_restored_under_an_application() {
    restored_under_an_application(
        "INSERT INTO bulk (b) SELECT a.b FROM bulk AS a, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)",
    );
}

#[test]
fn a_database_that_shrank_by_vacuum_is_restored_under_an_application() {
    restored_under_an_application("DELETE FROM bulk; VACUUM");
}

#[test]
fn a_dropped_table_is_restored_under_an_application() {
    restored_under_an_application(
        "DROP TABLE sessions; DROP TABLE users; CREATE TABLE users (username)",
    );
}

#[test]
fn a_downgrade_is_undone_by_restore_latest() {
    let (sandbox, _) = backed_up("wal");
    sandbox.add_users(&[("eve", "WRITE")]);
    let before = sandbox.content();
    sandbox.run(&["downgrade", "005"]).expect_code(0);
    restores(&sandbox, "latest");
    assert_eq!(sandbox.current(), "008");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn a_restore_of_what_is_there_already_writes_no_page() {
    let (sandbox, _) = backed_up("delete");
    let bytes = fs::read(sandbox.database()).unwrap();
    let document = restores(&sandbox, "latest");
    assert_eq!(document["proof"]["pages_written"], 0);
    assert!(fs::read(sandbox.database()).unwrap() == bytes);
}

#[test]
fn another_page_size_is_restored_by_copying_back() {
    for journal_mode in ["delete", "wal"] {
        let (sandbox, _) = backed_up(journal_mode);
        let before = sandbox.content();
        sandbox.sql(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; DELETE FROM users",
        );
        sandbox.sql(&format!("PRAGMA journal_mode = {journal_mode}"));
        assert_eq!(sandbox.query("PRAGMA page_size"), ["1024"]);
        let inode = fs::metadata(sandbox.database()).unwrap().ino();
        let document = restores(&sandbox, "latest");
        assert_eq!(document["proof"]["method"], "copied");
        assert_eq!(sandbox.content(), before);
        assert_eq!(sandbox.query("PRAGMA page_size"), ["4096"]);
        assert_eq!(sandbox.query("PRAGMA journal_mode"), [journal_mode]);
        assert_eq!(fs::metadata(sandbox.database()).unwrap().ino(), inode);
        assert_eq!(mode_of(&sandbox.database()), 0o640);
    }
}

#[test]
fn another_page_size_under_an_application_in_wal_mode_is_refused_for_now_and_nothing_changes() {
    let (sandbox, _) = backed_up("wal");
    sandbox.sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; DELETE FROM users; PRAGMA journal_mode = WAL");
    let changed = sandbox.content();
    let mut application = Application::start(&sandbox.database());
    application.ask("SELECT count(*) FROM users");
    let (code, document) =
        sandbox.run_json(&["restore", "latest", "--yes", "--lock-timeout", "300ms"]);
    assert_eq!(code, 75, "{document:#}");
    assert_eq!(sandbox.content(), changed);
    assert_eq!(sandbox.query("PRAGMA journal_mode"), ["wal"]);
    drop(application);
    restores(&sandbox, "latest");
    assert_eq!(sandbox.query(NAMES), ["ann,bob"]);
}

#[test]
fn copying_back_waits_for_a_reader_until_the_deadline_and_changes_nothing() {
    let (sandbox, _) = backed_up("delete");
    sandbox.sql("PRAGMA page_size = 1024; VACUUM; DELETE FROM users");
    let changed = sandbox.content();
    let mut application = Application::start(&sandbox.database());
    application.ask("BEGIN");
    application.ask("SELECT count(*) FROM users");
    let started = std::time::Instant::now();
    let (code, document) =
        sandbox.run_json(&["restore", "latest", "--yes", "--lock-timeout", "2s"]);
    assert_eq!(code, 75, "{document:#}");
    assert!(started.elapsed().as_millis() >= 2000, "{document:#}");
    assert_eq!(sandbox.content(), changed);
    drop(application);
    restores(&sandbox, "latest");
    assert_eq!(sandbox.query(NAMES), ["ann,bob"]);
}

/// Sidecars that belong to another life of the file: replayed, they would bring its rows back.
fn leave_stale_sidecars(sandbox: &Sandbox) {
    let database = sandbox.database();
    let copy = sandbox.path("other.db");
    block_on(async {
        fs::copy(&database, &copy).unwrap();
        let mut connection = support::connect_wal(&copy).await;
        sqlx::query("UPDATE users SET username = 'stale-' || username")
            .execute(&mut connection)
            .await
            .unwrap();
        fs::copy(
            sandbox.path("other.db-wal"),
            sandbox.path("data/fastflow.db-wal"),
        )
        .unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    });
    fs::write(
        sandbox.path("data/fastflow.db-journal"),
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7stale",
    )
    .unwrap();
}

#[test]
fn a_missing_file_is_put_back_without_its_stale_wal_and_journal() {
    let (sandbox, _) = backed_up("delete");
    let before = sandbox.content();
    leave_stale_sidecars(&sandbox);
    fs::remove_file(sandbox.database()).unwrap();
    let document = restores(&sandbox, "latest");
    assert_eq!(document["proof"]["method"], "replaced");
    assert!(!sandbox.path("data/fastflow.db-wal").exists());
    assert!(!sandbox.path("data/fastflow.db-journal").exists());
    assert_eq!(sandbox.content(), before);
    let left: Vec<_> = fs::read_dir(sandbox.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        left.iter()
            .filter(|name| name.to_string_lossy().contains("restore"))
            .count(),
        0,
        "{left:?}"
    );
}

#[test]
fn a_missing_folder_is_made_anew() {
    let (sandbox, _) = backed_up("delete");
    let before = sandbox.content();
    fs::remove_dir_all(sandbox.path("data")).unwrap();
    restores(&sandbox, "latest");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn garbage_is_replaced_and_kept_for_a_person_to_look_at() {
    let (sandbox, _) = backed_up("delete");
    let before = sandbox.content();
    leave_stale_sidecars(&sandbox);
    let garbage = vec![0x55; 20_000];
    fs::write(sandbox.database(), &garbage).unwrap();
    fs::set_permissions(sandbox.database(), fs::Permissions::from_mode(0o640)).unwrap();
    let document = restores(&sandbox, "latest");
    assert_eq!(document["proof"]["method"], "replaced");
    assert_eq!(sandbox.content(), before);
    assert_eq!(mode_of(&sandbox.database()), 0o640);
    let kept = support::files_ending(&sandbox.backups(), ".damaged").remove(0);
    assert!(
        document["warnings"].to_string().contains(text(&kept)),
        "{document:#}"
    );
    assert_eq!(fs::read(kept.join("fastflow.db")).unwrap(), garbage);
    assert!(kept.join("fastflow.db-wal").exists());
    assert_eq!(mode_of(&kept), 0o700);
    sandbox.run(&["run"]).expect_code(0);
}

#[test]
fn a_database_with_a_damaged_schema_page_is_replaced() {
    let (sandbox, _) = backed_up("delete");
    let before = sandbox.content();
    let mut bytes = fs::read(sandbox.database()).unwrap();
    bytes[100..4096].fill(0xee);
    fs::write(sandbox.database(), bytes).unwrap();
    restores(&sandbox, "latest");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn a_database_with_damaged_pages_inside_is_restored() {
    for journal_mode in ["delete", "wal"] {
        let (sandbox, _) = backed_up(journal_mode);
        let before = sandbox.content();
        let mut bytes = fs::read(sandbox.database()).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[4096..20_480].fill(0xee);
        bytes[middle..middle + 8192].fill(0xee);
        fs::write(sandbox.database(), bytes).unwrap();
        sandbox.run(&["downgrade", "-1"]);
        restores(&sandbox, "latest");
        assert_eq!(sandbox.content(), before);
    }
}

#[test]
fn a_truncated_database_is_restored() {
    let (sandbox, _) = backed_up("delete");
    let before = sandbox.content();
    let bytes = fs::read(sandbox.database()).unwrap();
    for length in [bytes.len() / 2, 4096, 4000, 50, 0] {
        fs::write(sandbox.database(), &bytes[..length]).unwrap();
        restores(&sandbox, "latest");
        assert_eq!(sandbox.content(), before, "cut to {length} bytes");
    }
}

#[test]
fn what_is_replaced_is_backed_up_first_and_can_be_put_back_by_its_id() {
    let (sandbox, archive) = backed_up("wal");
    sandbox.sql("UPDATE users SET username = 'eve' WHERE username = 'bob'");
    let changed = sandbox.content();
    let document = restores(&sandbox, "latest");
    let safety = document["backup"]["id"].as_str().unwrap();
    assert_eq!(sandbox.query(NAMES), ["ann,bob"]);
    assert!(archive.exists(), "a restore does not consume its backup");
    assert!(restores(&sandbox, "latest")["error"].is_null());
    assert_eq!(
        sandbox.query(NAMES),
        ["ann,bob"],
        "'latest' is not what the first restore replaced"
    );
    restores(&sandbox, safety);
    assert_eq!(sandbox.content(), changed);
}

#[test]
fn a_restore_with_keep_1_does_not_prune_the_backup_that_it_restored() {
    let (sandbox, archive) = backed_up("delete");
    for named in [
        text(&archive),
        "latest",
        &format!(
            "backups/fastflow/{}",
            archive.file_name().unwrap().to_str().unwrap()
        ),
    ] {
        sandbox.sql("DELETE FROM users");
        sandbox
            .run(&["restore", named, "--yes", "--keep-last", "1"])
            .expect_code(0);
        assert!(archive.exists(), "{named}");
        assert_eq!(sandbox.query(NAMES), ["ann,bob"]);
    }
}

#[test]
fn a_backup_is_named_by_id_by_the_beginning_of_its_name_or_by_path() {
    let (sandbox, first) = backed_up("delete");
    sandbox.sql("DELETE FROM users");
    let second = sandbox.backup();
    let name = first.file_name().unwrap().to_str().unwrap();
    let id = name.trim_end_matches(".tar.gz").rsplit('_').next().unwrap();
    let elsewhere = sandbox.path("copied elsewhere.tar.gz");
    fs::copy(&first, &elsewhere).unwrap();
    for wanted in [
        id,
        &name[..name.len() - 10],
        name,
        text(&first),
        "copied elsewhere.tar.gz",
    ] {
        sandbox.sql("DELETE FROM users");
        restores(&sandbox, wanted);
        assert_eq!(sandbox.query(NAMES), ["ann,bob"], "{wanted}");
    }
    assert!(second.exists() && elsewhere.exists());
}

#[test]
fn a_name_that_fits_no_backup_or_several_is_refused_with_exit_code_7() {
    let (sandbox, _) = backed_up("delete");
    sandbox.sql("DELETE FROM users");
    sandbox.backup();
    let bytes = fs::read(sandbox.database()).unwrap();
    for wanted in ["ffffffffff", "2", "no/such/file.tar.gz", ""] {
        let run = sandbox.run(&["restore", wanted, "--yes"]).expect_code(7);
        assert!(
            run.stderr.contains("safestep backups list"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("The database was not touched"),
            "{}",
            run.stderr
        );
    }
    assert!(fs::read(sandbox.database()).unwrap() == bytes);
    let run = Sandbox::at("003")
        .run(&["restore", "latest", "--yes"])
        .expect_code(7);
    assert!(
        run.stderr.contains("there is no backup 'latest'"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_damaged_archive_in_the_folder_is_refused_by_its_id_and_not_passed_over_as_latest() {
    let (sandbox, first) = backed_up("delete");
    sandbox.sql("DELETE FROM users");
    let second = sandbox.backup();
    let name = second.file_name().unwrap().to_str().unwrap();
    let id = name.trim_end_matches(".tar.gz").rsplit('_').next().unwrap();
    fs::write(&second, b"damaged").unwrap();
    let before = fs::read(sandbox.database()).unwrap();
    for wanted in [id, "latest"] {
        let run = sandbox.run(&["restore", wanted, "--yes"]).expect_code(7);
        assert!(
            run.stderr.contains(id) && run.stderr.contains("cannot be used"),
            "{wanted}: {}",
            run.stderr
        );
    }
    assert!(fs::read(sandbox.database()).unwrap() == before);
    restores(&sandbox, text(&first));
}

#[test]
fn without_yes_and_without_a_terminal_nothing_is_restored() {
    let (sandbox, _) = backed_up("delete");
    sandbox.sql("DELETE FROM users");
    let bytes = fs::read(sandbox.database()).unwrap();
    let run = sandbox.run(&["restore", "latest"]).expect_code(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(fs::read(sandbox.database()).unwrap() == bytes);
}

#[test]
fn on_a_terminal_it_asks_and_only_yes_restores() {
    let (sandbox, _) = backed_up("delete");
    sandbox.sql("DELETE FROM users");
    for (answer, code, names) in [("no\n", 2, ""), ("\n", 2, ""), ("yes\n", 0, "ann,bob")] {
        let Some(run) = sandbox.run_on_a_terminal("restore latest", answer) else {
            return;
        };
        let run = run.expect_code(code);
        assert!(
            run.stdout.contains("backed up first. [yes/no]"),
            "{}",
            run.stdout
        );
        assert_eq!(sandbox.query(NAMES), [names]);
    }
}

#[test]
fn a_folder_in_place_of_the_database_is_refused() {
    let (sandbox, _) = backed_up("delete");
    fs::remove_file(sandbox.database()).unwrap();
    fs::create_dir(sandbox.database()).unwrap();
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(4);
    assert!(sandbox.database().is_dir());
}

#[test]
fn a_file_that_was_lost_comes_back_in_wal_mode_when_it_was_in_wal_mode() {
    let sandbox = Sandbox::at("008");
    sandbox.use_wal();
    sandbox.run(&["backup"]).expect_code(0);
    fs::remove_file(sandbox.database()).unwrap();
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(0);
    assert_eq!(sandbox.query("PRAGMA journal_mode"), ["wal"]);
    assert_eq!(sandbox.current(), "008");
}

/// The snapshot of a job that was stopped while it was archived is newer than every archive.
#[test]
fn latest_is_the_snapshot_of_the_last_job_even_where_it_is_not_archived_yet() {
    let sandbox = Sandbox::at("003");
    sandbox.backup();
    sandbox.add_users(&[("late", "READONLY")]);
    let document = support::run(&sandbox, &["run"]);
    let archive = document["backup"]["path"].as_str().expect("a path");
    let raw = sandbox.unpack(std::path::Path::new(archive), "raw");
    let stem = archive.trim_end_matches(".tar.gz");
    std::fs::copy(raw.join("fastflow.db"), format!("{stem}.snapshot.db")).expect("a raw snapshot");
    std::fs::remove_file(archive).expect("no archive");
    let document = support::run(&sandbox, &["restore", "latest", "--yes"]);
    assert!(stem.ends_with(document["restored"].as_str().expect("an id")));
    assert_eq!(
        sandbox.query("SELECT count(*) FROM users WHERE id = 'late'"),
        ["1"]
    );
    assert_eq!(sandbox.current(), "003");
}

/// The line that begins like that, without its beginning.
fn said<'a>(text: &'a str, beginning: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(beginning));
    line.unwrap_or_else(|| panic!("no line begins with {beginning}: {text}"))
}

#[test]
fn a_command_that_is_printed_means_the_database_of_the_command_line_and_not_the_default_one() {
    let sandbox = Sandbox::at("003");
    let other = sandbox.path("other's.db");
    fs::copy(sandbox.database(), &other).unwrap();
    let named = ["--database", "other's.db", "--backups", "kept"];
    let flags = format!(
        " --database '{}' --backups {}",
        text(&other).replace('\'', r"'\''"),
        text(&sandbox.path("kept"))
    );
    let run = sandbox.run(&[&["run"], &named[..]].concat()).expect_code(0);
    let way_back = said(&run.stdout, "To go back: ");
    assert!(way_back.ends_with(&flags), "{way_back}");
    fs::write(&other, "abc").unwrap();
    let run = sandbox.run(&[&["run"], &named[..]].concat()).expect_code(4);
    let next = said(&run.stderr, "next: ");
    let command = format!("`safestep restore latest{flags}`");
    assert!(next.contains(&command), "{next}");

    let run = sandbox.run(&["run"]).expect_code(0);
    assert!(!run.stdout.contains("--database"), "{}", run.stdout);
}
