//! Seven ways in which a tenant's database can be broken.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

use crate::support::{connect, query};
use crate::tenants::sql;

/// A way, and how the job on such a database ends.
pub struct Way {
    pub name: &'static str,
    pub break_it: fn(&Path),
    pub exit_code: i64,
    pub error: &'static str,
}

pub const WAYS: [Way; 7] = [
    Way {
        name: "no SQLite database",
        break_it: |path| fs::write(path, "no database\n".repeat(400)).unwrap(),
        exit_code: 4,
        error: "not_a_database",
    },
    Way {
        name: "truncated",
        break_it: |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length / 2).unwrap();
        },
        exit_code: 4,
        error: "database_corrupt",
    },
    Way {
        name: "a page of garbage",
        break_it: garble,
        exit_code: 4,
        error: "database_corrupt",
    },
    Way {
        name: "at a revision that the files do not know",
        break_it: |path| {
            sql(
                path,
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (999, 'from the future', TRUE, x'00', 0)",
            );
        },
        exit_code: 4,
        error: "unknown_revision",
    },
    Way {
        name: "locked by a writer for ever",
        // The test holds it.
        break_it: |_| {},
        exit_code: 75,
        error: "locked",
    },
    Way {
        name: "an enum value that nobody knows",
        break_it: |path| sql(path, "UPDATE users SET role = 'EMPEROR' WHERE id = 'bob'"),
        exit_code: 5,
        error: "unknown_enum_values",
    },
    Way {
        name: "rows that a migration's constraint refuses",
        break_it: |path| sql(path, "UPDATE users SET email = 'the same'"),
        exit_code: 5,
        error: "migration_failed",
    },
];

/// The one that has to be held for as long as the fleet is worked on.
pub const LOCKED: usize = 4;

/// A ninth migration, which fails on the last way only.
pub const NINTH: &str = "CREATE UNIQUE INDEX ix_users_email ON users (email);\n";

fn garble(path: &Path) {
    let page = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'users'";
    let line = query(path, page).remove(0);
    let (root, size) = line.split_once('|').unwrap();
    let (root, size): (u64, usize) = (root.parse().unwrap(), size.parse().unwrap());
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start((root - 1) * size as u64))
        .unwrap();
    file.write_all(&vec![0x5a; size]).unwrap();
}

/// A writer that does not let go until it is dropped.
pub struct Writer {
    runtime: tokio::runtime::Runtime,
    connection: Option<SqliteConnection>,
}

impl Writer {
    pub fn hold(path: &Path) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let connection = runtime.block_on(async {
            let mut connection = connect(path).await;
            connection.execute("BEGIN IMMEDIATE").await.unwrap();
            connection
        });
        Self {
            runtime,
            connection: Some(connection),
        }
    }

    pub fn let_go(mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close()).unwrap();
        }
    }
}

/// The bytes of the file, or where it is sound what it holds: a lock or a look may touch a WAL.
pub fn evidence(path: &Path, way: &Way) -> Vec<u8> {
    if way.error == "database_corrupt" || way.error == "not_a_database" {
        return fs::read(path).unwrap();
    }
    crate::support::content(path).into_bytes()
}
