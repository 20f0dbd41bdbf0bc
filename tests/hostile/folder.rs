//! What may lie in the folder of the backups, and beside the database as its lock.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::golden::chosen;
use crate::support::{Sandbox, content, files_ending, text, tool};
use crate::trial::Trial;

/// A sandbox at 008 with a job that was recorded, and one to do.
fn worked() -> (Sandbox, PathBuf, Value) {
    let sandbox = Sandbox::at("003");
    sandbox.run(&["run"]).expect_code(0);
    let path = files_ending(&sandbox.backups(), ".job.json").remove(0);
    let record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    (sandbox, path, record)
}

const COMMANDS: [&str; 6] = [
    "run",
    "downgrade 008",
    "doctor",
    "backups list",
    "backup",
    "restore latest --yes",
];

#[test]
fn job_records_that_are_broken_or_lie_are_refused_and_lead_nowhere() {
    let mut trial = Trial::new(
        "records",
        "job records that are broken or lie",
        "job_records_that_are_broken",
    );
    let (sandbox, path, record) = worked();
    let outside = sandbox.path("outside.snapshot.db");
    fs::write(&outside, "keep me").unwrap();
    let with = |edits: &[(&str, Value)]| {
        let mut record = record.clone();
        for (name, value) in edits {
            record[*name] = value.clone();
        }
        record.to_string().into_bytes()
    };
    let manifest = |name: &str, value: Value| {
        let mut manifest = record["manifest"].clone();
        manifest[name] = value;
        with(&[("manifest", manifest), ("outcome", Value::Null)])
    };
    let stem = "../../outside";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no JSON", b"{".to_vec()),
        ("invalid UTF-8", b"{\"a\": \"\xff\"}".to_vec()),
        ("nested deeply", b"[".repeat(1_000_000)),
        ("larger than sixteen megabytes", b" ".repeat(17 << 20)),
        ("an array", b"[]".to_vec()),
        ("an older format", with(&[("format_version", 0.into())])),
        ("a newer format", with(&[("format_version", 2.into())])),
        (
            "a newer format that is otherwise different",
            b"{\"format_version\": 2, \"jobs\": []}".to_vec(),
        ),
        ("names out of the folder", with(&[("stem", stem.into())])),
        (
            "names out of the folder, without an outcome",
            with(&[("stem", stem.into()), ("outcome", Value::Null)]),
        ),
        (
            "names of another job",
            with(&[("stem", "20000101T000000.000Z_003-008_00000000".into())]),
        ),
        ("no name", with(&[("stem", "".into())])),
        (
            "a kind that nobody knows",
            with(&[("kind", "other".into())]),
        ),
        ("a negative process", with(&[("pid", (-1).into())])),
        ("no manifest", with(&[("manifest", Value::Null)])),
        (
            "a revision with a path",
            manifest("from", "../../outside".into()),
        ),
        (
            "a file with a path",
            manifest("file", "../../outside".into()),
        ),
        (
            "sizes that contradict each other",
            manifest("size_bytes", 1.into()),
        ),
    ];
    for (name, bytes) in chosen(cases, 4) {
        fs::write(&path, bytes).unwrap();
        trial.case(name);
        trial.untouched(&sandbox, &COMMANDS[..5]);
        assert!(fs::read(&outside).unwrap() == b"keep me", "{name}");
    }
    let places: [(&str, &dyn Fn(&Path)); 5] = [
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a FIFO", &|path| drop(tool("mkfifo", &[text(path)]))),
        ("a link to a device", &|path| {
            symlink("/dev/zero", path).unwrap()
        }),
        ("a link to nothing", &|path| {
            symlink("nothing", path).unwrap()
        }),
        ("a link to itself", &|path| symlink(path, path).unwrap()),
    ];
    for (name, make) in places {
        fs::remove_file(&path).unwrap();
        make(&path);
        trial.case(name);
        trial.untouched(&sandbox, &COMMANDS[..5]);
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
        fs::write(&path, "").unwrap();
    }
    // A job that was cut short outside a transaction, whose snapshot is gone or is another file.
    let open = with(&[
        ("outcome", Value::Null),
        ("kind", "non_transactional".into()),
        ("manifest", {
            let mut manifest = record["manifest"].clone();
            manifest["to"] = "009".into();
            manifest
        }),
    ]);
    let snapshot = PathBuf::from(text(&path).replace(".job.json", ".snapshot.db"));
    for (name, bytes) in [
        ("a job cut short, without its snapshot and its backup", None),
        (
            "a job cut short, with a snapshot of text and without its backup",
            Some("hello\n".repeat(1000)),
        ),
    ] {
        fs::write(&path, &open).unwrap();
        for archive in sandbox.archives() {
            fs::remove_file(archive).unwrap();
        }
        if let Some(bytes) = bytes {
            fs::write(&snapshot, bytes).unwrap();
        }
        let before = content(&sandbox.database());
        trial.case(name);
        trial.commands(&sandbox, &["run", "doctor"], |_, _| {
            (content(&sandbox.database()) != before).then(|| "changed".into())
        });
    }
    trial.finish();
}

