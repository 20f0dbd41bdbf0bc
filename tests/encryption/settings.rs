//! Keys that are none, or too many: told before anything is touched, and without a word of them.

use std::fs;

use super::support::Sandbox;
use super::support::keys::{self, new_key};

/// Runs a backup, which must be refused; returns what it says.
fn refused(sandbox: &Sandbox, args: &[&str]) -> String {
    let mut all = vec!["backup"];
    all.extend(args);
    let run = sandbox.run(&all).expect_code(2);
    assert_eq!(sandbox.archives().len(), 0, "{args:?}");
    run.stderr
}

#[test]
fn a_file_that_holds_no_recipients_is_refused_with_the_line_at_fault() {
    let sandbox = Sandbox::at("008");
    let recipient = new_key(&sandbox.path("key.txt"));
    let secret = fs::read_to_string(sandbox.path("key.txt")).unwrap();
    let many = format!("{recipient}\n").repeat(65);
    let cases = [
        ("", "holds no recipient"),
        ("# nobody yet\n\n", "holds no recipient"),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here\n",
            "line 1: SSH keys are not supported",
        ),
        (
            "age1yubikey1qwerty\n",
            "line 1: recipients of plugins and of other kinds",
        ),
        (
            secret.as_str(),
            "line 2: that is an identity, which is secret",
        ),
        (
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q\n",
            "line 1: that is no recipient",
        ),
        (many.as_str(), "holds more than 64 recipients"),
    ];
    for (content, words) in cases {
        fs::write(sandbox.path("to.txt"), content).unwrap();
        let said = refused(&sandbox, &["--recipients-file", "to.txt"]);
        assert!(said.contains(words), "{words}: {said}");
        assert!(said.contains("to.txt"), "{said}");
        assert!(!said.contains("AGE-SECRET-KEY-1Q"), "{said}");
    }
    fs::write(sandbox.path("to.txt"), b"\xff\xfe").unwrap();
    assert!(refused(&sandbox, &["--recipients-file", "to.txt"]).contains("not UTF-8"));
    fs::write(sandbox.path("to.txt"), vec![b'#'; 300_000]).unwrap();
    assert!(refused(&sandbox, &["--recipients-file", "to.txt"]).contains("larger than"));
    assert!(refused(&sandbox, &["--recipients-file", "nowhere.txt"]).contains("nowhere.txt"));
    assert!(refused(&sandbox, &["--recipients-file", "/dev/zero"]).contains("not a regular file"));
}

#[test]
fn a_passphrase_must_be_one_line_and_must_not_be_empty() {
    let sandbox = Sandbox::at("008");
    for (content, words) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("  \n", "is empty"),
        ("one\ntwo\n", "more than one line"),
        ("tab\there", "more than one line, or control characters"),
    ] {
        fs::write(sandbox.path("pass.txt"), content).unwrap();
        let said = refused(&sandbox, &["--passphrase-file", "pass.txt"]);
        assert!(
            said.contains(words) && said.contains("pass.txt"),
            "{words}: {said}"
        );
    }
    fs::write(sandbox.path("pass.txt"), "x".repeat(5000)).unwrap();
    assert!(refused(&sandbox, &["--passphrase-file", "pass.txt"]).contains("larger than"));
}

#[test]
fn a_variable_that_did_not_arrive_leaves_no_backup_unencrypted() {
    let sandbox = Sandbox::at("008");
    for name in ["RECIPIENTS_FILE", "PASSPHRASE", "PASSPHRASE_FILE"] {
        let name = format!("SAFESTEP_{name}");
        let mut command = sandbox.command(&["backup"]);
        command.env(&name, "");
        let run = super::support::Run::of(&command.output().unwrap()).expect_code(2);
        assert!(
            run.stderr.contains(&format!("{name} is empty")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn recipients_and_a_passphrase_are_one_too_many() {
    let sandbox = Sandbox::at("008");
    let recipient = new_key(&sandbox.path("key.txt"));
    fs::write(sandbox.path("to.txt"), recipient).unwrap();
    fs::write(sandbox.path("pass.txt"), "secret").unwrap();
    let args = [
        "--recipients-file",
        "to.txt",
        "--passphrase-file",
        "pass.txt",
    ];
    assert!(refused(&sandbox, &args).contains("both given"));
    let two = |names: [&str; 2]| {
        let mut command = sandbox.command(&["backup"]);
        command.env(names[0], "pass.txt").env(names[1], "pass.txt");
        super::support::Run::of(&command.output().unwrap()).expect_code(2)
    };
    let run = two(["SAFESTEP_PASSPHRASE", "SAFESTEP_PASSPHRASE_FILE"]);
    assert!(run.stderr.contains("both set"), "{}", run.stderr);
    two(["SAFESTEP_PASSPHRASE", "SAFESTEP_RECIPIENTS_FILE"]);
}

/// They are read when an archive is opened: a job that opens none does not miss them.
#[test]
fn identities_that_cannot_be_used_are_told_where_they_are_needed() {
    let sandbox = super::encrypted("008");
    sandbox.run(&["backup"]).expect_code(0);
    let before = sandbox.content();
    let recipient = keys::new_key(&sandbox.path("other.txt"));
    let sealed = keys::encrypted(b"AGE-SECRET-KEY-1", &recipient);
    let sealed = String::from_utf8_lossy(&sealed).into_owned();
    for (content, words) in [
        ("", "holds no identity"),
        (recipient.as_str(), "line 1: that is a recipient"),
        (
            "AGE-PLUGIN-YUBIKEY-1QQPQQ\n",
            "line 1: identities of plugins",
        ),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "line 1: SSH keys"),
        (
            "AGE-SECRET-KEY-PQ-1QQPQQ\n",
            "line 1: identities of other kinds",
        ),
        ("AGE-SECRET-KEY-1QQPQQ\n", "line 1: that is no identity"),
        (sealed.as_str(), "is encrypted itself"),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\n",
            "is encrypted itself",
        ),
    ] {
        fs::write(sandbox.path("id.txt"), content).unwrap();
        let args = ["restore", "latest", "--yes", "--identity-file", "id.txt"];
        let run = sandbox.run(&args).expect_code(2);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        assert!(!run.stderr.contains("QQPQQ"), "{}", run.stderr);
        assert!(sandbox.content() == before);
        sandbox
            .run(&["backups", "list", "--identity-file", "id.txt"])
            .expect_code(0);
        sandbox
            .run(&["backup", "--identity-file", "id.txt"])
            .expect_code(0);
    }
    assert_eq!(sandbox.archives().len(), 1);
}

#[test]
fn doctor_tells_whether_the_keys_are_there_and_who_can_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = super::encrypted("008");
    let doctor = |args: &[&str]| {
        let mut all = vec!["doctor"];
        all.extend(args);
        sandbox.run(&all).expect_code(0).stdout
    };
    let said = doctor(&[]);
    assert!(said.contains("new backups are encrypted"), "{said}");
    assert!(said.contains("no identity is given"), "{said}");
    let key = ["--identity-file", super::IDENTITY];
    for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(sandbox.path(super::IDENTITY), permissions).unwrap();
        let said = doctor(&key);
        assert!(said.contains("is at hand"), "{said}");
        assert_eq!(said.contains("every user of this machine"), open, "{said}");
    }
    fs::remove_file(sandbox.path(super::IDENTITY)).unwrap();
    let said = doctor(&key);
    assert!(said.contains("backups cannot be opened here"), "{said}");
}
