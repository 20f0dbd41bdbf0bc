//! A file system after a power cut, in the manner of ALICE ("All File Systems Are Not Created Equal", OSDI 2014).
//!
//! What was synced is there. Everything else is there or not, sector by sector: a file's bytes and its length need a sync
//! of the file, a name, its renaming and its removal need a sync of the folder.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::support::Random;

/// A file or folder, whatever its name.
pub type Id = usize;
const ROOT: Id = 0;
/// What a job works with.
pub const FOLDERS: [&str; 2] = ["data", "backups"];

/// One change, or a sync.
#[derive(Clone)]
pub struct Op {
    pub what: What,
    /// What it was called then, for filters and messages.
    pub path: String,
}

#[derive(Clone)]
pub enum What {
    Write {
        file: Id,
        at: u64,
        bytes: Vec<u8>,
    },
    Resize {
        file: Id,
        length: u64,
    },
    Enter {
        folder: Id,
        name: String,
        node: Id,
        is_folder: bool,
    },
    Rename {
        folder: Id,
        from: String,
        to: String,
        node: Id,
    },
    Remove {
        folder: Id,
        name: String,
    },
    /// Of a file or folder; it covers the operations that were done when it began.
    Sync {
        node: Id,
        covers: usize,
    },
}

impl What {
    /// The file or folder that must be synced for it to last.
    pub fn subject(&self) -> Id {
        match self {
            Self::Write { file, .. } | Self::Resize { file, .. } => *file,
            Self::Enter { folder, .. }
            | Self::Rename { folder, .. }
            | Self::Remove { folder, .. } => *folder,
            Self::Sync { node, .. } => *node,
        }
    }

    fn is_of_names(&self) -> bool {
        matches!(
            self,
            Self::Enter { .. } | Self::Rename { .. } | Self::Remove { .. }
        )
    }
}

/// Bytes behind `length` are on the disk, but not in the file.
#[derive(Clone, Default, Hash)]
struct Content {
    bytes: Vec<u8>,
    length: usize,
}

#[derive(Clone, Hash)]
enum Node {
    File(Content),
    Folder(BTreeMap<String, Id>),
}

/// Files and folders.
#[derive(Clone)]
pub struct Disk {
    nodes: Vec<Node>,
}

impl Disk {
    /// `data` and `backups` below a folder, as they are.
    pub fn read(root: &Path) -> Self {
        let mut disk = Self {
            nodes: vec![Node::Folder(BTreeMap::new())],
        };
        for name in FOLDERS {
            if root.join(name).exists() {
                disk.read_into(ROOT, name, &root.join(name));
            }
        }
        disk
    }

    fn read_into(&mut self, folder: Id, name: &str, path: &Path) {
        let is_folder = path.is_dir();
        let node = self.new_node(is_folder);
        self.apply(&What::Enter {
            folder,
            name: name.to_owned(),
            node,
            is_folder,
        });
        if is_folder {
            for entry in fs::read_dir(path).expect("folder") {
                let entry = entry.expect("entry");
                let name = entry.file_name().to_string_lossy().into_owned();
                self.read_into(node, &name, &entry.path());
            }
        } else {
            let bytes = fs::read(path).expect("file");
            let length = bytes.len();
            self.nodes[node] = Node::File(Content { bytes, length });
        }
    }

    pub fn new_node(&mut self, is_folder: bool) -> Id {
        self.nodes.push(if is_folder {
            Node::Folder(BTreeMap::new())
        } else {
            Node::File(Content::default())
        });
        self.nodes.len() - 1
    }

    pub fn find(&self, parts: &[String]) -> Option<Id> {
        let mut node = ROOT;
        for part in parts {
            match &self.nodes[node] {
                Node::Folder(entries) => node = *entries.get(part)?,
                Node::File(_) => return None,
            }
        }
        Some(node)
    }

    pub fn entry(&self, folder: Id, name: &str) -> Id {
        match &self.nodes[folder] {
            Node::Folder(entries) => entries[name],
            Node::File(_) => panic!("no folder"),
        }
    }

