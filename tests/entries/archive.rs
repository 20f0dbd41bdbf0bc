//! An archive that anybody may have made: it is refused, or it is exactly what its manifest says, and nothing else is
//! written.
//!
//! The first byte says what follows: `z` the archive itself, `t` a tar (its headers get the right checksums, else nothing
//! would come past them), anything else a manifest, a line `===` and the bytes of a database.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use safestep::archive;
use safestep::catalog::{Catalog, Wanted};
use safestep::encryption::Keys;
use safestep::monitor::Silent;
use safestep::sqlite::{Interrupt, hex};
use sha2::{Digest, Sha256};

use super::Folder;

pub fn enter(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let bytes = match form {
        b'z' => rest.to_vec(),
        b't' => gzipped(&with_checksums(rest.to_vec())),
        _ => gzipped(&packed(rest)),
    };
    let folder = Folder::new();
    let path = folder.write("given.tar.gz", &bytes);
    let target = folder.path("unpacked.db");
    let catalog = Catalog::new(&folder.path("backups"), &folder.path("app.db"));
    let Ok(backup) = catalog.select(&Wanted::named(&path.to_string_lossy())) else {
        return;
    };
    let manifest = &backup.manifest;
    let interrupt = Interrupt::default();

    let mut count = Count(0);
    let (name, promised) = (&manifest.file, manifest.size_bytes);
    let wanted = archive::Wanted {
        name,
        bytes: promised,
        keys: &Keys::default(),
        interrupt: &interrupt,
        monitor: &Silent,
    };
    let extracted = archive::extract(&path, &mut count, wanted);
    assert!(count.0 <= promised, "more than it promised was written");

    let unpacked = catalog.unpack(&backup, &target, &interrupt, &Silent);
    let mut files = folder.files();
    files.remove(&path);
    if let Ok(()) = unpacked {
        let bytes = files.remove(&target).expect("an accepted backup is there");
        let digest = hex(&Sha256::digest(&bytes));
        assert_eq!(digest, manifest.sha256, "the digest of what was accepted");
        assert_eq!(bytes.len() as u64, promised, "the size");
        assert_eq!(
            extracted.ok().map(|found| found.sha256),
            Some(digest),
            "the same twice"
        );
        assert_eq!(members(&path), ["manifest.json".to_owned(), name.clone()]);
    }
    assert!(files.is_empty(), "left behind: {:?}", files.keys());
}

/// Counts what is written.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0 += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn members(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("the archive");
    let mut tar = tar::Archive::new(unpacked(&bytes));
    let entries = tar.entries().expect("entries");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            io::copy(&mut entry.by_ref(), &mut io::sink()).expect("its content");
            String::from_utf8_lossy(&entry.path_bytes()).into_owned()
        })
        .collect()
}

/// By its first bytes, and on one thread.
fn unpacked(bytes: &[u8]) -> Box<dyn Read + '_> {
    match bytes {
        [0x1f, ..] => Box::new(MultiGzDecoder::new(bytes)),
        [0x28 | 0x50..=0x5f, _, 0x2f | 0x4d, ..] => {
            Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder"))
        }
        _ => Box::new(bytes),
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).expect("memory");
    gz.finish().expect("memory")
}

/// Header by header, as tar reads them.
fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(1 << 32);
        at += 512 + usize::try_from(size.div_ceil(512) * 512).expect("64 bits");
    }
    tar
}

/// `@size@` and `@sha256@` in the manifest become those of the database.
fn packed(rest: &[u8]) -> Vec<u8> {
    const LINE: &[u8] = b"\n===\n";
    let cut = rest.windows(LINE.len()).position(|window| window == LINE);
    let (manifest, database) = match cut {
        Some(at) => (&rest[..at], &rest[at + LINE.len()..]),
        None => (rest, &[][..]),
    };
    let manifest = String::from_utf8_lossy(manifest)
        .replace("@size@", &database.len().to_string())
        .replace("@sha256@", &hex(&Sha256::digest(database)));
    let name = serde_json::from_str::<serde_json::Value>(&manifest)
        .ok()
        .and_then(|value| Some(value.get("file")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("manifest.json", manifest.as_bytes()), (&name, database)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // A name that tar does not take is left out: then the header has none.
        let _ = header.set_path(name);
        header.set_cksum();
        tar.append(&header, bytes).expect("memory");
    }
    tar.into_inner().expect("memory")
}
