//! Off-site copies in a folder, through the library: what every kind of store promises.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safestep::archive;
use safestep::catalog::{Catalog, Label};
use safestep::clock::Deadline;
use safestep::error::{Error, Result};
use safestep::monitor::Silent;
use safestep::offsite::{Access, Patience, Place, Remote, Removed, Uploaded};
use safestep::sqlite::Interrupt;
use support::{Sandbox, block_on};

/// A database with one backup, and a folder to copy it to.
struct World {
    sandbox: Sandbox,
    interrupt: Interrupt,
    archive: PathBuf,
    label: Label,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::at("003");
        sandbox.run(&["backup"]).expect_code(0);
        fs::create_dir(sandbox.path("away")).expect("folder");
        let catalog = Catalog::new(&sandbox.path("backups"), &sandbox.database());
        let (backups, _) = catalog.backups().expect("backups");
        let backup = backups.last().expect("a backup");
        let sha256 = archive::sha256_of(&backup.path).expect("hash");
        let name = backup.path.file_name().unwrap().to_string_lossy();
        let label = Label::new(name.into(), backup.archive_bytes, sha256, &backup.manifest);
        Self {
            interrupt: Interrupt::default(),
            archive: backup.path.clone(),
            label,
            sandbox,
        }
    }

    fn patience(&self) -> Patience<'_> {
        self.patience_of(Duration::from_mins(1))
    }

    fn patience_of(&self, limit: Duration) -> Patience<'_> {
        Patience {
            deadline: Deadline::after(limit),
            interrupt: &self.interrupt,
        }
    }

    fn remote(&self) -> Remote {
        open(&self.sandbox.path("away"))
            .expect("opens")
            .folder("acme/fastflow")
    }

    fn away(&self, name: &str) -> PathBuf {
        self.sandbox.path("away/acme/fastflow").join(name)
    }

    fn upload(&self) -> Result<Uploaded> {
        block_on(
            self.remote()
                .upload(&self.archive, &self.label, &self.patience(), &Silent),
        )
    }

    fn download(&self) -> Result<PathBuf> {
        let to = self.sandbox.path("fetched");
        block_on(
            self.remote()
                .download(&self.label, &to, &self.patience(), &Silent),
        )
        .map(|()| to)
    }

    fn label_name(&self) -> String {
        self.label.archive.replace(".tar.gz", ".label.json")
    }
}

fn open(folder: &Path) -> Result<Remote> {
    let url = format!("file://{}", folder.display());
    Remote::open(&Place::parse(&url, &Access::default()).expect("a place"))
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T>) -> (u8, String) {
    let error = result.expect_err("a failure");
    (error.exit_code(), error.to_string())
}

