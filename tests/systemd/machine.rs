//! A machine of its own for a test: Debian, with systemd as process 1, in a container.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::support::podman::{Podman, named_by, static_program};
use super::support::{Run, Sandbox, text};

/// The state directory of the services.
pub const STATE: &str = "/var/lib/safestep";
/// cron looks once a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(100);
/// Keeps what it is given, as a mail transfer agent would send it.
const SENDMAIL: &str = "#!/bin/sh\ncat > \"$(mktemp /mails/.XXXXXX)\"\ncd /mails\nfor mail in .??????; do mv \"$mail\" \"${mail#.}\"; done\n";

pub struct Machine {
    podman: Podman,
    name: String,
}

impl Machine {
    /// With the units installed, the sandbox' migrations, and its database, where it has one, in the state directory.
    pub fn boot(sandbox: &Sandbox) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let machine = Self {
            podman: Podman::new(),
            name: format!("safestep-machine-{}-{count}", std::process::id()),
        };
        let root = named_by("SAFESTEP_ROOTFS");
        let mount = |from: &Path, to: &str| format!("{}:{to}", text(from));
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        machine.podman.must(&[
            "run",
            "--detach",
            "--name",
            &machine.name,
            "--systemd=always",
            "--cap-add=SYS_ADMIN",
            "--network=none",
            "--tmpfs=/tmp",
            "--volume",
            &mount(&static_program(), "/usr/local/bin/safestep:ro"),
            "--volume",
            &mount(&deploy, "/deploy:ro"),
            "--volume",
            &mount(&sandbox.path("."), "/host"),
            "--rootfs",
            &format!("{}:O", text(&root)),
            "/lib/systemd/systemd",
        ]);
        machine.wait_for("systemd to be up", "systemctl is-system-running", |said| {
            matches!(said.trim(), "running" | "degraded")
        });
        // A cron that goes off while the test still prepares it would see half of it.
        machine.must("systemctl stop cron.service");
        machine.must(
            "cp /deploy/systemd/*.service /deploy/systemd/*.timer /etc/systemd/system/ && mkdir -p /usr/local/share/safestep \
             && cp -r /host/migrations /usr/local/share/safestep/ && systemctl daemon-reload",
        );
        machine.must(&format!(
            "if [ -e /host/data/fastflow.db ]; then mkdir -p {STATE} && cp /host/data/fastflow.db {STATE}/; fi"
        ));
        machine.write("/usr/sbin/sendmail", SENDMAIL);
        machine.must("chmod 755 /usr/sbin/sendmail && mkdir -m 1777 /mails");
        machine
    }

    /// Runs a line of shell as root.
    pub fn sh(&self, line: &str) -> Run {
        self.podman
            .run(&["exec", &self.name, "/bin/sh", "-c", line])
    }

    /// Runs it; it must succeed. Its standard output, without the line's end.
    #[track_caller]
    pub fn must(&self, line: &str) -> String {
        let run = self.sh(line);
        assert_eq!(run.code, 0, "{line}: {}{}", run.stdout, run.stderr);
        run.stdout.trim_end().to_owned()
    }

    #[track_caller]
    pub fn write(&self, path: &str, content: &str) {
        let mut child = self
            .podman
            .command(&[
                "exec",
                "--interactive",
                &self.name,
                "/bin/sh",
                "-c",
                &format!("cat > '{path}'"),
            ])
            .stdin(Stdio::piped())
            .spawn()
            .expect("podman starts");
        let mut stdin = child.stdin.take().expect("stdin");
        stdin
            .write_all(content.as_bytes())
            .expect("the file's content");
        drop(stdin);
        assert!(child.wait().expect("the end").success(), "{path}");
    }

    /// A drop-in for a unit.
    pub fn drop_in(&self, unit: &str, name: &str, content: &str) {
        let folder = format!("/etc/systemd/system/{unit}.d");
        self.must(&format!("mkdir -p {folder}"));
        self.write(&format!("{folder}/{name}"), content);
        self.must("systemctl daemon-reload");
    }

    /// A user with a folder that holds data, backups and migrations, as an application has them.
    pub fn application(&self, user: &str, folder: &str) {
        self.must(&format!(
            "useradd --system {user} && mkdir -p {folder}/data {folder}/backups && cp -r /host/migrations {folder}/ \
             && cp /host/data/fastflow.db {folder}/data/ && chown -R {user}: {folder}"
        ));
    }

    /// Polls until the output of the line is as it should be, and gives it back.
    #[track_caller]
    pub fn wait_for(&self, what: &str, line: &str, holds: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let said = self.sh(line).stdout;
            if holds(&said) {
                return said;
            }
            assert!(
                started.elapsed() < LONGEST_WAIT,
                "waited in vain: {what}: {said}{}",
                self.journal()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn journal(&self) -> String {
        self.sh("journalctl --no-pager --lines=40").stdout
    }

    /// A property of a unit.
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.must(&format!(
            "systemctl show --value --property={property} {unit}"
        ))
    }

    /// Where the database in the state directory stands.
    pub fn revision(&self) -> String {
        let line = format!(
            "cd {STATE} && /usr/local/bin/safestep current --output json --database fastflow.db --migrations /usr/local/share/safestep/migrations"
        );
        let document: serde_json::Value = serde_json::from_str(&self.must(&line)).expect("JSON");
        document["revision"].as_str().expect("revision").to_owned()
    }

    /// The mails that were sent.
    pub fn mails(&self) -> Vec<String> {
        let names = self.sh("ls /mails").stdout;
        names
            .lines()
            .map(|name| self.must(&format!("cat /mails/{name}")))
            .collect()
    }

    /// Copies a file out of the machine.
    pub fn take(&self, path: &str, to: &Path) {
        self.must(&format!("cp {path} /host/taken"));
        let taken = to.with_file_name("taken");
        fs::rename(taken, to).expect("the file");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.podman
            .run(&["rm", "--force", "--time", "0", &self.name]);
    }
}
