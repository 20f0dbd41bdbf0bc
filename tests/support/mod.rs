//! A folder with a database, migrations and backups, and the real program to run on it.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    missing_docs
)]

pub mod drill;
pub mod evidence;
pub mod keys;
#[cfg(feature = "containers")]
pub mod podman;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(all(feature = "strace", target_arch = "x86_64"))]
pub mod tracer;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tempfile::TempDir;

/// The migrations of the repository.
pub fn shipped_migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the program ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The document that `--output json` printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}\nstdout:\n{}\nstderr:\n{}",
                self.stdout, self.stderr
            )
        })
    }
}

/// The document of a command that must succeed.
#[track_caller]
pub fn run(sandbox: &Sandbox, args: &[&str]) -> Value {
    let (code, document) = sandbox.run_json(args);
    assert_eq!(code, 0, "{document:#}");
    document
}

/// A world of its own for one test.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// With a copy of the shipped migrations, and no database.
    pub fn new() -> Self {
        let sandbox = Self {
            dir: tempfile::tempdir().expect("temporary folder"),
        };
        fs::create_dir(sandbox.path("data")).expect("data folder");
        fs::create_dir(sandbox.migrations()).expect("migrations folder");
        for entry in fs::read_dir(shipped_migrations()).expect("shipped migrations") {
            let entry = entry.expect("entry");
            fs::copy(entry.path(), sandbox.migrations().join(entry.file_name())).expect("copy");
        }
        sandbox
    }

    /// With a database at `revision`, made by the program itself.
    pub fn at(revision: &str) -> Self {
        let sandbox = Self::new();
        sandbox
            .run(&["upgrade", revision, "--create-if-missing"])
            .expect_code(0);
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("data/fastflow.db")
    }

    pub fn migrations(&self) -> PathBuf {
        self.path("migrations")
    }

    /// The catalogue folder of the database.
    pub fn backups(&self) -> PathBuf {
        self.path("backups/fastflow")
    }

    /// Writes a migration after the shipped ones, with a down file that does nothing.
    pub fn add_migration(&self, name: &str, up: &str) {
        fs::write(self.migrations().join(format!("{name}.up.sql")), up).expect("up file");
        fs::write(
            self.migrations().join(format!("{name}.down.sql")),
            "SELECT 1;\n",
        )
        .expect("down file");
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safestep"));
        command
            .current_dir(self.dir.path())
            .args(args)
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("the program starts"))
    }

    /// Runs it on a terminal, where somebody types `answer`: util-linux' `script` gives one. `None` where it is missing.
    pub fn run_on_a_terminal(&self, args: &str, answer: &str) -> Option<Run> {
        let missing = Command::new("script").arg("--version").output().is_err();
        if missing {
            return None;
        }
        let mut child = Command::new("script")
            .args([
                "-qec",
                &format!("{} {args}", env!("CARGO_BIN_EXE_safestep")),
                "/dev/null",
            ])
            .current_dir(self.dir.path())
            .env_remove("DATABASE_URL")
            .env_remove("DATA_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut stdin = child.stdin.take().expect("stdin");
        stdin.write_all(answer.as_bytes()).expect("an answer");
        let output = child.wait_with_output().expect("the end");
        drop(stdin);
        Some(Run::of(&output))
    }

    /// Runs it with `--output json`.
    pub fn run_json(&self, args: &[&str]) -> (i32, Value) {
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        let run = self.run(&all);
        (run.code, run.json())
    }

    /// Starts it and does not wait.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// The revision that `current` reports.
    pub fn current(&self) -> String {
        let (code, document) = self.run_json(&["current"]);
        assert_eq!(code, 0, "{document}");
        document["revision"].as_str().expect("revision").to_owned()
    }

    /// Runs SQL on the database through an ordinary connection of its own.
    pub fn sql(&self, sql: &str) {
        self.try_sql(sql).expect("SQL runs");
    }

    /// As [`Self::sql`]; an error as text.
    pub fn try_sql(&self, sql: &str) -> Result<(), String> {
        block_on(async {
            let mut connection = connect(&self.database()).await;
            let result = sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await;
            connection.close().await.expect("close");
            result.map(|_| ()).map_err(|error| error.to_string())
        })
    }

    /// Rows of a query, each value as text joined by `|`, NULL as empty: what the sqlite3 shell prints.
    pub fn query(&self, sql: &str) -> Vec<String> {
        query(&self.database(), sql)
    }

    /// Switches the database to WAL mode.
    pub fn use_wal(&self) {
        self.sql("PRAGMA journal_mode = WAL");
    }

    /// Everything that the database holds, in text, read by an ordinary connection: schema and all rows.
    pub fn content(&self) -> String {
        content(&self.database())
    }

    /// The paths of the archives, oldest first.
    pub fn archives(&self) -> Vec<PathBuf> {
        let mut paths = files_ending(&self.backups(), ".tar.gz");
        paths.extend(files_ending(&self.backups(), ".tar.zst"));
        paths.extend(files_ending(&self.backups(), ".tar"));
        paths.extend(files_ending(&self.backups(), ".age"));
        paths.sort();
        paths
    }
}

/// Files of a folder by suffix, sorted; none when the folder is missing.
pub fn files_ending(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    paths.sort();
    paths
}

/// Runs a future to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(future)
}

/// An ordinary connection, as an application opens it (`busy_timeout` 5 s, foreign keys off as in Fast-Flow).
pub async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .connect()
        .await
        .expect("the database opens")
}

/// As [`connect`], and in WAL mode.
pub async fn connect_wal(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Wal)
        .connect()
        .await
        .expect("the database opens")
}

pub fn query(path: &Path, sql: &str) -> Vec<String> {
    block_on(async {
        let mut connection = connect(path).await;
        let lines = query_on(&mut connection, sql).await;
        connection.close().await.expect("close");
        lines
    })
}

