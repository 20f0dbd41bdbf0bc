//! `doctor`: everything that an operator would look at, in one go, without changing anything.

mod keys;
mod offsite;

use serde::Serialize;
use serde_json::json;

use super::Outcome;
use super::current::origin;
use super::open::open_as_it_is;
use crate::catalog::{JobKind, JobRecord};
use crate::enums::{EnumMap, Survey};
use crate::error::{Error, Result};
use crate::history::History;
use crate::job::Context;
use crate::migration::{Migrations, version_name};
use crate::report::{Answer, amount, bytes};
use crate::schema;
use crate::snapshot;
use crate::sqlite::{self, Connection, FileFacts};
use crate::storage::{self, JobLock, PathKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Note,
    Bad,
}

#[derive(Debug, Clone, Serialize)]
struct Finding {
    level: Level,
    subject: &'static str,
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Default)]
struct Examination {
    findings: Vec<Finding>,
    failure: Option<Error>,
    /// Behind the commands that are named.
    flags: String,
}

impl Examination {
    fn add(&mut self, level: Level, subject: &'static str, message: impl Into<String>) {
        self.findings.push(Finding {
            level,
            subject,
            message: message.into(),
            hint: None,
        });
    }

    fn ok(&mut self, subject: &'static str, message: impl Into<String>) {
        self.add(Level::Ok, subject, message);
    }

    fn note(&mut self, subject: &'static str, message: impl Into<String>) {
        self.add(Level::Note, subject, message);
    }

    /// Notes a failure; the first one decides the exit code.
    fn take<T>(&mut self, subject: &'static str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.push(Finding {
                    level: Level::Bad,
                    subject,
                    message: error.to_string(),
                    hint: Some(error.hint_for(&self.flags)),
                });
                self.failure.get_or_insert(error);
                None
            }
        }
    }
}

pub(super) async fn doctor(context: Context<'_>) -> Outcome {
    let mut exam = Examination {
        flags: context.settings.flags(),
        ..Examination::default()
    };
    look_at_locks(&context, &mut exam);
    look_at_disk(&context, &mut exam);
    look_at_jobs(&context, &mut exam);
    keys::look(&context, &mut exam);
    offsite::look(&context, &mut exam).await;
    let migrations = Migrations::read(&context.settings.migrations);
    let migrations = exam.take("migrations", migrations);
    let opened = open_as_it_is(&context).await;
    if let Some(mut connection) = exam.take("database", opened) {
        look_at_file(&context, &mut connection, &mut exam).await;
        if let Some(migrations) = migrations {
            look_at_revision(&context, &mut connection, &migrations, &mut exam).await;
        }
        let closed = connection.close().await;
        exam.take("database", closed);
    }
    let word = if exam.failure.is_some() {
        "problems"
    } else {
        "healthy"
    };
    let facts = json!({ "database": context.settings.database, "findings": exam.findings });
    let answer = Answer::new(word, &facts, text(&exam.findings));
    (Some(answer), exam.failure.map_or(Ok(()), Err))
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Ok => "ok  ",
            Level::Note => "note",
            Level::Bad => "BAD ",
        };
        text.push_str(&format!(
            "{mark} {:<10} {}\n",
            finding.subject, finding.message
        ));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{:<16}next: {hint}\n", ""));
        }
    }
    text
}

fn look_at_locks(context: &Context<'_>, exam: &mut Examination) {
    let database = &context.settings.database;
    match JobLock::holder(database) {
        Ok(None) => exam.ok("job lock", "no safestep job is running"),
        Ok(Some(holder)) => exam.note("job lock", format!("a safestep job is running: {holder}")),
        Err(error) => {
            exam.take::<()>("job lock", Err(error));
        }
    }
    let holders = storage::holders_of(database);
    if holders.is_empty() {
        exam.ok("holders", "no process visible from here has the file open");
    }
    for holder in holders {
        exam.note("holders", holder.to_string());
    }
    for suffix in ["-wal", "-journal"] {
        let path = storage::sibling(database, suffix);
        if let Ok(PathKind::File(size)) = storage::kind(&path)
            && size > 0
        {
            exam.note("journal", format!("{} has {}", path.display(), bytes(size)));
        }
    }
}

fn look_at_disk(context: &Context<'_>, exam: &mut Examination) {
    let settings = &context.settings;
    for (subject, path) in [("disk", &settings.database), ("backups", &settings.backups)] {
        if let Some(free) = exam.take(subject, storage::free_bytes(path)) {
            exam.ok(
                subject,
                format!("{} free at {}", bytes(free), path.display()),
            );
        }
    }
}

fn look_at_jobs(context: &Context<'_>, exam: &mut Examination) {
    let catalog = context.settings.catalog();
    let Some(records) = exam.take("jobs", catalog.own_records()) else {
        return;
    };
    let is_running = !matches!(JobLock::holder(&context.settings.database), Ok(None));
    for record in records.iter().filter(|record| record.outcome.is_none()) {
        look_at_open_job(record, is_running, exam);
    }
    if let Some((good, bad)) = exam.take("backups", catalog.backups()) {
        match good.last() {
            Some(newest) => exam.ok(
                "backups",
                format!(
                    "{} backup(s), the newest {} of {}",
                    good.len(),
                    newest.manifest.id,
                    newest.manifest.created_at
                ),
            ),
            None => exam.note("backups", "there is none yet"),
        }
        for error in bad {
            exam.note("backups", error.to_string());
        }
    }
}

