//! The real jobs, each on a thread of its own: the loop goes on beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::planner::PATIENCE;
use super::{Ended, Executor, Schedule, Server, State, Status, Task};
use crate::clock::{Deadline, Stamp};
use crate::error::Result;
use crate::job::{self, Chosen, Context, Goal, Pruning, Report, Settings, Verification};
use crate::logging;
use crate::metrics::Facts;
use crate::monitor::{Monitor, Silent};
use crate::notify::{self, Message, Outlets};
use crate::sqlite::Interrupt;
use crate::storage::JobLock;

/// A look does not wait for long: it comes again.
const LOOK_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct Setup {
    /// For the jobs.
    pub settings: Settings,
    /// Who is told how a job ended.
    pub outlets: Outlets,
    /// What is due when.
    pub schedule: Schedule,
    /// Where the daemon is asked how it is; `None` for nowhere.
    pub listen: Option<SocketAddr>,
}

/// Reads the configuration.
pub type Load = Box<dyn Fn() -> Result<Setup>>;
/// Makes the monitor of a job.
pub type Watch = Arc<dyn Fn() -> Box<dyn Monitor> + Send + Sync>;

/// Does the jobs of one database, and holds what a daemon has to itself.
pub struct Jobs {
    load: Load,
    watch: Watch,
    status: Arc<Status>,
    interrupt: Interrupt,
    settings: Settings,
    outlets: Outlets,
    server: Option<Server>,
    /// Held while the daemon lives; the file's path tells whether another configuration needs another one.
    lock: (PathBuf, JobLock),
}

impl Jobs {
    /// Reads the configuration, listens, and makes sure that no other daemon serves the database.
    ///
    /// # Errors
    /// Exit code 2 where the configuration is wrong or the port in use, 75 where there is another daemon.
    pub async fn start(
        load: Load,
        watch: Watch,
        status: Arc<Status>,
        interrupt: Interrupt,
    ) -> Result<(Self, (Schedule, State))> {
        let setup = load()?;
        let lock = acquire(&setup.settings, &interrupt).await?;
        let server = listen(setup.listen, &status).await?;
        let state = read_state(&setup.settings);
        status.serve(&setup.settings.database);
        let jobs = Self {
            load,
            watch,
            status,
            interrupt,
            settings: setup.settings,
            outlets: setup.outlets,
            server,
            lock,
        };
        Ok((jobs, (setup.schedule, state)))
    }
}

impl Executor for Jobs {
    async fn execute(&mut self, task: Task, interrupt: &Interrupt) -> Ended {
        let (mut settings, watch) = (self.settings.clone(), self.watch.clone());
        if let Some(offsite) = &mut settings.offsite {
            // Each task is a command of its own.
            offsite.given_up = Arc::default();
        }
        let (outlets, status) = (self.outlets.clone(), self.status.clone());
        let interrupt = interrupt.clone();
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let monitor = watch();
            let context = Context {
                settings: &settings,
                interrupt: &interrupt,
                monitor: monitor.as_ref(),
            };
            let desk = Desk {
                context,
                outlets: &outlets,
                status: &status,
            };
            handle.block_on(desk.perform(task))
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
                monitor: &Silent,
            };
            handle.block_on(job::at_head(context))
        });
        match work.await {
            Ok(looked) => looked.map_err(|error| error.discreet()),
            Err(panic) => Err(format!(
                "the thread that looked at the database died: {panic}"
            )),
        }
    }

    async fn reload(&mut self) -> Result<(Schedule, State)> {
        let setup = (self.load)()?;
        let lock = if lock_path(&setup.settings) == self.lock.0 {
            None
        } else {
            Some(acquire(&setup.settings, &self.interrupt).await?)
        };
        let wanted = self.server.as_ref().map(Server::wanted);
        if wanted != setup.listen {
            self.server = listen(setup.listen, &self.status).await?;
        }
        if let Some(lock) = lock {
            self.lock = lock;
        }
        let state = read_state(&setup.settings);
        self.status.serve(&setup.settings.database);
        (self.settings, self.outlets) = (setup.settings, setup.outlets);
        Ok((setup.schedule, state))
    }
}

fn folder(settings: &Settings) -> PathBuf {
    let catalog = settings.catalog();
    catalog.folder().to_path_buf()
}

