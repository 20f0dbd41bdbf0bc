//! Archives that somebody made to do harm, or that were made by something else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tar::{EntryType, Header};

use crate::golden::chosen;
use crate::support::{Sandbox, files_ending, text, tool};
use crate::trial::Trial;

/// A member of an archive, as it is to be, whatever an honest writer would allow.
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    link: &'static str,
    /// What the header says; the true size where it is missing.
    size: Option<u64>,
    data: Vec<u8>,
}

impl Member {
    fn file(name: &str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            kind: EntryType::Regular,
            link: "",
            size: None,
            data: data.into(),
        }
    }

    fn of_kind(mut self, kind: EntryType, link: &'static str) -> Self {
        (self.kind, self.link) = (kind, link);
        self
    }

    fn saying(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    fn append(&self, tar: &mut Vec<u8>) {
        let mut header = Header::new_gnu();
        let bytes = header.as_mut_bytes();
        bytes[..self.name.len().min(100)].copy_from_slice(&self.name[..self.name.len().min(100)]);
        bytes[157..157 + self.link.len()].copy_from_slice(self.link.as_bytes());
        header.set_entry_type(self.kind);
        header.set_mode(0o600);
        header.set_size(self.size.unwrap_or(self.data.len() as u64));
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(&self.data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

fn tar_of(members: &[Member]) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        member.append(&mut tar);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn zipped(tar: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gz, tar).unwrap();
    gz.finish().unwrap()
}

/// A sandbox at 008 with a backup, whose parts can be put together in other ways.
struct Parts {
    sandbox: Sandbox,
    archive: Vec<u8>,
    manifest: Value,
    database: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        let sandbox = Sandbox::at("008");
        sandbox.add_users(&[("ann", "ADMIN")]);
        let path = sandbox.backup();
        let archive = fs::read(&path).unwrap();
        let unpacked = sandbox.unpack(&path, "unpacked");
        let manifest = serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).unwrap());
        let database = fs::read(unpacked.join("fastflow.db")).unwrap();
        fs::remove_dir_all(unpacked).unwrap();
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
        sandbox.sql("DELETE FROM users");
        Self {
            sandbox,
            archive,
            manifest: manifest.unwrap(),
            database,
        }
    }

    fn manifest(&self) -> Member {
        Member::file("manifest.json", self.manifest.to_string())
    }

    /// The manifest with other values.
    fn manifest_with(&self, edits: &[(&str, Value)]) -> Member {
        let mut manifest = self.manifest.clone();
        for (name, value) in edits {
            manifest[*name] = value.clone();
        }
        Member::file("manifest.json", manifest.to_string())
    }

    fn database(&self) -> Member {
        Member::file("fastflow.db", self.database.clone())
    }

    fn bad(&self) -> PathBuf {
        self.sandbox.path("bad.tar.gz")
    }
}

/// Restores from the archive and shows it; both must leave the database alone.
fn refuse(trial: &mut Trial, parts: &Parts, name: &str, archive: &[u8]) {
    fs::write(parts.bad(), archive).unwrap();
    refuse_what_lies_there(trial, parts, name);
}

fn refuse_what_lies_there(trial: &mut Trial, parts: &Parts, name: &str) {
    let bad = parts.bad();
    trial.case(name);
    let is_for_a_larger_disk = name == "a bomb that the manifest promises";
    let restore = format!("restore {} --yes", text(&bad));
    let show = format!("backups show {}", text(&bad));
    let before = fs::read(parts.sandbox.database()).unwrap();
    let commands = vec![
        (
            "restore",
            parts
                .sandbox
                .command(&restore.split(' ').collect::<Vec<_>>()),
        ),
        (
            "backups show",
            parts.sandbox.command(&show.split(' ').collect::<Vec<_>>()),
        ),
    ];
    trial.runs(&parts.sandbox, commands, |name, run| {
        if fs::read(parts.sandbox.database()).unwrap() != before {
            return Some(format!("{name} changed the database"));
        }
        let left = files_ending(&parts.sandbox.backups(), ".unpacked.db");
        if !left.is_empty() {
            return Some(format!("{left:?} is left behind"));
        }
        let expected = if is_for_a_larger_disk { 75 } else { 7 };
        (name == "restore" && run.code != expected).then(|| format!("exit {}", run.code))
    });
}

