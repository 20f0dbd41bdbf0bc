//! What a real job did to its files: the system calls that strace wrote down, as operations on a [`Disk`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::disk::{Disk, FOLDERS, Id, Op, What};
use super::support::{Run, Sandbox};

/// Everything by which a file, its length, its name or their durability changes.
const CALLS: &str = "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,\
fdatasync,sync,syncfs,sync_file_range,msync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
mkdir,mkdirat,rmdir,lseek,copy_file_range,sendfile,splice,close,dup,dup2,dup3,fcntl,mmap";

/// Longer than any single write of these small databases.
const LONGEST_WRITE: &str = "4000000";

/// The file system before a job and what the job did to it, in order.
#[derive(Clone)]
pub struct Recording {
    pub before: Disk,
    pub ops: Vec<Op>,
}

impl Recording {
    /// Runs the program under strace; it must end with 0.
    pub fn of(sandbox: &Sandbox, args: &[&str]) -> Self {
        let root = fs::canonicalize(sandbox.path("")).expect("the sandbox");
        let before = Disk::read(&root);
        let trace = root.join("trace");
        let output = Command::new("strace")
            .args(["-f", "-y", "-xx", "-s", LONGEST_WRITE, "-e"])
            .arg(format!("trace={CALLS}"))
            .arg("-o")
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_safestep"))
            .args(args)
            .current_dir(&root)
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .stdin(Stdio::null())
            .output()
            .expect("strace is installed");
        Run::of(&output).expect_code(0);
        let mut player = Player::new(&root, before.clone());
        for call in calls(&fs::read_to_string(&trace).expect("the trace")) {
            player.play(&call);
        }
        Self {
            before,
            ops: player.ops,
        }
    }

    /// The same without the syncs of some paths, for proving that the model finds what they are there for.
    pub fn without_syncs(&self, of: impl Fn(&str) -> bool) -> Self {
        let mut broken = self.clone();
        let count = broken.ops.len();
        for op in &mut broken.ops {
            if let What::Sync { covers, .. } = &mut op.what
                && of(&op.path)
            {
                *covers = 0;
            }
        }
        assert_eq!(count, broken.ops.len());
        broken
    }
}

/// A finished system call.
struct Call {
    name: String,
    args: Vec<String>,
    result: i64,
    /// How many calls had finished when this one began.
    begun: usize,
}

/// The calls in the order in which they finished; those that failed changed nothing.
fn calls(trace: &str) -> Vec<Call> {
    let mut pending: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    let mut list = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let (text, begun) = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            pending.insert(pid, (begun.to_owned(), list.len()));
            continue;
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((mut text, begun)) = pending.remove(pid) else {
                continue;
            };
            text.push_str(resumed.split_once("resumed>").map_or("", |(_, tail)| tail));
            (text, begun)
        } else {
            (rest.to_owned(), list.len())
        };
        list.extend(call(&text, begun));
    }
    list
}

fn call(text: &str, begun: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    let result = result.split(['<', ' ']).next()?.parse().ok()?;
    let args = args.trim_end().strip_suffix(')').unwrap_or(args);
    Some(Call {
        name: name.to_owned(),
        args: args.split(", ").map(str::to_owned).collect(),
        result,
        begun,
    })
}

impl Call {
    fn descriptor(&self, index: usize) -> i64 {
        let text = self.args[index].split('<').next().expect("a number");
        text.trim().parse().expect("a file descriptor")
    }

    fn number(&self, index: usize) -> u64 {
        self.args[index].trim().parse().expect("a number")
    }

    /// The bytes of a string argument: with `-xx` strace writes each as `\x12`.
    fn bytes(&self, index: usize) -> Vec<u8> {
        let text = self.args[index]
            .trim()
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or_else(|| panic!("{} is cut off: {}", self.name, self.args[index]));
        text.split("\\x")
            .skip(1)
            .map(|hex| u8::from_str_radix(hex, 16).expect("hex"))
            .collect()
    }

    fn path(&self, index: usize) -> PathBuf {
        PathBuf::from(String::from_utf8(self.bytes(index)).expect("UTF-8"))
    }
}

/// An open file: where it is, and where the next `write` goes.
#[derive(Clone, Copy)]
struct Open {
    file: Id,
    at: u64,
    appends: bool,
}

/// Follows the calls on a disk on which nothing is ever lost.
struct Player {
    root: PathBuf,
    disk: Disk,
    open: BTreeMap<i64, Open>,
    ops: Vec<Op>,
    /// How many operations there were when each call finished.
    ops_at: Vec<usize>,
}