fn lock_path(settings: &Settings) -> PathBuf {
    folder(settings).join(State::lock_name(&settings.database))
}

async fn acquire(settings: &Settings, interrupt: &Interrupt) -> Result<(PathBuf, JobLock)> {
    settings.catalog().prepare()?;
    let (deadline, mut told) = (Deadline::after(settings.lock_timeout), false);
    let tick = |holder: &str| {
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("waiting for another daemon that serves this database: {holder}");
        }
        interrupt.check()
    };
    let name = State::lock_name(&settings.database);
    let lock = JobLock::acquire_named(&folder(settings), &name, deadline, tick).await?;
    Ok((lock_path(settings), lock))
}

async fn listen(wanted: Option<SocketAddr>, status: &Arc<Status>) -> Result<Option<Server>> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let server = Server::start(wanted, status.clone()).await?;
    let address = server.address();
    tracing::info!(target: logging::WATCH, "daemon answers at http://{address}/healthz, /readyz and /metrics");
    Ok(Some(server))
}

fn read_state(settings: &Settings) -> State {
    let database: &Path = &settings.database;
    let (state, wrong) = State::read(&folder(settings), database);
    if let Some(wrong) = wrong {
        tracing::warn!("what was done before is not known, and counts as never done: {wrong}");
    }
    for task in state.from_the_future(Stamp::now().plus(PATIENCE)) {
        tracing::warn!(
            "{task} was last done in the future, if the clock is right now; it counts as never done"
        );
    }
    state
}

/// What a job is done with.
struct Desk<'d> {
    context: Context<'d>,
    outlets: &'d Outlets,
    status: &'d Status,
}

impl Desk<'_> {
    async fn perform(&self, task: Task) -> Ended {
        match task {
            Task::Run => {
                self.context.start_deadline();
                let mut report = Report::default();
                let done = job::migrate(self.context, &Goal::head(), &mut report).await;
                self.job(task, &report, done).await
            }
            Task::Backup => {
                let mut report = Report::default();
                let done = job::backup(self.context, &mut report).await;
                self.job(task, &report, done).await
            }
            Task::Verify => {
                let mut report = Verification::default();
                let done = job::verify(self.context, &Chosen::All, &mut report).await;
                if done.is_ok() {
                    let database = self.database();
                    self.status
                        .count(|registry| registry.verified(&database, Stamp::now()));
                }
                let words = format!("verified, backups: {}", report.checked.len());
                self.chore("backups verify", &words, done).await
            }
            Task::Prune => {
                let mut report = Pruning::default();
                let done = job::prune(self.context, false, &mut report).await;
                let (gone, kept) = (report.removed.len(), report.kept.len());
                let words = format!("pruned, removed: {gone}, kept: {kept}");
                self.chore("backups prune", &words, done).await
            }
        }
    }

    fn database(&self) -> String {
        self.context.settings.database.display().to_string()
    }

    /// Counts what changes or copies the database, and tells of it as the command does.
    async fn job(&self, task: Task, report: &Report, done: Result<()>) -> Ended {
        let error = done.as_ref().err();
        let facts = Facts::gather(self.context.settings, report, error);
        self.status.count(|registry| registry.record(&facts));
        let message = Message::of_job(task.name(), report, error);
        self.tell(&[facts], &message)
            .instrument(report.span())
            .await;
        ended(report.outcome, &done)
    }

    /// What only looks after the backups is told of where it fails.
    async fn chore(&self, command: &'static str, words: &str, done: Result<()>) -> Ended {
        if let Err(error) = &done {
            let message = Message::of_chore(command, Some(&self.database()), Some(error));
            self.tell(&[], &message).await;
        }
        ended(words, &done)
    }

    async fn tell(&self, facts: &[Facts], message: &Message) {
        if self.outlets.is_empty() {
            return;
        }
        for line in notify::tell(self.outlets, facts, message).await {
            tracing::warn!("{line}");
        }
    }
}

/// In words that may go into logs: the command itself says more.
fn ended(words: &str, done: &Result<()>) -> Ended {
    match done {
        Ok(()) => Ended {
            exit_code: 0,
            words: words.to_owned(),
        },
        Err(error) => Ended {
            exit_code: error.exit_code(),
            words: format!("{}. {}", error.discreet(), error.hint()),
        },
    }
}
