//! What monitoring reads: how jobs ended and how the databases stand, in Prometheus's text format. The metrics and what they
//! mean are listed in `docs/monitoring.md`.
//!
//! A job that runs once leaves no process to ask. What it says is added to a file ([`update`]), which is read back by the
//! next one, so that counters go on and what a failed job did not come to see stays as it was. A process that stays keeps
//! a [`Registry`] instead. Either way nothing of a database's content is in it: numbers, paths and names of revisions.

mod facts;
mod family;
mod file;
mod text;

use std::collections::BTreeMap;

use crate::clock::Stamp;
use facts::{Backups, Revision};
use family::{
    BACKUP_AT, BACKUP_BYTES, BACKUP_MADE_AT, BACKUPS, BACKUPS_BYTES, BLOCKED, BUILD_INFO,
    DATABASE_BYTES, DURATION, EXIT_CODE, OPERATOR, PENDING, PHASE, RESTORES, REVISION,
    REVISION_INFO, RUN_AT, RUN_INFO, RUNS, SUCCESS_AT, VERIFIED_AT,
};
use text::Key;

pub use facts::Facts;
pub use family::{FAMILIES, Family, Kind};
pub use file::{read, update, write};

/// The `Content-Type` of [`Registry::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const NOT_PROVEN: u8 = 6;
const MS_PER_SECOND: f64 = 1e3;
const US_PER_SECOND: f64 = 1e6;

/// The metrics of any number of databases.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    samples: BTreeMap<Key, f64>,
}

#[allow(clippy::cast_precision_loss)] // numbers of bytes and milliseconds are far below 2^53
impl Registry {
    /// Reads what [`Self::render`] wrote.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let samples = text.lines().map(text::parse);
        let samples: Result<Vec<Option<(Key, f64)>>, String> = samples.collect();
        Ok(Self {
            samples: samples?.into_iter().flatten().collect(),
        })
    }

    /// Adds a job that has ended. What it did not come to see stays as it was.
    pub fn record(&mut self, job: &Facts) {
        let database = job.database.as_str();
        self.set(database, RUN_AT, job.ended_at as f64);
        self.set(database, EXIT_CODE, f64::from(job.exit_code));
        self.set(database, DURATION, job.elapsed_ms as f64 / MS_PER_SECOND);
        self.set(database, BLOCKED, job.blocked_ms as f64 / MS_PER_SECOND);
        if job.exit_code == 0 {
            self.set(database, SUCCESS_AT, job.ended_at as f64);
        }
        if matches!(job.exit_code, 0 | NOT_PROVEN) {
            self.set(database, OPERATOR, f64::from(job.exit_code != 0));
        }
        self.forget(database, RUN_INFO);
        let words = [("outcome", job.outcome), ("error", job.error)];
        self.put(RUN_INFO, text::labels(database, &words), 1.0);
        self.forget(database, PHASE);
        for (name, blocking, us) in &job.phases {
            let blocking = if *blocking { "true" } else { "false" };
            let labels = text::labels(database, &[("phase", name), ("blocking", blocking)]);
            self.put(PHASE, labels, *us as f64 / US_PER_SECOND);
        }
        let exit_code = job.exit_code.to_string();
        self.count(RUNS, text::labels(database, &[("exit_code", &exit_code)]));
        if let Some(by) = job.restored_by {
            self.count(RESTORES, text::labels(database, &[("by", by)]));
        }
        if let Some(revision) = &job.revision {
            self.place(database, revision);
        }
        if let Some(bytes) = job.database_bytes {
            self.set(database, DATABASE_BYTES, bytes as f64);
        }
        if let Some(backups) = &job.backups {
            self.stock(database, backups);
        }
        if job.holds_backup {
            self.set(database, BACKUP_AT, job.ended_at as f64);
        }
    }

    /// The backups of a database were read back, and all of them are good.
    pub fn verified(&mut self, database: &str, at: Stamp) {
        self.set(database, VERIFIED_AT, at.unix_seconds() as f64);
    }

    /// Everything, in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.rendered(|_| true)
    }

    /// What there is of one database, to be sent away; `counters` as well where they come from a file that lasts.
    #[must_use]
    pub fn render_one(&self, database: &str, counters: bool) -> String {
        let own = text::labels(database, &[]);
        self.rendered(|key| is_of(key, &own) && (counters || !text::is_counter(key)))
    }

    fn rendered(&self, wanted: impl Fn(&Key) -> bool) -> String {
        let build = (
            BUILD_INFO,
            text::label("version", env!("CARGO_PKG_VERSION")),
        );
        let samples = self.samples.iter();
        let samples = samples.filter(|(key, _)| key.0 != BUILD_INFO && wanted(key));
        text::render(std::iter::once((&build, &1.0)).chain(samples))
    }

    fn place(&mut self, database: &str, revision: &Revision) {
        let pending = revision.pending.map(|count| count as f64);
        self.set(database, REVISION, revision.number.unwrap_or(f64::NAN));
        self.set(database, PENDING, pending.unwrap_or(f64::NAN));
        self.forget(database, REVISION_INFO);
        let names = [
            ("revision", revision.name.as_str()),
            ("description", &revision.description),
            ("alembic", &revision.alembic),
        ];
        self.put(REVISION_INFO, text::labels(database, &names), 1.0);
    }

    fn stock(&mut self, database: &str, backups: &Backups) {
        self.set(database, BACKUPS, backups.count as f64);
        self.set(database, BACKUPS_BYTES, backups.folder_bytes as f64);
        let own = text::labels(database, &[]);
        let Some((made, bytes)) = backups.newest else {
            for family in [BACKUP_AT, BACKUP_MADE_AT, BACKUP_BYTES] {
                self.forget(database, family);
            }
            return;
        };
        let known = self.samples.get(&(BACKUP_MADE_AT, own)).copied();
        // The same as before: a job may have found since that it holds the content still.
        if known != Some(made as f64) {
            self.set(database, BACKUP_AT, made as f64);
        }
        self.set(database, BACKUP_MADE_AT, made as f64);
        self.set(database, BACKUP_BYTES, bytes as f64);
    }

    fn set(&mut self, database: &str, family: &'static str, value: f64) {
        self.put(family, text::labels(database, &[]), value);
    }

    fn put(&mut self, family: &'static str, labels: String, value: f64) {
        self.samples.insert((family, labels), value);
    }

    fn count(&mut self, family: &'static str, labels: String) {
        *self.samples.entry((family, labels)).or_default() += 1.0;
    }

    fn forget(&mut self, database: &str, family: &'static str) {
        let own = text::labels(database, &[]);
        let from = (family, own.clone());
        let gone = self.samples.range(from..).map(|(key, _)| key.clone());
        let gone: Vec<Key> = gone
            .take_while(|key| key.0 == family && key.1.starts_with(&own))
            .filter(|key| is_of(key, &own))
            .collect();
        for key in gone {
            self.samples.remove(&key);
        }
    }
}

fn is_of(key: &Key, own: &str) -> bool {
    let rest = key.1.strip_prefix(own);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
}
