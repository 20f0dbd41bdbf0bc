//! Many databases: each is a job of its own, with its own lock, snapshot, proof and record, exactly as if it were run
//! alone. Here is only which databases there are, where their backups go, and how many are worked on side by side.

mod find;
mod place;
mod pool;
mod shard;
mod summary;

use std::path::PathBuf;

use crate::clock::Stopwatch;
use crate::error::Result;
use crate::job::{Context, Files, Goal, Report, Settings};
use crate::monitor::Monitor;

use pool::Pool;
pub use shard::Shard;
pub use summary::Summary;

/// Which databases, and how.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Patterns, or paths where a shell has expanded one.
    pub patterns: Vec<String>,
    /// How many databases are worked on side by side.
    pub jobs: usize,
    /// When more than so many have failed, no further one is started.
    pub max_failures: Option<usize>,
    /// Only this share of them.
    pub shard: Option<Shard>,
}

/// What is to be done with each.
#[derive(Debug, Clone)]
pub enum Work {
    /// Bring it there.
    Migrate(Goal),
    /// Back it up, and nothing else.
    Backup,
}

/// A database of the fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// As the pattern found it.
    pub path: PathBuf,
    /// What the wildcards of the pattern matched; says which shard it is in, and where its backups go.
    pub name: PathBuf,
    /// Those of its job.
    pub settings: Settings,
}

/// What became of a database.
#[derive(Debug)]
pub struct Done {
    /// Which one.
    pub member: Member,
    /// Of its job.
    pub report: Report,
    /// How its job ended; `None` where it was not started.
    pub result: Option<Result<()>>,
}

/// Hears how the fleet goes on, from several threads.
pub trait Watch: Sync {
    /// A job begins on one of so many databases; gives what that job speaks to.
    fn begins<'w>(&'w self, member: &'w Member, total: usize) -> Box<dyn Monitor + 'w>;
    /// It has ended.
    fn ended(&self, done: &Done);
}

/// Works on all of them. The migration files are read once, and where they are not acceptable no database is touched. What
/// fails on one database is told in the summary; an error is what keeps all of them from being worked on.
///
/// It blocks the thread for as long as it takes, which must not be one that drives the runtime.
pub fn run(context: Context<'_>, fleet: &Fleet, work: &Work, watch: &dyn Watch) -> Result<Summary> {
    let clock = Stopwatch::start();
    let files = match work {
        Work::Migrate(_) => Some(Files::read(&context.settings.migrations)?),
        Work::Backup => None,
    };
    let all = place::members(fleet, context.settings)?;
    let found = all.len();
    let mine: Vec<Member> = all
        .into_iter()
        .filter(|member| fleet.shard.is_none_or(|shard| shard.holds(&member.name)))
        .collect();
    let pool = Pool {
        context,
        fleet,
        work,
        files,
        watch,
        members: &mine,
    };
    let done = pool.work_through()?;
    Ok(Summary {
        done,
        found,
        shard: fleet.shard,
        jobs: fleet.jobs,
        stopped: context.interrupt.check().err(),
        elapsed_ms: clock.elapsed_ms(),
    })
}
