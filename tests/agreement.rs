//! The real Alembic and the real sqlx-cli, on the same databases as ours: each reads and continues what another wrote.
//!
//! Behind the feature `agreement`, since both have to be installed (`.ci/run` does it):
//!
//! - `SAFESTEP_ALEMBIC`: the python of a virtual environment with `tests/alembic/requirements.txt`
//! - `SAFESTEP_SQLX`: the `sqlx` program of sqlx-cli 0.9
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use support::{Run, Sandbox, files_ending};

const HEAD: usize = 8;
const HEAD_LINE: &str = "008_add_google_avatar (head)";

const ALEMBIC_IDS: [&str; HEAD + 1] = [
    "base",
    "001_add_is_parameter",
    "002_add_webhook_fields",
    "003_add_user_management_fields",
    "004_github_invitation",
    "005_make_password_hash_nullable",
    "006_drop_user_invitation_columns",
    "007_drop_password_hash",
    "008_add_google_avatar",
];

/// Before a database with users can go down to 004, whichever tool takes it there.
const GIVE_PASSWORDS: &str = "UPDATE users SET password_hash = '!' WHERE password_hash IS NULL";

/// The enum columns, what they may hold, and the exact value of what they hold, told independently of the program.
const ENUMS: [(&str, &str, &str, &str); 4] = [
    (
        "pipeline_runs",
        "status",
        "'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'INTERRUPTED', 'WARNING'",
        "upper(trim(status))",
    ),
    (
        "scheduled_jobs",
        "trigger_type",
        "'CRON', 'INTERVAL', 'DATE'",
        "upper(trim(trigger_type))",
    ),
    (
        "users",
        "role",
        "'READONLY', 'WRITE', 'ADMIN'",
        "replace(upper(trim(role)), 'VIEWER', 'READONLY')",
    ),
    (
        "invitations",
        "role",
        "'READONLY', 'WRITE', 'ADMIN'",
        "replace(upper(trim(role)), 'VIEWER', 'READONLY')",
    ),
];

fn tool(variable: &str, what: &str) -> OsString {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| panic!("{variable} is not set: it has to name {what}; .ci/run installs it and runs these tests"))
}

fn alembic_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alembic")
}

fn finish(mut command: Command, variable: &str) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("what {variable} names does not start: {error}\n{command:?}")
        });
    let run = Run::of(&output);
    assert_eq!(
        run.code, 0,
        "{command:?}\nstdout:\n{}\nstderr:\n{}",
        run.stdout, run.stderr
    );
    run.stdout
}

fn python(arguments: &[&str], database_url: &str) -> String {
    let variable = "SAFESTEP_ALEMBIC";
    let mut command = Command::new(tool(
        variable,
        "the python of a virtual environment with Alembic",
    ));
    command
        .args(arguments)
        .current_dir(alembic_folder())
        .env("DATABASE_URL", database_url)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    finish(command, variable)
}

/// What the real Alembic builds at every revision: on its way up, and down again.
struct Reference {
    up: Vec<String>,
    down: Vec<String>,
}

fn reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("temporary folder");
        python(&["record.py", &folder.path().display().to_string()], "");
        let read =
            |name: String| fs::read_to_string(folder.path().join(name)).expect("a recorded schema");
        Reference {
            up: (0..=HEAD)
                .map(|k| read(format!("up-{k:03}.json")))
                .collect(),
            down: (0..HEAD)
                .map(|k| read(format!("down-{k:03}.json")))
                .collect(),
        }
    })
}

/// A sandbox and the tools of others that work on its database.
struct World {
    sandbox: Sandbox,
}

impl World {
    /// A database at base, made by Fast-Flow's way, without any history and filled.
    fn at_base(users: usize, runs: usize) -> Self {
        let world = Self {
            sandbox: Sandbox::new(),
        };
        world.python("base.py", &[]);
        world.fill(users, runs, &[]);
        world
    }

