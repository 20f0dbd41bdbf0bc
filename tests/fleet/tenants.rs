//! Tenants: a folder each, with a database of the same name.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection};

use crate::support::{Sandbox, block_on, connect, content, query};

/// What all tests look for.
pub const PATTERN: &str = "tenants/*/app.db";

/// A sandbox with so many tenants at revision 003, every second one in WAL mode, with three users each.
pub struct Tenants {
    pub sandbox: Sandbox,
    pub names: Vec<String>,
}

impl Tenants {
    pub fn new(count: usize) -> Self {
        let sandbox = Sandbox::at("003");
        sandbox.add_users(&[("ann", " Admin "), ("bob", "readonly"), ("cid", "WRITE")]);
        let seeds = [sandbox.path("seed.db"), sandbox.path("seed-wal.db")];
        fs::copy(sandbox.database(), &seeds[0]).unwrap();
        sandbox.use_wal();
        fs::copy(sandbox.database(), &seeds[1]).unwrap();
        // Only the tenants' are left.
        fs::remove_dir_all(sandbox.path("data")).unwrap();
        let names: Vec<String> = (0..count).map(|number| format!("t{number:04}")).collect();
        let tenants = Self { sandbox, names };
        tenants.begin_anew();
        tenants
    }

    /// Gives each its database, at revision 003, and takes the backups away.
    pub fn begin_anew(&self) {
        let _ = fs::remove_dir_all(self.sandbox.path("backups"));
        let _ = fs::remove_dir_all(self.sandbox.path("tenants"));
        let seeds = ["seed.db", "seed-wal.db"].map(|seed| self.sandbox.path(seed));
        for (name, seed) in self.names.iter().zip(seeds.iter().cycle()) {
            fs::create_dir_all(self.sandbox.path("tenants").join(name)).unwrap();
            fs::copy(seed, self.path(name)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("tenants").join(name).join("app.db")
    }

    pub fn revision(&self, name: &str) -> String {
        revision(&self.path(name))
    }

    /// Everything that the tenants' databases hold.
    pub fn contents(&self) -> Vec<String> {
        let contents = self.names.iter().map(|name| content(&self.path(name)));
        contents.collect()
    }

    /// Runs the program on all of them, with `--output json`.
    pub fn run(&self, args: &[&str]) -> (i32, Value) {
        let mut all = args.to_vec();
        all.extend(["--all", PATTERN]);
        self.sandbox.run_json(&all)
    }
}

/// The newest that is applied.
pub fn revision(database: &Path) -> String {
    query(
        database,
        "SELECT printf('%03d', max(version)) FROM _sqlx_migrations",
    )
    .remove(0)
}

pub fn sql(database: &Path, sql: &str) {
    block_on(async {
        let mut connection = connect(database).await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("SQL runs");
        connection.close().await.expect("close");
    });
}

/// The part of a report that is about this tenant.
#[track_caller]
pub fn part<'d>(document: &'d Value, name: &str) -> &'d Value {
    let wanted = format!("{name}/app.db");
    databases(document)
        .iter()
        .find(|database| database["name"] == wanted.as_str())
        .unwrap_or_else(|| panic!("{name} is not in {document:#}"))
}

pub fn databases(document: &Value) -> &[Value] {
    document["databases"].as_array().expect("databases")
}

/// The count of an outcome.
pub fn count(document: &Value, outcome: &str) -> usize {
    let count = document["counts"][outcome].as_u64().unwrap_or(0);
    usize::try_from(count).unwrap()
}

/// The names of the databases with this outcome.
pub fn with_outcome(document: &Value, outcome: &str) -> Vec<String> {
    let is_it = |database: &&Value| database["outcome"] == outcome;
    let name = |database: &Value| {
        let name = database["name"].as_str().expect("name");
        name.trim_end_matches("/app.db").to_owned()
    };
    databases(document).iter().filter(is_it).map(name).collect()
}
