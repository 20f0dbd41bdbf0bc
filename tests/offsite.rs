//! Copies on real S3 servers: what goes there comes back, and whatever goes wrong on the way loses nothing.
//!
//! Behind the feature `s3`; `.ci/run` shows what has to be installed.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs
)]

#[path = "offsite/damaged.rs"]
mod damaged;
#[path = "offsite/faults.rs"]
mod faults;
mod support;
#[path = "offsite/world.rs"]
mod world;

use std::fs;

use support::Sandbox;
use support::s3::{BUCKET, Key, LOCKED, Server, VERSIONED, WRITABLE, Which};
use world::{Size, World, id_of};

/// Every kind of backup there and back.
fn round_trip(which: Which, size: Size, encrypted: bool) {
    let world = World::new(which, size, encrypted);
    let old = world.sandbox.content();
    world.run(&["run"]).expect_code(0);
    let archive = world.newest();
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
    let [label, there] = world.pair(&name);
    world
        .server
        .download(BUCKET, &there, &world.sandbox.path("there"));
    let same = fs::read(world.sandbox.path("there")).unwrap() == fs::read(&archive).unwrap();
    assert!(same, "the same bytes");
    let mut keys = vec![label, there];
    keys.sort();
    assert_eq!(world.keys(), keys, "and nothing else");
    world.expect_no_upload();

    let listed = world.json(&["backups", "list", "--remote"]);
    assert_eq!(
        listed["backups"][0]["manifest"]["id"],
        id_of(&archive),
        "{listed:#}"
    );
    world.run(&["backups", "verify", "--remote"]).expect_code(0);
    let empty = World::elsewhere();
    world
        .run_in(&empty, &["restore", &world.url("fastflow/latest"), "--yes"])
        .expect_code(0);
    assert_eq!(empty.content(), old);

    world
        .sandbox
        .sql("UPDATE users SET username = username || '!'");
    world.run(&["backup"]).expect_code(0);
    assert_eq!(world.keys().len(), 4);
    let mut prune = world.command(&["backups", "prune", "--remote"]);
    prune.env("SAFESTEP_OFFSITE_KEEP_LAST", "1");
    World::end(&mut prune).expect_code(0);
    let newest = world.newest();
    let mut keys = world
        .pair(newest.file_name().unwrap().to_str().unwrap())
        .to_vec();
    keys.sort();
    assert_eq!(world.keys(), keys);
}

#[test]
fn a_small_backup_goes_there_and_back_on_moto() {
    for encrypted in [false, true] {
        round_trip(Which::Moto, Size::Small, encrypted);
    }
}

#[test]
fn a_small_backup_goes_there_and_back_on_seaweedfs() {
    for encrypted in [false, true] {
        round_trip(Which::Seaweed, Size::Small, encrypted);
    }
}

#[test]
fn a_backup_of_several_parts_goes_there_and_back_on_moto() {
    for encrypted in [false, true] {
        round_trip(Which::Moto, Size::Parts, encrypted);
    }
}

#[test]
fn a_backup_of_several_parts_goes_there_and_back_on_seaweedfs() {
    for encrypted in [false, true] {
        round_trip(Which::Seaweed, Size::Parts, encrypted);
    }
}

#[test]
fn buckets_with_versions_and_with_locked_objects_take_backups_and_a_prune_says_what_it_could_not_remove()
 {
    for which in Which::BOTH {
        for bucket in [VERSIONED, LOCKED] {
            for size in [Size::Small, Size::Parts] {
                let world = World::new(which, size, false).in_bucket(bucket);
                let run = world.run(&["run"]).expect_code(0);
                assert!(!run.stderr.contains("WARN"), "{which:?}: {}", run.stderr);
                world
                    .sandbox
                    .sql("UPDATE users SET username = username || '!'");
                world.run(&["backup"]).expect_code(0);
                let mut prune = world.command(&["backups", "prune", "--remote"]);
                prune.env("SAFESTEP_OFFSITE_KEEP_LAST", "1");
                World::end(&mut prune).expect_code(0);
                // In both a marker hides what was removed, and the versions stay.
                assert_eq!(world.keys().len(), 2);
                let versions = world.server.api(
                    "list_object_versions",
                    &serde_json::json!({ "Bucket": bucket, "Prefix": world.prefix }),
                );
                assert_eq!(versions["Versions"].as_array().unwrap().len(), 4);
                let empty = World::elsewhere();
                world
                    .run_in(&empty, &["restore", &world.url("fastflow/latest"), "--yes"])
                    .expect_code(0);
                assert_eq!(empty.content(), world.sandbox.content());
            }
        }
    }
}