    /// The bytes of a file by its path, if it is there.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let node = self.find(&parts)?;
        Some(self.slice(node, 0, self.length(node)))
    }

    pub fn path_of(&self, wanted: Id) -> String {
        self.path_below(ROOT, "", wanted).unwrap_or_default()
    }

    fn path_below(&self, folder: Id, path: &str, wanted: Id) -> Option<String> {
        if folder == wanted {
            return Some(path.to_owned());
        }
        let Node::Folder(entries) = &self.nodes[folder] else {
            return None;
        };
        entries
            .iter()
            .find_map(|(name, node)| self.path_below(*node, &format!("{path}/{name}"), wanted))
    }

    fn content(&mut self, file: Id) -> &mut Content {
        match &mut self.nodes[file] {
            Node::File(content) => content,
            Node::Folder(_) => panic!("no file"),
        }
    }

    fn entries(&mut self, folder: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.nodes[folder] {
            Node::Folder(entries) => entries,
            Node::File(_) => panic!("no folder"),
        }
    }

    pub fn length(&self, file: Id) -> u64 {
        match &self.nodes[file] {
            Node::File(content) => content.length as u64,
            Node::Folder(_) => 0,
        }
    }

    pub fn slice(&self, file: Id, at: u64, length: u64) -> Vec<u8> {
        let Node::File(content) = &self.nodes[file] else {
            return Vec::new();
        };
        let place = |at: u64| usize::try_from(at).expect("small").min(content.length);
        let mut bytes = content.bytes.clone();
        bytes.resize(content.length, 0);
        bytes[place(at)..place(at + length)].to_vec()
    }

    /// All of an operation.
    pub fn apply(&mut self, what: &What) {
        match what {
            What::Write { file, at, bytes } => {
                self.put(*file, *at, bytes);
                self.grow(*file, at + bytes.len() as u64);
            }
            What::Resize { file, length } => {
                let length = usize::try_from(*length).expect("small");
                let content = self.content(*file);
                content.bytes.resize(length, 0);
                content.length = length;
            }
            What::Enter {
                folder, name, node, ..
            } => {
                self.entries(*folder).insert(name.clone(), *node);
            }
            What::Rename {
                folder,
                from,
                to,
                node,
            } => {
                let entries = self.entries(*folder);
                if entries.get(from) == Some(node) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), *node);
            }
            What::Remove { folder, name } => {
                self.entries(*folder).remove(name);
            }
            What::Sync { .. } => {}
        }
    }

    fn put(&mut self, file: Id, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).expect("small");
        let content = self.content(file);
        if content.bytes.len() < at + bytes.len() {
            content.bytes.resize(at + bytes.len(), 0);
        }
        content.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn grow(&mut self, file: Id, length: u64) {
        let content = self.content(file);
        content.length = content.length.max(usize::try_from(length).expect("small"));
    }

    /// Puts the files where they were; what else was there goes. What is said of a WAL's index by `noise`.
    pub fn write(&self, root: &Path, noise: &mut Random) {
        for name in FOLDERS {
            let _ = fs::remove_dir_all(root.join(name));
        }
        self.write_node(ROOT, root, noise);
        // A volume that is there has its folder.
        fs::create_dir_all(root.join("data")).expect("folder");
    }

    fn write_node(&self, node: Id, path: &Path, noise: &mut Random) {
        match &self.nodes[node] {
            Node::File(content) => {
                let mut bytes = content.bytes.clone();
                bytes.resize(content.length, 0);
                if path.to_string_lossy().ends_with("-shm") {
                    // Never synced and not to be relied on: anything may be in it.
                    for byte in &mut bytes {
                        *byte = u8::try_from(noise.below(256)).expect("a byte");
                    }
                }
                fs::write(path, bytes).expect("file");
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
            }
            Node::Folder(entries) => {
                if node != ROOT {
                    fs::create_dir(path).expect("folder");
                }
                for (name, node) in entries {
                    self.write_node(*node, &path.join(name), noise);
                }
            }
        }
    }

    /// The same for two states that look the same. Logs and lock files are left out: nobody relies on what is in them.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, node: Id, hasher: &mut DefaultHasher) {
        match &self.nodes[node] {
            Node::File(content) => {
                content.length.hash(hasher);
                content.bytes[..content.length.min(content.bytes.len())].hash(hasher);
            }
            Node::Folder(entries) => {
                for (name, node) in entries {
                    if name != "logs" && !name.ends_with("-lock") && !name.ends_with("-shm") {
                        name.hash(hasher);
                        self.hash_node(*node, hasher);
                    }
                }
            }
        }
    }
}

/// What a file system promises of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// No more than POSIX: each name is a change of its own, lasting when its folder was synced.
    Strict,
    /// As ext4: names change in order, and any sync makes all earlier ones last.
    Ordered,
}

/// A cut: what comes after the first `point` operations has not happened.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub rules: Rules,
    pub point: usize,
    pub keep: Keep,
}

/// Which of the operations that were not synced the disk has.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// As after a SIGKILL.
    All,
    None,
    /// Names without bytes, or bytes without names.
    Names,
    Bytes,
    /// The first, the last, all but one, one alone; counted by a seed.
    First(u64),
    Last(u64),
    AllBut(u64),
    Only(u64),
    /// Each operation, or each sector of this size and each length by itself, with a chance in percent.
    Some {
        chance: u64,
        sector: Option<usize>,
        seed: u64,
    },
}

impl Keep {
    /// One of the kinds, by a random choice.
    pub fn random(random: &mut Random) -> Self {
        let seed = random.below(u64::MAX);
        let chance = [10, 50, 90][usize::try_from(random.below(3)).expect("small")];
        match random.below(12) {
            0 => Self::Names,
            1 => Self::Bytes,
            2 => Self::First(seed),
            3 => Self::Last(seed),
            4 | 5 => Self::AllBut(seed),
            6 => Self::Only(seed),
            7 | 8 => Self::Some {
                chance,
                sector: None,
                seed,
            },
            9 => Self::Some {
                chance,
                sector: Some(4096),
                seed,
            },
            _ => Self::Some {
                chance,
                sector: Some(512),
                seed,
            },
        }
    }

