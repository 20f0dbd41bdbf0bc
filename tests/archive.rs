//! Guarantee 7: backups of every kind are readable with plain `tar` and `sqlite3`, and the kinds live side by side.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use support::{Random, Sandbox, files_ending, query, run, text, tool};

/// How to ask for them, and what the archives are called then.
const KINDS: [(&str, &str); 5] = [
    ("gzip", ".tar.gz"),
    ("gzip:9", ".tar.gz"),
    ("zstd", ".tar.zst"),
    ("zstd:9", ".tar.zst"),
    ("none", ".tar"),
];

/// A database of several blocks that compress and several that do not.
fn several_blocks() -> Sandbox {
    let sandbox = Sandbox::at("008");
    sandbox.add_users(&[("ann", "ADMIN")]);
    sandbox.sql(
        "CREATE TABLE bulk (id INTEGER PRIMARY KEY, content BLOB); \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 128) \
         INSERT INTO bulk SELECT i, CASE WHEN i < 64 THEN randomblob(16000) ELSE zeroblob(16000) END FROM n;",
    );
    sandbox
}

fn back_up(sandbox: &Sandbox, kind: &str) -> Value {
    let document = run(sandbox, &["backup", "--compression", kind]);
    document["backup"].clone()
}

fn path_of(backup: &Value) -> &Path {
    Path::new(backup["path"].as_str().unwrap())
}

/// One on which the program runs as it is installed.
fn is_installed(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {name} is not installed");
    }
    found
}

#[test]
fn tar_and_sqlite3_read_every_kind() {
    for (kind, suffix) in KINDS {
        let sandbox = several_blocks();
        let backup = back_up(&sandbox, kind);
        let archive = path_of(&backup);
        assert!(text(archive).ends_with(suffix), "{kind}: {archive:?}");
        let flag = match suffix {
            ".tar.gz" => "-xzf",
            ".tar" => "-xf",
            _ if is_installed("zstd") => "-I zstd -xf",
            _ => continue,
        };
        let folder = sandbox.path("unpacked");
        fs::create_dir(&folder).unwrap();
        let mut args: Vec<&str> = flag.split(' ').collect();
        args.extend([text(archive), "-C", text(&folder)]);
        tool("tar", &args);
        let database = folder.join("fastflow.db");
        assert_eq!(query(&database, "SELECT username FROM users"), ["ann"]);
        let manifest: Value =
            serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let sum = tool("sha256sum", &[text(&database)]);
        assert_eq!(manifest["sha256"], sum.split(' ').next().unwrap(), "{kind}");
        if is_installed("sqlite3") {
            let count = tool(
                "sqlite3",
                &["-readonly", text(&database), "SELECT count(*) FROM bulk"],
            );
            assert_eq!(count.trim(), "128");
        }
    }
}

#[test]
fn every_kind_is_restored_exactly() {
    for (kind, _) in KINDS {
        let sandbox = several_blocks();
        let before = sandbox.content();
        back_up(&sandbox, kind);
        sandbox.sql("DELETE FROM bulk WHERE id % 2; UPDATE users SET username = 'ben'");
        run(
            &sandbox,
            &["restore", "latest", "--yes", "--compression", kind],
        );
        assert!(sandbox.content() == before, "{kind}");
    }
}

#[test]
fn a_gzip_archive_is_members_of_at_most_256_kib_and_the_first_is_the_manifest() {
    let sandbox = several_blocks();
    let backup = back_up(&sandbox, "gzip");
    let bytes = fs::read(path_of(&backup)).unwrap();
    let mut rest = &bytes[..];
    let mut sizes = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[12..16], *b"IG\x04\0");
        let size = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
        let mut plain = Vec::new();
        MultiGzDecoder::new(&rest[..size])
            .read_to_end(&mut plain)
            .expect("a whole member");
        sizes.push(plain.len());
        rest = &rest[size..];
    }
    assert!(sizes.len() > 8, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 256 * 1024), "{sizes:?}");
    assert!(sizes[0] < 8 * 1024, "{sizes:?}");
}

