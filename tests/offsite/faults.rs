//! Whatever goes wrong on the way: what is required does not begin, what is not goes on, loudly, and the next job makes up for it.

use std::process::{Command, Stdio};

use super::support::s3::{ALWAYS, Fault, Key, Kind, Proxy, Server, Which};
use super::support::{Run, full, wait_until};
use super::world::{BULK_BYTES, Size, World};

const REQUIRED: &[&str] = &["run", "--offsite-required"];
const HASTY: &[&str] = &["run", "--offsite-required", "--offsite-timeout", "4s"];
const HASTY_NOT_REQUIRED: &[&str] = &["run", "--offsite-timeout", "4s"];

/// A job that waits for the copy, and fails with it: nothing has happened.
#[track_caller]
fn does_not_begin(world: &World, arguments: &[&str], code: i32, says: &str) {
    let before = world.bytes();
    let run = world.run(arguments).expect_code(code);
    assert!(run.stderr.contains(says), "{says}: {}", run.stderr);
    assert!(run.stderr.contains("state: The database"), "{}", run.stderr);
    assert!(world.bytes() == before, "byte for byte");
    world.expect_no_upload();
    world.expect_listed(0);
}

/// A job that does not wait: it is done, says what is the matter, and the next one makes up for it.
#[track_caller]
fn goes_on(world: &World, arguments: &[&str], says: &str) {
    let run = world.run(arguments).expect_code(0);
    assert!(run.stderr.contains("WARN"), "{}", run.stderr);
    assert!(run.stderr.contains(says), "{says}: {}", run.stderr);
    assert_eq!(world.sandbox.current(), "008");
    world.expect_no_upload();
    world.expect_listed(0);
    let made = world.newest();
    let healed = world.directly().with_key(Key::Admin);
    healed.run(&["backup"]).expect_code(0);
    healed.expect_copied();
    let [label, _] = healed.pair(made.file_name().unwrap().to_str().unwrap());
    assert!(healed.keys().contains(&label), "{:?}", healed.keys());
}

#[track_caller]
fn both(world: impl Fn() -> World, code: i32, says: &str) {
    does_not_begin(&world(), HASTY, code, says);
    goes_on(&world(), HASTY_NOT_REQUIRED, says);
}

#[test]
fn a_wrong_secret_an_unknown_key_and_one_that_may_only_read_are_exit_2() {
    for (key, says) in [
        (Key::WrongSecret, "the secret is not that of the access key"),
        (Key::Unknown, "does not know the access key"),
        (Key::ReadOnly, "may not do this"),
    ] {
        for size in [Size::Small, Size::Parts] {
            let world = || World::new(Which::Seaweed, size, false).with_key(key);
            both(world, 2, says);
        }
    }
}

#[test]
fn a_bucket_that_is_not_there_is_exit_2() {
    for which in Which::BOTH {
        let world = World::new(which, Size::Small, false).in_bucket("nobodys-bucket");
        let before = world.bytes();
        let run = world.run(REQUIRED).expect_code(2);
        assert!(run.stderr.contains("no such bucket"), "{}", run.stderr);
        assert!(world.bytes() == before);
        let run = world.run(&["run"]).expect_code(0);
        assert!(run.stderr.contains("no such bucket"), "{}", run.stderr);
        assert_eq!(world.sandbox.current(), "008");
    }
}

fn through(which: Which, size: Size, fault: Fault) -> (World, Proxy) {
    let world = World::new(which, size, false);
    let proxy = Proxy::to(&world.server.address(), fault);
    let endpoint = proxy.endpoint();
    (world.at(endpoint), proxy)
}

/// Several at a time: most of it is waiting.
fn side_by_side<T: Sync + Copy>(cases: &[T], judge: impl Fn(T) + Sync) {
    for some in cases.chunks(4) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| judge(*case));
            }
        });
    }
}

