//! What belongs to one verb, or to several.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `safestep revision`
#[derive(Debug, Args)]
pub struct Revision {
    /// What the migration does, in a few words
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
    /// Write the SQL, too: from what the migrations build to the target, by default migrations/schema.sql
    #[arg(long)]
    pub autogenerate: bool,
    /// The target is the schema of this database
    #[arg(
        long,
        value_name = "FILE",
        requires = "autogenerate",
        conflicts_with = "from_command"
    )]
    pub from: Option<PathBuf>,
    /// The target is what this shell command prints: the CREATE statements of the whole schema
    #[arg(long, value_name = "COMMAND", requires = "autogenerate")]
    pub from_command: Option<String>,
    /// The target comes from an application's models: keep the views, triggers and DEFAULTs that it does not mention
    #[arg(long, requires = "autogenerate")]
    pub models: bool,
    /// Something was renamed and keeps its values: table:new or table.old:new
    #[arg(long, value_name = "OLD:NEW", requires = "autogenerate")]
    pub rename: Vec<String>,
    /// Something is gone for good, with its values: table or table.column
    #[arg(long, value_name = "NAME", requires = "autogenerate")]
    pub drop: Vec<String>,
    /// The value of a column in the rows that are there: table.column=<SQL expression on the old table>
    #[arg(long, value_name = "COLUMN=SQL", requires = "autogenerate")]
    pub fill: Vec<String>,
    /// Another order of columns is a change, too (and rebuilds the table)
    #[arg(long, requires = "autogenerate")]
    pub column_order: bool,
    /// The id by which Alembic knows this revision, where Alembic has it as well
    #[arg(long, value_name = "ID")]
    pub rev_id: Option<String>,
}

/// When a migration may run, and for how long.
#[derive(Debug, Args)]
pub struct Times {
    /// Only while this window of the week is open, such as "Sun 02:00-04:00" or "daily 01:00-03:00"; outside it the exit code is 75
    #[arg(long, value_name = "WINDOW", help_heading = "Time")]
    pub window: Option<String>,
    /// The window's time zone, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", help_heading = "Time")]
    pub timezone: Option<String>,
    /// Wait until the window opens
    #[arg(long, help_heading = "Time")]
    pub wait: bool,
    /// Start also what would not finish in time by the estimate of plan
    #[arg(long, help_heading = "Time")]
    pub start_anyway: bool,
    #[command(flatten)]
    pub limit: Limit,
}

/// How long a job may take.
#[derive(Debug, Args)]
pub struct Limit {
    /// Longest time until the commit, such as 90s or 10m; then it is rolled back, and the exit code is 75
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub deadline: Option<String>,
}

/// Which backups.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those made before this moment, such as 2026-11-20T03:00Z, or by the clock of SAFESTEP_TIMEZONE 2026-11-20T03:00
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// Only those of a database at this revision
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
    /// Those off site
    #[arg(long)]
    pub remote: bool,
}

/// For commands that go up, and can make a database.
#[derive(Debug, Args)]
pub struct Create {
    /// Build a new database where there is none
    #[arg(long)]
    pub create_if_missing: bool,
    /// Print the SQL for the sqlite3 shell and change nothing
    #[arg(long, conflicts_with = "all")]
    pub sql: bool,
    #[command(flatten)]
    pub times: Times,
}

/// For jobs that can be done on many databases.
#[derive(Debug, Args)]
pub struct Many {
    /// Every database that the pattern matches, each as a job of its own: 'tenants/*/app.db', in quotes [SAFESTEP_ALL]
    #[arg(long, value_name = "PATTERN", num_args = 1.., help_heading = "Many databases")]
    pub all: Vec<String>,
    /// How many of them side by side [default: as many as there are cores, at most 8]
    #[arg(long, value_name = "N", help_heading = "Many databases")]
    pub jobs: Option<String>,
    /// Start no further one when more than so many have failed [default: no limit]
    #[arg(long, value_name = "N", help_heading = "Many databases")]
    pub max_failures: Option<String>,
    /// Only the share I of N, from 0 on
    #[arg(
        long,
        value_name = "I/N",
        conflicts_with = "shards",
        help_heading = "Many databases"
    )]
    pub shard: Option<String>,
    /// Only one of so many shares: the one that JOB_COMPLETION_INDEX says, as in an Indexed Job of Kubernetes
    #[arg(long, value_name = "N", help_heading = "Many databases")]
    pub shards: Option<String>,
}

/// `safestep backups …`
#[derive(Debug, Subcommand)]
pub enum Backups {
    /// All backups, oldest first
    List {
        /// Those off site, in this folder: s3://bucket/prefix/fastflow
        #[arg(value_name = "URL")]
        place: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// One backup's manifest
    Show {
        /// 'latest', an id, the path of an archive, or the URL of an off-site copy
        #[arg(default_value = "latest")]
        backup: String,
        #[command(flatten)]
        which: Which,
    },
    /// Prove that backups can be put back: unpack them, compare them with what they promise, have SQLite check them
    Verify {
        /// 'latest', an id, the path of an archive, or the URL of an off-site copy; with --all a URL is that of the folder
        #[arg(default_value = "latest")]
        backup: String,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Those off site
        #[arg(long)]
        remote: bool,
    },
    /// Remove what need not be kept, and tell why the rest stays
    Prune {
        /// Those off site, in this folder: s3://bucket/prefix/fastflow
        #[arg(value_name = "URL")]
        place: Option<String>,
        /// Only tell
        #[arg(long)]
        dry_run: bool,
        /// Those off site
        #[arg(long)]
        remote: bool,
    },
    /// Copy backups off site by hand
    Upload {
        /// 'latest', an id, or the path of an archive
        #[arg(default_value = "latest")]
        backup: String,
        /// All that are not there yet
        #[arg(long)]
        all: bool,
    },
}

/// `safestep daemon`
#[derive(Debug, Args)]
pub struct Daemon {
    /// When to bring the database to head: a cron expression, or 'window' for the opening of the window
    #[arg(long, value_name = "CRON")]
    pub run_at: Option<String>,
    /// When to take a backup, such as "0 * * * *"
    #[arg(long, value_name = "CRON")]
    pub backup_at: Option<String>,
    /// When to verify all backups
    #[arg(long, value_name = "CRON")]
    pub verify_at: Option<String>,
    /// When to remove the backups that need not be kept
    #[arg(long, value_name = "CRON")]
    pub prune_at: Option<String>,
    /// What becomes of times at which the daemon was not there: catch_up (once) or skip [default: catch_up]
    #[arg(long, value_name = "HOW")]
    pub missed: Option<String>,
    /// Where to answer over HTTP; "" for nowhere [default: 127.0.0.1:9187]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    #[command(flatten)]
    pub times: Times,
    /// Build a new database where there is none
    #[arg(long)]
    pub create_if_missing: bool,
}