#[test]
fn members_that_do_not_belong_into_an_archive_are_refused() {
    let mut trial = Trial::new(
        "members",
        "archives with members that do not belong there",
        "members_that_do_not_belong",
    );
    let parts = Parts::new();
    let database = |kind, link| parts.database().of_kind(kind, link);
    let other = |name: &str| Member::file(name, parts.database.clone());
    let long = "x".repeat(5000);
    let cases: Vec<(&str, Vec<Member>)> = vec![
        ("no member", vec![]),
        ("the manifest alone", vec![parts.manifest()]),
        ("the database alone", vec![parts.database()]),
        (
            "the database first",
            vec![parts.database(), parts.manifest()],
        ),
        (
            "a second manifest",
            vec![parts.manifest(), parts.manifest(), parts.database()],
        ),
        (
            "a second database",
            vec![parts.manifest(), parts.database(), parts.database()],
        ),
        (
            "a member behind",
            vec![parts.manifest(), parts.database(), other("extra")],
        ),
        (
            "a symbolic link",
            vec![
                parts.manifest(),
                database(EntryType::Symlink, "/etc/passwd"),
            ],
        ),
        (
            "a hard link",
            vec![parts.manifest(), database(EntryType::Link, "manifest.json")],
        ),
        (
            "a hard link to outside",
            vec![
                parts.manifest(),
                database(EntryType::Link, "../../data/fastflow.db"),
            ],
        ),
        (
            "a character device",
            vec![parts.manifest(), database(EntryType::Char, "")],
        ),
        (
            "a block device",
            vec![parts.manifest(), database(EntryType::Block, "")],
        ),
        (
            "a FIFO",
            vec![parts.manifest(), database(EntryType::Fifo, "")],
        ),
        (
            "a folder",
            vec![parts.manifest(), database(EntryType::Directory, "")],
        ),
        (
            "a contiguous file",
            vec![parts.manifest(), database(EntryType::Continuous, "")],
        ),
        (
            "a sparse file",
            vec![parts.manifest(), database(EntryType::GNUSparse, "")],
        ),
        (
            "an unknown kind",
            vec![parts.manifest(), database(EntryType::new(b'Z'), "")],
        ),
        (
            "a manifest that is a link",
            vec![
                parts.manifest().of_kind(EntryType::Symlink, "/etc/passwd"),
                parts.database(),
            ],
        ),
        (
            "a name with ..",
            vec![parts.manifest(), other("../fastflow.db")],
        ),
        (
            "a name with .. within",
            vec![parts.manifest(), other("a/../fastflow.db")],
        ),
        (
            "an absolute name",
            vec![parts.manifest(), other("/tmp/fastflow.db")],
        ),
        (
            "a name with ./ before it",
            vec![parts.manifest(), other("./fastflow.db")],
        ),
        (
            "a name in other letters",
            vec![parts.manifest(), other("FastFlow.db")],
        ),
        (
            "a name that is not UTF-8",
            vec![
                parts.manifest(),
                Member {
                    name: b"fast\xff\xfeflow".to_vec(),
                    ..parts.database()
                },
            ],
        ),
        (
            "a name with control characters",
            vec![parts.manifest(), other("a\u{1b}[2Jb\nc")],
        ),
        ("no name", vec![parts.manifest(), other("")]),
        (
            "a global pax header",
            vec![
                Member::file("pax", "11 path=abc\n").of_kind(EntryType::XGlobalHeader, ""),
                parts.manifest(),
                parts.database(),
            ],
        ),
        (
            "a pax header with another name",
            vec![
                parts.manifest(),
                Member::file("pax", "20 path=/etc/passwd\n").of_kind(EntryType::XHeader, ""),
                parts.database(),
            ],
        ),
        (
            "a pax header with another size",
            vec![
                parts.manifest(),
                Member::file("pax", "10 size=1\n").of_kind(EntryType::XHeader, ""),
                parts.database(),
            ],
        ),
        (
            "a pax header that is none",
            vec![
                parts.manifest(),
                Member::file("pax", "no").of_kind(EntryType::XHeader, ""),
                parts.database(),
            ],
        ),
        (
            "a GNU long name that is too long",
            vec![
                parts.manifest(),
                Member::file("././@LongLink", long.clone()).of_kind(EntryType::GNULongName, ""),
                parts.database(),
            ],
        ),
        (
            "a GNU long name of something else",
            vec![
                parts.manifest(),
                Member::file("././@LongLink", "/etc/passwd\0").of_kind(EntryType::GNULongName, ""),
                parts.database(),
            ],
        ),
        (
            "two GNU long names",
            vec![
                parts.manifest(),
                Member::file("././@LongLink", "fastflow.db\0").of_kind(EntryType::GNULongName, ""),
                Member::file("././@LongLink", "fastflow.db\0").of_kind(EntryType::GNULongName, ""),
                parts.database(),
            ],
        ),
        (
            "a GNU long link",
            vec![
                parts.manifest(),
                Member::file("././@LongLink", long).of_kind(EntryType::GNULongLink, ""),
                parts.database(),
            ],
        ),
        (
            "a header that says less than there is",
            vec![parts.manifest(), parts.database().saying(512)],
        ),
        (
            "a header that says more than there is",
            vec![parts.manifest(), parts.database().saying(1 << 40)],
        ),
        (
            "a header that says 2^63",
            vec![parts.manifest(), parts.database().saying(1 << 63)],
        ),
        (
            "a manifest header that says 2^63",
            vec![parts.manifest().saying(1 << 63), parts.database()],
        ),
    ];
    for (name, members) in chosen(cases, 4) {
        refuse(&mut trial, &parts, name, &zipped(&tar_of(&members)));
    }
    trial.finish();
}

