//! `docs/recovery.md`, walked through: its commands, one after another in one shell, in a world that is in the state that the
//! page speaks of. What the page says one sees must be seen, and in the end the data must be there.
//!
//! With the feature `s3` also by `age`, `aws` and `sqlite3` alone, and from a real store; with `mounts` on a disk that is full.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs
)]

#[path = "recovery/page.rs"]
mod page;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use page::{Block, Page, matches_in_order};
use support::{Run, Sandbox, text};

const PAGE: &str = "docs/recovery.md";
/// What a block may ask for beside a shell. Real tools are there where `.ci/run` has installed them.
const TOOLS: &[&str] = if cfg!(feature = "s3") {
    &["age", "aws", "sqlite3"]
} else {
    &[]
};
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where the copies off site are.
enum Offsite {
    Nowhere,
    Folder,
    #[cfg(feature = "s3")]
    Server(std::sync::Arc<support::s3::Server>),
}

/// A sandbox in trouble, and the shell of the person who has to get it out.
struct World {
    sandbox: Sandbox,
    offsite: Offsite,
    encrypted: bool,
    before: String,
    /// Runs the shell, and what it is to do first.
    shell: (Vec<String>, String),
}

impl World {
    /// At 003 with three users.
    fn new(offsite: Offsite, encrypted: bool) -> Self {
        let world = Self {
            sandbox: Sandbox::new(),
            offsite,
            encrypted,
            before: "2026-11-20T03:00Z".into(),
            shell: (vec!["sh".into()], String::new()),
        };
        world.write_key();
        fs::create_dir(world.sandbox.path("store")).unwrap();
        world
            .job(&["upgrade", "003", "--create-if-missing"])
            .expect_code(0);
        world
            .sandbox
            .add_users(&[("ada", "ADMIN"), ("grace", "WRITE"), ("linus", "READONLY")]);
        world
    }

    fn write_key(&self) {
        use age::secrecy::ExposeSecret;
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        let lines = format!("{}\n", secret.expose_secret());
        fs::write(self.sandbox.path("safestep.key"), lines).unwrap();
        let recipient = format!("{}\n", identity.to_public());
        fs::write(self.sandbox.path("recipients"), recipient).unwrap();
    }

    fn url(&self) -> Option<String> {
        match &self.offsite {
            Offsite::Nowhere => None,
            Offsite::Folder => Some(format!("file://{}", text(&self.sandbox.path("store")))),
            #[cfg(feature = "s3")]
            Offsite::Server(_) => {
                let own = self.sandbox.path("");
                let own = own.file_name().expect("a name").to_string_lossy();
                Some(format!("s3://{}/{own}", support::s3::BUCKET))
            }
        }
    }

