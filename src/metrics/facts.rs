//! What there is to say after a job: from its report, the backups folder and the migration files.

use std::path::Path;

use crate::catalog::Purpose;
use crate::clock::Stamp;
use crate::error::{Error, NOT_PROVEN, Result};
use crate::job::{Copies, Report, Settings};
use crate::migration::{Migrations, Version, version_name};
use crate::restore::Method;
use crate::storage::{self, PathKind};

/// A revision that a database without history is at.
const NONE: f64 = -1.0;

/// A job that has ended, and how things stand after it.
#[derive(Debug, Clone)]
pub struct Facts {
    pub(super) database: String,
    /// Seconds since 1970.
    pub(super) ended_at: u64,
    pub(super) exit_code: u8,
    pub(super) outcome: &'static str,
    pub(super) error: &'static str,
    pub(super) elapsed_ms: u64,
    pub(super) blocked_ms: u64,
    /// Name, whether it kept writers out, microseconds; each once.
    pub(super) phases: Vec<(&'static str, bool, u64)>,
    pub(super) restored_by: Option<&'static str>,
    /// `None` where the job did not come to see it.
    pub(super) revision: Option<Revision>,
    pub(super) database_bytes: Option<u64>,
    pub(super) holds_backup: bool,
    pub(super) backups: Option<Backups>,
    pub(super) offsite: Option<Offsite>,
}

/// How it stands with the copies off site.
#[derive(Debug, Clone)]
pub(super) struct Offsite {
    /// How many backups have none; `None` where that could not be seen.
    pub(super) pending: Option<usize>,
    /// The job had something to copy.
    pub(super) tried: bool,
    pub(super) failed: bool,
}

/// Where the database is.
#[derive(Debug, Clone, Default)]
pub(super) struct Revision {
    /// `None` where that is not known any more.
    pub(super) number: Option<f64>,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) alembic: String,
    pub(super) pending: Option<usize>,
}

/// What the folder of backups holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Backups {
    pub(super) count: usize,
    pub(super) folder_bytes: u64,
    /// When the newest one was made, in seconds since 1970, and its size.
    pub(super) newest: Option<(u64, u64)>,
}

impl Facts {
    /// Takes down how a job ended. What cannot be seen is left out, and a line in the log says so.
    #[must_use]
    pub fn gather(settings: &Settings, report: &Report, error: Option<&Error>) -> Self {
        let exit_code = error.map_or(0, Error::exit_code);
        Self {
            database: settings.database.display().to_string(),
            ended_at: Stamp::now().unix_seconds(),
            exit_code,
            outcome: report.outcome,
            error: error.map_or("", Error::code),
            elapsed_ms: report.elapsed_ms,
            blocked_ms: report.blocked_ms,
            phases: phases(report),
            restored_by: restored_by(report),
            revision: revision(settings, report, exit_code),
            database_bytes: database_bytes(settings),
            holds_backup: report.backup.is_some(),
            backups: seen("the backups folder", Backups::look(settings)),
            offsite: offsite(settings, report),
        }
    }

    /// Of a command that did not get as far as to a job, since its configuration is wrong.
    #[must_use]
    pub fn of_refusal(database: &Path, error: &Error) -> Self {
        Self {
            database: database.display().to_string(),
            ended_at: Stamp::now().unix_seconds(),
            exit_code: error.exit_code(),
            outcome: "failed",
            error: error.code(),
            elapsed_ms: 0,
            blocked_ms: 0,
            phases: Vec::new(),
            restored_by: None,
            revision: None,
            database_bytes: None,
            holds_backup: false,
            backups: None,
            offsite: None,
        }
    }

    /// The path of the database: the label of all its metrics.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }
}

fn seen<T>(what: &str, looked: Result<T>) -> Option<T> {
    looked
        .inspect_err(|error| tracing::warn!("{what} is missing in the metrics: {error}"))
        .ok()
}

/// A phase that came twice is one here.
fn phases(report: &Report) -> Vec<(&'static str, bool, u64)> {
    let mut sums: Vec<(&'static str, bool, u64)> = Vec::new();
    for phase in &report.phases {
        let same =
            |sum: &&mut (&'static str, bool, u64)| (sum.0, sum.1) == (phase.name, phase.blocking);
        match sums.iter_mut().find(same) {
            Some(sum) => sum.2 += phase.us,
            None => sums.push((phase.name, phase.blocking, phase.us)),
        }
    }
    sums
}

/// A transaction that was rolled back put nothing back.
fn restored_by(report: &Report) -> Option<&'static str> {
    let proof = report.proof.as_ref()?;
    match proof.method {
        _ if report.outcome == "restored" => Some("command"),
        Method::PagesRestored | Method::Copied | Method::Replaced => Some("job"),
        Method::RolledBack | Method::OthersWroteSince => None,
    }
}

fn revision(settings: &Settings, report: &Report, exit_code: u8) -> Option<Revision> {
    if exit_code == NOT_PROVEN {
        return Some(Revision::default());
    }
    let reached = report.to.as_ref().filter(|_| exit_code == 0);
    let name = reached.or(report.from.as_ref())?;
    Some(place(
        name,
        Migrations::read(&settings.migrations).ok().as_ref(),
    ))
}

/// `name` is as a report has it.
fn place(name: &str, migrations: Option<&Migrations>) -> Revision {
    let version = name.parse().map(Version).ok();
    let is_none = name == version_name(None);
    let file = version.and_then(|version| migrations?.get(version));
    let is_known = is_none || version.is_some();
    #[allow(clippy::cast_precision_loss)] // also a number made of a time is below 2^53
    let number = version.map(|version| version.0 as f64);
    Revision {
        number: number.or(is_none.then_some(NONE)),
        name: name.to_owned(),
        description: file.map_or_else(String::new, |file| file.description.clone()),
        alembic: file
            .and_then(|file| file.alembic.clone())
            .unwrap_or_default(),
        pending: migrations
            .filter(|_| is_known)
            .map(|migrations| migrations.between(version, migrations.head()).count()),
    }
}

fn offsite(settings: &Settings, report: &Report) -> Option<Offsite> {
    let place = settings.shelf()?.to_string();
    let pending = settings.catalog().not_copied(&place);
    let failed = |copies: &Copies| copies.error.is_some();
    Some(Offsite {
        pending: seen("what is not off site yet", pending).map(|backups| backups.len()),
        tried: report.offsite.is_some(),
        failed: report.offsite.as_ref().is_some_and(failed),
    })
}

fn database_bytes(settings: &Settings) -> Option<u64> {
    match storage::kind(&settings.database) {
        Ok(PathKind::File(bytes)) => Some(bytes),
        _ => None,
    }
}

impl Backups {
    fn look(settings: &Settings) -> Result<Self> {
        let catalog = settings.catalog();
        let (mut backups, _) = catalog.backups()?;
        let source = settings.database.display().to_string();
        backups.retain(|backup| backup.manifest.source == source);
        let newest = backups
            .iter()
            .rfind(|backup| backup.manifest.purpose != Purpose::BeforeRestore);
        Ok(Self {
            count: backups.len(),
            folder_bytes: storage::bytes_below(catalog.folder())?,
            newest: newest.map(|backup| (backup.manifest.created_unix, backup.archive_bytes)),
        })
    }
}
