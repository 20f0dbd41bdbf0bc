//! Options of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