    /// The same made by us, with history.
    fn ours_at_base() -> Self {
        let world = Self {
            sandbox: Sandbox::at("base"),
        };
        world.fill(30, 300, &[]);
        world
    }

    /// No database at all.
    fn empty() -> Self {
        Self {
            sandbox: Sandbox::new(),
        }
    }

    fn small() -> Self {
        Self::at_base(30, 300)
    }

    fn database(&self) -> String {
        self.sandbox.database().display().to_string()
    }

    fn python(&self, script: &str, arguments: &[&str]) -> String {
        let database = self.database();
        let mut all = vec![script, database.as_str()];
        all.extend(arguments);
        python(&all, "")
    }

    fn fill(&self, users: usize, runs: usize, more: &[&str]) {
        let (users, runs) = (users.to_string(), runs.to_string());
        let mut all = vec!["--users", users.as_str(), "--runs", runs.as_str()];
        all.extend(more);
        self.python("fill.py", &all);
    }

    fn alembic(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-m", "alembic", "-c", "alembic.ini"];
        all.extend(arguments);
        python(&all, &format!("sqlite:///{}", self.database()))
    }

    fn alembic_up(&self, revision: usize) {
        // There is no way up to base.
        if revision > 0 {
            self.alembic(&["upgrade", ALEMBIC_IDS[revision]]);
        }
    }

    /// Runs sqlx-cli.
    fn sqlx(&self, arguments: &[&str]) -> String {
        let variable = "SAFESTEP_SQLX";
        let mut command = Command::new(tool(variable, "the sqlx program of sqlx-cli 0.9"));
        command
            .args(arguments)
            .arg("--no-dotenv")
            .arg("--database-url")
            .arg(format!("sqlite://{}", self.database()))
            .current_dir(self.sandbox.path(""))
            .env_remove("DATABASE_URL");
        if arguments[0] == "migrate" {
            command.arg("--source").arg(self.sandbox.migrations());
        }
        finish(command, variable)
    }

    fn sqlx_up(&self, revision: usize) {
        self.sqlx(&["migrate", "run", "--target-version", &revision.to_string()]);
    }

    fn sqlx_down(&self, revision: usize) {
        self.sqlx(&[
            "migrate",
            "revert",
            "--target-version",
            &revision.to_string(),
        ]);
    }

    #[track_caller]
    fn ours(&self, arguments: &[&str]) -> Value {
        let (code, document) = self.sandbox.run_json(arguments);
        assert_eq!(code, 0, "{arguments:?}: {document:#}");
        document
    }

    fn dump(&self) -> String {
        self.python("dump.py", &[])
    }

    #[track_caller]
    fn expect_schema(&self, expected: &str, what: &str) {
        let found = self.dump();
        let difference: Vec<String> = found
            .lines()
            .filter(|line| !expected.contains(line))
            .map(|line| format!("only here: {line}"))
            .chain(
                expected
                    .lines()
                    .filter(|line| !found.contains(line))
                    .map(|line| format!("only there: {line}")),
            )
            .collect();
        assert!(found == expected, "{what}: {difference:#?}");
    }

    /// Fails unless all three tools say that the database is at this revision, and the others have nothing to mend.
    #[track_caller]
    fn expect_all_agree_on(&self, revision: usize) {
        let what = format!("at {revision}");
        let head = if revision == HEAD { " (head)" } else { "" };
        let alembics = if revision == 0 {
            String::new()
        } else {
            format!("{}{head}", ALEMBIC_IDS[revision])
        };
        assert_eq!(
            self.alembic(&["current"]).trim_end(),
            alembics,
            "alembic {what}"
        );
        assert_eq!(self.sqlx_installed(), revision + 1, "sqlx-cli {what}");
        let ours = self.ours(&["current"]);
        assert_eq!(ours["revision"], format!("{revision:03}"), "{what}");
        assert_eq!(ours["origin"], "recorded", "{what}");
        assert_eq!(ours["history_in_step"], true, "{what}");
    }