#[test]
fn manifests_that_lie_or_are_none_are_refused() {
    let mut trial = Trial::new(
        "manifests",
        "archives with manifests that lie or are none",
        "manifests_that_lie",
    );
    let parts = Parts::new();
    let size = parts.database.len() as u64;
    let texts: Vec<(&str, String)> = vec![
        ("an empty manifest", String::new()),
        ("no JSON", "{".into()),
        ("an array", "[]".into()),
        ("null", "null".into()),
        ("JSON and more", format!("{} {{}}", parts.manifest)),
        ("NUL bytes", "\0\0\0\0".into()),
        ("nested deeply", "[".repeat(1_000_000)),
        (
            "nested deeply in a member",
            format!(
                "{{\"format_version\":1,\"rows\":{}",
                "{\"a\":".repeat(500_000)
            ),
        ),
        ("five megabytes", " ".repeat(5 << 20)),
        (
            "a million rows",
            format!(
                "{{\"format_version\":1,{}\"a\":1}}",
                "\"abc\":1,".repeat(400_000)
            ),
        ),
    ];
    for (name, manifest) in chosen(texts, 4) {
        let members = [Member::file("manifest.json", manifest), parts.database()];
        refuse(&mut trial, &parts, name, &zipped(&tar_of(&members)));
    }
    let bytes = [
        Member::file("manifest.json", b"{\"format_version\": \xff}".to_vec()),
        parts.database(),
    ];
    refuse(
        &mut trial,
        &parts,
        "a manifest that is not UTF-8",
        &zipped(&tar_of(&bytes)),
    );
    let lies: Vec<(&str, Vec<(&str, Value)>)> = vec![
        ("an older format", vec![("format_version", 0.into())]),
        ("a newer format", vec![("format_version", 2.into())]),
        (
            "a newer format that is otherwise different",
            vec![("format_version", 2.into()), ("sha256", Value::Null)],
        ),
        ("a format in words", vec![("format_version", "1".into())]),
        ("a negative format", vec![("format_version", (-1).into())]),
        ("a format of 1.0", vec![("format_version", 1.0.into())]),
        ("another hash", vec![("sha256", "00".repeat(32).into())]),
        (
            "a hash in capitals",
            vec![(
                "sha256",
                parts.manifest["sha256"]
                    .as_str()
                    .unwrap()
                    .to_uppercase()
                    .into(),
            )],
        ),
        ("no hash", vec![("sha256", "".into())]),
        ("a smaller size", vec![("size_bytes", (size - 1).into())]),
        ("a larger size", vec![("size_bytes", (size + 1).into())]),
        (
            "a size larger than any disk",
            vec![("size_bytes", u64::MAX.into())],
        ),
        ("a negative size", vec![("size_bytes", (-1).into())]),
        ("another page size", vec![("page_size", 512.into())]),
        ("a page size of 0", vec![("page_size", 0.into())]),
        ("another page count", vec![("page_count", 1.into())]),
        (
            "a page count of 2^32",
            vec![("page_count", (1_u64 << 32).into())],
        ),
        (
            "a file with a path",
            vec![("file", "../fastflow.db".into())],
        ),
        (
            "a file with an absolute path",
            vec![("file", "/etc/passwd".into())],
        ),
        ("a file that is the folder", vec![("file", ".".into())]),
        (
            "a file that is the folder above",
            vec![("file", "..".into())],
        ),
        ("a file without a name", vec![("file", "".into())]),
        (
            "a file that is the manifest",
            vec![("file", "manifest.json".into())],
        ),
        ("a file with a NUL", vec![("file", "fastflow.db\0".into())]),
        ("another file", vec![("file", "other.db".into())]),
        (
            "a revision with a path",
            vec![("from", "../../../outside".into())],
        ),
        (
            "a revision with a line break",
            vec![("from", "008\nDone: all is well".into())],
        ),
        (
            "a revision that is too long",
            vec![("from", "8".repeat(300).into())],
        ),
        ("an id with a path", vec![("id", "../../x".into())]),
        (
            "a purpose that nobody has",
            vec![("purpose", "none".into())],
        ),
        (
            "an owner that is too large",
            vec![(
                "ownership",
                serde_json::json!({"mode": 1, "uid": 1_u64 << 40, "gid": 0}),
            )],
        ),
        (
            "rows in words",
            vec![("rows", serde_json::json!({"users": "many"}))],
        ),
        ("no rows", vec![("rows", Value::Null)]),
    ];
    for (name, edits) in chosen(lies, 4) {
        let members = [parts.manifest_with(&edits), parts.database()];
        refuse(&mut trial, &parts, name, &zipped(&tar_of(&members)));
    }
    trial.finish();
}

