//! The house rules that a compiler does not check.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn source_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((
                    path.strip_prefix(&root).expect("below src").to_path_buf(),
                    text,
                ));
            }
        }
    }
    assert!(files.len() > 30, "the sources were found");
    files
}

/// The modules in the order in which `lib.rs` declares them, bottom first.
fn layers() -> BTreeMap<String, usize> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("lib.rs");
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .enumerate()
        .map(|(index, name)| (name.to_owned(), index))
        .collect()
}

fn module_of(path: &Path) -> String {
    let first = path.components().next().expect("a path");
    let name = first.as_os_str().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

/// Every `crate::module` in a file; comments do not count.
fn used_modules(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn a_module_uses_only_modules_that_lib_rs_declares_above_it() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (path, text) in source_files() {
        let module = module_of(&path);
        let Some(own) = layers.get(&module) else {
            assert!(
                matches!(module.as_str(), "lib" | "main"),
                "{module} is not declared in lib.rs"
            );
            continue;
        };
        for used in used_modules(&text) {
            let layer = layers
                .get(&used)
                .unwrap_or_else(|| panic!("{}: crate::{used} is no module", path.display()));
            if layer > own {
                wrong.push(format!("{} uses {used}, which is above it", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Files outside `allowed` that contain one of the words in code.
fn offenders(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in source_files() {
        let name = path.to_string_lossy().into_owned();
        if allowed.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn nobody() -> Vec<String> {
    Vec::new()
}

#[test]
fn unsafe_code_is_in_one_module() {
    assert_eq!(
        offenders(
            &["unsafe {", "unsafe fn", "unsafe extern", "unsafe impl"],
            &["sqlite/ffi.rs"]
        ),
        nobody()
    );
}

#[test]
fn only_storage_changes_the_file_system() {
    let words = [
        "use std::fs;",
        "std::fs::{",
        "fs::write(",
        "fs::rename",
        "fs::remove",
        "fs::create",
        "OpenOptions",
        "File::create",
        "File::open",
    ];
    assert_eq!(offenders(&words, &["storage/", "fault.rs"]), nobody());
}

#[test]
fn only_clock_asks_for_the_time() {
    assert_eq!(
        offenders(
            &["Instant::now", "SystemTime::now", "Utc::now", "Local::now"],
            &["clock/"]
        ),
        nobody()
    );
}

#[test]
fn the_library_never_prints_and_never_exits() {
    let words = [
        "println!(",
        "print!(",
        "dbg!(",
        "process::exit",
        "todo!(",
        "unimplemented!(",
    ];
    assert_eq!(offenders(&words, &[]), nobody());
}

#[test]
fn one_module_encrypts() {
    assert_eq!(
        offenders(&["use age::", " age::", "(age::"], &["encryption/"]),
        nobody()
    );
}

#[test]
fn environment_variables_are_read_in_one_place() {
    assert_eq!(offenders(&["env::var"], &["app.rs", "fault.rs"]), nobody());
}
