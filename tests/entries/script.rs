//! A migration as anybody may write it: it fails, or it has stayed in the job's transaction, left the history tables as
//! they were, attached nothing, and hidden nothing behind a temporary name.

use std::path::Path;
use std::time::Duration;

use safestep::clock::Deadline;
use safestep::error::Result;
use safestep::migration::Migrations;
use safestep::migrator::{Plan, Protection, apply_in_transaction, apply_outside_transaction};
use safestep::monitor::Silent;
use safestep::sqlite::{Access, Connection, Interrupt, rollback};

use super::{Folder, block_on, list};

const TABLES: &str = "
PRAGMA hard_heap_limit = 64000000;
CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE alembic_version (version_num VARCHAR(64) NOT NULL PRIMARY KEY);
CREATE TABLE _safestep_migrations (version BIGINT PRIMARY KEY, up TEXT);
INSERT INTO _sqlx_migrations VALUES (1, 'one');
INSERT INTO alembic_version VALUES ('1a2b3c');
INSERT INTO _safestep_migrations VALUES (1, 'SELECT 1');
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER CHECK (age > 0));
CREATE TABLE posts (id INTEGER PRIMARY KEY, author REFERENCES users ON DELETE CASCADE);
CREATE VIEW adults AS SELECT * FROM users WHERE age > 17;
CREATE TRIGGER t AFTER DELETE ON posts BEGIN UPDATE users SET age = age + 1; END;
INSERT INTO users VALUES (1, 'a', 20), (2, 'b', 30);
INSERT INTO posts VALUES (1, 1);
";

const HISTORY: &str = "'_sqlx_migrations', 'alembic_version', '_safestep_migrations'";

pub fn enter(data: &[u8]) {
    let folder = Folder::new();
    folder.write("001_x.up.sql", data);
    folder.write("001_x.down.sql", b"");
    if let Ok(migrations) = Migrations::read(&folder.path("")) {
        block_on(run(&migrations));
    }
}

async fn run(migrations: &Migrations) {
    let interrupt = Interrupt::default();
    let mut connection = Connection::open(Path::new(":memory:"), Access::ReadWrite, &interrupt)
        .await
        .expect("a database");
    connection.run("fill", TABLES).await.expect("tables");
    let before = history(&mut connection).await;
    let plan = Plan::new(migrations, None, migrations.head());
    let watch = watch(interrupt.clone());
    let end = if plan.is_non_transactional() {
        outside_transaction(&mut connection, &plan, &interrupt).await
    } else {
        in_transaction(&mut connection, &plan, &interrupt).await
    };
    watch.abort();
    if !interrupt.is_raised() {
        let sql = "SELECT group_concat(name) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')";
        let attached: Option<String> = connection.scalar("look", sql).await.expect("a list");
        assert_eq!(attached, None, "attached");
        assert_eq!(history(&mut connection).await, before, "the history tables");
        if end.is_ok() {
            let sql = "SELECT t.name FROM temp.sqlite_schema AS t JOIN main.sqlite_schema AS m \
                       ON lower(t.name) = lower(m.name) WHERE t.type IN ('table', 'view')";
            let hidden = list(&mut connection, sql).await;
            assert!(hidden.is_empty(), "hidden by a temporary one: {hidden:?}");
        }
    }
    connection.close().await.expect("close");
}

/// As a job does it.
async fn in_transaction(
    connection: &mut Connection,
    plan: &Plan<'_>,
    interrupt: &Interrupt,
) -> Result<()> {
    let opening = "BEGIN IMMEDIATE; SAVEPOINT safestep_job";
    connection.run("begin", opening).await.expect("a start");
    let end = apply_in_transaction(
        connection,
        plan,
        Protection::Draft(Path::new(":memory:")),
        interrupt,
        &Silent,
    )
    .await;
    if end.is_ok() {
        let is_open = connection.in_transaction().await.expect("an answer");
        assert!(is_open, "the transaction was ended by the script");
        let closing = "RELEASE safestep_job; COMMIT";
        connection.run("commit", closing).await.expect("an end");
    } else {
        rollback(connection).await.expect("an end");
    }
    assert!(!connection.in_transaction().await.expect("an answer"));
    end.map(|_| ())
}

async fn outside_transaction(
    connection: &mut Connection,
    plan: &Plan<'_>,
    interrupt: &Interrupt,
) -> Result<()> {
    let deadline = Deadline::after(Duration::from_secs(1));
    let end = apply_outside_transaction(
        connection,
        plan,
        Protection::Draft(Path::new(":memory:")),
        deadline,
        interrupt,
        &Silent,
    )
    .await;
    let is_open = connection.in_transaction().await.expect("an answer");
    assert!(!is_open || end.is_err(), "a transaction was left open");
    rollback(connection).await.expect("an end");
    end.map(|_| ())
}

/// Rows and schema, as whoever names the tables without their database sees them.
async fn history(connection: &mut Connection) -> Vec<String> {
    let mut lines = Vec::new();
    for sql in [
        "SELECT quote(version) || quote(description) FROM _sqlx_migrations ORDER BY 1".to_owned(),
        "SELECT quote(version_num) FROM alembic_version ORDER BY 1".to_owned(),
        "SELECT quote(version) || quote(up) FROM _safestep_migrations ORDER BY 1".to_owned(),
        format!(
            "SELECT type || name || tbl_name || coalesce(sql, '') FROM main.sqlite_schema WHERE lower(tbl_name) IN ({HISTORY}) \
             UNION ALL SELECT type || name || tbl_name || coalesce(sql, '') FROM temp.sqlite_schema \
             WHERE lower(tbl_name) IN ({HISTORY}) ORDER BY 1"
        ),
    ] {
        lines.extend(list(connection, &sql).await);
    }
    lines
}

/// Some scripts never end.
fn watch(interrupt: Interrupt) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        interrupt.raise(2);
    })
}
