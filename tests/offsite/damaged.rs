//! What lies there and is not what it promises is never restored.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::support::s3::{BUCKET, Which};
use super::world::{Size, World, id_of};

/// Two backups there, of which the newer one is to be tampered with.
struct Two {
    world: World,
    older: [String; 2],
    newer: [String; 2],
    id: String,
}

impl Two {
    fn new(which: Which, encrypted: bool) -> Self {
        let world = World::new(which, Size::Small, encrypted);
        world.run(&["backup"]).expect_code(0);
        world.sandbox.sql("UPDATE users SET username = 'newer'");
        world.run(&["backup"]).expect_code(0);
        let archives = world.archives();
        let pair = |archive: &PathBuf| {
            let name = archive.file_name().unwrap().to_str().unwrap();
            world.pair(name)
        };
        Self {
            older: pair(&archives[0]),
            newer: pair(&archives[1]),
            id: id_of(&archives[1]),
            world,
        }
    }

    fn get(&self, key: &str) -> Vec<u8> {
        let file = self.world.sandbox.path("got");
        self.world.server.download(BUCKET, key, &file);
        fs::read(file).unwrap()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let file = self.world.sandbox.path("put");
        fs::write(&file, bytes).unwrap();
        self.world.server.upload(BUCKET, key, &file);
    }

    fn label(&self, key: &str) -> Value {
        serde_json::from_slice(&self.get(key)).unwrap()
    }

    /// Neither by its name nor as the newest, neither over a database nor where there is none.
    #[track_caller]
    fn never_restores(&self, how: &str, code: i32) {
        let before = self.world.bytes();
        for which in [self.id.as_str(), "latest"] {
            let url = self.world.url(&format!("fastflow/{which}"));
            let run = self.world.run(&["restore", &url, "--yes"]);
            assert_eq!(
                run.code, code,
                "{how}, {which}: {}{}",
                run.stdout, run.stderr
            );
            assert!(self.world.bytes() == before, "{how}, {which}");
            let empty = World::elsewhere();
            let run = self.world.run_in(&empty, &["restore", &url, "--yes"]);
            assert_eq!(
                run.code, code,
                "{how}, {which}: {}{}",
                run.stdout, run.stderr
            );
            assert!(!empty.database().exists(), "{how}, {which}");
        }
        let run = self.world.run(&["backups", "verify", "--remote", "--all"]);
        assert_eq!(run.code, 7, "{how}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn an_archive_that_is_cut_short_longer_or_changed_in_one_byte() {
    for which in Which::BOTH {
        for encrypted in [false, true] {
            let two = Two::new(which, encrypted);
            let whole = two.get(&two.newer[1]);
            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                two.put(&two.newer[1], &whole[..length]);
                two.never_restores(&format!("{length} bytes of it"), 7);
            }
            let mut longer = whole.clone();
            longer.push(0);
            two.put(&two.newer[1], &longer);
            two.never_restores("a byte more", 7);
            for place in [0, whole.len() / 2, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[place] ^= 1;
                two.put(&two.newer[1], &changed);
                two.never_restores(&format!("byte {place}"), 7);
            }
            two.put(&two.newer[1], &whole);
            two.world
                .run(&["restore", &two.world.url("fastflow/latest"), "--yes"])
                .expect_code(0);
        }
    }
}

#[test]
fn the_archive_of_an_older_backup_under_a_newer_name() {
    for which in Which::BOTH {
        for encrypted in [false, true] {
            let two = Two::new(which, encrypted);
            let (older, newer) = (two.get(&two.older[1]), two.label(&two.newer[0]));
            two.put(&two.newer[1], &older);
            two.never_restores("the archive alone", 7);
            // With a label that fits its bytes and still promises the newer content.
            let mut label = newer.clone();
            let of_older = two.label(&two.older[0]);
            for field in ["archive_bytes", "archive_sha256"] {
                label[field] = of_older[field].clone();
            }
            two.put(&two.newer[0], label.to_string().as_bytes());
            two.never_restores("with a label that fits", 7);
            // With all of the older one's label but the name.
            let mut label = of_older;
            label["archive"] = newer["archive"].clone();
            two.put(&two.newer[0], label.to_string().as_bytes());
            two.never_restores_as_newer();
        }
    }
}

impl Two {
    /// What is there is the older backup, twice: it may be put back as what it is, and never under the newer one's id.
    fn never_restores_as_newer(&self) {
        let before = self.world.bytes();
        let url = self.world.url(&format!("fastflow/{}", self.id));
        let run = self.world.run(&["restore", &url, "--yes"]);
        assert!([2, 7].contains(&run.code), "{}{}", run.stdout, run.stderr);
        assert!(self.world.bytes() == before);
        let listed = self
            .world
            .run(&["backups", "list", "--remote", "--output", "json"]);
        assert!(!listed.stdout.contains(&format!("\"id\": \"{}\"", self.id)));
    }
}

#[test]
fn an_archive_without_its_label_and_a_label_without_its_archive_are_no_backups() {
    for which in Which::BOTH {
        let two = Two::new(which, false);
        let newest = two.label(&two.newer[0]);
        two.world.server.remove(BUCKET, &two.newer[0]);
        two.world.expect_listed(1);
        let url = two.world.url("fastflow/latest");
        let empty = World::elsewhere();
        two.world
            .run_in(&empty, &["restore", &url, "--yes"])
            .expect_code(0);
        assert_eq!(empty.query("SELECT username FROM users"), ["ada"]);
        two.put(&two.newer[0], newest.to_string().as_bytes());
        two.world.server.remove(BUCKET, &two.newer[1]);
        two.never_restores("no archive", 7);
    }
}
