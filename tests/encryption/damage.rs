//! Encrypted archives that somebody has been at: nothing of them is ever restored, and nothing is lost.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::keys::{self, IDENTITY, decrypted, encrypted_with};
use super::support::{Random, Sandbox, files_ending, text};
use super::{encrypted, json_in, label_of, with_key};

/// Several chunks of age, with one backup and rows that came later.
struct Victim {
    sandbox: Sandbox,
    archive: PathBuf,
    sound: Vec<u8>,
    now: String,
}

impl Victim {
    fn new() -> Self {
        let sandbox = encrypted("008");
        sandbox.sql(
            "CREATE TABLE bulk (content BLOB); \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) \
             INSERT INTO bulk SELECT randomblob(16000) FROM n;",
        );
        sandbox.run(&["backup"]).expect_code(0);
        let archive = sandbox.archives().remove(0);
        let sound = fs::read(&archive).unwrap();
        assert!(sound.len() > 4 * 65_552, "{}", sound.len());
        sandbox.sql("DELETE FROM users");
        let now = sandbox.content();
        Self {
            sandbox,
            archive,
            sound,
            now,
        }
    }

    /// With the identity, without it, and with the label gone: refused, and nothing is touched.
    #[track_caller]
    fn expect_refused(&self, what: &str, bytes: &[u8]) {
        fs::write(&self.archive, bytes).unwrap();
        let restore = ["restore", text(&self.archive), "--yes"];
        let verify = ["backups", "verify", text(&self.archive)];
        self.expect(what, with_key(&self.sandbox, &restore).code, 7);
        self.expect(what, with_key(&self.sandbox, &verify).code, 7);
        self.expect(what, self.sandbox.run(&verify).code, 7);
        let label = label_of(&self.archive);
        let kept = fs::read(&label).unwrap();
        fs::remove_file(&label).unwrap();
        let run = with_key(&self.sandbox, &restore);
        // Where the stanza of the key itself is another, it cannot be told from a key that does not fit.
        let code = if run.stderr.contains("opens it") {
            2
        } else {
            7
        };
        self.expect(what, run.code, code);
        fs::write(&label, kept).unwrap();
        fs::write(&self.archive, &self.sound).unwrap();
    }

