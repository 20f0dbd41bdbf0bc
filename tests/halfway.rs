//! A job outside a transaction that was killed halfway, and everything that a person may type before the next run.
#![allow(clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use support::{Run, Sandbox, block_on, connect, files_ending, send, wait_until};

const ENDLESS: &str = "-- no-transaction\nCREATE TABLE half (a);\nDELETE FROM pipelines;\nCREATE TABLE third_statement (a);\n\
    INSERT INTO half WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0;\n";

/// A database whose job was killed when its first two statements were committed. Also what it held before.
fn killed_halfway() -> (Sandbox, String) {
    let sandbox = Sandbox::at("head");
    sandbox.sql(
        "INSERT INTO pipelines (pipeline_name, has_requirements, total_runs, successful_runs, failed_runs, webhook_runs) \
         VALUES ('etl', 1, 2, 1, 1, 0)",
    );
    let before = sandbox.content();
    sandbox.add_migration("009_halfway", ENDLESS);
    let job = sandbox.spawn(&["run"]);
    wait_until("two statements to be committed", || {
        // The third one can be seen in the file when the two before it are committed.
        let bytes = fs::read(sandbox.database()).expect("database");
        bytes.windows(15).any(|window| window == b"third_statement")
    });
    send(&job, Signal::KILL);
    job.wait_with_output().expect("it ends");
    assert_ne!(sandbox.content(), before, "the database is halfway");
    (sandbox, before)
}

fn withdraw_the_migration(sandbox: &Sandbox) {
    for file in ["009_halfway.up.sql", "009_halfway.down.sql"] {
        fs::remove_file(sandbox.migrations().join(file)).expect("the file");
    }
}

#[test]
fn a_backup_is_never_of_a_state_halfway() {
    let (sandbox, before) = killed_halfway();
    let (code, document) = sandbox.run_json(&["backup"]);
    assert_eq!(code, 0, "{document:#}");
    // A second line says that its snapshot was archived, where the kill came before that.
    let line = document["recovered"][0].as_str().expect("a line");
    assert!(line.contains("its snapshot was put back"), "{line}");
    assert!(sandbox.content() == before, "it was put right first");
    sandbox.run(&["restore", "latest", "--yes"]).expect_code(0);
    assert!(sandbox.content() == before);
}

#[test]
fn it_is_put_right_however_low_the_ceiling_of_the_backups_is() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    let (code, document) = sandbox.run_json(&["run", "--max-total", "1"]);
    assert_eq!(code, 0, "{document:#}");
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("restored all the same"), "{warnings}");
    assert!(sandbox.content() == before);
}

#[test]
fn a_run_that_cannot_put_it_right_yet_says_that_the_database_is_halfway() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    block_on(async {
        let mut holder = connect(&sandbox.database()).await;
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut holder)
            .await
            .expect("the lock");
        let run = sandbox
            .run(&["run", "--lock-timeout", "300ms"])
            .expect_code(75);
        assert!(run.stderr.contains("BETWEEN 008 and 009"), "{}", run.stderr);
        assert!(!run.stderr.contains("is unchanged"), "{}", run.stderr);
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut holder)
            .await
            .expect("rollback");
    });
    sandbox.run(&["run"]).expect_code(0);
    assert!(sandbox.content() == before);
}

#[test]
fn doctor_calls_it_bad_and_the_next_run_names_the_backup_of_what_was_there() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    let run = sandbox.run(&["doctor"]).expect_code(4);
    assert!(run.stdout.contains("BAD  jobs"), "{}", run.stdout);
    assert!(run.stdout.contains("between 008 and 009"), "{}", run.stdout);
    let (code, document) = sandbox.run_json(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    let line = document["recovered"][0].as_str().expect("a line");
    let archives = files_ending(&sandbox.backups(), ".tar.gz");
    let kept = archives
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .find(|name| name.contains("-restore_"))
        .expect("a backup of what was there");
    let id = kept
        .trim_end_matches(".tar.gz")
        .rsplit('_')
        .next()
        .expect("an id");
    assert!(line.contains(&format!("is backup {id}")), "{line}");
    assert!(sandbox.content() == before);
}

/// They build schemas in memory from the files, and a file may take its time there, too.
#[test]
fn a_signal_ends_the_commands_that_only_look_in_the_midst_of_a_file() {
    for args in [&["doctor"][..], &["check"], &["plan"]] {
        let sandbox = Sandbox::at("head");
        let endless = "CREATE TABLE counted AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n";
        sandbox.add_migration("009_endless", endless);
        let mut command = sandbox.spawn(args);
        wait_until("the command to be busy with it", || {
            assert!(
                command.try_wait().expect("wait").is_none(),
                "{args:?} ended"
            );
            let stat = fs::read_to_string(format!("/proc/{}/stat", command.id())).expect("stat");
            // The time that it has computed, in hundredths of a second (proc_pid_stat(5), utime).
            let fields = stat.rsplit(')').next().expect("fields");
            let time = fields.split_whitespace().nth(11).expect("utime");
            time.parse::<u64>().expect("a number") > 50
        });
        send(&command, Signal::TERM);
        let output = command.wait_with_output().expect("it ends");
        Run::of(&output).expect_code(143);
    }
}

