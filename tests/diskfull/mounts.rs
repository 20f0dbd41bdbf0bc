//! Small disks: a tmpfs in a mount namespace of the test's own, which goes with the process.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::drill::Drill;
use super::support::{self, text};

const INSIDE: &str = "SAFESTEP_TEST_INSIDE";
pub const PAGE: u64 = 4096;
const ROOMY: u64 = 256 * 1024 * 1024;

/// The two ways to a mount namespace: as root, and as somebody whom the kernel lets be root in a namespace.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// Runs the body in a mount namespace: in this test program started anew for this one test.
pub fn in_namespace(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let way = WAYS.into_iter().find(|way| can_mount(way)).expect(
        "this machine lets nobody mount a tmpfs, neither as root nor in a user namespace: run it as root, or allow \
         user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)",
    );
    let status = Command::new("unshare")
        .args(way)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare of util-linux");
    assert!(
        status.success(),
        "{test} failed in its namespace, see above"
    );
}

fn can_mount(way: &[&str]) -> bool {
    let folder = tempfile::tempdir().expect("folder");
    Command::new("unshare")
        .args(way)
        .args(["mount", "-t", "tmpfs", "-o", "size=4k", "probe"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What lies on the small disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Both,
    Backups,
    Database,
}

impl Layout {
    pub const ALL: [Self; 3] = [Self::Both, Self::Backups, Self::Database];

    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "database and backups on it",
            Self::Backups => "backups on it",
            Self::Database => "database on it",
        }
    }

    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["data", "backups"],
            Self::Backups => &["backups"],
            Self::Database => &["data"],
        }
    }
}

/// A tmpfs on which folders of a drill's sandbox lie.
pub struct Small<'d> {
    drill: &'d Drill,
}

impl<'d> Small<'d> {
    pub fn mount(drill: &'d Drill, layout: Layout) -> Self {
        let sandbox = &drill.sandbox;
        let small = sandbox.path("small");
        let _ = std::fs::create_dir(&small);
        mount(&["-t", "tmpfs", "-o", "size=256m", "small", text(&small)]);
        for folder in layout.folders() {
            let (inner, outer) = (small.join(folder), sandbox.path(folder));
            std::fs::create_dir(&inner).expect("folder");
            std::fs::create_dir_all(&outer).expect("folder");
            mount(&["--bind", text(&inner), text(&outer)]);
        }
        Self { drill }
    }

    fn path(&self) -> std::path::PathBuf {
        self.drill.sandbox.path("small")
    }

    /// The saved state, with this many bytes free.
    pub fn reset(&self, free_bytes: u64) {
        self.make_room();
        self.drill.reset();
        // What was removed is not always given back at once.
        support::wait_until("a disk of that size", || {
            let size = used(&self.path()) + free_bytes;
            self.try_remount(&format!("size={size}")) && free(&self.path()) == free_bytes
        });
    }

    /// The saved state, with this many inodes free.
    pub fn reset_inodes(&self, free_inodes: u64) {
        self.make_room();
        self.drill.reset();
        let stat = rustix::fs::statvfs(self.path()).expect("statvfs");
        let inodes = stat.f_files - stat.f_ffree + free_inodes;
        self.remount(&format!("nr_inodes={inodes}"));
    }

    pub fn make_room(&self) {
        self.remount(&format!("size={ROOMY},nr_inodes=100000"));
    }

    pub fn make_read_only(&self) {
        self.remount("ro");
    }

    pub fn free(&self) -> u64 {
        free(&self.path())
    }

    fn remount(&self, options: &str) {
        assert!(self.try_remount(options), "remount with {options}");
    }

    fn try_remount(&self, options: &str) -> bool {
        Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        for folder in ["data", "backups", "small"] {
            let _ = Command::new("umount")
                .arg(self.drill.sandbox.path(folder))
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn mount(args: &[&str]) {
    support::tool("mount", args);
}

fn free(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).expect("statvfs");
    stat.f_bavail * stat.f_frsize
}

fn used(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).expect("statvfs");
    (stat.f_blocks - stat.f_bavail) * stat.f_frsize
}
