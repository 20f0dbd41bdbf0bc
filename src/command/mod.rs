//! One file a verb.

mod ask;
mod backups;
mod check;
mod current;
mod daemon;
mod doctor;
mod fit;
mod fleet;
mod given;
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
mod which;

use crate::catalog::Bounds;
use crate::cli::{Backups, Command, Create, Global, Which};
use crate::config::Config;
use crate::error::Result;
use crate::fleet::Work;
use crate::job::{Context, Goal};
use crate::migrator::Direction;
use crate::report::Answer;

pub use given::given;
pub use pages::{completions, man};

/// An answer, and beside it the error of a job that failed with a report.
pub type Outcome = (Option<Answer>, Result<()>);

/// Reads the configuration again.
pub type Load = Box<dyn Fn() -> Result<Config>>;

/// Runs a verb; on each database of a fleet, where there is one and the verb can be.
pub async fn dispatch(
    command: &Command,
    context: Context<'_>,
    config: &Config,
    global: &Global,
    load: Load,
) -> Outcome {
    let verbose = global.verbose;
    if given::limit(command).is_some() {
        context.start_deadline();
    }
    if let Some((fleet, work)) = config.fleet.as_ref().zip(work(command)) {
        return fleet::run(context, fleet, &work, verbose);
    }
    match command {
        Command::Run {
            create: Create { sql: true, .. },
            ..
        } => plain(sql::upgrade(context, "head").await),
        Command::Upgrade {
            revision,
            create: Create { sql: true, .. },
            ..
        } => plain(sql::upgrade(context, revision).await),
        Command::Downgrade {
            revision,
            sql: true,
            ..
        } => plain(sql::downgrade(context, revision).await),
        Command::Run { .. } => jobs::run(context, verbose).await,
        Command::Upgrade { revision, .. } => jobs::upgrade(context, revision, verbose).await,
        Command::Downgrade { revision, .. } => jobs::downgrade(context, revision, verbose).await,
        Command::Plan { revision, .. } => plan::plan(context, revision).await,
        Command::Restore { backup, which, .. } => match bounds(&context, config, which) {
            Ok(bounds) => {
                restore::restore(context, backup.as_deref(), bounds, which.remote, global).await
            }
            Err(error) => (None, Err(error)),
        },
        Command::Stamp { revision, force } => jobs::stamp(context, revision, *force, verbose).await,
        Command::Repair => repair::repair(context, global).await,
        Command::Backup(_) => jobs::backup(context, verbose).await,
        Command::Backups(list) => backups::backups(context, list, config).await,
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
        Command::Daemon(_) => daemon::daemon(load, context.interrupt, verbose).await,
        Command::Doctor => doctor::doctor(context).await,
        Command::Completions { shell } => plain(Ok(completions(*shell))),
        Command::Man => plain(man()),
    }
}

/// What the verb does to each of many databases.
fn work(command: &Command) -> Option<Work> {
    let goal = |revision: &str, direction| Some(Work::Migrate(jobs::goal(revision, direction)));
    match command {
        Command::Run { .. } => Some(Work::Migrate(Goal::head())),
        Command::Upgrade { revision, .. } => goal(revision, Direction::Up),
        Command::Downgrade { revision, .. } => goal(revision, Direction::Down),
        Command::Backup(_) => Some(Work::Backup),
        _ => None,
    }
}

fn bounds(context: &Context<'_>, config: &Config, which: &Which) -> Result<Bounds> {
    which::bounds(context, config.before, which.revision.as_deref())
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
        Command::Run { .. } => "run",
        Command::Upgrade { .. } => "upgrade",
        Command::Downgrade { .. } => "downgrade",
        Command::Plan { .. } => "plan",
        Command::Restore { .. } => "restore",
        Command::Stamp { .. } => "stamp",
        Command::Repair => "repair",
        Command::Backup(_) => "backup",
        Command::Backups(Backups::List { .. }) => "backups list",
        Command::Backups(Backups::Show { .. }) => "backups show",
        Command::Backups(Backups::Verify { .. }) => "backups verify",
        Command::Backups(Backups::Prune { .. }) => "backups prune",
        Command::Backups(Backups::Upload { .. }) => "backups upload",
        Command::Current { .. } => "current",
        Command::History { .. } => "history",
        Command::Heads { .. } => "heads",
        Command::Show { .. } => "show",
        Command::Check => "check",
        Command::Revision(_) => "revision",
        Command::Daemon(_) => "daemon",
        Command::Doctor => "doctor",
        Command::Completions { .. } => "completions",
        Command::Man => "man",
    }
}

/// Whether the verb is a job on the database, of which others are told.
#[must_use]
pub fn is_job(command: &Command) -> bool {
    match command {
        Command::Run { create, .. } | Command::Upgrade { create, .. } => !create.sql,
        Command::Downgrade { sql, .. } => !sql,
        Command::Restore { .. } | Command::Stamp { .. } | Command::Repair | Command::Backup(_) => {
            true
        }
        _ => false,
    }
}