    /// All agree on head, and not one of the three changes anything any more.
    #[track_caller]
    fn expect_all_are_done(&self) {
        self.expect_all_agree_on(HEAD);
        assert_eq!(self.alembic(&["current"]).trim_end(), HEAD_LINE);
        let before = self.sandbox.content();
        self.alembic(&["upgrade", "head"]);
        assert_eq!(self.sqlx(&["migrate", "run"]), "");
        assert_eq!(self.ours(&["run"])["outcome"], "nothing_to_do");
        assert!(self.sandbox.content() == before, "something has changed");
        self.expect_enums_are_exact();
    }

    /// How many migrations sqlx-cli takes for installed; the rest must be pending, and all with the right checksum.
    #[track_caller]
    fn sqlx_installed(&self) -> usize {
        let info = self.sqlx(&["migrate", "info"]);
        let states: Vec<&str> = info
            .lines()
            .map(|line| line.split_once(' ').map_or(line, |(state, _)| state))
            .collect();
        let installed = states
            .iter()
            .take_while(|state| state.ends_with("/installed"))
            .count();
        let expected: Vec<String> = (0..=HEAD)
            .map(|k| {
                format!(
                    "{k}/{}",
                    if k < installed {
                        "installed"
                    } else {
                        "pending"
                    }
                )
            })
            .collect();
        assert_eq!(states, expected, "{info}");
        assert!(!info.contains("checksum"), "{info}");
        installed
    }

    #[track_caller]
    fn expect_enums_are_exact(&self) {
        for (table, column, values, _) in ENUMS {
            if self.columns(table).iter().any(|name| name == column) {
                let sql = format!(
                    "SELECT DISTINCT {column} FROM {table} WHERE {column} NOT IN ({values})"
                );
                assert!(self.sandbox.query(&sql).is_empty(), "{table}.{column}");
            }
        }
    }

    fn columns(&self, table: &str) -> Vec<String> {
        self.sandbox.query(&format!(
            "SELECT name FROM pragma_table_info('{table}') ORDER BY cid"
        ))
    }

    /// All rows of the tables that were there at base, enum columns as they should be.
    fn rows(&self, tables: &[Table]) -> Vec<String> {
        tables
            .iter()
            .flat_map(|table| self.sandbox.query(&table.rows))
            .collect()
    }

    /// How many values are not as they should be.
    fn odd_values(&self) -> u64 {
        let count = |(table, column, _, exact): (&str, &str, &str, &str)| {
            if !self.columns(table).iter().any(|name| name == column) {
                return 0;
            }
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} <> {exact}");
            self.sandbox.query(&sql)[0]
                .parse::<u64>()
                .expect("a number")
        };
        ENUMS.into_iter().map(count).sum()
    }

    /// What must be the same after the migrations: every column of every table but the ones that 006 and 007 drop.
    fn tables(&self) -> Vec<Table> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' \
                     AND name NOT IN ('alembic_version', '_sqlx_migrations', '_safestep_migrations') ORDER BY name";
        let names = self.sandbox.query(names);
        names
            .iter()
            .map(|name| Table::new(name, &self.columns(name)))
            .collect()
    }
}

/// A table and the query that reads every row of it.
struct Table {
    rows: String,
}

impl Table {
    fn new(name: &str, columns: &[String]) -> Self {
        let terms: Vec<String> = columns
            .iter()
            .filter(|column| {
                !["password_hash", "invitation_token", "invitation_expires_at"]
                    .contains(&column.as_str())
            })
            .map(|column| {
                ENUMS
                    .iter()
                    .find(|(table, other, _, _)| (*table, *other) == (name, column.as_str()))
                    .map_or_else(
                        || format!("quote(\"{column}\")"),
                        |(_, _, _, exact)| (*exact).to_owned(),
                    )
            })
            .collect();
        Self {
            rows: format!(
                "SELECT '{name}', rowid, {} FROM {name} ORDER BY rowid",
                terms.join(", ")
            ),
        }
    }
}

