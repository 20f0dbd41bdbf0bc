//! A migration as anybody may write it: it fails, or it has stayed in the job's transaction, left the history tables as
//! they were, attached nothing, and hidden nothing behind a temporary name.
//!
//! The first byte says how it runs: `n` outside a transaction, anything else inside; the rest is the script.

use std::path::Path;
use std::time::Duration;

use safestep::sqlite::{Access, Connection, Interrupt, Scope, ScriptFailure, run_script};

use super::{block_on, list};

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
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let sql = String::from_utf8_lossy(rest);
    block_on(async {
        let interrupt = Interrupt::default();
        let mut connection =
            Connection::open(Path::new(":memory:"), Access::ReadWrite, &interrupt)
                .await
                .expect("a database");
        connection.run("fill", TABLES).await.expect("tables");
        let before = history(&mut connection).await;
        let watch = watch(interrupt.clone());
        let end = if *form == b'n' {
            run_script(&mut connection, &sql, Scope::NonTransactional)
                .await
                .expect("a connection")
                .map(|_| ())
        } else {
            in_transaction(&mut connection, &sql).await
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
    });
}

/// As a job does it.
async fn in_transaction(connection: &mut Connection, sql: &str) -> Result<(), ScriptFailure> {
    let opening = "BEGIN IMMEDIATE; SAVEPOINT safestep_job; SAVEPOINT safestep_migration";
    connection.run("begin", opening).await.expect("a start");
    let end = run_script(connection, sql, Scope::Transactional)
        .await
        .expect("a connection");
    match &end {
        Ok(_) => {
            let is_open = connection.in_transaction().await.expect("an answer");
            assert!(is_open, "the transaction was ended by the script");
            let closing = "RELEASE safestep_migration; RELEASE safestep_job; COMMIT";
            connection.run("commit", closing).await.expect("an end");
        }
        Err(_) => safestep::sqlite::rollback(connection)
            .await
            .expect("an end"),
    }
    assert!(!connection.in_transaction().await.expect("an answer"));
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
