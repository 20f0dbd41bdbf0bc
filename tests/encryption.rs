//! Encrypted backups: who can read them, what works without the key, and what becomes of those that somebody has been at.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

#[cfg(feature = "agreement")]
#[path = "encryption/agreement.rs"]
mod agreement;
#[path = "encryption/damage.rs"]
mod damage;
#[path = "encryption/settings.rs"]
mod settings;
mod support;
#[path = "encryption/without.rs"]
mod without;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::keys::{self, IDENTITY, decrypted, decrypted_with, encrypting, new_key};
use support::{Run, Sandbox, files_ending, text, unpack_stream};

/// A sandbox with a row, and what encrypts its backups; the identity is not in its configuration.
fn encrypted(revision: &str) -> Sandbox {
    let sandbox = Sandbox::at(revision);
    sandbox.add_users(&[("ann", "ADMIN")]);
    encrypting(&sandbox);
    sandbox
}

/// Runs it with the identity at hand.
fn with_key(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut all = args.to_vec();
    all.extend(["--identity-file", IDENTITY]);
    sandbox.run(&all)
}

fn label_of(archive: &Path) -> PathBuf {
    let (stem, _) = text(archive).split_once(".tar").unwrap();
    PathBuf::from(format!("{stem}.label.json"))
}

fn json_in(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Content of the database in an archive, opened without this program.
fn content_of(sandbox: &Sandbox, plain: &[u8]) -> String {
    let target = sandbox.path("opened.db");
    unpack_stream(plain, &target);
    support::content(&target)
}

#[test]
fn every_recipient_opens_a_backup_and_nobody_else() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let [one, two, stranger] =
        ["one.txt", "two.txt", "stranger.txt"].map(|name| sandbox.path(name));
    let list = format!(
        "# those who may\n{}\n\n{}\r\n",
        new_key(&one),
        new_key(&two)
    );
    fs::write(sandbox.path("recipients.txt"), list).unwrap();
    new_key(&stranger);
    for kind in ["gzip", "zstd", "none"] {
        sandbox.sql(&format!("UPDATE users SET username = '{kind}'"));
        let before = sandbox.content();
        let args = [
            "backup",
            "--recipients-file",
            "recipients.txt",
            "--compression",
            kind,
        ];
        sandbox.run(&args).expect_code(0);
        let archive = sandbox.archives().pop().unwrap();
        assert!(archive.extension().unwrap() == "age", "{kind}: {archive:?}");
        let bytes = fs::read(&archive).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{kind}");
        assert!(decrypted(&archive, &one) == decrypted(&archive, &two));
        sandbox.sql(&format!("UPDATE users SET username = 'later {kind}'"));
        let restore = |key: &Path| {
            let id = [
                "restore",
                text(&archive),
                "--yes",
                "--identity-file",
                text(key),
            ];
            sandbox.run(&id)
        };
        let later = sandbox.content();
        let run = restore(&stranger).expect_code(2);
        assert!(run.stderr.contains("opens it"), "{}", run.stderr);
        assert!(
            sandbox.content() == later,
            "{kind}: the database was touched"
        );
        for key in [&one, &two] {
            restore(key).expect_code(0);
            assert!(sandbox.content() == before, "{kind}");
        }
    }
}

