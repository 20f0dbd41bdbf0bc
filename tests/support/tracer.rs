//! Runs a program under ptrace, as strace does, and strikes at exactly one of its system calls.
//!
//! `strace --inject` counts `when=` for each thread by itself: a failure of the main thread's n-th call hides the n-th of
//! every other one, "from here on" holds for one thread only, and a buffer cannot be written by half. Here a call is named
//! by what it does to which file, and how often that was done before, whichever thread does it; so each call of a job can
//! be hit, and is hit once.
//!
//! Only what happens below one folder counts: not the dynamic loader, nor pipes and event descriptors.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Run;

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(1);
const SIGKILLED: i32 = -9;
/// What the kernel takes for no system call at all.
const NO_CALL: u64 = u64::MAX;
const O_CREAT: u64 = 0o100;
/// `fcntl` commands that lock: `F_SETLK`, `F_SETLKW`, and those of open file descriptions.
const LOCKING: [u64; 4] = [6, 7, 37, 38];

/// Where a call has the file that it works on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// A descriptor in its first argument.
    Descriptor,
    /// A path in its first argument.
    Path,
    /// A path in its second argument, after a folder's descriptor.
    PathAt,
}

/// The calls that are looked at, with their numbers on `x86_64`.
const CALLS: [(u64, &str, Subject); 19] = [
    (0, "read", Subject::Descriptor),
    (1, "write", Subject::Descriptor),
    (17, "pread64", Subject::Descriptor),
    (18, "pwrite64", Subject::Descriptor),
    (72, "fcntl", Subject::Descriptor),
    (73, "flock", Subject::Descriptor),
    (74, "fsync", Subject::Descriptor),
    (75, "fdatasync", Subject::Descriptor),
    (77, "ftruncate", Subject::Descriptor),
    (2, "open", Subject::Path),
    (82, "rename", Subject::Path),
    (83, "mkdir", Subject::Path),
    (86, "link", Subject::Path),
    (87, "unlink", Subject::Path),
    (257, "openat", Subject::PathAt),
    (258, "mkdirat", Subject::PathAt),
    (263, "unlinkat", Subject::PathAt),
    (265, "linkat", Subject::PathAt),
    (316, "renameat2", Subject::PathAt),
];

/// One call of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub call: &'static str,
    /// The file, below the folder; without what differs from run to run.
    pub file: String,
    /// The how manieth of this call on this file, from 1.
    pub nth: usize,
    /// An open that may make the file.
    pub creates: bool,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} #{}", self.call, self.file, self.nth)
    }
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The call fails.
    Fails(Errno),
    /// It fails, and so does everything after it: with ENOSPC whatever needs more room, otherwise all that the device does.
    FailsFromHereOn(Errno),
    /// Half of the buffer is written, and the call says so.
    Half,
    /// Half of the buffer is written, and the process is killed.
    HalfAndKilled,
    /// The process is killed before the call is carried out.
    Killed,
}

/// What is to happen, and where.
#[derive(Debug, Clone)]
pub struct Fault {
    pub point: Point,
    pub blow: Blow,
}

/// What came of a program.
pub struct Traced {
    /// Its calls, in the order in which they began.
    pub points: Vec<Point>,
    /// Whether the fault came to pass.
    pub hit: bool,
    pub run: Run,
    pub killed: bool,
    pub hung: bool,
}