#[test]
fn what_was_uploaded_is_listed_fetched_and_removed() {
    let world = World::new();
    assert_eq!(world.upload().expect("uploaded"), Uploaded::New);
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert_eq!(listing.labels, vec![world.label.clone()]);
    assert!(listing.unlabelled.is_empty() && listing.unusable.is_empty());
    let root = open(&world.sandbox.path("away")).expect("opens");
    assert_eq!(
        block_on(root.subfolders(&world.patience())).expect("folders"),
        ["acme"]
    );
    let fetched = world.download().expect("downloaded");
    assert_eq!(
        fs::read(&fetched).unwrap(),
        fs::read(&world.archive).unwrap()
    );
    for path in [
        fetched,
        world.away(&world.label.archive),
        world.away(&world.label_name()),
    ] {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let removed = block_on(world.remote().remove(&world.label, &world.patience()));
    assert_eq!(removed.expect("removed"), Removed::Gone);
    assert_eq!(fs::read_dir(world.away("")).unwrap().count(), 0);
}

#[test]
fn the_same_upload_a_second_time_sends_nothing() {
    let world = World::new();
    world.upload().expect("uploaded");
    assert_eq!(world.upload().expect("looked"), Uploaded::AlreadyThere);
}

#[test]
fn an_archive_whose_label_is_missing_is_no_backup_until_the_next_upload() {
    let world = World::new();
    world.upload().expect("uploaded");
    fs::remove_file(world.away(&world.label_name())).expect("removed");
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert_eq!((listing.labels.len(), listing.unlabelled.len()), (0, 1));
    assert_eq!(world.upload().expect("uploaded"), Uploaded::New);
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert_eq!((listing.labels.len(), listing.unlabelled.len()), (1, 0));
}

#[test]
fn something_else_of_the_same_name_is_never_overwritten() {
    let world = World::new();
    let there = world.away(&world.label.archive);
    fs::create_dir_all(world.away("")).expect("folder");
    for other in [
        b"another".to_vec(),
        vec![0; usize::try_from(world.label.archive_bytes).unwrap()],
    ] {
        fs::write(&there, &other).expect("written");
        let (code, words) = code(world.upload());
        assert_eq!(code, 7, "{words}");
        assert_eq!(fs::read(&there).unwrap(), other);
        assert!(!world.away(&world.label_name()).exists());
    }
}

#[test]
fn a_local_archive_that_has_changed_is_not_uploaded() {
    let world = World::new();
    let mut bytes = fs::read(&world.archive).unwrap();
    bytes[20] ^= 1;
    fs::write(&world.archive, &bytes).expect("written");
    let (code, words) = code(world.upload());
    assert_eq!(code, 7, "{words}");
    assert!(words.contains("not copied off site"), "{words}");
    assert_eq!(fs::read_dir(world.away("")).unwrap().count(), 0);
}

#[test]
fn what_was_damaged_truncated_or_swapped_is_not_fetched() {
    let world = World::new();
    world.upload().expect("uploaded");
    let there = world.away(&world.label.archive);
    let good = fs::read(&there).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let longer = [good.clone(), vec![0]].concat();
    for bad in [flipped, good[..good.len() - 1].to_vec(), longer, Vec::new()] {
        fs::write(&there, bad).expect("written");
        let (code, words) = code(world.download());
        assert_eq!(code, 7, "{words}");
        assert!(!world.sandbox.path("fetched").exists());
    }
    fs::remove_file(&there).expect("removed");
    assert_eq!(code(world.download()).0, 7);
}

#[test]
fn labels_that_promise_what_is_not_there_are_told_apart() {
    let world = World::new();
    world.upload().expect("uploaded");
    let label = fs::read(world.away(&world.label_name())).unwrap();
    fs::write(
        world.away("20260101T000000.000Z_a-b_00000000.label.json"),
        &label,
    )
    .unwrap();
    fs::write(
        world.away("20260101T000000.000Z_a-b_00000001.label.json"),
        b"{",
    )
    .unwrap();
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert_eq!((listing.labels.len(), listing.unusable.len()), (1, 2));
    fs::write(world.away(&world.label.archive), b"short").unwrap();
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert_eq!((listing.labels.len(), listing.unusable.len()), (0, 3));
    assert!(
        listing
            .unusable
            .iter()
            .all(|one| one.error.exit_code() == 7)
    );
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let world = World::new();
    let (code, words) = code(open(&world.sandbox.path("not-mounted")));
    assert_eq!(code, 2, "{words}");
    assert!(!world.sandbox.path("not-mounted").exists());
}

#[test]
fn a_folder_with_nothing_in_it_lists_nothing() {
    let world = World::new();
    let listing = block_on(world.remote().list(&world.patience())).expect("listed");
    assert!(listing.labels.is_empty() && listing.unlabelled.is_empty());
    assert!(
        block_on(world.remote().subfolders(&world.patience()))
            .expect("folders")
            .is_empty()
    );
}

#[test]
fn time_that_is_up_and_a_signal_end_an_upload_and_leave_nothing_half_done() {
    let world = World::new();
    let patience = world.patience_of(Duration::ZERO);
    let upload = |patience| {
        block_on(
            world
                .remote()
                .upload(&world.archive, &world.label, patience, &Silent),
        )
    };
    assert_eq!(code(upload(&patience)).0, 75);
    world.interrupt.raise(15);
    let error = upload(&world.patience()).expect_err("interrupted");
    assert!(matches!(error, Error::Interrupted { signal: 15 }));
    assert!(!world.away(&world.label.archive).exists());
}

#[test]
fn an_archive_that_nobody_will_label_is_cleared_after_a_day_and_one_that_is_here_never() {
    let world = World::new();
    world.upload().expect("uploaded");
    fs::remove_file(world.away(&world.label_name())).expect("removed");
    let archive = world.away(&world.label.archive);
    let clear = |own: &[String]| {
        block_on(world.remote().clear_abandoned(own, &world.patience())).expect("cleared")
    };
    assert_eq!(clear(&[]), 0, "it may be on its way");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    let file = fs::File::options().write(true).open(&archive);
    file.expect("opens").set_modified(long_ago).expect("set");
    assert_eq!(clear(std::slice::from_ref(&world.label.archive)), 0);
    assert!(archive.exists());
    assert_eq!(clear(&[]), 1);
    assert!(!archive.exists());
}

#[test]
fn what_a_killed_upload_has_left_is_cleared_and_others_are_left_alone() {
    let world = World::new();
    world.upload().expect("uploaded");
    let own = world.away(&format!("{}.upload", world.label.archive));
    let other = world.away("other.tar.gz.upload");
    for path in [&own, &other] {
        fs::write(path, b"half").expect("written");
    }
    let clear = || {
        let archives = [world.label.archive.clone()];
        block_on(world.remote().clear_abandoned(&archives, &world.patience())).expect("cleared")
    };
    assert_eq!(clear(), 1);
    assert!(!own.exists() && other.exists());
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    let file = fs::File::options().write(true).open(&other).expect("opens");
    file.set_modified(long_ago).expect("set");
    assert_eq!(clear(), 1);
    assert_eq!(fs::read_dir(world.away("")).unwrap().count(), 2);
}
