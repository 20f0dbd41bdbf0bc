//! The real jobs, each on a thread of its own: the loop goes on beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{Ended, Executor, Schedule, State, Status, Task};
use crate::clock::Stamp;
use crate::error::{Error, Result};
use crate::job::{self, Chosen, Context, Goal, Pruning, Report, Settings, Verification};
use crate::metrics::Facts;
use crate::progress::Progress;
use crate::sqlite::Interrupt;

/// A look does not wait for long: it comes again.
const LOOK_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// What the configuration says, as far as the executor is concerned.
type Load = Box<dyn Fn() -> Result<(Settings, Schedule, State)>>;

/// Does the jobs of one database.
pub struct Jobs {
    settings: Settings,
    verbose: bool,
    status: Arc<Status>,
    load: Load,
}

impl Jobs {
    /// `load` reads the configuration again.
    #[must_use]
    pub fn new(settings: Settings, verbose: bool, status: Arc<Status>, load: Load) -> Self {
        Self {
            settings,
            verbose,
            status,
            load,
        }
    }
}

impl Executor for Jobs {
    async fn execute(&mut self, task: Task, interrupt: &Interrupt) -> Ended {
        let (settings, verbose) = (self.settings.clone(), self.verbose);
        let (status, interrupt) = (self.status.clone(), interrupt.clone());
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let progress = Progress::new(verbose);
            let context = Context {
                settings: &settings,
                interrupt: &interrupt,
                monitor: &progress,
            };
            handle.block_on(perform(context, task, &status))
        });
        work.await.unwrap_or_else(|panic| Ended {
            exit_code: 1,
            words: format!("the thread of the job died ({panic}); this is a defect of safestep, please report it"),
        })
    }

    async fn look(&mut self) -> std::result::Result<String, String> {
        let settings = Settings {
            lock_timeout: LOOK_LOCK_TIMEOUT,
            ..self.settings.clone()
        };
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let context = Context {
                settings: &settings,
                interrupt: &Interrupt::default(),
                monitor: &crate::monitor::Silent,
            };
            handle.block_on(job::at_head(context))
        });
        match work.await {
            Ok(looked) => looked.map_err(|error| first_line(&error)),
            Err(panic) => Err(format!("the thread that looked at the database died: {panic}")),
        }
    }

    async fn reload(&mut self) -> Result<(Schedule, State)> {
        let (settings, schedule, state) = (self.load)()?;
        self.settings = settings;
        Ok((schedule, state))
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

async fn perform(context: Context<'_>, task: Task, status: &Status) -> Ended {
    match task {
        Task::Run => {
            let mut report = Report::default();
            let done = job::migrate(context, &Goal::head(), &mut report).await;
            counted(context, status, &report, done)
        }
        Task::Backup => {
            let mut report = Report::default();
            let done = job::backup(context, &mut report).await;
            counted(context, status, &report, done)
        }
        Task::Verify => {
            let mut report = Verification::default();
            let done = job::verify(context, &Chosen::All, &mut report).await;
            if done.is_ok() {
                let database = context.settings.database.display().to_string();
                status.count(|registry| registry.verified(&database, Stamp::now()));
            }
            let words = format!("{} backups are sound", report.checked.len());
            ended(&words, done)
        }
        Task::Prune => {
            let mut report = Pruning::default();
            let done = job::prune(context, false, &mut report).await;
            let (gone, kept) = (report.removed.len(), report.kept.len());
            ended(&format!("{gone} backups removed, {kept} kept"), done)
        }
    }
}

fn counted(context: Context<'_>, status: &Status, report: &Report, done: Result<()>) -> Ended {
    let facts = Facts::gather(context.settings, report, done.as_ref().err());
    status.count(|registry| registry.record(&facts));
    ended(report.outcome, done)
}

fn ended(words: &str, done: Result<()>) -> Ended {
    match done {
        Ok(()) => Ended {
            exit_code: 0,
            words: words.to_owned(),
        },
        Err(error) => Ended {
            exit_code: error.exit_code(),
            words: format!("{error}. {}", error.hint()),
        },
    }
}
