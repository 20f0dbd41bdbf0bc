//! One file a verb.

mod ask;
mod backups;
mod check;
mod current;
mod doctor;
mod history;
mod jobs;
mod open;
mod pages;
mod plan;
mod repair;
mod restore;
mod revision;
mod show;
mod sql;
mod standing;

use crate::cli::{Backups, Command, Create, Global};
use crate::error::Result;
use crate::job::Context;
use crate::report::Answer;

pub use pages::{completions, man};

/// An answer, and beside it the error of a job that failed with a report.
pub type Outcome = (Option<Answer>, Result<()>);

/// Runs a verb.
pub async fn dispatch(command: &Command, context: Context<'_>, global: &Global) -> Outcome {
    let verbose = global.verbose;
    match command {
        Command::Run(Create { sql: true, .. }) => plain(sql::upgrade(context, "head").await),
        Command::Upgrade {
            revision,
            create: Create { sql: true, .. },
        } => plain(sql::upgrade(context, revision).await),
        Command::Downgrade {
            revision,
            sql: true,
        } => plain(sql::downgrade(context, revision).await),
        Command::Run(_) => jobs::run(context, verbose).await,
        Command::Upgrade { revision, .. } => jobs::upgrade(context, revision, verbose).await,
        Command::Downgrade { revision, .. } => jobs::downgrade(context, revision, verbose).await,
        Command::Plan { revision } => plan::plan(context, revision).await,
        Command::Restore { backup } => restore::restore(context, backup, global).await,
        Command::Stamp { revision, force } => jobs::stamp(context, revision, *force, verbose).await,
        Command::Repair => repair::repair(context, global).await,
        Command::Backup => jobs::backup(context, verbose).await,
        Command::Backups(Backups::List) => plain(backups::list(context)),
        Command::Backups(Backups::Show { backup }) => plain(backups::show(context, backup)),
        Command::Current { all, check_heads } => {
            current::current(context, *all, verbose, *check_heads).await
        }
        Command::History { rev_range } => {
            plain(history::history(context, rev_range.as_deref(), verbose).await)
        }
        Command::Heads { schema: true } => plain(show::schema(context).await),
        Command::Heads { schema: false } => plain(show::heads(context)),
        Command::Show { revision, down } => plain(show::show(context, revision, *down).await),
        Command::Check => check::check(context).await,
        Command::Revision(wanted) => plain(revision::revision(context, wanted).await),
        Command::Doctor => doctor::doctor(context).await,
        Command::Completions { shell } => plain(Ok(completions(*shell))),
        Command::Man => plain(man()),
    }
}

fn plain(result: Result<Answer>) -> Outcome {
    match result {
        Ok(answer) => (Some(answer), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// The verb's name, for the JSON document.
#[must_use]
pub fn name(command: &Command) -> &'static str {
    match command {
        Command::Run(_) => "run",
        Command::Upgrade { .. } => "upgrade",
        Command::Downgrade { .. } => "downgrade",
        Command::Plan { .. } => "plan",
        Command::Restore { .. } => "restore",
        Command::Stamp { .. } => "stamp",
        Command::Repair => "repair",
        Command::Backup => "backup",
        Command::Backups(Backups::List) => "backups list",
        Command::Backups(Backups::Show { .. }) => "backups show",
        Command::Current { .. } => "current",
        Command::History { .. } => "history",
        Command::Heads { .. } => "heads",
        Command::Show { .. } => "show",
        Command::Check => "check",
        Command::Revision(_) => "revision",
        Command::Doctor => "doctor",
        Command::Completions { .. } => "completions",
        Command::Man => "man",
    }
}

/// Whether the verb is a job on the database, of which others are told.
#[must_use]
pub fn is_job(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(Create { sql: false, .. })
            | Command::Upgrade {
                create: Create { sql: false, .. },
                ..
            }
            | Command::Downgrade { sql: false, .. }
            | Command::Restore { .. }
            | Command::Stamp { .. }
            | Command::Repair
            | Command::Backup
    )
}

/// Whether the verb may make a missing database.
#[must_use]
pub fn creates(command: &Command) -> bool {
    match command {
        Command::Run(Create {
            create_if_missing, ..
        }) => *create_if_missing,
        Command::Upgrade { create, .. } => create.create_if_missing,
        _ => false,
    }
}