fn normalised(document: &Value) -> u64 {
    let changes = document["normalised"].as_array().expect("normalised");
    changes
        .iter()
        .map(|change| change["rows"].as_u64().expect("rows"))
        .sum()
}

#[test]
fn the_recorded_schemas_are_those_that_alembic_builds_today() {
    let recorded = alembic_folder().join("recorded");
    let reference = reference();
    for (revision, schema) in reference.up.iter().enumerate() {
        let path = recorded.join(format!("up-{revision:03}.json"));
        assert_eq!(
            &fs::read_to_string(path).expect("a recorded schema"),
            schema,
            "up to {revision}"
        );
    }
    for (revision, schema) in reference.down.iter().enumerate() {
        let path = recorded.join(format!("down-{revision:03}.json"));
        assert_eq!(
            &fs::read_to_string(path).expect("a recorded schema"),
            schema,
            "down to {revision}"
        );
    }
    assert_eq!(
        files_ending(&recorded, ".json").len(),
        reference.up.len() + reference.down.len()
    );
}

#[test]
fn ten_thousand_users_and_a_hundred_thousand_runs_at_base_come_to_head_for_alembic_and_sqlx_with_every_row()
 {
    let world = World::at_base(10_000, 100_000);
    assert_eq!(world.sandbox.query("SELECT count(*) FROM users"), ["10000"]);
    assert_eq!(
        world.sandbox.query("SELECT count(*) FROM pipeline_runs"),
        ["100000"]
    );
    let odd = world.odd_values();
    assert!(odd > 20_000, "{odd}");
    let tables = world.tables();
    let before = world.rows(&tables);

    let document = world.ours(&["run"]);
    assert_eq!(document["outcome"], "migrated");
    assert_eq!(normalised(&document), odd);

    assert_eq!(world.odd_values(), 0);
    assert!(
        world.rows(&tables) == before,
        "a row is missing or has changed"
    );
    assert_eq!(
        world.sandbox.query("SELECT DISTINCT role FROM users"),
        ["READONLY"]
    );
    world.expect_schema(&reference().up[HEAD], "from base");
    world.expect_all_are_done();
}

#[test]
fn a_database_that_stopped_at_003_with_odd_roles_comes_to_head_for_alembic_and_sqlx_with_every_row()
{
    let world = World {
        sandbox: Sandbox::new(),
    };
    world.python("base.py", &[]);
    world.alembic_up(3);
    world.fill(10_000, 100_000, &["--stopped-at-003"]);
    assert_eq!(world.alembic(&["current"]).trim_end(), ALEMBIC_IDS[3]);
    let odd = world.odd_values();
    let viewers = "SELECT count(*) FROM users WHERE role = 'Viewer'";
    assert_ne!(world.sandbox.query(viewers), ["0"]);
    let tables = world.tables();
    let before = world.rows(&tables);

    let document = world.ours(&["run"]);
    assert_eq!(document["outcome"], "migrated");
    assert_eq!(document["from"], "003");
    assert_eq!(normalised(&document), odd);

    assert_eq!(world.sandbox.query(viewers), ["0"]);
    assert_eq!(world.odd_values(), 0);
    assert!(
        world.rows(&tables) == before,
        "a row is missing or has changed"
    );
    world.expect_schema(&reference().up[HEAD], "from 003");
    world.expect_all_are_done();
}

#[test]
fn a_database_that_alembic_brought_to_any_revision_is_ours_to_bring_to_head() {
    for revision in 0..=HEAD {
        let world = World::small();
        world.alembic_up(revision);
        world.expect_schema(&reference().up[revision], "Alembic");
        let tables = world.tables();
        let before = world.rows(&tables);
        assert_eq!(
            world.sandbox.current(),
            format!("{revision:03}"),
            "before the run"
        );

        let document = world.ours(&["run"]);
        assert_eq!(document["from"], format!("{revision:03}"));
        assert_eq!(
            document["applied"].as_array().expect("applied").len(),
            HEAD - revision
        );
        assert!(
            world.rows(&tables) == before,
            "from {revision}: a row is missing or has changed"
        );
        world.expect_schema(&reference().up[HEAD], &format!("from {revision}"));
        world.expect_all_are_done();
    }
}

