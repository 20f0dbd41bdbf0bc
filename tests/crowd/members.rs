//! The processes of the crowd: this test binary, started again in another role.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::{Sandbox, block_on, wait_until};

const ROLE: &str = "SAFESTEP_TEST_ROLE";
const PLACE: &str = "SAFESTEP_TEST_PLACE";

/// Plays the role in which this process was started; nothing if it was not.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let place = PathBuf::from(std::env::var(PLACE).unwrap());
    block_on(async {
        match role.split_once(' ').unwrap_or((&role, "")) {
            ("writer", name) => write_all_the_time(&place, name).await,
            ("reader", _) => read_all_the_time(&place).await,
            ("onlooker", _) => look_all_the_time(&place).await,
            _ => hold(&place, &role).await,
        }
    });
}

async fn open(place: &Path, busy_timeout: Duration) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(place.join("data/fastflow.db"))
        .foreign_keys(false)
        .busy_timeout(busy_timeout)
        .connect()
        .await
        .unwrap()
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .map(|code| code.parse::<i32>());
    matches!(code, Some(Ok(code)) if matches!(code & 0xff, 5 | 6))
}

/// Inserts until the file `stop` appears. A row is written down as soon as its commit has returned, not before.
async fn write_all_the_time(place: &Path, writer: &str) {
    let mut acknowledged = fs::File::create(place.join(format!("acknowledged{writer}"))).unwrap();
    let mut connection = open(place, Duration::from_millis(20)).await;
    let (mut number, mut busy) = (0, 0);
    while !place.join("stop").exists() {
        let name = format!("{writer}row{number}");
        let sql = "INSERT INTO pipelines (pipeline_name, has_requirements, total_runs, successful_runs, failed_runs) \
                   VALUES (?1, 0, 0, 0, 0)";
        // An autocommit INSERT: when it returns, it is committed.
        match sqlx::query(sql).bind(&name).execute(&mut connection).await {
            Ok(_) => {
                writeln!(acknowledged, "{name}").unwrap();
                number += 1;
            }
            Err(error) if is_busy(&error) => busy += 1,
            Err(error) => panic!("{name}: {error}"),
        }
    }
    fs::write(place.join(format!("busy{writer}")), busy.to_string()).unwrap();
    connection.close().await.unwrap();
}

/// Reads until the file `stop` appears, and never waits for a lock: a read that is refused ends it.
async fn read_all_the_time(place: &Path) {
    let mut connection = open(place, Duration::ZERO).await;
    let (mut reads, mut longest, mut seen) = (0_u32, Duration::ZERO, 0);
    let beginning = Instant::now();
    while !place.join("stop").exists() {
        let started = Instant::now();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM pipelines")
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("read {reads} was refused: {error}"));
        assert!(
            count >= seen,
            "rows that were there are gone: {count} after {seen}"
        );
        seen = count;
        longest = longest.max(started.elapsed());
        reads += 1;
    }
    let took = beginning.elapsed().as_millis();
    let line = format!(
        "{reads} reads in {took} ms, the longest {} us, the last saw {seen} rows",
        longest.as_micros()
    );
    fs::write(place.join("reads"), line).unwrap();
    connection.close().await.unwrap();
}

/// Reads until the file `stop` appears. Whatever happens to the database, history and schema are always of one revision:
/// 008 adds a column. A read that is refused for the moment is tried again, as an application would.
async fn look_all_the_time(place: &Path) {
    let mut connection = open(place, Duration::from_millis(20)).await;
    let sql = "SELECT (SELECT max(version) FROM _sqlx_migrations) >= 8, \
               (SELECT count(*) FROM pragma_table_info('users') WHERE name = 'avatar_url')";
    let (mut reads, mut busy) = (0_u64, 0_u64);
    while !place.join("stop").exists() {
        match sqlx::query_as::<_, (i64, i64)>(sql)
            .fetch_one(&mut connection)
            .await
        {
            Ok((history, schema)) => {
                assert_eq!(
                    history, schema,
                    "read {reads}: history and schema are of two revisions"
                );
                reads += 1;
            }
            Err(error) if is_busy(&error) => busy += 1,
            Err(error) => panic!("read {reads}: {error}"),
        }
    }
    fs::write(
        place.join("looks"),
        format!("{reads} reads, {busy} tried again"),
    )
    .unwrap();
    connection.close().await.unwrap();
}

/// Runs a statement, says so, and keeps the connection open until its standard input ends.
async fn hold(place: &Path, statement: &str) {
    let mut connection = open(place, Duration::from_secs(5)).await;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    fs::write(place.join("holding"), "").unwrap();
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    connection.close().await.unwrap();
}

/// One process of the crowd; killed at the end of a test that fails.
pub struct Member(Child);

impl Member {
    pub fn start(sandbox: &Sandbox, role: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "another_process_of_the_crowd",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(PLACE, sandbox.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Holds the database with this statement.
    pub fn holding(sandbox: &Sandbox, statement: &str) -> Self {
        let mut member = Self::start(sandbox, statement);
        wait_until("the holder", || {
            assert!(member.0.try_wait().unwrap().is_none(), "the holder ended");
            sandbox.path("holding").exists()
        });
        member
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Closes its standard input and waits for it; fails the test if it failed.
    #[track_caller]
    pub fn end(mut self) {
        drop(self.0.stdin.take());
        let status = self.0.wait().unwrap();
        let mut text = String::new();
        for line in BufReader::new(self.0.stderr.take().unwrap()).lines() {
            text.push_str(&line.unwrap());
            text.push('\n');
        }
        assert!(status.success(), "{text}");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that the writers of this sandbox were told was committed.
pub fn acknowledged(sandbox: &Sandbox) -> BTreeSet<String> {
    let names = fs::read_dir(sandbox.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("acknowledged")
        })
        .flat_map(|path| {
            // The last line may be only half written.
            let text = fs::read_to_string(path).unwrap();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            text[..whole].lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The message and the list both say which process it is, with its command line.
#[track_caller]
pub fn assert_names(document: &serde_json::Value, holder: &Member) {
    let message = document["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("pid {}", holder.id())),
        "{document:#}"
    );
    let program = std::env::current_exe().unwrap();
    let start: String = program.to_string_lossy().chars().take(40).collect();
    assert!(message.contains(&start), "{document:#}");
    let pids: Vec<u64> = document["error"]["holders"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|holder| holder["pid"].as_u64())
        .collect();
    assert!(pids.contains(&u64::from(holder.id())), "{document:#}");
}
