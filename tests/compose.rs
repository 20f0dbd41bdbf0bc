//! The image and the compose file on a real engine. See `tests/containers/engine`.
#![allow(clippy::expect_used)]

mod containers;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use containers::{APP_SERVICE, IMAGE, Project, USER, docker};
use support::{Run, Sandbox, full, text, tool, wait_until};

const MB: u64 = 1_000_000;
const BROKEN: &str = "-- no-transaction\n\
     ALTER TABLE users ADD COLUMN status VARCHAR;\n\
     UPDATE users SET state = 'active';\n";
const MENDED: &str = "ALTER TABLE users ADD COLUMN status VARCHAR;\n\
     UPDATE users SET status = 'active';\n";

/// Writes so many rows of 16 KB in one statement, and never comes to the end of the next.
fn endless(rows: u32) -> String {
    format!(
        "CREATE TABLE bulk AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT i, zeroblob(16000) AS content FROM n;\n\
         DELETE FROM bulk WHERE i = (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
         SELECT max(i) FROM n);\n"
    )
}

#[test]
fn a_base_database_is_migrated_before_the_application_starts_and_a_second_time_nothing_happens() {
    let project = Project::new("up", Sandbox::at("000"));
    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", run.stderr);
    wait_until("the application has the database open", || {
        project.logs(APP_SERVICE).contains("open, secrets: 1")
    });
    let logs = project.logs(APP_SERVICE);
    assert!(logs.contains("revision 008_add_google_avatar"), "{logs}");
    assert_eq!(project.sandbox.query("PRAGMA journal_mode"), ["wal"]);
    let started = project.ask(APP_SERVICE, "{{.State.StartedAt}}");
    let before = (project.state(), project.sandbox.archives());

    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", run.stderr);
    assert_eq!((project.state(), project.sandbox.archives()), before);
    assert_eq!(project.ask(APP_SERVICE, "{{.State.StartedAt}}"), started);
    assert!(
        project.logs("migrate").contains("Nothing to do"),
        "{}",
        project.logs("migrate")
    );
}

#[test]
fn the_job_has_no_network_no_right_and_no_file_system_to_write_but_its_volumes() {
    let project = Project::new("rights", Sandbox::at("000"));
    project.start_job();
    let asked = [
        ("{{.Config.User}}", USER),
        ("{{.HostConfig.NetworkMode}}", "none"),
        ("{{.HostConfig.ReadonlyRootfs}}", "true"),
        ("{{.HostConfig.CapDrop}}", "[ALL]"),
        ("{{.HostConfig.SecurityOpt}}", "[no-new-privileges:true]"),
        ("{{.HostConfig.Memory}}", "67108864"),
    ];
    for (format, answer) in asked {
        assert_eq!(project.ask("migrate", format), answer, "{format}");
    }
}

#[test]
fn behind_a_broken_migration_the_application_never_starts_and_nothing_has_changed() {
    let sandbox = Sandbox::at("008");
    sandbox.use_wal();
    sandbox.add_migration("009_status", BROKEN);
    let project = Project::new("broken", sandbox);
    let before = project.state();
    let (run, code) = project.up();
    assert_ne!(run.code, 0, "up says that the job has failed");
    assert_eq!(code, 5, "{}", project.logs("migrate"));
    assert!(!project.has_started_the_app());
    assert_eq!(project.state(), before);
    assert!(project.logs("migrate").contains("no such column: state"));

    // An operator who trusts nobody puts the backup back by hand.
    let restored = project.run(&["run", "--rm", "restore", "latest", "--yes"]);
    restored.expect_code(0);
    assert_eq!(project.state(), before);

    project.sandbox.add_migration("009_status", MENDED);
    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", project.logs("migrate"));
    assert!(project.has_started_the_app());
}

#[test]
fn in_two_steps_an_application_that_runs_already_survives_a_job_that_fails() {
    let project = Project::new("rollout", Sandbox::at("008"));
    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", run.stderr);
    wait_until("the application has the database open", || {
        project.logs(APP_SERVICE).contains("open, secrets: 1")
    });
    let started = project.ask(APP_SERVICE, "{{.State.StartedAt}}");
    project
        .sandbox
        .add_migration("009_status", &BROKEN.replace("-- no-transaction\n", ""));
    project
        .run(&["up", "--exit-code-from", "migrate", "migrate"])
        .expect_code(5);
    assert_eq!(project.ask(APP_SERVICE, "{{.State.Running}}"), "true");

    project.sandbox.add_migration("009_status", MENDED);
    project
        .run(&["up", "--exit-code-from", "migrate", "migrate"])
        .expect_code(0);
    assert_eq!(project.ask(APP_SERVICE, "{{.State.StartedAt}}"), started);
    assert_eq!(project.sandbox.current(), "009");
}