#[test]
fn every_command_that_looks_says_that_it_is_halfway_and_what_to_do() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    for args in [
        &["plan"][..],
        &["check"],
        &["current"],
        &["current", "--check-heads"],
        &["history"],
        &["upgrade", "head", "--sql"],
        &["repair", "--yes"],
        &["doctor"],
    ] {
        let run = sandbox.run(args).expect_code(4);
        let words = format!("{}{}", run.stdout, run.stderr);
        assert!(
            words.contains("is between 008 and 009"),
            "{args:?}: {words}"
        );
        assert!(words.contains("`safestep run` puts it right"), "{words}");
        assert!(!words.contains("stamp"), "{words}");
    }
    sandbox.run(&["run"]).expect_code(0);
    assert!(sandbox.content() == before);
    sandbox.run(&["check"]).expect_code(0);
}

/// Flips one bit in the middle of the raw snapshot that the job has left.
fn damage_the_snapshot(sandbox: &Sandbox) {
    let path = files_ending(&sandbox.backups(), ".snapshot.db").remove(0);
    let mut bytes = fs::read(&path).expect("snapshot");
    let at = bytes
        .windows(3)
        .position(|window| window == b"etl")
        .expect("the row");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("snapshot");
}

/// Removes the archive that the job had made beside the migration, if it came that far.
fn remove_the_archives(sandbox: &Sandbox) {
    for archive in sandbox.archives() {
        fs::remove_file(archive).expect("archive");
    }
}

#[test]
fn a_snapshot_that_was_damaged_since_is_not_put_back_and_the_backup_of_it_is() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    // As a job leaves it whose archive was finished before it was killed.
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let text = fs::read_to_string(&record).expect("record");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    remove_the_archives(&sandbox);
    pack(
        &files_ending(&sandbox.backups(), ".snapshot.db").remove(0),
        &manifest["manifest"],
        Path::new(&record.to_string_lossy().replace(".job.json", ".tar.gz")),
    );
    damage_the_snapshot(&sandbox);
    let run = sandbox.run(&["run"]).expect_code(0);
    assert!(run.stdout.contains("was put back"), "{}", run.stdout);
    assert!(sandbox.content() == before);
}

#[test]
fn without_a_sound_snapshot_nothing_is_put_back_and_a_restore_of_another_backup_helps() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    remove_the_archives(&sandbox);
    damage_the_snapshot(&sandbox);
    let between = sandbox.content();
    let run = sandbox.run(&["run"]).expect_code(7);
    assert!(run.stderr.contains("gone or damaged"), "{}", run.stderr);
    assert!(run.stderr.contains("BETWEEN"), "{}", run.stderr);
    assert!(sandbox.content() == between, "nothing was put back");
    assert_ne!(between, before);
}

#[test]
fn a_record_that_cannot_be_read_does_not_keep_a_restore_from_helping() {
    let (sandbox, before) = killed_halfway();
    withdraw_the_migration(&sandbox);
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let kept = sandbox.path("good.tar.gz");
    let text = fs::read_to_string(&record).expect("record");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let snapshot = files_ending(&sandbox.backups(), ".snapshot.db").remove(0);
    pack(&snapshot, &manifest["manifest"], &kept);
    fs::write(&record, "").expect("record");
    sandbox.run(&["run"]).expect_code(7);
    sandbox
        .run(&["restore", "good.tar.gz", "--yes"])
        .expect_code(0);
    assert!(sandbox.content() == before);
    fs::remove_file(&record).expect("record");
    sandbox.run(&["run"]).expect_code(0);
    assert!(sandbox.content() == before);
}

/// An archive as the program makes them.
fn pack(database: &Path, manifest: &serde_json::Value, target: &Path) {
    let file = fs::File::create(target).expect("archive");
    let gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let text = manifest.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "manifest.json", text.as_bytes())
        .expect("manifest");
    let bytes = fs::read(database).expect("snapshot");
    header.set_size(bytes.len() as u64);
    let name = manifest["file"].as_str().expect("a name");
    tar.append_data(&mut header, name, &bytes[..])
        .expect("database");
    tar.into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("the end");
}

/// A finished job whose snapshot was not archived yet.
#[test]
fn a_damaged_snapshot_of_a_job_that_has_ended_stands_in_nobody_s_way() {
    let (sandbox, before) = killed_halfway();
    let record = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let raw = files_ending(&sandbox.backups(), ".snapshot.db").remove(0);
    let bytes = fs::read(&raw).expect("snapshot");
    withdraw_the_migration(&sandbox);
    sandbox.run(&["run"]).expect_code(0);
    remove_the_archives(&sandbox);
    assert!(record.exists());
    fs::write(&raw, &bytes[..bytes.len() / 2]).expect("snapshot");
    let run = sandbox.run(&["backup"]).expect_code(0);
    assert!(run.stdout.contains(".snapshot.damaged"), "{}", run.stdout);
    assert!(!raw.exists());
    assert!(sandbox.content() == before);
}