/// The same archive packed as one piece goes another way, to the same end.
#[test]
fn reading_in_parallel_and_as_a_stream_agree() {
    let sandbox = several_blocks();
    let before = sandbox.content();
    for (kind, suffix) in [KINDS[0], KINDS[2]] {
        let backup = back_up(&sandbox, kind);
        let archive = path_of(&backup);
        let mut tar = Vec::new();
        let file = fs::File::open(archive).unwrap();
        let repacked = if suffix == ".tar.gz" {
            MultiGzDecoder::new(file).read_to_end(&mut tar).unwrap();
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut gz, &tar).unwrap();
            gz.finish().unwrap()
        } else {
            zstd::stream::copy_decode(file, &mut tar).unwrap();
            zstd::stream::encode_all(&tar[..], 19).unwrap()
        };
        let again = sandbox.path(&format!("again{suffix}"));
        fs::write(&again, repacked).unwrap();
        for path in [archive, &again] {
            sandbox.sql("DELETE FROM bulk");
            run(&sandbox, &["restore", text(path), "--yes"]);
            assert!(sandbox.content() == before, "{}", path.display());
        }
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
    }
}

/// At the end of each piece, around it, and at many places between.
#[test]
fn an_archive_of_any_kind_that_is_cut_off_is_refused() {
    let mut random = Random::new("cuts");
    for (kind, suffix) in [KINDS[0], KINDS[2], KINDS[4]] {
        let sandbox = several_blocks();
        let backup = back_up(&sandbox, kind);
        let bytes = fs::read(path_of(&backup)).unwrap();
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
        let before = fs::read(sandbox.database()).unwrap();
        let marks: &[u8] = match suffix {
            ".tar.gz" => b"IG\x04\0",
            _ => b"\x50\x2a\x4d\x18\x04\0\0\0",
        };
        let head = if suffix == ".tar.gz" { 12 } else { 0 };
        let starts = (0..bytes.len() - 8).filter(|at| bytes[*at..].starts_with(marks));
        let mut cuts: Vec<usize> = starts
            .filter_map(|at| at.checked_sub(head))
            .flat_map(|at| [at, at + 1, at + 13])
            .step_by(4)
            .collect();
        let length = bytes.len() as u64;
        cuts.extend((0..12).map(|_| usize::try_from(random.below(length)).unwrap()));
        cuts.extend([0, 4, 9, bytes.len() - 1024, bytes.len() - 1]);
        for cut in cuts {
            let path = sandbox.path("cut");
            fs::write(&path, &bytes[..cut.min(bytes.len() - 1)]).unwrap();
            let run = sandbox
                .run(&["restore", text(&path), "--yes"])
                .expect_code(7);
            assert!(run.stderr.contains("cut"), "{kind}, {cut}: {}", run.stderr);
        }
        assert!(fs::read(sandbox.database()).unwrap() == before, "{kind}");
    }
}

#[test]
fn the_kinds_live_in_one_folder() {
    let sandbox = Sandbox::at("008");
    let mut ids = Vec::new();
    for (number, kind) in ["none", "gzip", "zstd", "gzip:3"].into_iter().enumerate() {
        sandbox.sql(&format!("CREATE TABLE t{number} (n)"));
        let backup = back_up(&sandbox, kind);
        ids.push(backup["id"].as_str().unwrap().to_owned());
    }
    let list = run(&sandbox, &["backups", "list"]);
    let listed: Vec<&str> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["manifest"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ids, "oldest first, whatever the kind");
    for id in &ids {
        assert_eq!(
            run(&sandbox, &["backups", "show", id])["backup"]["manifest"]["id"],
            **id
        );
    }
    // The same content, and another way to compress it: no second copy.
    let again = back_up(&sandbox, "zstd");
    assert_eq!(again["id"], *ids[3]);
    // By id, by the beginning of its name, and by path.
    for (number, id) in ids.iter().enumerate() {
        run(&sandbox, &["restore", id, "--yes"]);
        let tables = sandbox.query("SELECT count(*) FROM sqlite_schema WHERE name GLOB 't[0-9]'");
        assert_eq!(tables, [(number + 1).to_string()]);
    }
    run(&sandbox, &["restore", "latest", "--yes"]);
    // The two oldest go, of whatever kind.
    sandbox.sql("CREATE TABLE more (n)");
    run(
        &sandbox,
        &["backup", "--compression", "none", "--keep-last", "3"],
    );
    let left = |suffix| files_ending(&sandbox.backups(), suffix);
    assert!(!left(".tar").iter().any(|path| text(path).contains(&ids[0])));
    assert!(
        !left(".tar.gz")
            .iter()
            .any(|path| text(path).contains(&ids[1]))
    );
    assert_eq!(
        left(".tar.zst")
            .iter()
            .filter(|path| text(path).contains(&ids[2]))
            .count(),
        1
    );
}