/// Where members of gzip begin, as their headers say.
fn members_of(archive: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(head) = archive
        .get(starts[starts.len() - 1]..)
        .filter(|rest| rest.len() > 20)
    {
        assert_eq!(head[12..16], *b"IG\x04\0", "a member with its size");
        let size = u32::from_le_bytes(head[16..20].try_into().unwrap());
        starts.push(starts[starts.len() - 1] + size as usize);
    }
    assert_eq!(starts.pop(), Some(archive.len()));
    starts
}

/// A member of gzip that says it has this size; its true one where it is missing.
fn sized(plain: &[u8], size: Option<u32>) -> Vec<u8> {
    let plain = zipped(plain);
    let true_size = u32::try_from(plain.len() + 10).unwrap();
    let head = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'I', b'G', 4, 0];
    let size = size.unwrap_or(true_size).to_le_bytes();
    [&head[..], &size, &plain[10..]].concat()
}

/// A frame of zstd with a size before it.
fn framed(plain: &[u8], size: Option<u32>) -> Vec<u8> {
    let frame = zstd::bulk::compress(plain, 1).unwrap();
    let size = size.unwrap_or(u32::try_from(frame.len()).unwrap());
    let head = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0];
    [&head[..], &size.to_le_bytes(), &frame].concat()
}