#[test]
fn a_connection_that_is_cut_at_any_tenth_and_comes_back_delays_the_copy_and_no_more() {
    let cases: Vec<(u64, Which)> = (0..10)
        .flat_map(|tenth| Which::BOTH.map(|which| (tenth, which)))
        .filter(|(tenth, which)| full() || (tenth % 2 == 0) == (*which == Which::Seaweed))
        .collect();
    // Held, so that all of them ask the same servers.
    let _servers = Which::BOTH.map(Server::get);
    side_by_side(&cases, |(tenth, which)| {
        let bytes = BULK_BYTES * tenth / 10;
        let (world, proxy) = through(which, Size::Parts, Fault::CutAfter { bytes, heals: true });
        world.run(REQUIRED).expect_code(0);
        assert_eq!(proxy.struck(), 1, "{tenth}");
        world.expect_copied();
        world.expect_listed(1);
    });
}

#[test]
fn a_connection_that_is_cut_at_any_tenth_and_stays_so_is_exit_75_or_a_warning() {
    let cases: Vec<(u64, Which)> = (0..10)
        .flat_map(|tenth| Which::BOTH.map(|which| (tenth, which)))
        .filter(|(tenth, which)| full() || (tenth % 2 == 0) == (*which == Which::Moto))
        .collect();
    let _servers = Which::BOTH.map(Server::get);
    side_by_side(&cases, |(tenth, which)| {
        let bytes = BULK_BYTES * tenth / 10;
        let fault = Fault::CutAfter {
            bytes,
            heals: false,
        };
        let (world, proxy) = through(which, Size::Parts, fault);
        let required = tenth % 4 < 2;
        let before = world.bytes();
        let arguments = if required { HASTY } else { HASTY_NOT_REQUIRED };
        let run = world
            .run(arguments)
            .expect_code(if required { 75 } else { 0 });
        assert!(proxy.struck() > 0);
        assert!(run.stderr.contains("could not upload"), "{}", run.stderr);
        if required {
            assert!(world.bytes() == before, "byte for byte");
        }
        // Nobody could tell the server to throw away what it had; the next job does.
        world.expect_listed(0);
        let healed = world.directly();
        healed.run(REQUIRED).expect_code(0);
        healed.run(&["backup"]).expect_code(0);
        healed.expect_copied();
    });
}

#[test]
fn a_few_errors_of_the_server_are_passed_over_whatever_they_answer() {
    let kinds = [
        None,
        Some(Kind::Create),
        Some(Kind::Part),
        Some(Kind::Complete),
        Some(Kind::Put),
        Some(Kind::Get),
        Some(Kind::List),
        Some(Kind::Head),
    ];
    let _servers = Which::BOTH.map(Server::get);
    let cases: Vec<(usize, u16, Option<Kind>)> = [500, 503]
        .into_iter()
        .flat_map(|status| kinds.map(|kind| (status, kind)))
        .enumerate()
        .map(|(number, (status, kind))| (number, status, kind))
        .collect();
    side_by_side(&cases, |(number, status, kind)| {
        let which = Which::BOTH[number % 2];
        let fault = Fault::Answer {
            status,
            kind,
            times: 2,
        };
        let (world, _proxy) = through(which, Size::Parts, fault);
        world.run(REQUIRED).expect_code(0);
        world.expect_copied();
        world.expect_listed(1);
    });
}

#[test]
fn a_server_that_answers_nothing_but_errors_is_exit_75_or_a_warning() {
    let _servers = Which::BOTH.map(Server::get);
    let cases = [
        (500, Which::Moto, Size::Small),
        (503, Which::Seaweed, Size::Small),
        (500, Which::Seaweed, Size::Parts),
        (503, Which::Moto, Size::Parts),
    ];
    side_by_side(&cases, |(status, which, size)| {
        let fault = Fault::Answer {
            status,
            kind: None,
            times: ALWAYS,
        };
        let (world, _proxy) = through(which, size, fault);
        does_not_begin(&world, HASTY, 75, "could not upload");
        let (world, _proxy) = through(which, size, fault);
        goes_on(&world, HASTY_NOT_REQUIRED, "could not upload");
    });
}

