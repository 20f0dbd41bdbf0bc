//! The compose file of `deploy/` on a real engine, with folders of the test's own for its volumes. The variables of
//! `tests/containers/engine` say where the engine is.
#![allow(unreachable_pub, dead_code, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Run, Sandbox, files_ending, state, text, tool};

pub const IMAGE: &str = "safestep:local";
/// Made by `tests/containers/app-image`.
pub const APP: &str = "safestep-test-app";
/// As in the compose file.
pub const USER: &str = "1001:1001";

/// Runs `docker`.
pub fn docker(args: &[&str]) -> Run {
    Run::of(
        &Command::new("docker")
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("docker starts"),
    )
}

/// A project of compose: its containers go when it does.
pub struct Project {
    pub sandbox: Sandbox,
    name: String,
    overlay: PathBuf,
}

impl Drop for Project {
    fn drop(&mut self) {
        let down = ["down", "--volumes", "--timeout", "0"];
        let _ = self.compose(&down).output();
        let _ = Command::new("umount")
            .arg(self.sandbox.path("small"))
            .stderr(Stdio::null())
            .status();
    }
}

impl Project {
    /// With the sandbox's database, backups and migrations. `name` is one that no other test has.
    pub fn new(name: &str, sandbox: Sandbox) -> Self {
        let overlay = sandbox.path("overlay.yaml");
        let mount = format!(
            "volumes: ['{}:/migrations:ro']",
            sandbox.migrations().display()
        );
        let services = ["migrate", "backup", "restore", "doctor"]
            .map(|service| format!("  {service}: {{ {mount} }}\n"))
            .concat();
        fs::write(&overlay, format!("services:\n{services}")).expect("overlay");
        let project = Self {
            sandbox,
            name: format!("safestep-test-{name}"),
            overlay,
        };
        fs::create_dir_all(project.sandbox.path("backups")).expect("backups");
        project.hand_over();
        project
    }

    /// Gives data and backups to the user of the containers, as the operator of a new volume does.
    pub fn hand_over(&self) {
        let [data, backups] = ["data", "backups"].map(|name| self.sandbox.path(name));
        tool("chown", &["-RL", USER, text(&data), text(&backups)]);
    }

    fn compose(&self, args: &[&str]) -> Command {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose.yaml");
        let mut command = Command::new("docker");
        command
            .args(["compose", "-p", &self.name, "-f", text(&file)])
            .args(["-f", text(&self.overlay)])
            .args(args)
            .env("SAFESTEP_IMAGE", IMAGE)
            .env("FASTFLOW_IMAGE", APP)
            .env("DATA", self.sandbox.path("data"))
            .env("BACKUPS", self.sandbox.path("backups"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `docker compose` to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.compose(args).output().expect("docker starts"))
    }

    /// `docker compose up -d`, and the exit code of the job.
    pub fn up(&self) -> (Run, i32) {
        let run = self.run(&["up", "-d"]);
        let code = self.ask("migrate", "{{.State.ExitCode}}");
        (run, code.parse().expect("an exit code"))
    }

    /// Starts the job and does not wait for it.
    pub fn start_job(&self) {
        self.run(&["up", "-d", "migrate"]).expect_code(0);
    }

    /// What `docker inspect` says about the container of a service.
    pub fn ask(&self, service: &str, format: &str) -> String {
        let container = self.container(service);
        let run = docker(&["inspect", "-f", format, &container]).expect_code(0);
        run.stdout.trim().to_owned()
    }

    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    pub fn logs(&self, service: &str) -> String {
        let run = self
            .run(&["logs", "--no-log-prefix", service])
            .expect_code(0);
        run.stdout + &run.stderr
    }

    /// Whether the application was ever started.
    pub fn has_started_the_app(&self) -> bool {
        !self.ask("app", "{{.State.StartedAt}}").starts_with("0001")
    }

    pub fn state(&self) -> String {
        state(&self.sandbox.database())
    }

    /// What is known of the jobs so far: their records.
    pub fn records(&self) -> Vec<PathBuf> {
        files_ending(&self.sandbox.backups(), ".job.json")
    }

    /// Puts data and backups on one disk of their own with `free` bytes left.
    pub fn on_a_small_disk(&self, free: u64) {
        let disk = self.sandbox.path("small");
        fs::create_dir(&disk).expect("folder");
        let size = fs::metadata(self.sandbox.database())
            .expect("database")
            .len()
            + free;
        tool(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size}"),
                "tmpfs",
                text(&disk),
            ],
        );
        for name in ["data", "backups"] {
            let folder = self.sandbox.path(name);
            tool("cp", &["-a", text(&folder), text(&disk)]);
            fs::remove_dir_all(&folder).expect("the old folder");
            std::os::unix::fs::symlink(disk.join(name), &folder).expect("link");
        }
    }

    /// Makes the small disk larger.
    pub fn enlarge_the_disk(&self) {
        tool(
            "mount",
            &["-o", "remount,size=1g", text(&self.sandbox.path("small"))],
        );
    }
}
