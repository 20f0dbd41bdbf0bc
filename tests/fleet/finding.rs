//! Which files a pattern finds, and where their backups go.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::support::{Run, content, files_ending, text};
use crate::tenants::{PATTERN, Tenants, databases, revision};

/// The names in a report.
fn names(document: &Value) -> Vec<&str> {
    databases(document)
        .iter()
        .map(|database| database["name"].as_str().unwrap())
        .collect()
}

#[test]
fn what_is_no_database_is_left_alone() {
    let tenants = Tenants::new(2);
    let folder = tenants.sandbox.path("tenants/t0000");
    for name in [
        "app.db-wal",
        "app.db-shm",
        "app.db-journal",
        ".app.db.safestep-lock",
        ".hidden.db",
    ] {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::create_dir_all(tenants.sandbox.path("tenants/t0002/app.db")).unwrap();
    fs::create_dir_all(tenants.sandbox.path("tenants/.hidden")).unwrap();
    symlink("nowhere", folder.join("nowhere.db")).unwrap();
    let (code, document) = tenants.sandbox.run_json(&["run", "--all", "tenants/*/*"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(names(&document), ["t0000/app.db", "t0001/app.db"]);
    // The backups that were made, and the migrations, are none either.
    let (code, document) = tenants.sandbox.run_json(&["run", "--all", "**/*.db"]);
    assert_eq!(
        names(&document),
        [
            "seed-wal.db",
            "seed.db",
            "tenants/t0000/app.db",
            "tenants/t0001/app.db"
        ]
    );
    assert_eq!(code, 0, "{document:#}");
}

#[test]
fn a_pattern_that_finds_nothing_is_exit_code_4_and_says_where_it_looked() {
    let tenants = Tenants::new(1);
    for pattern in [
        "tenants/*/other.db",
        "tenants/**/*.sqlite",
        "nowhere/*/app.db",
    ] {
        let run = tenants
            .sandbox
            .run(&["run", "--all", pattern])
            .expect_code(4);
        let folder = tenants.sandbox.path(pattern.split('/').next().unwrap());
        let words = format!(
            "no database matches {pattern} (looked in {})",
            text(&folder)
        );
        assert!(run.stderr.contains(&words), "{}", run.stderr);
    }
    let (_, document) = tenants
        .sandbox
        .run_json(&["run", "--all", "nowhere/*/app.db"]);
    assert_eq!(document["error"]["code"], "no_database_found");
}

#[test]
fn a_pattern_that_a_shell_has_expanded_works_as_well() {
    let tenants = Tenants::new(3);
    let paths = [
        "tenants/t0000/app.db",
        "./tenants//t0001/app.db",
        "tenants/t0000/app.db-wal",
    ];
    fs::write(tenants.sandbox.path(paths[2]), "").unwrap();
    let (code, document) = tenants
        .sandbox
        .run_json(&[&["run", "--all"], &paths[..]].concat());
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(
        names(&document),
        ["tenants/t0000/app.db", "tenants/t0001/app.db"]
    );
    let folder = tenants.sandbox.path("backups/tenants/t0001/app");
    assert_eq!(files_ending(&folder, ".tar.gz").len(), 1);
    // Something that was named and is not there is not passed over.
    let (code, document) = tenants.sandbox.run_json(&[
        "run",
        "--all",
        "tenants/t0002/app.db",
        "tenants/gone/app.db",
    ]);
    assert_eq!(code, 4, "{document:#}");
    assert_eq!(document["counts"]["migrated"], 1);
    assert_eq!(databases(&document)[0]["error"]["code"], "database_missing");
}

#[test]
fn several_patterns_find_what_each_of_them_does_and_keep_it_apart() {
    let tenants = Tenants::new(2);
    let other = tenants.sandbox.path("others/t0000");
    fs::create_dir_all(&other).unwrap();
    fs::copy(tenants.path("t0001"), other.join("app.db")).unwrap();
    let args = ["run", "--all", PATTERN, "others/*/app.db"];
    let (code, document) = tenants.sandbox.run_json(&args);
    assert_eq!(code, 0, "{document:#}");
    let expected = [
        "others/t0000/app.db",
        "tenants/t0000/app.db",
        "tenants/t0001/app.db",
    ];
    assert_eq!(names(&document), expected);
    for name in expected {
        let folder = tenants
            .sandbox
            .path("backups")
            .join(name.trim_end_matches(".db"));
        assert_eq!(files_ending(&folder, ".tar.gz").len(), 1, "{name}");
    }
}

#[test]
fn names_of_all_kinds_are_found() {
    let tenants = Tenants::new(1);
    let odd = [
        "with blank",
        "[brackets]",
        "größe",
        "-dash",
        "new\nline",
        "o'neil",
    ];
    // Which the driver of SQLite refuses: a failure, and not passed over.
    let not_utf8 = OsStr::from_bytes(b"caf\xe9");
    for name in odd.map(OsStr::new).into_iter().chain([not_utf8]) {
        let folder = tenants.sandbox.path("tenants").join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(tenants.path("t0000"), folder.join("app.db")).unwrap();
    }
    let (code, document) = tenants.run(&["run"]);
    assert_eq!(document["counts"]["migrated"], odd.len() + 1);
    assert_eq!((code, &document["counts"]["failed"]), (1, &1.into()));
    for name in odd {
        let folder = tenants.sandbox.path("backups").join(name).join("app");
        assert_eq!(files_ending(&folder, ".tar.gz").len(), 1, "{name:?}");
    }
    // A shell would hand over the name itself, which is not taken for a pattern.
    let (code, document) = tenants
        .sandbox
        .run_json(&["run", "--all", "tenants/[brackets]/app.db"]);
    assert_eq!(
        (code, names(&document)),
        (0, vec!["tenants/[brackets]/app.db"])
    );
}

#[test]
fn a_database_that_links_lead_to_is_worked_on_once() {
    let tenants = Tenants::new(2);
    symlink("t0000", tenants.sandbox.path("tenants/alias")).unwrap();
    fs::create_dir(tenants.sandbox.path("tenants/other")).unwrap();
    symlink(
        "../t0001/app.db",
        tenants.sandbox.path("tenants/other/app.db"),
    )
    .unwrap();
    let (code, document) = tenants.run(&["run"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(names(&document), ["alias/app.db", "other/app.db"]);
    assert!(
        tenants
            .names
            .iter()
            .all(|name| tenants.revision(name) == "008")
    );
    // Round in circles.
    symlink("..", tenants.sandbox.path("tenants/up")).unwrap();
    let (code, document) = tenants
        .sandbox
        .run_json(&["run", "--all", "tenants/**/app.db"]);
    assert_eq!((code, databases(&document).len()), (0, 2), "{document:#}");
}

#[test]
fn no_two_databases_share_a_folder_of_backups() {
    let tenants = Tenants::new(1);
    let seed = tenants.path("t0000");
    let paths = ["acme.db", "acme.sqlite", "acme", "beta.old.db", "beta.db"];
    fs::create_dir(tenants.sandbox.path("flat")).unwrap();
    let before = content(&seed);
    for path in paths {
        fs::copy(&seed, tenants.sandbox.path("flat").join(path)).unwrap();
    }
    let (code, document) = tenants.sandbox.run_json(&["run", "--all", "flat/*"]);
    assert_eq!(code, 0, "{document:#}");
    let folders: BTreeSet<&Path> = databases(&document)
        .iter()
        .map(|database| {
            Path::new(database["backup"]["path"].as_str().unwrap())
                .parent()
                .unwrap()
        })
        .collect();
    assert_eq!(folders.len(), paths.len(), "{folders:?}");
    for database in databases(&document) {
        let command = format!("{} --yes", database["way_back"].as_str().unwrap());
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        tenants.sandbox.run(&args).expect_code(0);
        let path = Path::new(database["database"].as_str().unwrap());
        assert_eq!(content(path), before, "{}", path.display());
    }
}

#[test]
fn adding_a_database_moves_no_other() {
    let tenants = Tenants::new(8);
    let shard_of = |document: &Value| -> Vec<String> {
        names(document).into_iter().map(ToOwned::to_owned).collect()
    };
    let args = ["run", "--shard", "1/2"];
    let before = shard_of(&tenants.run(&args).1);
    for name in ["a", "t0000a", "zz"] {
        let folder = tenants.sandbox.path("tenants").join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(tenants.path("t0007"), folder.join("app.db")).unwrap();
    }
    let after = shard_of(&tenants.run(&args).1);
    let old: Vec<String> = after
        .iter()
        .filter(|name| {
            before.contains(name)
                || tenants
                    .names
                    .iter()
                    .any(|old| name.starts_with(&format!("{old}/")))
        })
        .cloned()
        .collect();
    assert_eq!(old, before);
    // Wherever the volume is mounted.
    let pattern = format!("{}/tenants/*/app.db", text(&tenants.sandbox.path(".")));
    let (_, document) = tenants
        .sandbox
        .run_json(&["run", "--shard", "1/2", "--all", &pattern]);
    assert_eq!(shard_of(&document), after);
}

#[test]
fn a_folder_that_may_not_be_read_is_a_failure_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let tenants = Tenants::new(2);
    let closed = tenants.sandbox.path("tenants/closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read_dir(&closed).is_ok();
    let output = tenants
        .sandbox
        .command(&["run", "--all", PATTERN, "--output", "json"])
        .output()
        .unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let run = Run::of(&output);
    let document = run.json();
    assert_eq!(document["counts"]["migrated"], 2, "{document:#}");
    // For root every folder is open.
    let failed = u64::from(!readable);
    assert_eq!(document["counts"]["failed"], failed, "{document:#}");
    assert!(
        tenants
            .names
            .iter()
            .all(|name| revision(&tenants.path(name)) == "008")
    );
}