impl Player {
    fn new(root: &Path, disk: Disk) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            open: BTreeMap::new(),
            ops: Vec::new(),
            ops_at: Vec::new(),
        }
    }

    fn play(&mut self, call: &Call) {
        if call.result >= 0 {
            self.play_done(call);
        }
        self.ops_at.push(self.ops.len());
    }

    fn play_done(&mut self, call: &Call) {
        match call.name.as_str() {
            "openat" => self.opened(call),
            "close" => {
                self.open.remove(&call.descriptor(0));
            }
            "write" => self.wrote(call, None),
            "pwrite64" => self.wrote(call, Some(call.number(3))),
            "lseek" => {
                if let Some(open) = self.open.get_mut(&call.descriptor(0)) {
                    open.at = u64::try_from(call.result).expect("an offset");
                }
            }
            "copy_file_range" => self.copied(call),
            "ftruncate" => {
                let length = call.number(1);
                if let Some(open) = self.open.get(&call.descriptor(0)).copied() {
                    let what = What::Resize {
                        file: open.file,
                        length,
                    };
                    self.push(what);
                }
            }
            "fsync" | "fdatasync" => self.synced(call),
            "mkdir" => self.entered(&call.path(0), true),
            "unlink" => self.removed(&call.path(0)),
            "unlinkat" => self.removed(&call.path(1)),
            "rename" => self.renamed(&call.path(0), &call.path(1)),
            "renameat" | "renameat2" => self.renamed(&call.path(1), &call.path(3)),
            "mmap" => self.mapped(call),
            "fcntl" => self.duplicated(call),
            // What this program does not do; were it to, the model would have to learn it.
            other => assert!(
                !call.args.iter().any(|arg| self.is_ours(arg)),
                "{other} is not modelled: {:?}",
                call.args
            ),
        }
    }

    /// Whether strace printed a path below the root behind a descriptor.
    fn is_ours(&self, arg: &str) -> bool {
        let hex: String = self
            .root
            .to_string_lossy()
            .bytes()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect();
        arg.contains(&hex)
    }

    /// The path inside the root, in parts; `None` for everything else on the machine.
    fn parts(&self, path: &Path) -> Option<Vec<String>> {
        let path = self.root.join(path);
        let inner = path.strip_prefix(&self.root).ok()?;
        let mut parts = Vec::new();
        for part in inner.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
                Component::ParentDir => {
                    parts.pop()?;
                }
                _ => {}
            }
        }
        let is_ours = parts
            .first()
            .is_none_or(|first| FOLDERS.contains(&first.as_str()));
        is_ours.then_some(parts)
    }

    fn folder_of(&self, path: &Path) -> Option<(Id, String)> {
        let mut parts = self.parts(path)?;
        let name = parts.pop()?;
        let folder = self.disk.find(&parts).expect("a folder");
        Some((folder, name))
    }

    fn push(&mut self, what: What) {
        self.disk.apply(&what);
        let path = self.disk.path_of(what.subject());
        self.ops.push(Op { what, path });
    }

    fn opened(&mut self, call: &Call) {
        let path = call.path(1);
        let Some(parts) = self.parts(&path) else {
            return;
        };
        let flags = &call.args[2];
        if self.disk.find(&parts).is_none() {
            // Temporary files of SQLite are unlinked at once, and the trace is strace's own.
            self.entered(&path, false);
        }
        let file = self.disk.find(&parts).expect("it was opened");
        if flags.contains("O_TRUNC") {
            self.push(What::Resize { file, length: 0 });
        }
        let open = Open {
            file,
            at: 0,
            appends: flags.contains("O_APPEND"),
        };
        self.open.insert(call.result, open);
    }

    fn wrote(&mut self, call: &Call, at: Option<u64>) {
        let Some(open) = self.open.get(&call.descriptor(0)).copied() else {
            return;
        };
        let mut bytes = call.bytes(1);
        bytes.truncate(usize::try_from(call.result).expect("a length"));
        let offset = at.unwrap_or(if open.appends {
            self.disk.length(open.file)
        } else {
            open.at
        });
        if at.is_none() {
            self.advance(call.descriptor(0), offset + bytes.len() as u64);
        }
        self.push(What::Write {
            file: open.file,
            at: offset,
            bytes,
        });
    }

    fn advance(&mut self, descriptor: i64, at: u64) {
        if let Some(open) = self.open.get_mut(&descriptor) {
            open.at = at;
        }
    }

    fn copied(&mut self, call: &Call) {
        let (from, to) = (call.descriptor(0), call.descriptor(2));
        let Some(target) = self.open.get(&to).copied() else {
            return;
        };
        let source = self.open[&from];
        let length = u64::try_from(call.result).expect("a length");
        let bytes = self.disk.slice(source.file, source.at, length);
        self.advance(from, source.at + length);
        self.advance(to, target.at + length);
        if length > 0 {
            self.push(What::Write {
                file: target.file,
                at: target.at,
                bytes,
            });
        }
    }

    fn synced(&mut self, call: &Call) {
        if let Some(open) = self.open.get(&call.descriptor(0)).copied() {
            let covers = call
                .begun
                .checked_sub(1)
                .map_or(0, |last| self.ops_at[last]);
            self.push(What::Sync {
                node: open.file,
                covers,
            });
        }
    }

    fn entered(&mut self, path: &Path, is_folder: bool) {
        if let Some((folder, name)) = self.folder_of(path) {
            let node = self.disk.new_node(is_folder);
            self.push(What::Enter {
                folder,
                name,
                node,
                is_folder,
            });
        }
    }

    fn removed(&mut self, path: &Path) {
        if let Some((folder, name)) = self.folder_of(path) {
            self.push(What::Remove { folder, name });
        }
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        let Some((folder, from)) = self.folder_of(from) else {
            return;
        };
        let (other, to) = self.folder_of(to).expect("inside the sandbox");
        let node = self.disk.entry(folder, &from);
        if folder != other {
            // Each folder gets it on the disk by itself: it may be in both, or in neither.
            self.push(What::Rename {
                folder: other,
                from: to.clone(),
                to,
                node,
            });
            self.push(What::Remove { folder, name: from });
            return;
        }
        self.push(What::Rename {
            folder,
            from,
            to,
            node,
        });
    }

    /// Only the WAL's index is written through memory; it is built anew after a crash.
    fn mapped(&self, call: &Call) {
        let shared = call.args[2].contains("PROT_WRITE") && call.args[3].contains("MAP_SHARED");
        if shared && let Some(open) = self.open.get(&call.descriptor(4)) {
            let path = self.disk.path_of(open.file);
            assert!(path.ends_with("-shm"), "{path} is written through memory");
        }
    }

    fn duplicated(&mut self, call: &Call) {
        if call.args[1].starts_with("F_DUPFD")
            && let Some(open) = self.open.get(&call.descriptor(0)).copied()
        {
            self.open.insert(call.result, open);
        }
    }
}