#[test]
fn a_database_that_alembic_took_back_to_base_is_ours_to_bring_to_head() {
    let world = World::small();
    world.alembic_up(3);
    world.alembic(&["downgrade", "base"]);
    assert_eq!(
        world.sandbox.query("SELECT count(*) FROM alembic_version"),
        ["0"]
    );
    assert_eq!(world.ours(&["run"])["from"], "000");
    world.expect_schema(&reference().up[HEAD], "from base");
    world.expect_all_are_done();
}

#[test]
fn every_revision_that_we_go_to_is_the_same_one_for_all_three_tools_up_and_down() {
    let world = World::ours_at_base();
    world.expect_all_agree_on(0);
    for revision in 1..=HEAD {
        world.ours(&["upgrade", &revision.to_string()]);
        world.expect_schema(&reference().up[revision], &format!("up to {revision}"));
        world.expect_all_agree_on(revision);
    }
    world.expect_all_are_done();
    for revision in (0..HEAD).rev() {
        if revision == 4 {
            world.sandbox.sql(GIVE_PASSWORDS);
        }
        world.ours(&["downgrade", &revision.to_string()]);
        world.expect_schema(&reference().down[revision], &format!("down to {revision}"));
        world.expect_all_agree_on(revision);
    }
}

#[test]
fn alembic_brings_what_we_left_at_any_revision_to_head_and_our_run_adopts_it() {
    for revision in 0..HEAD {
        let world = World::ours_at_base();
        if revision > 0 {
            world.ours(&["upgrade", &revision.to_string()]);
        }
        world.alembic_up(HEAD);
        assert_eq!(world.alembic(&["current"]).trim_end(), HEAD_LINE);
        let tables = world.tables();
        let before = world.rows(&tables);
        let document = world.ours(&["run"]);
        // At base nobody has normalised anything yet.
        assert_eq!(
            document["outcome"],
            if revision == 0 {
                "normalised"
            } else {
                "adopted"
            },
            "from {revision}"
        );
        assert_eq!(
            (&document["from"], &document["to"]),
            (&"008".into(), &"008".into())
        );
        assert!(
            world.rows(&tables) == before,
            "from {revision}: a row is missing or has changed"
        );
        world.expect_schema(&reference().up[HEAD], &format!("from {revision}"));
        world.expect_all_are_done();
    }
}

#[test]
fn alembic_goes_up_again_from_wherever_we_went_down_to() {
    for revision in 0..HEAD {
        let world = World::small();
        world.ours(&["run"]);
        go_down(&world, revision, |goal| {
            world.ours(&["downgrade", &goal.to_string()]);
        });
        world.expect_all_agree_on(revision);
        world.expect_schema(&reference().down[revision], &format!("down to {revision}"));
        world.alembic_up(HEAD);
        let alembics = World::small();
        alembics.alembic_up(HEAD);
        go_down(&alembics, revision, |goal| {
            alembics.alembic(&["downgrade", ALEMBIC_IDS[goal]]);
        });
        alembics.alembic_up(HEAD);
        world.expect_schema(
            &alembics.dump(),
            &format!("down to {revision} and up again"),
        );
        assert_eq!(
            world.ours(&["run"])["outcome"],
            "adopted",
            "from {revision}"
        );
        world.expect_all_are_done();
    }
}