#[test]
fn a_passphrase_comes_from_a_file_or_from_the_environment() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let before = sandbox.content();
    let secret = "correct horse battery staple";
    fs::write(sandbox.path("pass.txt"), format!("{secret}\r\n")).unwrap();
    let by_file = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--passphrase-file", "pass.txt"]);
        sandbox.run(&all)
    };
    let by_variable = |words: &str, args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("SAFESTEP_PASSPHRASE", words);
        Run::of(&command.output().unwrap())
    };
    by_file(&["backup"]).expect_code(0);
    let archive = sandbox.archives().remove(0);
    let plain = decrypted_with(&archive, secret);
    assert!(content_of(&sandbox, &plain) == before);
    let label = fs::read_to_string(label_of(&archive)).unwrap();
    assert!(!label.contains("recipients"), "{label}");
    let shown = by_file(&["backups", "show", "latest"]).expect_code(0);
    assert!(shown.stdout.contains("age -d /"), "{}", shown.stdout);
    sandbox.sql("DELETE FROM users");
    let restore = ["restore", "latest", "--yes"];
    sandbox.run(&restore).expect_code(2);
    let wrong = by_variable("correct horse", &restore).expect_code(2);
    assert!(
        wrong.stderr.contains("passphrase is not the one"),
        "{}",
        wrong.stderr
    );
    by_variable(secret, &restore).expect_code(0);
    assert!(sandbox.content() == before);
}

/// The archive's name is free as soon as the read-back agrees: with recipients alone nobody here could open it otherwise.
#[test]
fn a_job_needs_no_identity_also_when_it_fails_and_when_it_puts_the_snapshot_back() {
    for up in [
        "UPDATE users SET email = 'x';\nSELECT nothing FROM nowhere;\n",
        "-- no-transaction\nUPDATE users SET email = 'x';\nVACUUM;\nSELECT nothing FROM nowhere;\n",
    ] {
        let sandbox = encrypted("003");
        sandbox.run(&["run"]).expect_code(0);
        let before = sandbox.content();
        sandbox.add_migration("009_failing", up);
        for _ in 0..3 {
            let run = sandbox.run(&["run"]).expect_code(5);
            assert!(run.stderr.contains("as it was before"), "{}", run.stderr);
            assert!(sandbox.content() == before);
        }
        let archives = sandbox.archives();
        assert_eq!(archives.len(), 2, "one of each state: {archives:?}");
        for archive in &archives {
            assert_eq!(
                json_in(&label_of(archive))["archive"],
                text(archive).rsplit('/').next().unwrap()
            );
        }
        assert!(content_of(&sandbox, &decrypted(&archives[1], &sandbox.path(IDENTITY))) == before);
        assert_eq!(files_ending(&sandbox.backups(), ".snapshot.db").len(), 0);
    }
}

/// A backup that the holder of today's key cannot open, or that anybody can, is no backup of today.
#[test]
fn the_same_state_is_backed_up_again_where_the_keys_are_others() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let count = || sandbox.archives().len();
    let backup = |args: &[&str], wanted: usize| {
        let mut all = vec!["backup"];
        all.extend(args);
        sandbox.run(&all).expect_code(0);
        assert_eq!(count(), wanted, "{args:?}");
    };
    backup(&[], 1);
    backup(&[], 1);
    let [one, two] = ["one", "two"].map(|name| {
        let recipient = new_key(&sandbox.path(&format!("{name}.txt")));
        fs::write(sandbox.path(&format!("to-{name}.txt")), &recipient).unwrap();
        recipient
    });
    backup(&["--recipients-file", "to-one.txt"], 2);
    backup(&["--recipients-file", "to-one.txt"], 2);
    backup(
        &[
            "--recipients-file",
            "to-one.txt",
            "--identity-file",
            "one.txt",
        ],
        2,
    );
    backup(
        &[
            "--recipients-file",
            "to-one.txt",
            "--identity-file",
            "two.txt",
        ],
        2,
    );
    backup(&["--recipients-file", "to-two.txt"], 3);
    fs::write(sandbox.path("both.txt"), format!("{one}\n{two}\n")).unwrap();
    fs::write(sandbox.path("other-order.txt"), format!("{two}\n{one}\n")).unwrap();
    backup(&["--recipients-file", "both.txt"], 4);
    backup(&["--recipients-file", "other-order.txt"], 4);
    for word in ["first", "second"] {
        fs::write(sandbox.path(word), word).unwrap();
    }
    backup(&["--passphrase-file", "first"], 5);
    backup(&["--passphrase-file", "first"], 5);
    backup(&["--passphrase-file", "second"], 6);
    // One that somebody has been at does not stand for a new one.
    let newest = sandbox.archives().pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&newest, bytes).unwrap();
    backup(&["--passphrase-file", "second"], 7);
}