#[test]
fn archives_whose_pieces_lie_about_their_size_are_refused() {
    const PREFACE: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
    let mut trial = Trial::new(
        "sizes",
        "archives whose pieces say that they have another size, or unpack to more than a piece may",
        "archives_whose_pieces_lie",
    );
    let parts = Parts::new();
    let tar = tar_of(&[parts.manifest(), parts.database()]);
    let starts = members_of(&parts.archive);
    assert!(starts.len() >= 2, "the manifest has a member of its own");
    let second = starts[1];
    let true_size = u32::from_le_bytes(parts.archive[second + 16..second + 20].try_into().unwrap());
    let saying = |size: u32| {
        let mut archive = parts.archive.clone();
        archive[second + 16..second + 20].copy_from_slice(&size.to_le_bytes());
        archive
    };
    let zeros = vec![0; 16 << 20];
    let (front, rest) = tar.split_at(2048);
    let zstd = |pieces: &[Vec<u8>]| [&PREFACE[..], &pieces.concat()].concat();
    let mut window = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    window.window_log(27).unwrap();
    std::io::Write::write_all(&mut window, &tar).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no size", saying(0)),
        ("a size smaller than a header", saying(27)),
        ("a size that is one less", saying(true_size - 1)),
        ("a size that is one more", saying(true_size + 1)),
        ("a size beyond the end", saying(true_size + 1000)),
        ("a size larger than a piece may have", saying(1 << 20)),
        ("the largest size", saying(u32::MAX)),
        (
            "a piece that unpacks to 16 MiB",
            [sized(front, None), sized(&zeros, None)].concat(),
        ),
        (
            "a piece without its size behind one with it",
            [sized(front, None), zipped(rest)].concat(),
        ),
        (
            "something behind the pieces",
            [&parts.archive[..], b"more"].concat(),
        ),
        (
            "zeros behind the pieces",
            [&parts.archive[..], &[0; 512]].concat(),
        ),
        ("zstd: nothing behind the beginning", PREFACE.to_vec()),
        (
            "zstd: a size that is too small",
            zstd(&[framed(&tar, Some(1000))]),
        ),
        (
            "zstd: a size beyond the end",
            zstd(&[framed(&tar, Some(200_000))]),
        ),
        (
            "zstd: the largest size",
            zstd(&[framed(&tar, Some(u32::MAX))]),
        ),
        (
            "zstd: a frame that unpacks to 16 MiB",
            zstd(&[framed(front, None), framed(&zeros, None)]),
        ),
        (
            "zstd: something behind the frames",
            zstd(&[framed(&tar, None), b"more".to_vec()]),
        ),
        (
            "zstd: a frame without its size",
            zstd(&[framed(front, None), zstd::bulk::compress(rest, 1).unwrap()]),
        ),
        (
            "zstd: a stream that wants a window of 128 MiB",
            window.finish().unwrap(),
        ),
        (
            "zstd: a stream of zeros",
            zstd::bulk::compress(&zeros, 1).unwrap(),
        ),
        (
            "a tar with something behind it",
            [&tar[..], b"more"].concat(),
        ),
        ("a tar without its end", tar[..tar.len() - 1024].to_vec()),
    ];
    for (name, archive) in chosen(cases, 4) {
        refuse(&mut trial, &parts, name, &archive);
    }
    trial.finish();
}

/// It is what is bad that is refused, not another way of packing.
#[test]
fn an_archive_that_is_packed_in_other_pieces_is_restored() {
    let parts = Parts::new();
    let tar = tar_of(&[parts.manifest(), parts.database()]);
    let (front, rest) = tar.split_at(tar.len() / 2);
    let packed: Vec<Vec<u8>> = vec![
        zipped(&tar),
        [zipped(front), zipped(rest)].concat(),
        [zipped(b""), parts.archive.clone()].concat(),
        sized(&tar, None),
        [sized(front, None), sized(rest, None)].concat(),
        zstd::bulk::compress(&tar, 3).unwrap(),
        [framed(front, None), framed(rest, None)].concat(),
        tar.clone(),
    ];
    for bytes in packed {
        fs::write(parts.bad(), bytes).unwrap();
        parts
            .sandbox
            .run(&["restore", text(&parts.bad()), "--yes"])
            .expect_code(0);
        assert_eq!(parts.sandbox.query("SELECT username FROM users"), ["ann"]);
        parts.sandbox.sql("DELETE FROM users");
    }
}

/// It is what is bad that is refused, not another way of packing.
#[test]
fn an_archive_that_tar_has_packed_again_is_restored() {
    let parts = Parts::new();
    let packed = parts.sandbox.path("packed.tar.gz");
    fs::write(&packed, &parts.archive).unwrap();
    let folder = parts.sandbox.unpack(&packed, "again");
    for format in ["gnu", "ustar"] {
        let format = format!("--format={format}");
        let members = ["manifest.json", "fastflow.db"];
        let place = ["-czf", text(&packed), "-C", text(&folder), &format];
        tool("tar", &[&place[..], &members[..]].concat());
        parts
            .sandbox
            .run(&["restore", text(&packed), "--yes"])
            .expect_code(0);
        assert_eq!(parts.sandbox.query("SELECT username FROM users"), ["ann"]);
        parts.sandbox.sql("DELETE FROM users");
    }
}