#[test]
fn we_go_up_again_from_wherever_alembic_went_down_to_after_our_run() {
    for revision in 0..HEAD {
        let world = World::small();
        world.ours(&["run"]);
        go_down(&world, revision, |goal| {
            world.alembic(&["downgrade", ALEMBIC_IDS[goal]]);
        });
        world.expect_schema(&reference().down[revision], &format!("down to {revision}"));
        assert_eq!(world.sandbox.current(), format!("{revision:03}"));
        let document = world.ours(&["run"]);
        assert_eq!(document["from"], format!("{revision:03}"));
        assert_eq!(
            document["applied"].as_array().expect("applied").len(),
            HEAD - revision
        );
        world.expect_all_are_done();
    }
}

/// Down in one step, or in two where users need a password first.
fn go_down(world: &World, revision: usize, downgrade: impl Fn(usize)) {
    if revision < 5 {
        downgrade(5);
        world.sandbox.sql(GIVE_PASSWORDS);
    }
    downgrade(revision);
}

#[test]
fn a_database_that_sqlx_cli_brought_to_any_revision_is_ours_to_continue() {
    for revision in 0..=HEAD {
        let world = World::empty();
        world.sqlx(&["database", "create"]);
        world.sqlx_up(revision);
        world.expect_schema(&reference().up[revision], "sqlx-cli");
        assert_eq!(
            world.sandbox.current(),
            format!("{revision:03}"),
            "before the run"
        );
        let document = world.ours(&["run"]);
        assert_eq!(document["from"], format!("{revision:03}"));
        assert_eq!(
            document["applied"].as_array().expect("applied").len(),
            HEAD - revision
        );
        world.expect_schema(&reference().up[HEAD], &format!("from {revision}"));
        world.expect_all_are_done();
    }
}

#[test]
fn sqlx_cli_brings_what_we_left_at_any_revision_to_head_and_our_run_tells_alembic() {
    for revision in 0..HEAD {
        let world = World::ours_at_base();
        if revision > 0 {
            world.ours(&["upgrade", &revision.to_string()]);
        }
        let tables = world.tables();
        let before = world.rows(&tables);
        world.sqlx(&["migrate", "run"]);
        world.expect_schema(&reference().up[HEAD], &format!("from {revision}"));
        assert!(
            world.rows(&tables) == before,
            "from {revision}: a row is missing or has changed"
        );
        assert_eq!(world.sandbox.current(), "008");
        world.ours(&["run"]);
        world.expect_all_are_done();
    }
}

#[test]
fn sqlx_cli_reverts_our_run_to_any_revision_and_we_go_up_again() {
    for revision in 0..HEAD {
        let world = World::small();
        world.ours(&["run"]);
        go_down(&world, revision, |goal| world.sqlx_down(goal));
        world.expect_schema(&reference().down[revision], &format!("down to {revision}"));
        assert_eq!(world.sqlx_installed(), revision + 1);
        assert_eq!(world.sandbox.current(), format!("{revision:03}"));
        let document = world.ours(&["run"]);
        assert_eq!(document["from"], format!("{revision:03}"));
        assert_eq!(
            document["applied"].as_array().expect("applied").len(),
            HEAD - revision
        );
        world.expect_all_are_done();
    }
}

#[test]
fn a_database_in_wal_mode_that_the_app_keeps_open_stays_readable_for_alembic_and_sqlx() {
    let world = World::small();
    world.sandbox.use_wal();
    let tables = world.tables();
    let before = world.rows(&tables);
    let journal = "PRAGMA journal_mode";
    support::block_on(async {
        use sqlx::Connection;
        let mut app = support::connect(&world.sandbox.database()).await;
        assert_eq!(
            support::query_on(&mut app, "SELECT count(*) FROM users").await,
            ["30"]
        );
        world.ours(&["run"]);
        assert_eq!(
            support::query_on(&mut app, "SELECT DISTINCT role FROM users").await,
            ["READONLY"]
        );
        app.close().await.expect("close");
    });
    assert_eq!(world.sandbox.query(journal), ["wal"]);
    assert!(
        world.rows(&tables) == before,
        "a row is missing or has changed"
    );
    world.expect_all_are_done();
    assert_eq!(world.sandbox.query(journal), ["wal"]);
}
