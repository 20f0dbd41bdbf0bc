//! The real `age`, `age-keygen`, `tar` and `sqlite3` on both ends.

use std::fs;
use std::process::{Command, Stdio};

use super::support::{Run, Sandbox, query, text, tool};

/// Runs a line of a shell in the sandbox, which must succeed.
#[track_caller]
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let script = format!("set -euo pipefail; cd {}; {line}", text(&sandbox.path("")));
    tool("bash", &["-c", &script])
}

#[test]
fn what_we_encrypt_age_and_tar_unpack_and_sqlite3_reads() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    sandbox.sql("CREATE TABLE bulk (content BLOB); INSERT INTO bulk VALUES (randomblob(300000))");
    let before = sandbox.content();
    for key in ["one", "two", "stranger"] {
        shell(&sandbox, &format!("age-keygen -o {key}.txt"));
    }
    shell(
        &sandbox,
        "age-keygen -y one.txt >to.txt; age-keygen -y two.txt >>to.txt",
    );
    for (kind, flags) in [("gzip", "-xz"), ("zstd", "--zstd -x"), ("none", "-x")] {
        let args = [
            "backup",
            "--recipients-file",
            "to.txt",
            "--compression",
            kind,
        ];
        sandbox.run(&args).expect_code(0);
        let archive = sandbox.archives().pop().unwrap();
        let archive = text(&archive);
        for key in ["one", "two"] {
            let line = format!("mkdir out; age -d -i {key}.txt {archive} | tar {flags} -C out");
            shell(&sandbox, &line);
            assert!(super::support::content(&sandbox.path("out/fastflow.db")) == before);
            let count = shell(
                &sandbox,
                "sqlite3 -readonly out/fastflow.db 'SELECT count(*) FROM users'",
            );
            assert_eq!(count.trim(), "1");
            let sum = shell(&sandbox, "sha256sum <out/fastflow.db");
            let label = super::json_in(&super::label_of(archive.as_ref()));
            assert_eq!(label["manifest"]["sha256"], sum.split(' ').next().unwrap());
            let sum = shell(&sandbox, &format!("sha256sum <{archive}"));
            assert_eq!(label["archive_sha256"], sum.split(' ').next().unwrap());
            shell(&sandbox, "rm -r out");
        }
        let stranger = Command::new("age")
            .args(["-d", "-i", text(&sandbox.path("stranger.txt")), archive])
            .output()
            .unwrap();
        assert!(!stranger.status.success() && stranger.stdout.is_empty());
        // The command that is printed, as it is printed.
        let shown = sandbox.run(&["backups", "show", "latest"]).expect_code(0);
        let line = shown
            .stdout
            .lines()
            .find(|line| line.starts_with("unpack"))
            .unwrap();
        let line = line.trim_start_matches("unpack").replace("KEY", "one.txt");
        shell(&sandbox, &line);
        assert_eq!(
            query(&sandbox.path("copy.db"), "SELECT username FROM users"),
            ["ann"]
        );
        sandbox.sql("UPDATE users SET email = email || 'x'");
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
    }
}

#[test]
fn what_tar_and_age_make_we_restore() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let before = sandbox.content();
    shell(
        &sandbox,
        "age-keygen -o key.txt; age-keygen -y key.txt >to.txt",
    );
    let archive = sandbox.backup();
    let archive = text(&archive);
    for (name, pack) in [
        ("a.tar.gz.age", "tar -cz"),
        ("b.tar.zst.age", "tar --zstd -c"),
        ("c.tar.age", "tar -c"),
    ] {
        let line = format!(
            "mkdir in; tar -xzf {archive} -C in; {pack} -C in manifest.json fastflow.db | age -R to.txt >{name}; rm -r in"
        );
        shell(&sandbox, &line);
        sandbox.sql("DELETE FROM users");
        sandbox.run(&["restore", name, "--yes"]).expect_code(2);
        let args = ["restore", name, "--yes", "--identity-file", "key.txt"];
        sandbox.run(&args).expect_code(0);
        assert!(sandbox.content() == before, "{name}");
    }
}

/// `age` asks for it on a terminal, which util-linux' `script` is here.
#[test]
fn age_opens_what_we_encrypt_with_a_passphrase() {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    let before = sandbox.content();
    fs::write(sandbox.path("pass.txt"), "correct horse\n").unwrap();
    sandbox
        .run(&["backup", "--passphrase-file", "pass.txt"])
        .expect_code(0);
    let archive = sandbox.archives().remove(0);
    let opened = sandbox.path("opened.tar.gz");
    let line = format!("age -d -o {} {}", text(&opened), text(&archive));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"correct horse\n").unwrap();
    let run = Run::of(&child.wait_with_output().unwrap()).expect_code(0);
    drop(stdin);
    assert!(opened.exists(), "{}", run.stdout);
    sandbox.sql("DELETE FROM users");
    sandbox
        .run(&["restore", "opened.tar.gz", "--yes"])
        .expect_code(0);
    assert!(sandbox.content() == before);
}