#[test]
fn fast_flows_own_settings_are_enough_and_never_used_unasked() {
    for which in Which::BOTH {
        let sandbox = Sandbox::at("003");
        let server = Server::get(which);
        let prefix = format!("fast-flow-{which:?}");
        let command = |arguments: &[&str]| {
            let mut command = sandbox.command(arguments);
            Key::Admin.give(&mut command);
            command
                .env("S3_ENDPOINT_URL", server.endpoint())
                .env("S3_BUCKET", BUCKET)
                .env("S3_REGION", "us-east-1")
                .env("S3_PREFIX", &prefix)
                .env("S3_USE_PATH_STYLE", "true");
            command
        };
        World::end(&mut command(&["run"])).expect_code(0);
        assert_eq!(server.objects(BUCKET, &prefix), []);
        sandbox.sql(
            "INSERT INTO users (id, username, created_at, role) VALUES ('a', 'a', '2026', 'ADMIN')",
        );
        World::end(command(&["backup"]).env("SAFESTEP_OFFSITE", "s3://")).expect_code(0);
        let there = server.objects(BUCKET, &format!("{prefix}/fastflow/"));
        assert_eq!(there.len(), 4, "what the first job made, too: {there:?}");
    }
}

#[test]
fn a_key_that_may_write_below_one_prefix_and_nothing_else_cannot_write_elsewhere() {
    let world = World::new(Which::Seaweed, Size::Small, false).with_key(Key::WriteOnly);
    world.run(&["run", "--offsite-required"]).expect_code(2);
    let url = format!("s3://{BUCKET}/{WRITABLE}/{}", world.prefix);
    let run = world.run(&["run", "--offsite-required", "--offsite", &url]);
    // It cannot look whether the name is free.
    run.expect_code(2);
    assert_eq!(world.sandbox.current(), "003");
}

#[test]
fn no_key_secret_or_signature_is_in_anything_that_is_said_or_written() {
    let world = World::new(Which::Seaweed, Size::Parts, true);
    let mut said = String::new();
    let mut note = |run: support::Run| said.push_str(&(run.stdout + &run.stderr));
    note(world.run(&["run", "--verbose"]));
    for arguments in [
        &["backups", "list", "--remote", "--verbose"][..],
        &["backups", "verify", "--remote", "--verbose"],
        &["backups", "list", "--remote", "--output", "json"],
        &["restore", &world.url("nowhere/latest"), "--yes"],
        &["doctor", "--verbose"],
    ] {
        note(world.run(arguments));
    }
    for key in [Key::WrongSecret, Key::Unknown, Key::ReadOnly] {
        let world = world.again_with(key);
        world
            .sandbox
            .sql("UPDATE users SET username = username || '!'");
        note(world.run(&["backup", "--verbose"]));
        note(world.run(&["backup", "--offsite-required", "--output", "json"]));
    }
    assert!(said.contains("s3://"), "{said}");
    let mut texts = vec![("what was said".to_owned(), said.into_bytes())];
    world::files(&world.sandbox.path(""), &mut texts);
    assert!(texts.iter().any(|(name, _)| name.contains("logs")));
    for (name, text) in &texts {
        let text = String::from_utf8_lossy(text);
        for key in [Key::Admin, Key::WrongSecret, Key::Unknown, Key::ReadOnly] {
            let (id, secret) = key.pair();
            for word in [id, secret, "X-Amz-", "Signature=", "AWS4-HMAC"] {
                assert!(!text.contains(word), "{word} in {name}");
            }
        }
    }
}
