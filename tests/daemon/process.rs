//! A real daemon, and how to ask it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Run, Sandbox, send};

/// Long enough for the slowest machine; nothing waits for it that goes well.
const PATIENCE: Duration = Duration::from_mins(2);

/// Until it is so.
#[track_caller]
pub(crate) fn poll(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Killed when it is dropped, so that a test that fails leaves none behind.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// On a port that the system chooses.
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(args);
        Self::start_with(sandbox, &all)
    }

    pub(crate) fn start_with(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut all = vec!["daemon"];
        all.extend(args);
        let log = sandbox.path(&format!("daemon-{}.log", fastrand::u64(..)));
        let child = sandbox
            .command(&all)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("the program starts");
        let process = Self { child, log };
        poll("the daemon", || process.stderr().contains("daemon starts"));
        process
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As it was said at the start.
    pub(crate) fn address(&self) -> String {
        let log = self.stderr();
        let (_, rest) = log.split_once("answers at http://").expect("an address");
        rest.split('/').next().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    /// The status and the body; no status where the connection was closed without an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).expect("the daemon answers");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: here\r\n{headers}\r\n");
        // What is refused early may be answered before it is read to its end.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or(0), body.to_owned())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Asks it to go, and waits until it has.
    pub(crate) fn stop(mut self, signal: Signal) -> Run {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        Run {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: self.stderr(),
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