    #[track_caller]
    fn expect(&self, what: &str, code: i32, wanted: i32) {
        assert_eq!(code, wanted, "{what}");
        assert!(self.sandbox.content() == self.now, "{what}: it was touched");
        let left = files_ending(&self.sandbox.backups(), ".db");
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

#[test]
fn an_archive_that_was_cut_off_is_refused() {
    let victim = Victim::new();
    let length = victim.sound.len();
    let tenths = (0..10).map(|tenth| length * tenth / 10);
    let chunk = 65_552;
    let header = victim.sound.windows(4).position(|w| w == b"\n---").unwrap() + 49;
    let edges = [
        header,
        header + 16,
        header + 16 + chunk,
        header + 16 + 2 * chunk,
        length - 1,
        length - 16,
    ];
    for at in tenths.chain(edges) {
        victim.expect_refused(&format!("cut off at {at} of {length}"), &victim.sound[..at]);
    }
}

#[test]
fn an_archive_with_other_bytes_is_refused() {
    let victim = Victim::new();
    let length = victim.sound.len();
    let mut random = Random::new("other bytes");
    let header = victim.sound.windows(4).position(|w| w == b"\n---").unwrap();
    let mut somewhere = || usize::try_from(random.below(length as u64)).unwrap();
    let somewhere: Vec<usize> = (0..12).map(|_| somewhere()).collect();
    let places = [
        0,
        3,
        21,
        30,
        header - 5,
        header + 8,
        header + 60,
        header + 5000,
        length / 2,
        length - 1,
    ];
    for at in places.into_iter().chain(somewhere) {
        let mut bytes = victim.sound.clone();
        bytes[at] ^= 1 << random.below(8);
        victim.expect_refused(&format!("byte {at} of {length}"), &bytes);
    }
    for (what, more) in [("a byte", 1), ("a chunk", 65_552), ("zeros", 4096)] {
        let mut bytes = victim.sound.clone();
        bytes.resize(length + more, 0);
        victim.expect_refused(&format!("{what} behind the end"), &bytes);
    }
    let (start, chunk) = (header + 49 + 16, 65_552);
    let mut swapped = victim.sound.clone();
    let (first, second) = swapped[start..start + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    victim.expect_refused("two chunks in the place of each other", &swapped);
    let mut without = victim.sound.clone();
    without.drain(start + chunk..start + 2 * chunk);
    victim.expect_refused("a chunk is missing", &without);
}

/// Two backups of one database, of two states.
fn two_backups() -> (Sandbox, [PathBuf; 2], String) {
    let sandbox = encrypted("008");
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.sql("UPDATE users SET username = 'ben'");
    sandbox.run(&["backup"]).expect_code(0);
    sandbox.sql("UPDATE users SET username = 'cem'");
    let archives: [PathBuf; 2] = sandbox.archives().try_into().unwrap();
    let now = sandbox.content();
    (sandbox, archives, now)
}

fn id_of(archive: &Path) -> String {
    let label = json_in(&label_of(archive));
    label["manifest"]["id"].as_str().unwrap().to_owned()
}

fn swap(one: &Path, other: &Path) {
    let held = fs::read(one).unwrap();
    fs::copy(other, one).unwrap();
    fs::write(other, held).unwrap();
}

/// `what` of two backups is in the place of the other's: neither is restored.
#[track_caller]
fn expect_swapped(what: &str, swapped: impl Fn(&[PathBuf; 2])) {
    let (sandbox, archives, now) = two_backups();
    let ids = archives.each_ref().map(|archive| id_of(archive));
    swapped(&archives);
    for id in &ids {
        let run = with_key(&sandbox, &["restore", id, "--yes"]);
        assert!(run.code == 7, "{what}: {} {}", run.code, run.stderr);
        assert!(
            run.code == 0 || sandbox.content() == now,
            "{what}: it was touched"
        );
        let run = with_key(&sandbox, &["backups", "verify", id]);
        assert!(run.code == 7, "{what}: {}", run.stderr);
    }
}

#[test]
fn an_archive_in_the_place_of_another_is_refused() {
    expect_swapped("the archive", |[one, two]| swap(one, two));
    expect_swapped("archive and label", |[one, two]| {
        swap(one, two);
        swap(&label_of(one), &label_of(two));
    });
    // As if the sizes were the same, or somebody had made them so.
    expect_swapped(
        "the archive, with the right size and digest",
        |[one, two]| {
            let (of_one, of_two) = (label_of(one), label_of(two));
            let (mut first, mut second) = (json_in(&of_one), json_in(&of_two));
            for member in ["archive_bytes", "archive_sha256"] {
                let held = first[member].take();
                first[member] = second[member].take();
                second[member] = held;
            }
            fs::write(of_one, first.to_string()).unwrap();
            fs::write(of_two, second.to_string()).unwrap();
            swap(one, two);
        },
    );
}

/// A label that is of no use is passed over where there is a key: the archive itself tells more.
#[test]
fn a_label_in_the_place_of_another_decides_nothing() {
    let (sandbox, archives, _) = two_backups();
    let ids = archives.each_ref().map(|archive| id_of(archive));
    swap(&label_of(&archives[0]), &label_of(&archives[1]));
    let run = sandbox.run(&["restore", &ids[0], "--yes"]).expect_code(2);
    assert!(run.stderr.contains("it is the label of"), "{}", run.stderr);
    let run = with_key(&sandbox, &["restore", &ids[0], "--yes"]).expect_code(0);
    assert!(run.stdout.contains(&ids[0]), "{}", run.stdout);
    assert_eq!(sandbox.query("SELECT username FROM users"), ["ann"]);
}

#[test]
fn a_plain_archive_is_not_taken_for_an_encrypted_one() {
    let (sandbox, [archive, _], now) = two_backups();
    let plain = decrypted(&archive, &sandbox.path(IDENTITY));
    fs::write(&archive, plain).unwrap();
    let run = with_key(&sandbox, &["restore", text(&archive), "--yes"]).expect_code(7);
    assert!(run.stderr.contains("is not encrypted"), "{}", run.stderr);
    assert!(sandbox.content() == now);
}

#[test]
fn a_header_that_would_take_time_or_memory_is_refused() {
    let sandbox = encrypted("008");
    fs::write(sandbox.path("none.toml"), "").unwrap();
    let magic = "age-encryption.org/v1\n";
    let end = format!("--- {}\n{}", "A".repeat(43), "x".repeat(100));
    let salt = "A".repeat(22);
    let body = "A".repeat(43);
    let scrypt = |factor: &str| format!("{magic}-> scrypt {salt} {factor}\n{body}\n{end}");
    let stanza = format!("-> X25519 {body}\n{body}\n");
    let cases = [
        (scrypt("30"), "2^30 KiB"),
        (scrypt("15"), "2^15 KiB"),
        (scrypt("99"), "2^99 KiB"),
        (scrypt("018"), "damaged"),
        (
            format!("{magic}{}{end}", stanza.repeat(5000)),
            "too many recipients",
        ),
        (
            format!("{magic}{}{end}", stanza.repeat(129)),
            "too many recipients",
        ),
        (
            format!("{magic}-> x {}\n", "y".repeat(10_000_000)),
            "too large",
        ),
        (format!("{magic}{}", "\n".repeat(100_000)), "too large"),
        (magic.to_owned(), "cut off"),
        (format!("{magic}-> X25519"), "cut off"),
        (format!("{magic}{end}"), "header cannot be read"),
        (
            format!("{magic}{}{end}", stanza.repeat(128)),
            "header cannot be read",
        ),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\nabc\n".to_owned(),
            "written in letters",
        ),
    ];
    let before = sandbox.content();
    for (bytes, words) in cases {
        fs::write(sandbox.path("given.tar.gz.age"), bytes).unwrap();
        let mut command = sandbox.command(&["restore", "given.tar.gz.age", "--yes"]);
        command.args(["--identity-file", IDENTITY]);
        command
            .env("SAFESTEP_CONFIG", "none.toml")
            .env("SAFESTEP_PASSPHRASE", "secret");
        let run = super::Run::of(&command.output().unwrap());
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        assert_eq!(run.code, 7, "{words}: {}", run.stderr);
        assert!(sandbox.content() == before);
    }
}

/// What `age -p` makes costs four times the memory that a container has.
#[test]
fn a_passphrase_of_another_program_is_refused_with_the_way_out() {
    let sandbox = encrypted("008");
    sandbox.run(&["backup"]).expect_code(0);
    let tar = decrypted(&sandbox.archives()[0], &sandbox.path(IDENTITY));
    fs::write(sandbox.path("none.toml"), "").unwrap();
    for (factor, code) in [(14, 0), (15, 7), (18, 7)] {
        fs::write(
            sandbox.path("given.age"),
            encrypted_with(&tar, "secret", factor),
        )
        .unwrap();
        let mut command = sandbox.command(&["restore", "given.age", "--yes"]);
        command
            .env("SAFESTEP_CONFIG", "none.toml")
            .env("SAFESTEP_PASSPHRASE", "secret");
        let run = super::Run::of(&command.output().unwrap()).expect_code(code);
        assert_eq!(
            run.stderr.contains("decrypt it with `age -d`"),
            code != 0,
            "{}",
            run.stderr
        );
    }
}

#[test]
fn what_is_encrypted_and_is_no_archive_is_refused() {
    let sandbox = encrypted("008");
    let recipient = fs::read_to_string(sandbox.path("recipients.txt")).unwrap();
    let before = sandbox.content();
    let twice = keys::encrypted(&keys::encrypted(b"something", &recipient), &recipient);
    for bytes in [
        keys::encrypted(b"", &recipient),
        keys::encrypted(&vec![7; 100_000], &recipient),
        twice,
    ] {
        fs::write(sandbox.path("given.age"), bytes).unwrap();
        let run = with_key(&sandbox, &["restore", "given.age", "--yes"]).expect_code(7);
        assert!(
            run.stderr.contains("neither gzip nor zstd nor tar"),
            "{}",
            run.stderr
        );
        assert!(sandbox.content() == before);
    }
}

#[test]
fn a_sound_copy_off_site_does_not_make_a_damaged_archive_sound() {
    let sandbox = super::encrypted("008");
    fs::create_dir(sandbox.path("store")).unwrap();
    let place = format!("file://{}", text(&sandbox.path("store")));
    let args = ["backup", "--offsite", &place];
    sandbox.run(&args).expect_code(0);
    let archive = sandbox.archives().remove(0);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    with_key(&sandbox, &["backups", "verify"]).expect_code(7);

    let args = ["backups", "verify", "--remote", "--offsite", &place];
    with_key(&sandbox, &args).expect_code(0);
    let list = sandbox.run(&["backups", "list"]).expect_code(0).stdout;
    assert!(list.contains("BAD"), "{list}");
}
