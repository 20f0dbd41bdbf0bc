//! What the user types. Structs without logic; their comments are the help text.
#![allow(clippy::doc_markdown, missing_docs)]

mod global;
mod verbs;

use clap::{Parser, Subcommand};

pub use global::{Global, Output, Retention};
pub use verbs::{Backups, Create, Daemon, Limit, Many, Revision, Times, Which};

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