fn look_at_open_job(record: &JobRecord, is_running: bool, exam: &mut Examination) {
    let (from, to) = (&record.manifest.from, &record.manifest.to);
    let job = format!("job {} ({from} -> {to}, pid {})", record.id, record.pid);
    if is_running {
        exam.note("jobs", format!("{job} is running"));
    } else if record.kind == JobKind::NonTransactional {
        let halfway = Error::Halfway {
            job: record.id.clone(),
            from: from.clone(),
            to: to.clone(),
        };
        exam.take::<()>("jobs", Err(halfway));
    } else {
        exam.note(
            "jobs",
            format!("{job} was cut short; the next run settles it"),
        );
    }
}

async fn look_at_file(context: &Context<'_>, connection: &mut Connection, exam: &mut Examination) {
    let facts = FileFacts::read(connection).await;
    if let Some(facts) = exam.take("database", facts) {
        exam.ok(
            "database",
            format!(
                "{}: {}, journal mode {}",
                context.settings.database.display(),
                bytes(facts.size_bytes()),
                facts.journal_mode
            ),
        );
        let catalog = context.settings.catalog();
        let room = snapshot::require_room(&catalog, &context.settings.database, &facts);
        if exam.take("disk", room).is_some() {
            exam.ok("disk", "a job has room for its copies and its journal");
        }
        let policy = &context.settings.retention;
        let copies = snapshot::copies_bytes(facts.size_bytes());
        let below = catalog.require_room(policy, copies);
        if exam.take("max-total", below).is_some() && policy.max_total.is_some() {
            exam.ok("max-total", "a job's copies fit below the ceiling");
        }
    }
    let findings = sqlite::check(connection, context.settings.verify).await;
    match exam.take("integrity", findings) {
        Some(findings) if findings.is_empty() => {
            exam.ok("integrity", "quick_check found nothing wrong");
        }
        Some(findings) => {
            let path = context.settings.database.clone();
            exam.take::<()>("integrity", Err(Error::Corrupt { path, findings }));
        }
        None => {}
    }
    let pages = sqlite::pages_available(connection).await;
    let version = sqlite::sqlite_version(connection).await;
    if let (Some(pages), Some(version)) = (exam.take("sqlite", pages), exam.take("sqlite", version))
    {
        let engine = if pages {
            "page-wise restore"
        } else {
            "restore by copy (built without sqlite_dbpage)"
        };
        exam.ok("sqlite", format!("{version}, {engine}"));
    }
}

async fn look_at_revision(
    context: &Context<'_>,
    connection: &mut Connection,
    migrations: &Migrations,
    exam: &mut Examination,
) {
    let history = History::read(connection, migrations).await;
    let Some(history) = exam.take("revision", history) else {
        return;
    };
    exam.ok(
        "revision",
        format!(
            "{}, known from {}",
            version_name(history.current),
            origin(history.origin)
        ),
    );
    let pending = migrations
        .between(history.current, migrations.head())
        .count();
    if pending > 0 {
        let count = i64::try_from(pending).unwrap_or(i64::MAX);
        exam.note(
            "revision",
            format!("{} pending", amount(count, "migration")),
        );
    }
    let drift = drift(connection, migrations, &history).await;
    if let Some(drift) = exam.take("drift", drift) {
        if drift.is_empty() {
            exam.ok("drift", "the schema is that of the revision");
        }
        for line in drift {
            exam.note("drift", line);
        }
    }
    let enums = survey_enums(context, connection).await;
    let Some(survey) = exam.take("enums", enums) else {
        return;
    };
    for change in &survey.changes {
        exam.note(
            "enums",
            format!(
                "{}.{}: {} with '{}' will become '{}'",
                change.table,
                change.column,
                amount(change.rows, "row"),
                change.from,
                change.to
            ),
        );
    }
    for kept in &survey.kept {
        exam.note("enums", kept.to_string());
    }
    if !survey.unknown.is_empty() {
        let problems = survey.unknown;
        exam.take::<()>("enums", Err(Error::UnknownEnumValues { problems }));
    }
}

async fn drift(
    connection: &mut Connection,
    migrations: &Migrations,
    history: &History,
) -> Result<Vec<String>> {
    let found = schema::read(connection).await?;
    let revisions = schema::build_all(migrations, connection.interrupt()).await?;
    let expected = revisions
        .iter()
        .find(|revision| Some(revision.version) == history.current);
    Ok(expected.map_or_else(Vec::new, |revision| {
        schema::differences(&revision.schema, &found)
            .iter()
            .map(|difference| difference.problem.to_string())
            .collect()
    }))
}

async fn survey_enums(context: &Context<'_>, connection: &mut Connection) -> Result<Survey> {
    let map = EnumMap::read(&context.settings.migrations)?;
    let found = schema::read(connection).await?;
    map.survey(connection, &found).await
}