/// With 20 MB left by then on the database's disk. In one transaction SQLite's own journal undoes it; of the other, whose
/// first statement is committed, the snapshot is put back. 14 MB are more than SQLite keeps in memory.
#[test]
fn killed_in_the_middle_it_is_recovered_by_the_next_up_on_a_disk_that_is_nearly_full() {
    for (name, first_line, rows) in [
        ("kill", "", 900),
        ("kill-halfway", "-- no-transaction\n", 150),
    ] {
        let sandbox = Sandbox::at("008");
        sandbox.add_users(&[("kept", "ADMIN")]);
        sandbox.add_migration("009_endless", &format!("{first_line}{}", endless(rows)));
        let project = Project::new(name, sandbox);
        project.on_a_disk_of_its_own();
        let size = || fs::metadata(project.sandbox.database()).map_or(0, |file| file.len());
        let (before, small) = (project.state(), size());
        project.start_job();
        wait_until("the migration is in its middle", || {
            let running = project.ask("migrate", "{{.State.Running}}");
            assert_eq!(running, "true", "{}", project.logs("migrate"));
            size() > small + MB && project.records().len() == 1
        });
        docker(&["kill", &project.container("migrate")]).expect_code(0);
        docker(&["wait", &project.container("migrate")]).expect_code(0);
        assert_eq!(project.ask("migrate", "{{.State.ExitCode}}"), "137");

        project.leave(20 * MB);
        for direction in ["up", "down"] {
            let file = format!("009_endless.{direction}.sql");
            fs::remove_file(project.sandbox.migrations().join(file)).expect("file");
        }
        let (run, code) = project.up();
        assert_eq!((run.code, code), (0, 0), "{}", project.logs("migrate"));
        assert!(project.has_started_the_app());
        project.run(&["stop", APP_SERVICE]).expect_code(0);
        project.sandbox.sql("DELETE FROM secrets");
        project.sandbox.query("PRAGMA journal_mode = delete");
        assert_eq!(project.state(), before, "{name}");
    }
}

#[test]
fn without_room_for_its_copies_the_job_refuses_and_goes_through_once_there_is_some() {
    let sandbox = Sandbox::at("003");
    sandbox.sql("CREATE TABLE filler (content BLOB)");
    for _ in 0..3 {
        sandbox.sql("INSERT INTO filler VALUES (zeroblob(16000000))");
    }
    let project = Project::new("room", sandbox);
    project.on_a_disk_of_its_own();
    project.leave(20 * MB);
    let before = project.state();
    let (run, code) = project.up();
    assert_ne!(run.code, 0);
    assert_eq!(code, 75, "{}", project.logs("migrate"));
    assert!(!project.has_started_the_app());
    assert_eq!(project.state(), before);

    project.make_room();
    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", project.logs("migrate"));
    assert_eq!(project.sandbox.current(), "008");
}

#[test]
fn docker_stop_ends_in_a_rollback_well_inside_the_grace_period() {
    let sandbox = Sandbox::at("008");
    sandbox.add_migration("009_endless", &endless(900));
    let project = Project::new("stop", sandbox);
    let before = project.state();
    project.start_job();
    wait_until("the migration runs", || project.records().len() == 1);
    // A twelfth of what the compose file grants; after it the engine kills, and the code is 137.
    docker(&["stop", "--time", "10", &project.container("migrate")]).expect_code(0);
    assert_eq!(project.ask("migrate", "{{.State.ExitCode}}"), "143");
    assert!(
        project.logs("migrate").contains("equals the snapshot's"),
        "{}",
        project.logs("migrate")
    );
    assert_eq!(project.state(), before);
}