#[test]
fn a_network_that_is_too_slow_for_the_timeout_is_exit_75_or_a_warning() {
    let fault = Fault::Trickle {
        bytes_per_second: 100_000,
    };
    let _servers = Which::BOTH.map(Server::get);
    side_by_side(&Which::BOTH, |which| {
        let (world, _proxy) = through(which, Size::Parts, fault);
        does_not_begin(&world, HASTY, 75, "it was not done in time");
        let (world, _proxy) = through(which, Size::Parts, fault);
        goes_on(&world, HASTY_NOT_REQUIRED, "it was not done in time");
    });
}

/// `SeaweedFS` refuses a signature from another time by itself.
#[test]
fn a_clock_that_is_hours_off_is_exit_75_or_a_warning() {
    let shifted = |world: &World, arguments: &[&str]| {
        let command = world.command(arguments);
        let mut fake = Command::new("faketime");
        fake.args(["-f", "-3h"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(world.sandbox.path(""))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        World::end(&mut fake)
    };
    let world = World::new(Which::Seaweed, Size::Small, false);
    let before = world.bytes();
    let run = shifted(&world, REQUIRED).expect_code(75);
    assert!(run.stderr.contains("clock"), "{}", run.stderr);
    assert!(world.bytes() == before);
    world.expect_listed(0);
    let run = shifted(&world, &["run"]).expect_code(0);
    assert!(run.stderr.contains("clock"), "{}", run.stderr);
    assert_eq!(world.sandbox.current(), "008");
    world.run(&["backup"]).expect_code(0);
    world.expect_copied();
}

#[test]
fn an_answer_that_is_lost_after_the_server_has_done_it_is_no_failure() {
    for which in Which::BOTH {
        for (size, kind) in [(Size::Parts, Kind::Complete), (Size::Small, Kind::Put)] {
            for times in [1, 2] {
                let (world, proxy) = through(which, size, Fault::LoseAnswer { kind, times });
                world.run(REQUIRED).expect_code(0);
                assert_eq!(proxy.struck(), times);
                world.expect_copied();
                world.expect_listed(1);
            }
        }
    }
}

#[test]
fn a_job_that_is_killed_while_it_uploads_leaves_no_backup_there_and_the_next_one_clears_up() {
    let stall = Fault::StallAfter {
        bytes: BULK_BYTES / 2,
    };
    for which in Which::BOTH {
        for required in [true, false] {
            let (world, proxy) = through(which, Size::Parts, stall);
            let before = world.bytes();
            let arguments = if required { REQUIRED } else { &["run"] };
            let mut child = world
                .command(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until("half of it is there", || proxy.struck() > 0);
            child.kill().unwrap();
            child.wait().unwrap();
            if required {
                assert!(world.bytes() == before, "byte for byte");
            }
            world.expect_listed(0);
            let healed = world.directly();
            healed.run(REQUIRED).expect_code(0);
            healed.run(&["backup"]).expect_code(0);
            assert_eq!(healed.sandbox.current(), "008");
            healed.expect_copied();
        }
    }
}

#[test]
fn a_download_that_breaks_off_is_begun_anew_or_leaves_everything_as_it_was() {
    for which in Which::BOTH {
        let world = World::new(which, Size::Parts, false);
        world.run(&["run"]).expect_code(0);
        let fault = |bytes, times| Fault::Truncate { bytes, times };
        let restore = |fault: Fault| -> (Run, bool) {
            let proxy = Proxy::to(&world.server.address(), fault);
            let empty = World::elsewhere();
            let there = world.directly().at(proxy.endpoint());
            let run = there.run_in(&empty, &["restore", &there.url("fastflow/latest"), "--yes"]);
            let left = super::support::files_ending(&empty.backups(), ".download");
            assert_eq!(left, Vec::<std::path::PathBuf>::new());
            (run, empty.database().exists())
        };
        for times in [1, 4] {
            let (run, exists) = restore(fault(5_000_000, times));
            run.expect_code(0);
            assert!(exists);
        }
        // Not a byte more, however often it is begun.
        let (run, exists) = restore(fault(0, ALWAYS));
        run.expect_code(75);
        assert!(!exists);
    }
}
