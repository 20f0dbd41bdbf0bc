//! Every metric that is exported: its name, what kind it is, and what it says.

/// What may be done with a metric's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up; survives the process in the metrics file.
    Counter,
}

impl Kind {
    /// As `# TYPE` has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// With its unit at the end.
    pub name: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// The labels beside `database`.
    pub labels: &'static [&'static str],
    /// As `# HELP` has it.
    pub help: &'static str,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    labelled(name, Kind::Gauge, &[], help)
}

const fn labelled(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        labels,
        help,
    }
}

pub(super) const BUILD_INFO: &str = "safestep_build_info";
pub(super) const RUN_AT: &str = "safestep_last_run_timestamp_seconds";
pub(super) const SUCCESS_AT: &str = "safestep_last_success_timestamp_seconds";
pub(super) const EXIT_CODE: &str = "safestep_last_run_exit_code";
pub(super) const RUN_INFO: &str = "safestep_last_run_info";
pub(super) const DURATION: &str = "safestep_last_run_duration_seconds";
pub(super) const BLOCKED: &str = "safestep_last_run_blocked_seconds";
pub(super) const PHASE: &str = "safestep_last_run_phase_seconds";
pub(super) const OPERATOR: &str = "safestep_operator_needed";
pub(super) const RUNS: &str = "safestep_runs_total";
pub(super) const RESTORES: &str = "safestep_restores_total";
pub(super) const REVISION: &str = "safestep_revision";
pub(super) const REVISION_INFO: &str = "safestep_revision_info";
pub(super) const PENDING: &str = "safestep_pending_migrations";
pub(super) const DATABASE_BYTES: &str = "safestep_database_bytes";
pub(super) const BACKUP_AT: &str = "safestep_backup_last_timestamp_seconds";
pub(super) const BACKUP_MADE_AT: &str = "safestep_backup_last_made_timestamp_seconds";
pub(super) const BACKUP_BYTES: &str = "safestep_backup_last_bytes";
pub(super) const BACKUPS: &str = "safestep_backups";
pub(super) const BACKUPS_BYTES: &str = "safestep_backups_bytes";
pub(super) const VERIFIED_AT: &str = "safestep_last_verification_timestamp_seconds";
pub(super) const OFFSITE_AT: &str = "safestep_offsite_last_success_timestamp_seconds";
pub(super) const OFFSITE_PENDING: &str = "safestep_offsite_pending_backups";
pub(super) const OFFSITE_FAILURES: &str = "safestep_offsite_failures_total";
pub(super) const DAEMON_READY: &str = "safestep_daemon_ready";
pub(super) const TASK_RUNS: &str = "safestep_daemon_task_runs_total";
pub(super) const TASK_SUCCESS_AT: &str = "safestep_daemon_task_last_success_timestamp_seconds";
pub(super) const TASK_NEXT_AT: &str = "safestep_daemon_task_next_timestamp_seconds";

/// All of them.
pub const FAMILIES: [Family; 28] = [
    labelled(
        BUILD_INFO,
        Kind::Gauge,
        &["version"],
        "The program that wrote this; always 1.",
    ),
    gauge(RUN_AT, "When the last job on the database ended."),
    gauge(
        SUCCESS_AT,
        "When a job on the database last ended with exit code 0.",
    ),
    gauge(EXIT_CODE, "Exit code of the last job."),
    labelled(
        RUN_INFO,
        Kind::Gauge,
        &["outcome", "error"],
        "Outcome of the last job and the code of its error; always 1.",
    ),
    gauge(DURATION, "How long the last job took."),
    gauge(BLOCKED, "How long the last job kept writers out."),
    labelled(
        PHASE,
        Kind::Gauge,
        &["phase", "blocking"],
        "How long each phase of the last job took, and whether writers were kept out meanwhile.",
    ),
    gauge(
        OPERATOR,
        "1 after a job that could not prove the database to be as before (exit code 6), until a job succeeds.",
    ),
    labelled(
        RUNS,
        Kind::Counter,
        &["exit_code"],
        "Jobs that have ended, by exit code.",
    ),
    labelled(
        RESTORES,
        Kind::Counter,
        &["by"],
        "How often a snapshot or backup was put back: by a command, or by a job that failed or found one cut short.",
    ),
    gauge(
        REVISION,
        "The revision that the database is at: -1 for none, NaN where that is not known any more.",
    ),
    labelled(
        REVISION_INFO,
        Kind::Gauge,
        &["revision", "description", "alembic"],
        "The names of that revision; always 1.",
    ),
    gauge(
        PENDING,
        "Migration files that are not applied; NaN where that is not known any more.",
    ),
    gauge(DATABASE_BYTES, "Size of the database file."),
    gauge(
        BACKUP_AT,
        "When a backup last held the content of the database: was made, or was found to hold the same already.",
    ),
    gauge(
        BACKUP_MADE_AT,
        "When the newest backup of the database was made.",
    ),
    gauge(
        BACKUP_BYTES,
        "Size of the archive of the newest backup of the database.",
    ),
    gauge(BACKUPS, "Finished backups of the database."),
    gauge(
        BACKUPS_BYTES,
        "Size of the folder of its backups, with everything that is in it.",
    ),
    gauge(
        VERIFIED_AT,
        "When the backups of the database were last read back and all found good.",
    ),
    gauge(
        OFFSITE_AT,
        "When a job last left every backup of the database with a copy off site.",
    ),
    gauge(
        OFFSITE_PENDING,
        "Backups of the database of which no copy lies off site yet; missing where there is no place for copies.",
    ),
    labelled(
        OFFSITE_FAILURES,
        Kind::Counter,
        &[],
        "Jobs that could not copy all backups off site.",
    ),
    gauge(
        DAEMON_READY,
        "Of a daemon: 1 while the database is at head and the last run did not fail.",
    ),
    labelled(
        TASK_RUNS,
        Kind::Counter,
        &["task", "exit_code"],
        "Of a daemon: tasks that have ended since it was started, by exit code.",
    ),
    labelled(
        TASK_SUCCESS_AT,
        Kind::Gauge,
        &["task"],
        "Of a daemon: when the task last ended well.",
    ),
    labelled(
        TASK_NEXT_AT,
        Kind::Gauge,
        &["task"],
        "Of a daemon: when the task is started next.",
    ),
];
