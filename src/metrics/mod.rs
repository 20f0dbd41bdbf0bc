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
use crate::error::NOT_PROVEN;
use facts::{Backups, Offsite, Revision};
use family::{
    BACKUP_AT, BACKUP_BYTES, BACKUP_MADE_AT, BACKUPS, BACKUPS_BYTES, BLOCKED, BUILD_INFO,
    DAEMON_READY, DATABASE_BYTES, DURATION, EXIT_CODE, OFFSITE_AT, OFFSITE_FAILURES,
    OFFSITE_PENDING, OPERATOR, PENDING, PHASE, RESTORES, REVISION, REVISION_INFO, RUN_AT, RUN_INFO,
    RUNS, SUCCESS_AT, TASK_NEXT_AT, TASK_RUNS, TASK_SUCCESS_AT, VERIFIED_AT,
};
use text::Key;

pub use facts::Facts;
pub use family::{FAMILIES, Family, Kind};
pub use file::{read, update, update_verified, write};

/// The `Content-Type` of [`Registry::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A counter that begins with its first failure shows no increase for it, so all of them begin with the first job.
const EXIT_CODES: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 75, 130, 143];
const RESTORED_BY: [&str; 2] = ["command", "job"];
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
        for code in EXIT_CODES {
            self.count(RUNS, database, &[("exit_code", &code.to_string())], 0.0);
        }
        let code = job.exit_code.to_string();
        self.count(RUNS, database, &[("exit_code", &code)], 1.0);
        for by in RESTORED_BY {
            let more = f64::from(job.restored_by == Some(by));
            self.count(RESTORES, database, &[("by", by)], more);
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
        match &job.offsite {
            Some(offsite) => self.copies(database, job.ended_at, offsite),
            None => self.forget(database, OFFSITE_PENDING),
        }
    }

    fn copies(&mut self, database: &str, at: u64, offsite: &Offsite) {
        if let Some(pending) = offsite.pending {
            self.set(database, OFFSITE_PENDING, pending as f64);
        }
        if offsite.tried && !offsite.failed && offsite.pending == Some(0) {
            self.set(database, OFFSITE_AT, at as f64);
        }
        let more = f64::from(offsite.failed);
        self.count(OFFSITE_FAILURES, database, &[], more);
    }

    /// The backups of a database were read back, and all of them are good.
    pub fn verified(&mut self, database: &str, at: Stamp) {
        self.set(database, VERIFIED_AT, at.unix_seconds() as f64);
    }

    /// A task of a daemon has ended.
    pub fn task_ended(&mut self, database: &str, task: &str, exit_code: u8) {
        let code = exit_code.to_string();
        let labels = [("task", task), ("exit_code", code.as_str())];
        self.count(TASK_RUNS, database, &labels, 1.0);
    }

    /// How a daemon stands: whether it is ready, and of each task when it last ended well and when it is started next.
    pub fn daemon(
        &mut self,
        database: &str,
        ready: bool,
        tasks: &[(&str, Option<Stamp>, Option<Stamp>)],
    ) {
        self.set(database, DAEMON_READY, f64::from(u8::from(ready)));
        for family in [TASK_SUCCESS_AT, TASK_NEXT_AT] {
            self.forget(database, family);
        }
        for (task, success, next) in tasks {
            let labels = text::labels(database, &[("task", task)]);
            for (family, moment) in [(TASK_SUCCESS_AT, success), (TASK_NEXT_AT, next)] {
                if let Some(moment) = moment {
                    self.put(family, labels.clone(), moment.unix_seconds() as f64);
                }
            }
        }
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

    fn count(&mut self, family: &'static str, database: &str, labels: &[(&str, &str)], more: f64) {
        let labels = text::labels(database, labels);
        *self.samples.entry((family, labels)).or_default() += more;
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

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "/data/app.db";

    fn job(ended_at: u64, exit_code: u8) -> Facts {
        Facts {
            database: DATABASE.into(),
            ended_at,
            exit_code,
            outcome: "migrated",
            error: "",
            elapsed_ms: 1500,
            blocked_ms: 20,
            phases: vec![("migrate", true, 12)],
            restored_by: None,
            revision: None,
            database_bytes: Some(4096),
            holds_backup: false,
            backups: None,
            offsite: None,
        }
    }

    fn value(registry: &Registry, family: &'static str) -> Option<f64> {
        let key = (family, text::labels(DATABASE, &[]));
        registry.samples.get(&key).copied()
    }

    #[test]
    fn what_a_failed_job_did_not_see_stays_and_what_it_is_not_sure_of_goes() {
        let mut registry = Registry::default();
        let at = Revision {
            number: Some(8.0),
            pending: Some(0),
            ..Revision::default()
        };
        registry.record(&Facts {
            revision: Some(at),
            ..job(100, 0)
        });
        registry.record(&job(200, 75));
        assert_eq!(value(&registry, REVISION), Some(8.0));
        assert_eq!(value(&registry, SUCCESS_AT), Some(100.0));
        assert_eq!(value(&registry, RUN_AT), Some(200.0));
        registry.record(&Facts {
            revision: Some(Revision::default()),
            ..job(300, 6)
        });
        assert!(value(&registry, REVISION).is_some_and(f64::is_nan));
        assert!(
            registry
                .render()
                .contains("\nsafestep_pending_migrations{database=\"/data/app.db\"} NaN\n")
        );
        assert_eq!(value(&registry, OPERATOR), Some(1.0));
        registry.record(&job(400, 75));
        assert_eq!(value(&registry, OPERATOR), Some(1.0));
        registry.record(&job(500, 0));
        assert_eq!(value(&registry, OPERATOR), Some(0.0));
    }

    #[test]
    fn counters_and_all_else_come_back_from_what_was_written() {
        let mut registry = Registry::default();
        registry.record(&job(100, 5));
        registry.verified(DATABASE, Stamp::now());
        let mut again = Registry::parse(&registry.render()).expect("our own text");
        assert_eq!(again.render(), registry.render());
        again.record(&job(200, 5));
        let line = "safestep_runs_total{database=\"/data/app.db\",exit_code=\"5\"} 2\n";
        assert!(again.render().contains(line), "{}", again.render());
        assert!(!again.render_one(DATABASE, false).contains("_total"));
        assert_eq!(again.render_one("/data/app", true).lines().count(), 3);
    }

    #[test]
    fn a_backup_is_as_old_as_the_last_look_that_found_it_to_hold_the_content() {
        let folder = |made| {
            Some(Backups {
                count: 1,
                folder_bytes: 10,
                newest: Some((made, 10)),
            })
        };
        let mut registry = Registry::default();
        registry.record(&Facts {
            backups: folder(100),
            holds_backup: true,
            ..job(105, 0)
        });
        registry.record(&Facts {
            backups: folder(100),
            holds_backup: true,
            ..job(900, 0)
        });
        registry.record(&Facts {
            backups: folder(100),
            ..job(950, 0)
        });
        assert_eq!(value(&registry, BACKUP_AT), Some(900.0));
        assert_eq!(value(&registry, BACKUP_MADE_AT), Some(100.0));
        registry.record(&Facts {
            backups: folder(50),
            ..job(990, 0)
        });
        assert_eq!(value(&registry, BACKUP_AT), Some(50.0));
        registry.record(&Facts {
            backups: Some(Backups::default()),
            ..job(999, 0)
        });
        assert_eq!(value(&registry, BACKUP_AT), None);
    }

    #[test]
    fn every_metric_has_a_good_name_and_says_what_it_is() {
        for family in &FAMILIES {
            let name = family.name;
            assert!(
                name.starts_with("safestep_") && family.help.ends_with('.'),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_total"),
                family.kind == Kind::Counter,
                "{name}"
            );
            assert_eq!(
                FAMILIES.iter().filter(|other| other.name == name).count(),
                1
            );
        }
    }
}
