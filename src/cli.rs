//! What the user types. Structs without logic; their comments are the help text.
#![allow(clippy::doc_markdown, missing_docs)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "Exit codes: 0 done or nothing to do · 1 unexpected, database unchanged · 2 wrong usage · \
    3 migration files not acceptable · 4 database not acceptable · 5 migration or verification failed, database as before \
    (proven) · 6 failed and NOT proven to be as before · 7 backup not usable · 75 not now, try again · 130/143 interrupted, \
    rolled back";

/// Moves a SQLite database from one schema revision to another, backup first.
#[derive(Debug, Parser)]
#[command(name = "safestep", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Database: a path or URL [default: SAFESTEP_DATABASE, safestep.toml, DATABASE_URL, $DATA_DIR/fastflow.db or data/fastflow.db]
    #[arg(short, long, global = true, value_name = "PATH|URL")]
    pub database: Option<String>,
    /// Folder of the migrations [default: migrations]
    #[arg(long, global = true, value_name = "DIR")]
    pub migrations: Option<PathBuf>,
    /// Folder of the backups [default: backups]
    #[arg(long, global = true, value_name = "DIR")]
    pub backups: Option<PathBuf>,
    /// Configuration file [default: safestep.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to print on standard output
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// Longest wait for a lock, such as 500ms, 30s or 5m [default: 30s]
    #[arg(long, global = true, value_name = "TIME")]
    pub lock_timeout: Option<String>,
    #[command(flatten)]
    pub retention: Retention,
    /// How much is read to check the database: quick or full [default: quick]
    #[arg(long, global = true, value_name = "HOW")]
    pub verify: Option<String>,
    /// How new backups are compressed: gzip, zstd or none, with a level from 1 to 9 as in zstd:9 [default: gzip]
    #[arg(long, global = true, value_name = "HOW")]
    pub compression: Option<String>,
    /// Encrypt new backups to the age recipients in this file, one a line
    #[arg(long, global = true, value_name = "FILE")]
    pub recipients_file: Option<PathBuf>,
    /// The age identities that open encrypted backups
    #[arg(long, global = true, value_name = "FILE")]
    pub identity_file: Option<PathBuf>,
    /// Encrypt new backups with the passphrase in this file, which also opens them; or set SAFESTEP_PASSPHRASE
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Folder of the rolling JSON log files [default: <backups>/logs]
    #[arg(long, global = true, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// File of Prometheus metrics to bring up to date after a job, for node_exporter's textfile collector
    #[arg(long, global = true, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Pushgateway to send the metrics to after a job, such as http://pushgateway:9091
    #[arg(long, global = true, value_name = "URL")]
    pub pushgateway: Option<String>,
    /// Where a copy of each backup goes: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder
    #[arg(long, global = true, value_name = "URL")]
    pub offsite: Option<String>,
    /// A migration waits until the copy is there
    #[arg(long, global = true)]
    pub offsite_required: bool,
    /// Longest time for the uploads of a command [default: 15m]
    #[arg(long, global = true, value_name = "TIME")]
    pub offsite_timeout: Option<String>,
    /// Do not ask
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Tell each phase on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Which backups stay.
#[derive(Debug, Args)]
pub struct Retention {
    /// Keep the newest N backups, or 'unlimited' [default: 10, where no rule is given]
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_last: Option<String>,
    /// Keep the newest backup of each of the last N hours that have one
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_hourly: Option<String>,
    /// … of the last N days
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_daily: Option<String>,
    /// … of the last N weeks
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_weekly: Option<String>,
    /// … of the last N months
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_monthly: Option<String>,
    /// … of the last N years
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_yearly: Option<String>,
    /// Keep all backups that are newer than this, counted from the newest, such as 7d or 1y5m7d2h (m: months)
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub keep_within: Option<String>,
    /// What the backups folder of a database may take, such as 20GB; the oldest go first [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = "Retention"
    )]
    pub max_total: Option<String>,
}

/// The form of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// One JSON document; see docs/json.md.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The job: bring the database to head, backup first
    Run {
        #[command(flatten)]
        create: Create,
        #[command(flatten)]
        many: Many,
    },
    /// Bring the database up to a revision, through the same job
    Upgrade {
        /// head, a number, an Alembic id or a unique prefix of it, +N, <rev>+N; with --sql also <from>:<to>
        #[arg(default_value = "head", allow_hyphen_values = true)]
        revision: String,
        #[command(flatten)]
        create: Create,
        #[command(flatten)]
        many: Many,
    },
    /// Bring the database down to a revision, through the same job
    Downgrade {
        /// base, a number, an Alembic id or a unique prefix of it, -N, <rev>-N; with --sql also <from>:<to>
        #[arg(allow_hyphen_values = true)]
        revision: String,
        /// Print the SQL for the sqlite3 shell and change nothing
        #[arg(long, conflicts_with = "all")]
        sql: bool,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        many: Many,
    },
    /// What the job would do, touch and lose, without doing it
    Plan {
        /// Up or down: head, base, a number, an Alembic id or a unique prefix of it, +N, -N, <rev>+N
        #[arg(default_value = "head", allow_hyphen_values = true)]
        revision: String,
        #[command(flatten)]
        times: Times,
    },
    /// Put a backup back; what is there now is backed up first
    Restore {
        /// 'latest', an id, the path of an archive, or where an off-site copy lies: s3://bucket/prefix/fastflow/latest
        #[arg(required_unless_present_any = ["before", "revision"])]
        backup: Option<String>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        limit: Limit,
    },
    /// Record a revision in the history without running a migration, if the schema is that of the revision
    Stamp {
        /// head, base, a number, an Alembic id or a unique prefix of it
        #[arg(allow_hyphen_values = true)]
        revision: String,
        /// Also if the schema is another
        #[arg(long)]
        force: bool,
    },
    /// Record the text of migration files that were changed after they were applied; shows the changes first
    Repair,
    /// Take a backup and do nothing else
    Backup(Many),
    /// Look at the backups
    #[command(subcommand)]
    Backups(Backups),
    /// The revision that the database is at
    Current {
        /// Also how that is known and what is pending
        #[arg(long)]
        all: bool,
        /// Exit with 5 if it is not at head
        #[arg(long)]
        check_heads: bool,
    },
    /// All revisions, and which of them are applied
    History {
        /// Only these, for example 003:head, 003: or :current
        #[arg(short, long, value_name = "FROM:TO", allow_hyphen_values = true)]
        rev_range: Option<String>,
    },
    /// The newest revision of the files
    Heads {
        /// The schema that the files lead to, as schema.sql has it
        #[arg(long)]
        schema: bool,
    },
    /// One revision: its files, what it declares, when it was applied, its SQL
    Show {
        /// head, current, a number, an Alembic id or a unique prefix of it, <rev>+N
        #[arg(default_value = "head", allow_hyphen_values = true)]
        revision: String,
        /// The SQL of the way down
        #[arg(long)]
        down: bool,
    },
    /// Exit with 0 if the database is at head and its schema is that of head, else with 5
    Check,
    /// Write the files of a new migration
    Revision(Revision),
    /// Look at locks and their holders, journal, disk, interrupted jobs and schema drift
    Doctor,
    /// Stay, and do the jobs at their times, where nothing else would start them; answers /healthz, /readyz and /metrics
    Daemon(Daemon),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

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