    fn keeps(self, index: usize, count: usize, what: &What, random: &mut Random) -> bool {
        let place = |seed: u64| usize::try_from(seed % count as u64).expect("small");
        match self {
            Self::All => true,
            Self::None => false,
            Self::Names => what.is_of_names(),
            Self::Bytes => !what.is_of_names(),
            Self::First(seed) => index < place(seed),
            Self::Last(seed) => index >= place(seed),
            Self::AllBut(seed) => index != place(seed),
            Self::Only(seed) => index == place(seed),
            Self::Some { chance, .. } => random.below(100) < chance,
        }
    }
}

/// When each operation is beyond a power cut: the place of the first sync that covers it.
pub struct Lasting {
    strict: Vec<usize>,
    ordered: Vec<usize>,
}

impl Lasting {
    pub fn of(ops: &[Op]) -> Self {
        let mut strict = vec![usize::MAX; ops.len()];
        let mut ordered = strict.clone();
        for (place, op) in ops.iter().enumerate() {
            let What::Sync { node, covers } = op.what else {
                continue;
            };
            for earlier in 0..covers {
                let what = &ops[earlier].what;
                if what.subject() == node {
                    strict[earlier] = strict[earlier].min(place);
                }
                if what.subject() == node || what.is_of_names() {
                    ordered[earlier] = ordered[earlier].min(place);
                }
            }
        }
        Self { strict, ordered }
    }

    fn lasts(&self, rules: Rules, op: usize, point: usize) -> bool {
        let since = match rules {
            Rules::Strict => self.strict[op],
            Rules::Ordered => self.ordered[op],
        };
        since < point
    }
}

/// What the disk holds after the cut.
pub fn after(before: &Disk, ops: &[Op], lasting: &Lasting, cut: Cut) -> Disk {
    let mut disk = before.clone();
    for op in ops {
        if let What::Enter {
            node, is_folder, ..
        } = op.what
        {
            assert_eq!(disk.new_node(is_folder), node);
        }
    }
    let pending: Vec<usize> = (0..cut.point)
        .filter(|op| !lasting.lasts(cut.rules, *op, cut.point))
        .filter(|op| !matches!(ops[*op].what, What::Sync { .. }))
        .collect();
    let mut kept = Kept::new(cut, &pending, ops);
    for (place, op) in ops[..cut.point].iter().enumerate() {
        match pending.binary_search(&place) {
            Ok(index) => kept.apply(&mut disk, index, &op.what),
            Err(_) => disk.apply(&op.what),
        }
    }
    disk
}

/// The choice among what was not synced.
struct Kept {
    cut: Cut,
    count: usize,
    /// Under [`Rules::Ordered`]: names after the first that is lost are lost, too.
    names: usize,
    names_seen: usize,
    random: Random,
}

impl Kept {
    fn new(cut: Cut, pending: &[usize], ops: &[Op]) -> Self {
        let seed = match cut.keep {
            Keep::Some { seed, .. }
            | Keep::First(seed)
            | Keep::Last(seed)
            | Keep::AllBut(seed)
            | Keep::Only(seed) => seed,
            Keep::All | Keep::None | Keep::Names | Keep::Bytes => 0,
        };
        let mut random = Random::seeded(seed);
        let count = pending
            .iter()
            .filter(|op| ops[**op].what.is_of_names())
            .count();
        let names = match cut.keep {
            Keep::All | Keep::Names => count,
            Keep::None | Keep::Bytes => 0,
            _ => usize::try_from(random.below(count as u64 + 1)).expect("small"),
        };
        Self {
            cut,
            count: pending.len(),
            names,
            names_seen: 0,
            random,
        }
    }

    fn apply(&mut self, disk: &mut Disk, index: usize, what: &What) {
        if what.is_of_names() && self.cut.rules == Rules::Ordered {
            self.names_seen += 1;
            if self.names_seen <= self.names {
                disk.apply(what);
            }
            return;
        }
        match (self.cut.keep, what) {
            (
                Keep::Some {
                    chance,
                    sector: Some(size),
                    ..
                },
                What::Write { file, at, bytes },
            ) => self.tear(disk, (chance, size), (*file, *at, bytes)),
            (keep, _) => {
                if keep.keeps(index, self.count, what, &mut self.random) {
                    disk.apply(what);
                }
            }
        }
    }

    /// Each sector and the length of the file by themselves.
    fn tear(
        &mut self,
        disk: &mut Disk,
        (chance, size): (u64, usize),
        (file, at, bytes): (Id, u64, &[u8]),
    ) {
        let mut done = 0;
        while done < bytes.len() {
            let place = at + done as u64;
            let left = size - usize::try_from(place).expect("small") % size;
            let end = bytes.len().min(done + left);
            if self.random.below(100) < chance {
                disk.put(file, place, &bytes[done..end]);
            }
            done = end;
        }
        if self.random.below(100) < chance {
            disk.grow(file, at + bytes.len() as u64);
        }
    }
}