pub async fn query_on(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = (0..row.len())
                .map(|index| {
                    row.try_get_unchecked::<Option<String>, _>(index)
                        .ok()
                        .flatten()
                        .unwrap_or_default()
                })
                .collect();
            cells.join("|")
        })
        .collect()
}

/// Schema and rows of every table as text; independent of the program's own digest.
pub fn content(path: &Path) -> String {
    block_on(async {
        let mut connection = connect(path).await;
        let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
        let mut lines = query_on(&mut connection, schema).await;
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        for table in query_on(&mut connection, names).await {
            lines.push(format!("-- {table}"));
            let columns = format!(
                "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ') FROM pragma_table_info('{table}')"
            );
            let expression = query_on(&mut connection, &columns).await.remove(0);
            let rows = format!("SELECT {expression} FROM \"{table}\" ORDER BY 1");
            lines.extend(query_on(&mut connection, &rows).await);
        }
        connection.close().await.expect("close");
        lines.join("\n")
    })
}

/// Whether the long counts were asked for with `SAFESTEP_TEST_FULL=1`.
pub fn full() -> bool {
    std::env::var_os("SAFESTEP_TEST_FULL").is_some_and(|value| value == "1")
}

/// Polls until the condition holds; fails the test when it does not within a minute.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(
            started.elapsed().as_secs() < 60,
            "waited a minute in vain: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// A small random generator (xorshift64*), so that a run can be repeated from the seed that it prints.
pub struct Random(u64);

impl Random {
    /// From `SAFESTEP_TEST_SEED`, or from the clock.
    pub fn new(what: &str) -> Self {
        let seed = std::env::var("SAFESTEP_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        let seed: u64 = seed.unwrap_or_else(|| u64::from(now.subsec_nanos()) ^ now.as_secs() << 20);
        println!("{what}: SAFESTEP_TEST_SEED={seed}");
        Self::seeded(seed)
    }

    /// From this seed and no other.
    pub fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit.max(1)
    }

    /// A moment within `span`.
    pub fn moment(&mut self, span: std::time::Duration) -> std::time::Duration {
        std::time::Duration::from_micros(
            self.below(u64::try_from(span.as_micros()).expect("short")),
        )
    }
}

/// As [`content`], without the two columns of `_sqlx_migrations` that tell when and how fast, with the journal mode,
/// and quick on many rows.
pub fn state(path: &Path) -> String {
    block_on(async {
        let mut connection = connect(path).await;
        let text = state_on(&mut connection).await;
        connection.close().await.expect("close");
        text
    })
}

async fn state_on(connection: &mut SqliteConnection) -> String {
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
    let mut lines = query_on(connection, "PRAGMA journal_mode").await;
    lines.extend(query_on(connection, schema).await);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    for table in query_on(connection, names).await {
        lines.push(format!("-- {table}"));
        let columns = format!(
            "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ') FROM pragma_table_info('{table}') \
             WHERE name NOT IN ('installed_on', 'execution_time')"
        );
        let expression = query_on(connection, &columns).await.remove(0);
        let rows = format!(
            "SELECT group_concat(line, char(10)) FROM (SELECT {expression} AS line FROM \"{table}\" ORDER BY 1)"
        );
        lines.extend(query_on(connection, &rows).await);
    }
    lines.join("\n")
}

/// Copies a folder with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder to copy") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// Sends a signal to a process that this test started.
pub fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Takes the database out of an archive.
pub fn unpack_archive(archive: &Path, target: &Path) {
    let file = fs::File::open(archive).expect("archive");
    unpack_stream(file, target);
}

/// Takes the database out of what a `.tar.gz` holds.
pub fn unpack_stream(from: impl std::io::Read, target: &Path) {
    let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(from));
    for entry in tar.entries().expect("entries") {
        let mut entry = entry.expect("entry");
        if entry.path().expect("path").to_string_lossy() != "manifest.json" {
            let mut file = fs::File::create(target).expect("target");
            std::io::copy(&mut entry, &mut file).expect("unpack");
        }
    }
}

impl Sandbox {
    /// Adds users at any revision from 003 on: id and username are the same, role and all else are as given.
    pub fn add_users(&self, users: &[(&str, &str)]) {
        let has_hash =
            self.query("SELECT 1 FROM pragma_table_info('users') WHERE name = 'password_hash'");
        let (column, value) = if has_hash.is_empty() {
            ("", "")
        } else {
            (", password_hash", ", 'x'")
        };
        for (name, role) in users {
            self.sql(&format!(
                "INSERT INTO users (id, username, created_at, role{column}) VALUES ('{name}', '{name}', '2026-01-01', '{role}'{value})"
            ));
        }
    }

    /// Runs `safestep backup` and returns the archive's path.
    #[track_caller]
    pub fn backup(&self) -> PathBuf {
        let (code, document) = self.run_json(&["backup"]);
        assert_eq!(code, 0, "{document:#}");
        PathBuf::from(
            document["backup"]["path"]
                .as_str()
                .expect("the archive's path"),
        )
    }

    /// A folder of that name with the archive unpacked by the system's `tar`.
    pub fn unpack(&self, archive: &Path, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir(&folder).expect("folder");
        tool("tar", &["-xf", text(archive), "-C", text(&folder)]);
        folder
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8 path")
}

/// Runs a tool of the system, which must succeed; returns its standard output.
#[track_caller]
pub fn tool(name: &str, args: &[&str]) -> String {
    let run = Run::of(
        &Command::new(name)
            .args(args)
            .output()
            .expect("the tool starts"),
    );
    assert_eq!(run.code, 0, "{name}: {}", run.stderr);
    run.stdout
}

/// The permission bits of a file.
pub fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}