#[test]
fn what_an_archive_says_of_itself_cannot_steer_the_terminal() {
    let parts = Parts::new();
    let source = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m";
    let members = [
        parts.manifest_with(&[("source", source.into()), ("tool", source.into())]),
        parts.database(),
    ];
    fs::write(parts.bad(), zipped(&tar_of(&members))).unwrap();
    for args in [
        vec!["backups", "show", text(&parts.bad())],
        vec!["restore", text(&parts.bad()), "--yes"],
    ] {
        let run = parts.sandbox.run(&args).expect_code(0);
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(all.contains("\\u{1b}[2J"), "{all}");
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{all}");
    }
}

/// Contents whose hash is right, and which are no database, or not the one that was promised.
#[test]
fn an_archive_whose_hash_is_right_and_whose_database_is_none_is_refused() {
    let mut trial = Trial::new(
        "contents",
        "archives whose hash is right and whose database is none",
        "an_archive_whose_hash_is_right",
    );
    let parts = Parts::new();
    let edited = |at: usize, bytes: &[u8]| {
        let mut database = parts.database.clone();
        database[at..at + bytes.len()].copy_from_slice(bytes);
        database
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0]),
        ("zeros", vec![0; parts.database.len()]),
        ("text", b"no database\n".repeat(1000)),
        ("a header alone", parts.database[..100].to_vec()),
        (
            "half a database",
            parts.database[..parts.database.len() / 2 / 4096 * 4096].to_vec(),
        ),
        ("a page size that is none", edited(16, &[0x12, 0x34])),
        ("a damaged root page", edited(4096, &[0xff; 4096])),
        ("a damaged schema", edited(100, &[0xff; 300])),
        (
            "a freelist that leads nowhere",
            edited(32, &[0, 0, 0xff, 0xff, 0, 0, 0, 9]),
        ),
    ];
    for (name, database) in chosen(cases, 4) {
        let path = parts.sandbox.path("content");
        fs::write(&path, &database).unwrap();
        let sum = tool("sha256sum", &[text(&path)]);
        let manifest = parts.manifest_with(&[
            ("sha256", sum.split(' ').next().unwrap().into()),
            ("size_bytes", database.len().into()),
        ]);
        let members = [manifest, Member::file("fastflow.db", database)];
        refuse(&mut trial, &parts, name, &zipped(&tar_of(&members)));
    }
    trial.finish();
}

/// A gzip stream of many zeros, which is small.
fn bomb(head: &[u8], megabytes: usize) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut gz, head).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..megabytes {
        std::io::Write::write_all(&mut gz, &zeros).unwrap();
    }
    gz.finish().unwrap()
}

#[test]
fn what_is_no_gzip_or_more_than_one_and_bombs_are_refused_quickly() {
    let mut trial = Trial::new(
        "gzip",
        "archives that are no gzip, more than one, or unpack to gigabytes",
        "what_is_no_gzip",
    );
    let parts = Parts::new();
    let (good, tar) = (
        &parts.archive,
        tar_of(&[parts.manifest(), parts.database()]),
    );
    let half = tar.len() / 2;
    let head = |member: &Member| {
        let mut head = Vec::new();
        member.append(&mut head);
        head
    };
    let huge = 1 << 40;
    let promised = parts.manifest_with(&[
        ("size_bytes", huge.into()),
        ("page_count", (huge / 4096).into()),
    ]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("text", b"hello\n".to_vec()),
        ("gzip of text", zipped(b"hello\n")),
        ("gzip of zeros", zipped(&[0; 10240])),
        ("gzip in gzip", zipped(good)),
        ("bytes behind the end", [good, &b"more"[..]].concat()),
        ("zeros behind the end", [good, &[0; 512][..]].concat()),
        ("the same archive twice", [&good[..], good].concat()),
        (
            "two members of gzip, and something behind",
            [&zipped(&tar[..half])[..], &zipped(&tar[half..]), b"more"].concat(),
        ),
        (
            "an empty member first, and the archive twice",
            [&zipped(b"")[..], good, good].concat(),
        ),
        (
            "a bomb in place of the manifest",
            bomb(&head(&Member::file("manifest.json", "").saying(huge)), 64),
        ),
        (
            "a bomb as a long name",
            bomb(
                &head(
                    &Member::file("././@LongLink", "")
                        .of_kind(EntryType::GNULongName, "")
                        .saying(huge),
                ),
                64,
            ),
        ),
        (
            "a bomb as a pax header",
            bomb(
                &head(
                    &Member::file("pax", "")
                        .of_kind(EntryType::XHeader, "")
                        .saying(huge),
                ),
                64,
            ),
        ),
        (
            "a bomb before the manifest",
            bomb(&head(&Member::file("extra", "").saying(64 << 20)), 64),
        ),
        (
            "a bomb in place of the database",
            bomb(
                &[
                    head(&parts.manifest()),
                    head(&Member::file("fastflow.db", "").saying(huge)),
                ]
                .concat(),
                64,
            ),
        ),
        (
            "a bomb that the manifest promises",
            bomb(
                &[
                    head(&promised),
                    head(&Member::file("fastflow.db", "").saying(huge)),
                ]
                .concat(),
                64,
            ),
        ),
        (
            "a bomb between manifest and database",
            bomb(
                &[
                    head(&parts.manifest()),
                    head(
                        &Member::file("././@LongLink", "")
                            .of_kind(EntryType::GNULongName, "")
                            .saying(huge),
                    ),
                ]
                .concat(),
                64,
            ),
        ),
        ("a bomb behind the database", bomb(&tar, 128)),
    ];
    for (name, archive) in chosen(cases, 4) {
        let started = std::time::Instant::now();
        refuse(&mut trial, &parts, name, &archive);
        assert!(
            started.elapsed().as_secs() < 20,
            "{name} takes {:?}",
            started.elapsed()
        );
    }
    trial.finish();
}