#[test]
fn no_secret_is_in_any_file_or_answer() {
    let sandbox = Sandbox::at("003");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let recipient = new_key(&sandbox.path("key.txt"));
    let identity = fs::read_to_string(sandbox.path("key.txt")).unwrap();
    let identity = identity.lines().last().unwrap().to_owned();
    let secret = "a-passphrase-that-nobody-may-see";
    fs::write(sandbox.path("pass.txt"), secret).unwrap();
    fs::write(sandbox.path("to.txt"), recipient).unwrap();
    let metrics = text(&sandbox.path("metrics.prom")).to_owned();
    let mut said = String::new();
    for (args, variable) in [
        (
            &[
                "run",
                "--passphrase-file",
                "pass.txt",
                "--identity-file",
                "key.txt",
            ][..],
            "",
        ),
        (&["backup", "--identity-file", "key.txt"], secret),
        (
            &[
                "backup",
                "--recipients-file",
                "to.txt",
                "--identity-file",
                "key.txt",
            ],
            "",
        ),
        (
            &["backups", "verify", "--all", "--identity-file", "key.txt"],
            secret,
        ),
        (&["backups", "list", "--identity-file", "key.txt"], secret),
        (
            &["restore", "latest", "--yes", "--identity-file", "pass.txt"],
            "wrong",
        ),
        (&["backup", "--recipients-file", "key.txt"], ""),
        (&["backup", "--recipients-file", "pass.txt"], ""),
        (
            &[
                "doctor",
                "--passphrase-file",
                "pass.txt",
                "--identity-file",
                "key.txt",
            ],
            "",
        ),
    ] {
        let mut command = sandbox.command(args);
        command.args(["--verbose", "--metrics-file", &metrics]);
        if !variable.is_empty() {
            command.env("SAFESTEP_PASSPHRASE", variable);
        }
        let run = Run::of(&command.output().unwrap());
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
    }
    let mut files = vec![sandbox.path("metrics.prom")];
    files.extend(files_ending(&sandbox.backups(), ""));
    files.extend(files_ending(&sandbox.path("backups/logs"), ""));
    for file in files {
        let bytes = fs::read(&file).unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(
        said.contains("key.txt"),
        "the names of the files may be told"
    );
    for word in [secret, &identity, &identity.to_lowercase()] {
        assert!(!said.contains(word), "a secret is told");
    }
    // There is no way to say it on the command line, where every process could read it.
    sandbox
        .run(&["backup", "--passphrase", secret])
        .expect_code(2);
}

#[test]
fn what_age_and_tar_have_made_of_the_same_files_is_restored() {
    let sandbox = encrypted("008");
    let plain = sandbox.path("plain");
    fs::create_dir(&plain).unwrap();
    sandbox.run(&["backup"]).expect_code(0);
    let before = sandbox.content();
    let archive = sandbox.archives().remove(0);
    let tar = decrypted(&archive, &sandbox.path(IDENTITY));
    let recipient = new_key(&sandbox.path("another.txt"));
    let by_hand = sandbox.path("by-hand.age");
    fs::write(&by_hand, keys::encrypted(&tar, &recipient)).unwrap();
    sandbox.sql("DELETE FROM users");
    let restore = [
        "restore",
        "by-hand.age",
        "--yes",
        "--identity-file",
        "another.txt",
    ];
    sandbox.run(&restore).expect_code(0);
    assert!(sandbox.content() == before);
    // Decrypted by hand, it is an archive as any other.
    fs::write(sandbox.path("opened.tar.gz"), &tar).unwrap();
    sandbox.sql("DELETE FROM users");
    sandbox
        .run(&["restore", "opened.tar.gz", "--yes"])
        .expect_code(0);
    assert!(sandbox.content() == before);
}