/// Runs `command` to its end. Only calls on files below `root` count, and of those what `counts` says by their name there.
pub fn trace(
    command: &Command,
    root: &Path,
    counts: &dyn Fn(&str) -> bool,
    fault: Option<&Fault>,
) -> Traced {
    let out = root.join("out");
    fs::create_dir_all(&out).expect("folder for the output");
    let (stdout, stderr) = (out.join("stdout"), out.join("stderr"));
    let pid = seized(command, &stdout, &stderr);
    let mut tracer = Tracer {
        root: root.to_path_buf(),
        counts,
        fault,
        pid,
        inside: HashMap::new(),
        seen: HashMap::new(),
        points: Vec::new(),
        started: false,
        hit: false,
        failing: None,
    };
    let (ended, watch) = mpsc::channel::<()>();
    let hung = AtomicBool::new(false);
    let code = std::thread::scope(|scope| {
        let hung = &hung;
        scope.spawn(move || {
            if watch.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                hung.store(true, Ordering::SeqCst);
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let code = tracer.follow();
        drop(ended);
        code
    });
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("output")).into_owned();
    Traced {
        points: tracer.points,
        hit: tracer.hit,
        run: Run {
            code,
            stdout: text(&stdout),
            stderr: text(&stderr),
        },
        killed: code == SIGKILLED,
        hung: hung.load(Ordering::SeqCst),
    }
}

/// Starts a shell that waits, takes hold of it, and has it become the program.
#[allow(clippy::zombie_processes)] // `follow` waits for it
fn seized(command: &Command, stdout: &Path, stderr: &Path) -> Pid {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "read -r _; exec \"$0\" \"$@\" </dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap_or(Path::new(".")))
        .stdin(Stdio::piped())
        .stdout(File::create(stdout).expect("stdout"))
        .stderr(File::create(stderr).expect("stderr"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.spawn().expect("a shell");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("pid"));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("this process may trace its children");
    ptrace::interrupt(pid).expect("interrupt");
    // Closed: what the shell reads is the end of its input.
    drop(child.stdin.take());
    pid
}

/// What is to be done when the call ends in which a thread is.
#[derive(Clone, Copy)]
enum AtEnd {
    Nothing,
    Fail(Errno),
    Kill,
}

struct Tracer<'a> {
    root: PathBuf,
    counts: &'a dyn Fn(&str) -> bool,
    fault: Option<&'a Fault>,
    pid: Pid,
    /// The threads that are in a system call.
    inside: HashMap<Pid, AtEnd>,
    seen: HashMap<(&'static str, String), usize>,
    points: Vec<Point>,
    /// The shell has become the program.
    started: bool,
    hit: bool,
    failing: Option<Errno>,
}

impl Tracer<'_> {
    /// Until the program has ended; its exit code.
    fn follow(&mut self) -> i32 {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let status = waitpid(None, Some(flags)).expect("the program is there");
            match status {
                WaitStatus::Exited(pid, code) if pid == self.pid => return code,
                WaitStatus::Signaled(pid, signal, _) if pid == self.pid => return -(signal as i32),
                WaitStatus::PtraceSyscall(pid) => {
                    if let Some(at_end) = self.inside.remove(&pid) {
                        self.leave(pid, at_end);
                    } else {
                        let at_end = self.enter(pid);
                        self.inside.insert(pid, at_end);
                    }
                    go_on(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 {
                        self.started = true;
                        // The next stop is the end of the exec, wherever the shell was when it was taken hold of.
                        self.inside.insert(pid, AtEnd::Nothing);
                    }
                    go_on(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
                _ => {}
            }
        }
    }

    fn enter(&mut self, pid: Pid) -> AtEnd {
        if !self.started {
            return AtEnd::Nothing;
        }
        let Ok(mut regs) = ptrace::getregs(pid) else {
            return AtEnd::Nothing;
        };
        let Some(point) = self.point(pid, &regs) else {
            return AtEnd::Nothing;
        };
        let blow = self.blow(pid, &regs, &point);
        self.points.push(point);
        match blow {
            None => AtEnd::Nothing,
            Some(Blow::Killed) => {
                let _ = kill(self.pid, Signal::SIGKILL);
                AtEnd::Nothing
            }
            Some(Blow::Half | Blow::HalfAndKilled) => {
                regs.rdx = (regs.rdx / 2).max(1);
                let _ = ptrace::setregs(pid, regs);
                if blow == Some(Blow::HalfAndKilled) {
                    AtEnd::Kill
                } else {
                    AtEnd::Nothing
                }
            }
            Some(Blow::Fails(errno) | Blow::FailsFromHereOn(errno)) => {
                regs.orig_rax = NO_CALL;
                let _ = ptrace::setregs(pid, regs);
                AtEnd::Fail(errno)
            }
        }
    }

    fn leave(&self, pid: Pid, at_end: AtEnd) {
        match at_end {
            AtEnd::Nothing => {}
            AtEnd::Kill => {
                let _ = kill(self.pid, Signal::SIGKILL);
            }
            AtEnd::Fail(errno) => {
                if let Ok(mut regs) = ptrace::getregs(pid) {
                    regs.rax = (-i64::from(errno as i32)).cast_unsigned();
                    let _ = ptrace::setregs(pid, regs);
                }
            }
        }
    }

    /// The call, if it is one of those that count.
    fn point(&mut self, pid: Pid, regs: &user_regs_struct) -> Option<Point> {
        let (_, call, subject) = CALLS
            .iter()
            .find(|(number, _, _)| *number == regs.orig_rax)?;
        if *call == "fcntl" && !LOCKING.contains(&regs.rsi) {
            return None;
        }
        let path = match subject {
            Subject::Descriptor => fs::read_link(format!("/proc/{pid}/fd/{}", regs.rdi)).ok()?,
            Subject::Path => self.root.join(text_at(pid, regs.rdi)?),
            Subject::PathAt => self.root.join(text_at(pid, regs.rsi)?),
        };
        let file = label(path.strip_prefix(&self.root).ok()?);
        if !(self.counts)(&file) {
            return None;
        }
        let flags = match *call {
            "open" => regs.rsi,
            "openat" => regs.rdx,
            _ => 0,
        };
        let nth = self.seen.entry((call, file.clone())).or_default();
        *nth += 1;
        Some(Point {
            call,
            file,
            nth: *nth,
            creates: flags & O_CREAT != 0,
        })
    }

    fn blow(&mut self, pid: Pid, regs: &user_regs_struct, point: &Point) -> Option<Blow> {
        if let Some(errno) = self.failing {
            let fails = fails_too(errno, pid, regs, point);
            return fails.then_some(Blow::Fails(errno));
        }
        let fault = self
            .fault
            .filter(|fault| !self.hit && fault.point == *point)?;
        self.hit = true;
        if let Blow::FailsFromHereOn(errno) = fault.blow {
            self.failing = Some(errno);
        }
        Some(fault.blow)
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // It may have been killed meanwhile.
    let _ = ptrace::syscall(pid, signal);
}

/// Whether a full disk, or one that is gone, fails this call as well.
fn fails_too(errno: Errno, pid: Pid, regs: &user_regs_struct, point: &Point) -> bool {
    if point.file.starts_with("out/") || matches!(point.call, "fcntl" | "flock") {
        return false;
    }
    if errno != Errno::ENOSPC {
        return true;
    }
    let file = format!("/proc/{pid}/fd/{}", regs.rdi);
    let size = || fs::metadata(&file).map_or(0, |meta| meta.len());
    match point.call {
        "write" | "mkdir" | "mkdirat" => true,
        // What is there already can be written over.
        "pwrite64" => regs.r10 + regs.rdx > size(),
        "ftruncate" => regs.rsi > size(),
        "open" | "openat" => {
            let path = if point.call == "open" {
                text_at(pid, regs.rdi)
            } else {
                text_at(pid, regs.rsi)
            };
            point.creates && path.is_some_and(|path| !Path::new(&path).exists())
        }
        _ => false,
    }
}

/// A path in the memory of a process.
fn text_at(pid: Pid, address: u64) -> Option<String> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut buffer = [0; 4096];
    // Not beyond the page: the next one may not be there.
    let in_page = 4096 - usize::try_from(address % 4096).ok()?;
    let mut length = memory.read_at(&mut buffer[..in_page], address).ok()?;
    if !buffer[..length].contains(&0) {
        length += memory
            .read_at(&mut buffer[length..], address + length as u64)
            .ok()?;
    }
    let end = buffer[..length].iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&buffer[..end]).into_owned())
}

/// The name of a file without times, ids and random parts.
fn label(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.trim_end_matches(" (deleted)");
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
    let name = if name.starts_with("etilqs_") {
        "(temporary)"
    } else if folder.ends_with("logs") {
        "(log)"
    } else {
        stamped(name).unwrap_or(name)
    };
    [folder, name].join("/").trim_start_matches('/').to_owned()
}

/// `20261122T170000.123Z_003-008_1f2e3d4c.job.json` is `.job.json`.
fn stamped(name: &str) -> Option<&str> {
    let id = name.get(..21)?.ends_with("Z_").then(|| name.rfind('_'))??;
    name.get(id + 9..)
}