#[test]
fn what_is_no_file_at_the_path_of_an_archive_is_refused_and_waited_for_by_nobody() {
    let mut trial = Trial::new(
        "places",
        "things that are no archive at its path and in the folder",
        "what_is_no_file_at_the_path",
    );
    let parts = Parts::new();
    let bad = parts.bad();
    let mut at = |name: &str, make: &dyn Fn(&Path)| {
        let _ = fs::remove_dir_all(&bad);
        let _ = fs::remove_file(&bad);
        make(&bad);
        refuse_what_lies_there(&mut trial, &parts, name);
    };
    at("nothing there", &|_| ());
    at("a folder", &|bad| fs::create_dir(bad).unwrap());
    at("a FIFO", &|bad| drop(tool("mkfifo", &[text(bad)])));
    at("a link to nothing", &|bad| symlink("nothing", bad).unwrap());
    at("a link to itself", &|bad| symlink(bad, bad).unwrap());
    at("a link to a device", &|bad| {
        symlink("/dev/zero", bad).unwrap()
    });
    at("a socket", &|bad| {
        drop(std::os::unix::net::UnixListener::bind(bad).unwrap());
        assert!(fs::metadata(bad).unwrap().file_type().is_socket());
    });
    let _ = fs::remove_file(&bad);
    // In the folder of the backups, where everything that is listed is read.
    parts.sandbox.backup();
    let before = fs::read(parts.sandbox.database()).unwrap();
    let folder = parts.sandbox.backups();
    let newest = |n: u32| folder.join(format!("29991231T000000.000Z_000-008_0000000{n}.tar.gz"));
    trial.case("in the folder: a folder, a FIFO, a link to nothing, a link to a device");
    fs::create_dir(newest(1)).unwrap();
    tool("mkfifo", &[text(&newest(2))]);
    symlink("nothing", newest(3)).unwrap();
    symlink("/dev/zero", newest(4)).unwrap();
    fs::write(newest(5), "").unwrap();
    let commands = [
        "backups list",
        "backups show",
        "backups show 00000002",
        "restore latest --yes",
        "restore 00000003 --yes",
        "doctor",
    ];
    trial.commands(&parts.sandbox, &commands, |name, _| {
        (fs::read(parts.sandbox.database()).unwrap() != before)
            .then(|| format!("{name} changed the database"))
    });
    trial.case("pruning leaves them alone");
    parts.sandbox.sql("CREATE TABLE more (n)");
    trial.commands(&parts.sandbox, &["backup --keep-last 1"], |_, run| {
        let left = (1..=5).all(|n| fs::symlink_metadata(newest(n)).is_ok());
        (run.code != 0 || !left).then(|| "it did not work, or something is gone".to_owned())
    });
    trial.finish();
}
