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
pub const APP_SERVICE: &str = "fastflow-orchestrator";
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
        !self
            .ask(APP_SERVICE, "{{.State.StartedAt}}")
            .starts_with("0001")
    }

    pub fn state(&self) -> String {
        state(&self.sandbox.database())
    }

    /// What is known of the jobs so far: their records.
    pub fn records(&self) -> Vec<PathBuf> {
        files_ending(&self.sandbox.backups(), ".job.json")
    }

    /// Puts the database on a disk of its own. A file system in a file: what is written to a tmpfs counts as memory of
    /// the container.
    pub fn on_a_disk_of_its_own(&self) {
        let [disk, image] = ["small", "small.ext4"].map(|name| self.sandbox.path(name));
        fs::create_dir(&disk).expect("folder");
        let file = fs::File::create(&image).expect("image");
        file.set_len(512 * 1024 * 1024).expect("size");
        tool("mkfs.ext4", &["-q", "-m", "0", text(&image)]);
        tool("mount", &["-o", "loop", text(&image), text(&disk)]);
        let folder = self.sandbox.path("data");
        tool("cp", &["-a", text(&folder), text(&disk)]);
        fs::remove_dir_all(&folder).expect("the old folder");
        std::os::unix::fs::symlink(disk.join("data"), &folder).expect("link");
    }

    /// Somebody fills it up until so many bytes are free.
    pub fn leave(&self, free: u64) {
        let disk = self.sandbox.path("small");
        let stat = rustix::fs::statvfs(&disk).expect("free space");
        let ballast = (stat.f_bavail * stat.f_frsize - free).to_string();
        tool("fallocate", &["-l", &ballast, text(&disk.join("ballast"))]);
    }

    /// Somebody makes room on it.
    pub fn make_room(&self) {
        fs::remove_file(self.sandbox.path("small/ballast")).expect("ballast");
    }
}
