//! Archives cut off at every place, and with bits flipped.

use std::fs;
use std::io::{Read, Write};
use std::sync::Mutex;

use flate2::read::MultiGzDecoder;

use crate::support::evidence::Evidence;
use crate::support::{Random, Sandbox, content, full, text};
use crate::trial::{bounded, unsound};

/// A database of few small pages, with a backup of it, and changed since.
struct Victim {
    sandbox: Sandbox,
    /// What the backup holds.
    held: String,
    archive: Vec<u8>,
    /// The database as it is now.
    now: Vec<u8>,
}

impl Victim {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for entry in fs::read_dir(sandbox.migrations()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        sandbox.add_migration("000_base", "CREATE TABLE notes (text TEXT);\n");
        sandbox.run(&["run", "--create-if-missing"]).expect_code(0);
        sandbox.sql("PRAGMA page_size = 512; VACUUM; INSERT INTO notes VALUES ('kept')");
        let held = content(&sandbox.database());
        let archive = fs::read(sandbox.backup()).unwrap();
        sandbox.sql("UPDATE notes SET text = 'lost'");
        let now = fs::read(sandbox.database()).unwrap();
        fs::remove_dir_all(sandbox.path("backups")).unwrap();
        Self {
            sandbox,
            held,
            archive,
            now,
        }
    }

    /// Restores from these bytes: refused, and nothing touched, or exactly what the backup held.
    fn outcome(&self, archive: &[u8]) -> Result<&'static str, String> {
        let bad = self.sandbox.path("bad.tar.gz");
        fs::write(&bad, archive).unwrap();
        let mut command = self.sandbox.command(&["restore", text(&bad), "--yes"]);
        command.env("SAFESTEP_LOG_DIR", "/dev/null");
        let run = bounded(command);
        if let Some(how) = unsound(&run) {
            return Err(format!("{how}: {}", run.stderr));
        }
        let outcome = if run.code == 0 {
            let got = content(&self.sandbox.database());
            fs::write(self.sandbox.database(), &self.now).unwrap();
            fs::remove_dir_all(self.sandbox.path("backups")).unwrap();
            (got == self.held).then_some("restored exactly")
        } else {
            let touched = fs::read(self.sandbox.database()).unwrap() != self.now;
            (run.code == 7 && !touched).then_some("refused, 7")
        };
        outcome.ok_or_else(|| format!("exit {}: {}{}", run.code, run.stdout, run.stderr))
    }
}

/// Tries every archive that `spoil` makes, on two threads.
fn try_all(evidence: Evidence, cases: &[usize], spoil: impl Fn(&[u8], usize) -> Vec<u8> + Sync) {
    let evidence = Mutex::new(evidence);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (evidence, spoil) = (&evidence, &spoil);
            scope.spawn(move || {
                let victim = Victim::new();
                for case in cases.iter().skip(half).step_by(2) {
                    // The archives of the two threads differ in their times and ids.
                    let bytes = spoil(&victim.archive, *case);
                    let outcome = victim.outcome(&bytes);
                    let mut evidence = evidence.lock().unwrap();
                    match outcome {
                        Ok(words) => evidence.injected(words),
                        Err(how) => {
                            evidence.injected("wrong");
                            evidence.lost(format!("case {case}: {how}"));
                        }
                    }
                }
            });
        }
    });
    evidence.into_inner().unwrap().finish();
}

fn command(test: &str) -> String {
    format!("SAFESTEP_TEST_FULL=1 cargo test --release --test hostile -- {test}")
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let length = Victim::new().archive.len() - 1;
    let step = if full() { 1 } else { 12 };
    // Where gzip's header, its blocks and its trailer end, too.
    let mut cases: Vec<usize> = (0..length).step_by(step).collect();
    cases.extend([1, 2, 9, 10, 11, length - 8, length - 7, length - 4, length]);
    cases.retain(|at| *at <= length);
    let evidence = Evidence::new(
        "Hostile input",
        "archives cut off: after every byte of a small one",
        command("an_archive_that_is_cut_off_anywhere_is_refused"),
    );
    try_all(evidence, &cases, |archive, at| {
        archive[..at.min(archive.len() - 1)].to_vec()
    });
}

#[test]
fn an_archive_with_a_flipped_bit_is_refused_or_restores_exactly_what_it_held() {
    let bits = Victim::new().archive.len() * 8;
    let mut random = Random::new("flipped bits");
    let cases: Vec<usize> = if full() {
        (0..bits).collect()
    } else {
        (0..bits / 64)
            .map(|byte| byte * 64 + usize::try_from(random.below(64)).unwrap())
            .collect()
    };
    let evidence = Evidence::new(
        "Hostile input",
        "archives with one flipped bit: every bit of a small one",
        command("an_archive_with_a_flipped_bit"),
    );
    try_all(evidence, &cases, |archive, bit| {
        let mut flipped = archive.to_vec();
        if let Some(byte) = flipped.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        flipped
    });
}

/// The unpacked tar of an archive.
fn unzipped(archive: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    MultiGzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    tar
}

fn zipped(tar: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(tar).unwrap();
    gz.finish().unwrap()
}

/// Below gzip's checksum: what somebody meant to do, or what was damaged before it was compressed.
#[test]
fn a_tar_with_a_flipped_bit_or_cut_off_inside_a_sound_gzip_is_refused_or_restores_exactly_what_it_held()
 {
    let bits = unzipped(&Victim::new().archive).len() * 8;
    let mut random = Random::new("flipped bits in the tar");
    let every = if full() { 16 } else { 512 };
    let cases: Vec<usize> = (0..bits / every)
        .map(|n| n * every + usize::try_from(random.below(every as u64)).unwrap())
        .collect();
    let evidence = Evidence::new(
        "Hostile input",
        "archives with one flipped bit in the tar, packed again",
        command("a_tar_with_a_flipped_bit"),
    );
    try_all(evidence, &cases, |archive, bit| {
        let mut tar = unzipped(archive);
        if let Some(byte) = tar.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        zipped(&tar)
    });
    let blocks: Vec<usize> = (0..bits / 8 / 512).collect();
    let evidence = Evidence::new(
        "Hostile input",
        "archives whose tar ends after a block, packed again",
        command("a_tar_with_a_flipped_bit"),
    );
    try_all(evidence, &blocks, |archive, blocks| {
        zipped(&unzipped(archive)[..blocks * 512])
    });
}
