//! A bounded number of jobs side by side.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use tokio::runtime::Handle;

use super::{Done, Fleet, Member, Watch, Work};
use crate::error::{Error, Result};
use crate::job::{self, Context, Files, Report};

/// As the main thread has it, on which a single job runs.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What the workers share.
pub(super) struct Pool<'p> {
    pub(super) context: Context<'p>,
    pub(super) fleet: &'p Fleet,
    pub(super) work: &'p Work,
    pub(super) files: Option<Files>,
    pub(super) watch: &'p dyn Watch,
    pub(super) members: &'p [Member],
}

#[derive(Default)]
struct Progress {
    /// How many were begun, and so which one is next.
    begun: AtomicUsize,
    failed: AtomicUsize,
    ended: Mutex<BTreeMap<usize, Done>>,
}

impl Pool<'_> {
    /// Works on one after another, as many at once as the fleet allows. A job blocks its thread now and then, so each worker
    /// is one.
    pub(super) fn work_through(&self) -> Result<Vec<Done>> {
        let runtime = Handle::current();
        let progress = Progress::default();
        let workers = self.fleet.jobs.min(self.members.len());
        scope(|scope| {
            let mut started = Ok(());
            for number in 0..workers {
                let worker = Builder::new()
                    .name(format!("job {number}"))
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, || self.worker(&runtime, &progress));
                match worker {
                    // With fewer it takes longer.
                    Err(error) if number == 0 => started = Err(error),
                    _ => {}
                }
            }
            started
        })
        .map_err(|source| Error::Io {
            doing: "start",
            path: "a thread".into(),
            source,
        })?;
        Ok(self.settle(progress))
    }

    fn worker(&self, runtime: &Handle, progress: &Progress) {
        while let Some((number, member)) = self.next(progress) {
            let done = self.job(runtime, member);
            if matches!(done.result, Some(Err(_))) {
                progress.failed.fetch_add(1, Ordering::SeqCst);
            }
            self.watch.ended(&done);
            let mut ended = progress
                .ended
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            ended.insert(number, done);
        }
    }

    fn next(&self, progress: &Progress) -> Option<(usize, &Member)> {
        let failed = progress.failed.load(Ordering::SeqCst);
        let is_enough = self.fleet.max_failures.is_some_and(|most| failed > most);
        if is_enough || self.context.interrupt.is_raised() {
            return None;
        }
        let number = progress.begun.fetch_add(1, Ordering::SeqCst);
        Some((number, self.members.get(number)?))
    }

    fn job(&self, runtime: &Handle, member: &Member) -> Done {
        let monitor = self.watch.begins(member, self.members.len());
        let interrupt = self.context.interrupt.for_another_job();
        let context = Context {
            settings: &member.settings,
            interrupt: &interrupt,
            monitor: monitor.as_ref(),
        };
        let mut report = Report::default();
        let result = runtime.block_on(async {
            match (self.work, &self.files) {
                (Work::Migrate(goal), Some(files)) => {
                    job::migrate_with(context, goal, files, &mut report).await
                }
                (Work::Migrate(goal), None) => job::migrate(context, goal, &mut report).await,
                (Work::Backup, _) => job::backup(context, &mut report).await,
            }
        });
        Done {
            member: member.clone(),
            report,
            result: Some(result),
        }
    }

    /// What became of each, in their order.
    fn settle(&self, progress: Progress) -> Vec<Done> {
        let begun = progress.begun.into_inner();
        let mut ended = progress
            .ended
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let settled = self.members.iter().enumerate().map(|(number, member)| {
            ended.remove(&number).unwrap_or_else(|| Done {
                member: member.clone(),
                report: Report::default(),
                result: (number < begun).then(|| Err(died(member))),
            })
        });
        settled.collect()
    }
}

/// The job of a thread that panicked. What it had begun is undone by SQLite, or put right by the next job.
fn died(member: &Member) -> Error {
    Error::Io {
        doing: "finish the job on",
        path: member.path.clone(),
        source: io::Error::other(
            "its thread died, which is a defect of safestep; please report it",
        ),
    }
}
