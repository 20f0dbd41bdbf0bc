//! What is done with arbitrary input, and must hold for every one: each module is one target. The targets of `fuzz/` call
//! `enter` with what libFuzzer makes up, `tests/found.rs` with what it once found.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs
)]

pub mod archive;
pub mod enums;
pub mod grammar;
pub mod migrations;
pub mod records;
pub mod revisions;
pub mod schemas;
pub mod script;
pub mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safestep::sqlite::Connection;
use sqlx::Row;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Runs a future to its end, on the one runtime of the process.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("runtime")
    };
    RUNTIME.get_or_init(build).block_on(future)
}

/// A folder of its own for one input.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        fs::write(&path, bytes).expect("file");
        path
    }

    /// Every file below it, with its content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("file");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }
}

/// The parts of an input that holds several files: each begins with a line `=== name`.
fn sections(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut list: Vec<(String, Vec<u8>)> = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"=== ") {
            let name = String::from_utf8_lossy(name).trim_end().to_owned();
            list.push((name, Vec::new()));
        } else if let Some((_, bytes)) = list.last_mut() {
            bytes.extend_from_slice(line);
        }
    }
    list
}

/// Whether a file can have this name, in a folder that it does not leave.
fn is_file_name(name: &str) -> bool {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name);
    plain && !name.contains('\0') && name.len() < 200
}

/// The first column of a query's rows.
async fn list(connection: &mut Connection, sql: &str) -> Vec<String> {
    let rows = connection.rows("look", sql).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}