/// The record does not say how its archive is compressed.
#[test]
fn jobs_with_another_compression_than_the_last_know_its_archive() {
    let sandbox = Sandbox::at("003");
    let migrated = run(&sandbox, &["upgrade", "005", "--compression", "zstd"]);
    let first = migrated["backup"]["path"].as_str().unwrap().to_owned();
    assert!(first.ends_with(".tar.zst"), "{first}");
    run(&sandbox, &["upgrade", "008", "--compression", "none"]);
    assert_eq!(sandbox.archives().len(), 2);
    let records = || files_ending(&sandbox.backups(), ".job.json").len();
    assert_eq!(records(), 2);
    // Pruned with its record.
    sandbox.sql("CREATE TABLE more (n)");
    run(&sandbox, &["backup", "--keep-last", "1"]);
    assert!(!Path::new(&first).exists());
    assert_eq!(records(), 0);
    assert_eq!(sandbox.archives().len(), 1);
}

#[test]
fn the_compression_is_a_flag_a_variable_and_a_key_of_the_file() {
    let sandbox = Sandbox::at("008");
    let suffix_of = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let newest = sandbox.archives().pop().unwrap();
        let name = newest.file_name().unwrap().to_str().unwrap().to_owned();
        fs::remove_file(newest).unwrap();
        name.split_once(".tar").unwrap().1.to_owned()
    };
    assert_eq!(suffix_of(&mut sandbox.command(&["backup"])), ".gz");
    fs::write(sandbox.path("safestep.toml"), "compression = 'none'\n").unwrap();
    assert_eq!(suffix_of(&mut sandbox.command(&["backup"])), "");
    let variable = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("SAFESTEP_COMPRESSION", "zstd:2");
        command
    };
    assert_eq!(suffix_of(&mut variable(&["backup"])), ".zst");
    let flag = ["backup", "--compression", "gzip:6"];
    assert_eq!(suffix_of(&mut variable(&flag)), ".gz");
}

#[test]
fn a_compression_that_does_not_exist_is_wrong_usage() {
    let sandbox = Sandbox::at("008");
    for (value, words) in [
        ("lzma", "'lzma' is no compression"),
        ("GZIP", "'GZIP' is no compression"),
        ("", "'' is no compression"),
        ("gzip:0", "'0' is no level of gzip: they go from 1 to 9"),
        ("gzip:10", "'10' is no level of gzip"),
        ("zstd:22", "'22' is no level of zstd"),
        ("zstd:", "'' is no level of zstd"),
        ("zstd:-1", "'-1' is no level of zstd"),
        ("none:1", "without compression there is no level"),
    ] {
        let flag = format!("--compression={value}");
        let run = sandbox.run(&["backup", &flag]).expect_code(2);
        assert!(run.stderr.contains(words), "{value}: {}", run.stderr);
        assert!(
            run.stderr.contains("--compression zstd:9"),
            "{}",
            run.stderr
        );
    }
    assert!(sandbox.archives().is_empty());
}