#[test]
fn locks_that_are_no_files_are_refused_and_never_written_through() {
    let mut trial = Trial::new(
        "locks",
        "lock files that are something else",
        "locks_that_are_no_files",
    );
    let (sandbox, _, _) = worked();
    let victim = sandbox.path("victim");
    fs::write(&victim, "keep me").unwrap();
    let places: [(&str, &dyn Fn(&Path)); 5] = [
        ("a folder", &|path| fs::create_dir(path).unwrap()),
        ("a FIFO", &|path| drop(tool("mkfifo", &[text(path)]))),
        ("a link to a file", &|path| symlink(&victim, path).unwrap()),
        ("a link to nothing", &|path| {
            symlink("nothing", path).unwrap()
        }),
        ("a device", &|path| symlink("/dev/null", path).unwrap()),
    ];
    for (what, lock) in [
        (
            "beside the database",
            sandbox.path("data/.fastflow.db.safestep-lock"),
        ),
        ("in the backups", sandbox.backups().join(".safestep-lock")),
    ] {
        for (name, make) in places {
            let _ = fs::remove_file(&lock);
            make(&lock);
            trial.case(&format!("{what}: {name}"));
            trial.untouched(
                &sandbox,
                &["backup", "downgrade -1", "doctor", "restore latest --yes"],
            );
            assert!(fs::read(&victim).unwrap() == b"keep me");
            assert!(!sandbox.path("data/nothing").exists());
            let _ = fs::remove_dir(&lock);
        }
        let _ = fs::remove_file(&lock);
        fs::write(&lock, b"\xff\xfe\x00\x1b[2J".repeat(1000)).unwrap();
        trial.case(&format!("{what}: a file of noise"));
        trial.commands(&sandbox, &["backup", "doctor"], |_, _| None);
    }
    trial.finish();
}

#[test]
fn folders_of_backups_that_are_something_else_are_used_or_refused() {
    let mut trial = Trial::new(
        "backups",
        "folders of backups that are something else",
        "folders_of_backups_that_are_something_else",
    );
    let (sandbox, _, _) = worked();
    let backups = sandbox.path("backups");
    let elsewhere = sandbox.path("elsewhere");
    let commands = ["downgrade -1", "doctor", "backups list", "backup"];
    fs::rename(&backups, &elsewhere).unwrap();
    let places: [(&str, &dyn Fn(&Path)); 5] = [
        ("a file", &|path| fs::write(path, "x").unwrap()),
        ("a FIFO", &|path| drop(tool("mkfifo", &[text(path)]))),
        ("a link to nothing", &|path| {
            symlink("nothing", path).unwrap()
        }),
        ("a link to itself", &|path| symlink(path, path).unwrap()),
        ("a device", &|path| symlink("/dev/null", path).unwrap()),
    ];
    for (name, make) in places {
        make(&backups);
        trial.case(name);
        trial.untouched(&sandbox, &commands);
        fs::remove_file(&backups).unwrap();
    }
    for (name, make) in places {
        fs::create_dir(&backups).unwrap();
        make(&sandbox.backups());
        trial.case(&format!("the database's folder in it: {name}"));
        trial.untouched(&sandbox, &commands);
        fs::remove_dir_all(&backups).unwrap();
    }
    trial.case("a file system that may only be read");
    trial.untouched(&sandbox, &["backup --backups /sys/safestep"]);
    symlink(&elsewhere, &backups).unwrap();
    trial.case("a link to a folder");
    trial.commands(&sandbox, &["doctor", "backups list", "backup"], |_, run| {
        (run.code != 0).then(|| "refused".into())
    });
    fs::remove_file(&backups).unwrap();
    fs::rename(&elsewhere, &backups).unwrap();
    fs::set_permissions(&backups, fs::Permissions::from_mode(0o777)).unwrap();
    trial.case("a folder that everybody may write");
    trial.commands(&sandbox, &["doctor", "backup"], |_, run| {
        (run.code != 0).then(|| "refused".into())
    });
    trial.case("folders and links with the names of what a job leaves");
    for suffix in [
        ".tar.gz.part",
        ".job.json.tmp",
        ".unpacked.db",
        ".snapshot.db",
    ] {
        fs::create_dir(
            sandbox
                .backups()
                .join(format!("20260101T000000.000Z_003-008_00000001{suffix}")),
        )
        .unwrap();
        symlink(
            sandbox.database(),
            sandbox
                .backups()
                .join(format!("20260101T000000.000Z_003-008_00000002{suffix}")),
        )
        .unwrap();
    }
    let before = content(&sandbox.database());
    trial.commands(&sandbox, &["backup", "doctor", "backups list"], |_, run| {
        (run.code != 0 || content(&sandbox.database()) != before)
            .then(|| "refused, or changed".into())
    });
    if rustix::process::geteuid().is_root() {
        chown(sandbox.backups(), Some(12345), Some(12345)).unwrap();
        trial.case("a folder of somebody else, and we are root");
        trial.commands(&sandbox, &["backup"], |_, _| None);
    }
    trial.finish();
}