/// 300 MB; in the full run 1 GB.
#[test]
fn a_large_database_is_migrated_and_restored_in_64_mb_without_a_folder_for_temporary_files() {
    let rows = if full() { 62_500 } else { 18_750 };
    let sandbox = Sandbox::at("003");
    sandbox.sql(&format!(
        "CREATE TABLE bulk (id INTEGER PRIMARY KEY, name TEXT, content BLOB); \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         INSERT INTO bulk SELECT i, hex(randomblob(500)), zeroblob(15000) FROM n;"
    ));
    sandbox.use_wal();
    // SQLite sorts what an index is made of in temporary files.
    sandbox.add_migration("009_index", "CREATE INDEX ix_bulk ON bulk (name);\n");
    let project = Project::new("large", sandbox);
    let content = || {
        let sums = "SELECT count(*), sum(length(content)), sum(instr(name, 'A')) FROM bulk";
        (project.sandbox.current(), project.sandbox.query(sums))
    };
    let before = content();

    let nowhere = ["run", "--rm", "-e", "SQLITE_TMPDIR=", "migrate"];
    let run = project.run(&nowhere).expect_code(1);
    assert!(run.stderr.contains("Set SQLITE_TMPDIR"), "{}", run.stderr);
    assert_eq!(content(), before);

    let (run, code) = project.up();
    assert_eq!((run.code, code), (0, 0), "{}", project.logs("migrate"));
    assert_eq!(project.ask("migrate", "{{.State.OOMKilled}}"), "false");
    assert_eq!(project.sandbox.current(), "009");
    project.run(&["stop", APP_SERVICE]).expect_code(0);
    let restored = project.run(&["run", "--rm", "restore", "latest", "--yes"]);
    restored.expect_code(0);
    assert_eq!(content(), before);
}

#[test]
fn every_tool_of_the_compose_file_works() {
    let project = Project::new("tools", Sandbox::at("008"));
    for args in [
        ["backup"].as_slice(),
        &["doctor"],
        &["restore", "latest", "--yes"],
        &["migrate", "backups", "list"],
        &["migrate", "plan"],
        &["migrate", "current"],
    ] {
        let run = project.run(&[["run", "--rm"].as_slice(), args].concat());
        run.expect_code(0);
    }
}

#[test]
fn the_image_is_one_binary_with_migrations_and_no_shell() {
    let project = Project::new("image", Sandbox::new());
    let size = docker(&["image", "inspect", "-f", "{{.Size}}", IMAGE]).expect_code(0);
    let bytes: u64 = size.stdout.trim().parse().expect("bytes");
    assert!(bytes < 15 * MB, "{bytes}");
    let shell = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "sh",
        IMAGE,
    ]);
    assert_eq!(shell.code, 127, "{}", shell.stderr);

    let container = docker(&["create", "--network", "none", IMAGE]).expect_code(0);
    let archive = project.sandbox.path("image.tar");
    let id = container.stdout.trim();
    docker(&["export", "-o", text(&archive), id]).expect_code(0);
    docker(&["rm", id]).expect_code(0);
    let listing = tool("tar", &["-tf", text(&archive)]);
    // What an engine puts into every container.
    let own = [".dockerenv", "dev/", "etc/", "proc/", "sys/"];
    let files: Vec<&str> = listing
        .lines()
        .filter(|name| !own.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !name.starts_with("migrations/"))
        .collect();
    assert_eq!(files, ["backups/", "data/", "safestep"]);
}

/// The block below "In containers" in the README, line by line, in a copy of the checkout.
#[test]
fn the_five_commands_of_the_readme_lead_to_a_migrated_database() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    let section = readme
        .split("\n## In containers\n")
        .nth(1)
        .expect("section");
    let commands: Vec<&str> = section
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    assert_eq!(commands.len(), 5, "{commands:?}");

    let project = Project::new("readme", Sandbox::new());
    let checkout = project.sandbox.path("checkout");
    check_out(root, &checkout);
    // One shell, since the first command goes into a folder.
    let script = commands.join("\n");
    let output = Command::new("sh")
        .args(["-exc", &script])
        .current_dir(&checkout)
        .env("COMPOSE_PROJECT_NAME", "safestep-test-readme")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let run = Run::of(&output).expect_code(0);
    assert!(
        run.stdout.contains("went from 003 to 008"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("revision   008"), "{}", run.stdout);
}

/// The files without what was built. They may come without git, or belong to somebody whom git does not trust.
fn check_out(root: &Path, checkout: &Path) {
    fs::create_dir_all(checkout).expect("folder");
    for entry in fs::read_dir(root).expect("the project") {
        let (from, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .expect("entry");
        if ["target", "fuzz", ".git"]
            .iter()
            .any(|built| name == *built)
        {
            continue;
        }
        if from.is_dir() {
            support::copy_tree(&from, &checkout.join(name));
        } else {
            fs::copy(&from, checkout.join(name)).expect("copy");
        }
    }
}
