//! Guarantee 9: memory is bounded whatever the size of the database.
#![allow(clippy::expect_used)]

mod support;

use std::io::Read;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use support::{Run, Sandbox, full};

/// Of database, in rows of 16 KiB.
const ROWS: u32 = 16 * 1024;
/// What the process may allocate: a quarter of the database, thread stacks included.
const DATA_LIMIT_KIB: u32 = 64 * 1024;
/// What a passphrase takes besides, for a moment.
const PASSPHRASE_KIB: u32 = 16 * 1024;

/// Runs the program with `RLIMIT_DATA` set.
fn run_limited(sandbox: &Sandbox, args: &str) -> Run {
    run_within(sandbox, DATA_LIMIT_KIB, args)
}

fn run_within(sandbox: &Sandbox, limit_kib: u32, args: &str) -> Run {
    let script = format!("ulimit -d {limit_kib}; exec \"$0\" {args}");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_safestep")])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    Run::of(&output)
}

fn large(revision: &str) -> Sandbox {
    with_rows(revision, ROWS)
}

fn with_rows(revision: &str, rows: u32) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    sandbox.sql(&format!(
        "CREATE TABLE bulk (id INTEGER PRIMARY KEY, content BLOB); \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         INSERT INTO bulk SELECT i, zeroblob(16000) FROM n;"
    ));
    sandbox
}

#[test]
fn a_job_and_a_restore_need_far_less_memory_than_the_database_is_large() {
    let sandbox = large("003");
    let size = std::fs::metadata(sandbox.database())
        .expect("database")
        .len();
    assert!(size > 4 * 1024 * u64::from(DATA_LIMIT_KIB), "{size}");
    run_limited(&sandbox, "run").expect_code(0);
    assert_eq!(sandbox.current(), "008");
    sandbox.sql("UPDATE bulk SET content = zeroblob(15000)");
    run_limited(&sandbox, "restore latest --yes").expect_code(0);
    assert_eq!(sandbox.current(), "003");
    assert_eq!(
        sandbox.query("SELECT DISTINCT length(content) FROM bulk"),
        ["16000"]
    );
}

/// Twice what the process may allocate; in the full run 40 times.
#[test]
fn every_kind_of_archive_is_made_and_restored_in_the_same_memory() {
    let rows = if full() { 10 * ROWS } else { ROWS / 2 };
    let sandbox = with_rows("008", rows);
    for kind in ["gzip:9", "zstd:9", "none"] {
        let backup = format!("backup --compression {kind}");
        run_limited(&sandbox, &backup).expect_code(0);
        sandbox.sql("UPDATE bulk SET content = zeroblob(15000) WHERE id = 1");
        run_limited(&sandbox, "restore latest --yes").expect_code(0);
        assert_eq!(
            sandbox.query("SELECT DISTINCT length(content) FROM bulk"),
            ["16000"],
            "{kind}"
        );
        std::fs::remove_dir_all(sandbox.path("backups")).expect("backups");
    }
}

#[test]
fn encrypted_backups_are_made_and_restored_in_the_same_memory_and_what_a_passphrase_takes() {
    let sandbox = large("003");
    let recipients = support::keys::encrypting(&sandbox);
    std::fs::remove_file(sandbox.path("safestep.toml")).expect("not this time");
    std::fs::write(sandbox.path("pass.txt"), "secret").expect("passphrase");
    let key = support::text(&recipients);
    let to_recipients = format!("--recipients-file recipients.txt --identity-file {key}");
    let with_passphrase = "--passphrase-file pass.txt";
    for (keys, limit_kib) in [
        (with_passphrase, DATA_LIMIT_KIB + PASSPHRASE_KIB),
        (&to_recipients, DATA_LIMIT_KIB),
    ] {
        for command in ["run", "backups verify latest", "restore latest --yes"] {
            run_within(&sandbox, limit_kib, &format!("{command} {keys}")).expect_code(0);
        }
        assert_eq!(sandbox.current(), "003");
    }
}

#[test]
fn a_migration_that_rewrites_everything_and_fails_is_undone_in_little_memory() {
    for mode in ["delete", "wal"] {
        let sandbox = large("008");
        sandbox.query(&format!("PRAGMA journal_mode = {mode}"));
        sandbox.add_migration(
            "009_rewrite",
            "UPDATE bulk SET content = zeroblob(15999);\nSELECT nonsense;\n",
        );
        run_limited(&sandbox, "run").expect_code(5);
        assert_eq!(
            sandbox.query("SELECT DISTINCT length(content) FROM bulk"),
            ["16000"]
        );
    }
}

#[test]
fn an_archive_whose_member_has_an_endless_name_is_refused_in_little_memory() {
    let sandbox = Sandbox::at("008");
    let path = sandbox.path("endless.tar.gz");
    let file = std::fs::File::create(&path).expect("archive");
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    let name_bytes = 4 * 1024 * u64::from(DATA_LIMIT_KIB);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(name_bytes);
    header.set_cksum();
    tar.append(&header, std::io::repeat(b'x').take(name_bytes))
        .expect("entry");
    tar.into_inner().expect("tar").finish().expect("gzip");
    let run = run_limited(&sandbox, "restore endless.tar.gz --yes").expect_code(7);
    assert!(run.stderr.contains("endless.tar.gz"), "{}", run.stderr);
}
