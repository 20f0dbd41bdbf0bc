//! Podman with a storage of the tests' own, and the static program that goes into containers. `.ci/run` makes both ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Run, text};

/// What Debian's podman needs where there is no systemd: `runc`, cgroups by itself, a log of events in a file.
const CONTAINERS_CONF: &str = r#"[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// A file or folder that an environment variable names.
#[track_caller]
pub fn named_by(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set; .ci/run shows how"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(path.exists(), "{variable}: {} is missing", path.display());
    path
}

/// The statically linked program.
pub fn static_program() -> PathBuf {
    named_by("SAFESTEP_STATIC")
}

pub struct Podman {
    folder: PathBuf,
}

impl Podman {
    pub fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/containers/podman");
        fs::create_dir_all(&folder).expect("podman's folder");
        fs::write(folder.join("containers.conf"), CONTAINERS_CONF).expect("its settings");
        Self { folder }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(self.folder.join("storage"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .args(args)
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("podman starts"))
    }

    /// Runs it; it must succeed. Its standard output, without the line's end.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "podman {args:?}: {}", run.stderr);
        run.stdout.trim_end().to_owned()
    }

    /// An image of the static program and a folder of migrations, and nothing else.
    #[track_caller]
    pub fn build_image(&self, name: &str, context: &Path, migrations: &Path) {
        fs::create_dir_all(context).expect("context");
        super::copy_tree(migrations, &context.join("migrations"));
        fs::copy(static_program(), context.join("safestep")).expect("the static program");
        let dockerfile = "FROM scratch\nCOPY safestep /safestep\nCOPY migrations /migrations\nENTRYPOINT [\"/safestep\"]\n";
        fs::write(context.join("Dockerfile"), dockerfile).expect("Dockerfile");
        // Without layers between, which the tests would share: one takes them away while another builds on them.
        self.must(&[
            "build",
            "--quiet",
            "--layers=false",
            "--tag",
            name,
            text(context),
        ]);
    }
}