    /// What the top of the page sets, in this world.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("SAFESTEP_DATABASE", self.sandbox.database()),
            ("SAFESTEP_BACKUPS", self.sandbox.path("backups")),
            ("SAFESTEP_IDENTITY_FILE", self.sandbox.path("safestep.key")),
        ]
        .into_iter()
        .map(|(name, path)| (name, text(&path).to_owned()))
        .collect::<Vec<_>>();
        variables.push(("SAFESTEP_OFFSITE", self.url().unwrap_or_default()));
        variables.push(("BEFORE", self.before.clone()));
        variables
    }

    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.sandbox.path(""));
        for (name, value) in self.variables() {
            if !value.is_empty() {
                command.env(name, value);
            }
        }
        if self.encrypted {
            command.env("SAFESTEP_RECIPIENTS_FILE", self.sandbox.path("recipients"));
        }
        #[cfg(feature = "s3")]
        if let Offsite::Server(server) = &self.offsite {
            support::s3::Key::Admin.give(command);
            command.env("AWS_ENDPOINT_URL_S3", server.endpoint());
        }
    }

    /// What went on before the worst day.
    fn job(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command(arguments);
        self.prepare(&mut command);
        let run = Run::of(&command.output().expect("the program starts"));
        assert!(!run.stderr.contains("WARN"), "{}", run.stderr);
        run
    }

    fn has(&self, needed: &str) -> bool {
        match needed {
            "offsite" => !matches!(self.offsite, Offsite::Nowhere),
            #[cfg(feature = "s3")]
            "aws" => matches!(self.offsite, Offsite::Server(_)),
            "full" => cfg!(feature = "mounts"),
            _ => TOOLS.contains(&needed),
        }
    }

    /// Follows a part of the page. `path` is where the shell looks for programs.
    #[track_caller]
    fn follow(&self, part: &str, path: &str) {
        let page = Page::read(PAGE);
        assert_eq!(page.variables(), self.names(), "the top of the page");
        let temporary = self.sandbox.path("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let blocks: Vec<&Block> = page.part(part, |needed| self.has(needed));
        let mut script = format!("exec 2>&1\n{}\n{}\n", self.shell.1, page.preparation());
        for (number, block) in blocks.iter().enumerate() {
            // What is not meant to fail stops the shell.
            let strict = if block.fails { "set +e" } else { "set -e" };
            script.push_str(&format!(
                "{strict}\necho '=== {number}'\n{}\necho \"=== ended with $?\"\n",
                block.commands
            ));
        }
        fs::write(self.sandbox.path("script"), script).unwrap();
        let mut command = Command::new(&self.shell.0[0]);
        command
            .args(&self.shell.0[1..])
            .arg(self.sandbox.path("script"))
            .stdin(std::process::Stdio::null())
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .env("PATH", path)
            .env("TMPDIR", temporary);
        self.prepare(&mut command);
        let run = Run::of(&command.output().expect("a shell"));
        let said = run.stdout + &run.stderr;
        for (number, block) in blocks.iter().enumerate() {
            let (_, rest) = said
                .split_once(&format!("=== {number}\n"))
                .unwrap_or_else(|| panic!("{part}: the shell stopped:\n{said}"));
            let (seen, code) = rest
                .split_once("=== ended with ")
                .unwrap_or_else(|| panic!("{part}: the shell stopped:\n{said}"));
            let code = code.lines().next().expect("a code");
            assert_eq!(
                code != "0",
                block.fails,
                "{part}:\n{}\nended with {code}:\n{seen}\nall of it:\n{said}",
                block.commands
            );
            if let Err(missing) = matches_in_order(&block.seen, seen) {
                panic!(
                    "{part}:\n{}\ndoes not show {missing:?}:\n{seen}",
                    block.commands
                );
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .variables()
            .into_iter()
            .map(|(name, _)| name.into())
            .collect();
        names.sort();
        names
    }
}

/// With the program in it.
fn with_program() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_safestep"));
    format!(
        "{}:{}{SYSTEM_PATH}",
        text(program.parent().expect("its folder")),
        venv()
    )
}

/// A machine on which nobody has installed it.
fn without_program() -> String {
    format!("{}{SYSTEM_PATH}", venv())
}

#[cfg(feature = "s3")]
fn venv() -> String {
    let program = support::s3::venv("aws");
    format!("{}:", text(program.parent().expect("its folder")))
}

#[cfg(not(feature = "s3"))]
fn venv() -> String {
    String::new()
}

/// Each kind of backup, and each place of copies off site, that this build can have.
fn kinds() -> Vec<(Offsite, bool)> {
    let mut kinds = vec![
        (Offsite::Nowhere, false),
        (Offsite::Folder, false),
        (Offsite::Folder, true),
    ];
    #[cfg(feature = "s3")]
    for which in support::s3::Which::BOTH {
        for encrypted in [false, true] {
            let server = support::s3::Server::get(which);
            kinds.push((Offsite::Server(server), encrypted));
        }
    }
    kinds.retain(|kind| !cfg!(feature = "s3") || kind.1 || !matches!(kind.0, Offsite::Folder));
    kinds
}

#[test]
fn every_part_of_the_page_has_a_test() {
    let parts = [
        "The tool is there",
        "The tool is missing",
        "The database is missing",
        "A backup is damaged",
        "The key is lost",
        "The disk is full",
        "The machine is gone",
    ];
    assert_eq!(Page::read(PAGE).parts(), parts);
}

#[test]
fn wrong_data_is_replaced_by_the_newest_backup_and_then_by_one_from_before_the_damage() {
    for (offsite, encrypted) in kinds() {
        let mut world = World::new(offsite, encrypted);
        world.job(&["run"]).expect_code(0);
        world.job(&["backup"]).expect_code(0);
        let good = world.sandbox.content();
        world.before = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        world.sandbox.sql("DELETE FROM users");
        world.job(&["backup"]).expect_code(0);
        world.follow("The tool is there", &with_program());
        assert_eq!(world.sandbox.content(), good);
    }
}

#[test]
fn without_the_program_tar_and_sha256sum_put_a_backup_back() {
    for (offsite, encrypted) in kinds() {
        if encrypted && !cfg!(feature = "s3") {
            continue;
        }
        for kind in ["gzip", "zstd", "none"] {
            if kind == "zstd" && !cfg!(feature = "s3") {
                continue;
            }
            let offsite = match &offsite {
                Offsite::Nowhere => Offsite::Nowhere,
                _ => Offsite::Folder,
            };
            let world = World::new(offsite, encrypted);
            let good = world.sandbox.content();
            world.job(&["backup", "--compression", kind]).expect_code(0);
            let path = world.sandbox.database();
            fs::write(&path, "not a database any more").unwrap();
            fs::write(path.with_extension("db-wal"), "of the old one").unwrap();
            world.follow("The tool is missing", &without_program());
            assert_eq!(world.sandbox.content(), good);
            assert!(world.sandbox.path("data/fastflow.db.aside").is_dir());
        }
    }
}

#[test]
fn a_missing_database_is_restored() {
    for (offsite, encrypted) in kinds() {
        let world = World::new(offsite, encrypted);
        world.job(&["run"]).expect_code(0);
        world.job(&["backup"]).expect_code(0);
        let good = world.sandbox.content();
        fs::remove_file(world.sandbox.database()).unwrap();
        world.follow("The database is missing", &with_program());
        assert_eq!(world.sandbox.content(), good);
    }
}

#[test]
fn where_the_newest_backup_is_damaged_the_copy_off_site_or_the_one_before_it_is_taken() {
    for (offsite, encrypted) in kinds() {
        let world = World::new(offsite, encrypted);
        let good = world.sandbox.content();
        world.job(&["backup"]).expect_code(0);
        world
            .sandbox
            .sql("UPDATE users SET username = username || '!'");
        world.job(&["backup"]).expect_code(0);
        let newest = archives(&world).pop().expect("a backup");
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
        world.follow("A backup is damaged", &with_program());
        assert_eq!(world.sandbox.content(), good);
        assert!(newest.exists(), "the damaged one is kept");
    }
}

#[test]
fn without_the_key_the_database_is_backed_up_anew_for_another_one() {
    for (offsite, encrypted) in kinds() {
        if !encrypted {
            continue;
        }
        let world = World::new(offsite, encrypted);
        world.job(&["backup"]).expect_code(0);
        let (content, before) = (world.sandbox.content(), archives(&world));
        fs::remove_file(world.sandbox.path("safestep.key")).unwrap();
        world.follow("The key is lost", &with_program());
        assert_eq!(world.sandbox.content(), content);
        for archive in before {
            assert!(archive.exists(), "keys turn up");
        }
    }
}

#[test]
fn on_a_full_disk_backups_make_room_for_the_next_job() {
    let mut world = World::new(Offsite::Nowhere, false);
    world
        .sandbox
        .sql("CREATE TABLE bulk AS SELECT randomblob(8000000) AS b");
    let change = "UPDATE users SET username = username || '!'";
    for _ in 0..6 {
        world.sandbox.sql(change);
        world.job(&["backup"]).expect_code(0);
    }
    world.sandbox.sql(change);
    if cfg!(feature = "mounts") {
        world.shell = (
            ["unshare", "--map-root-user", "--mount", "sh"]
                .map(String::from)
                .to_vec(),
            "cp -a \"$SAFESTEP_BACKUPS\" kept && mount -t tmpfs -o size=60m small \"$SAFESTEP_BACKUPS\" && \
             cp -a kept/. \"$SAFESTEP_BACKUPS/\""
                .into(),
        );
    }
    world.follow("The disk is full", &with_program());
    assert_eq!(world.sandbox.current(), "008");
    assert_eq!(world.sandbox.query("SELECT count(*) FROM users"), ["3"]);
    if !cfg!(feature = "mounts") {
        assert_eq!(archives(&world).len(), 3, "two, and that of the job");
    }
}

#[test]
fn on_a_new_machine_the_copies_off_site_are_enough() {
    for (offsite, encrypted) in kinds() {
        if matches!(offsite, Offsite::Nowhere) {
            continue;
        }
        let world = World::new(offsite, encrypted);
        world.job(&["run"]).expect_code(0);
        world.job(&["backup"]).expect_code(0);
        let good = world.sandbox.content();
        for lost in ["data", "backups", "migrations"] {
            fs::remove_dir_all(world.sandbox.path(lost)).unwrap();
        }
        world.follow("The machine is gone", &with_program());
        assert_eq!(world.sandbox.content(), good);
    }
}

fn archives(world: &World) -> Vec<PathBuf> {
    let suffix = if world.encrypted {
        ".tar.gz.age"
    } else {
        ".tar.gz"
    };
    support::files_ending(&world.sandbox.backups(), suffix)
}
