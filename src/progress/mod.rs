//! The monitor of the command line: a bar on a terminal, a line every few seconds elsewhere.

mod shown;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::logging;
use crate::monitor::Monitor;
use shown::{Shown, one_line};

/// Between two looks at what a terminal is shown; a job that is done sooner draws nothing.
const FRAME: Duration = Duration::from_millis(120);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);
const WAITING: &str = "{spinner} {wide_msg}";
const MEASURED: &str = "{spinner} {percent:>3} % {bar:12} {wide_msg}";
const PERCENT: u64 = 100;
/// A phase that may last for days: said once when it begins, and not in a line again and again.
const PATIENT: &str = "wait";
/// Phases that a job with nothing to do goes through; they are not worth a line in the log, nor a thread that draws before
/// there is a step of them.
const QUIET: [&str; 2] = ["files", "look"];

/// Tells of a job on standard error. The job's own threads only leave word of where it is; another one draws.
pub struct Progress {
    shared: Arc<Shared>,
    outlet: Arc<Outlet>,
    every: Duration,
    teller: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    shown: Option<Shown>,
    ended: bool,
}

/// Where it is told.
enum Outlet {
    Bar(ProgressBar),
    Lines(Box<dyn Fn(&str) + Send + Sync>),
}

impl Progress {
    /// A bar where standard error is a terminal that can draw one, else lines in the log; so, too, where the log is `verbose`
    /// and would write across the bar.
    #[must_use]
    pub fn new(verbose: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(PERCENT), ProgressDrawTarget::stderr());
        if verbose || bar.is_hidden() {
            return Self::in_lines(
                LINE,
                |line| tracing::info!(target: logging::WATCH, "{line}"),
            );
        }
        Self::to(Outlet::Bar(styled(bar, WAITING)), FRAME)
    }

    /// Hands a line to `say` after every such time that the job goes on.
    #[must_use]
    pub fn in_lines(every: Duration, say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self::to(Outlet::Lines(Box::new(say)), every)
    }

    fn to(outlet: Outlet, every: Duration) -> Self {
        Self {
            shared: Arc::default(),
            outlet: Arc::new(outlet),
            every,
            teller: Mutex::new(None),
        }
    }

    /// Starts the thread that draws, with the first phase or step that may last.
    fn start(&self) {
        let mut teller = lock(&self.teller);
        if teller.is_some() {
            return;
        }
        let (shared, outlet, every) = (self.shared.clone(), self.outlet.clone(), self.every);
        // Its lines are of the same job.
        let job = tracing::Span::current();
        let started = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || job.in_scope(|| shared.tell(&outlet, every)));
        match started {
            Ok(thread) => *teller = Some(thread),
            Err(error) => tracing::warn!("progress will not be shown: {error}"),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        lock(&self.shared.state).shown.as_mut().map(change);
    }
}

impl Shared {
    fn tell(&self, outlet: &Outlet, every: Duration) {
        let mut state = lock(&self.state);
        loop {
            state = self
                .ended
                .wait_timeout_while(state, every, |state| !state.ended)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            if state.ended {
                return;
            }
            let shown = state.shown.as_ref();
            let Some(view) = shown.and_then(|shown| outlet.view(shown)) else {
                continue;
            };
            // Nobody waits for a slow terminal.
            drop(state);
            outlet.tell(view);
            state = lock(&self.state);
        }
    }
}

/// What there is to see.
struct View {
    percent: Option<u64>,
    words: String,
}

impl Outlet {
    /// `None` where it has been said.
    fn view(&self, shown: &Shown) -> Option<View> {
        let words = match self {
            Self::Bar(_) => shown.beside_bar(),
            Self::Lines(_) if shown.is(PATIENT) => return None,
            Self::Lines(_) => shown.line(),
        };
        Some(View {
            percent: shown.percent(),
            words,
        })
    }

    fn tell(&self, view: View) {
        match self {
            Self::Lines(say) => say(&view.words),
            Self::Bar(bar) => {
                // Unlike the setters these do not draw: all of it is shown at once.
                styled(bar.clone(), view.percent.map_or(WAITING, |_| MEASURED))
                    .with_position(view.percent.unwrap_or(0))
                    .with_message(view.words)
                    .tick();
            }
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What a thread that panicked has left is good enough to be shown.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor for Progress {
    fn phase(&self, phase: &'static str) {
        lock(&self.shared.state).shown = Some(Shown::phase(phase));
        if QUIET.contains(&phase) {
            tracing::debug!("phase: {phase}");
        } else {
            tracing::info!("phase: {phase}");
            self.start();
        }
    }

    fn step(&self, words: &str) {
        self.start();
        self.change(|shown| shown.step(words));
    }

    fn progress(&self, done: u64, total: u64) {
        self.start();
        self.change(|shown| shown.progress(done, total));
    }

    fn notice(&self, line: &str) {
        let write = || tracing::warn!("{}", one_line(line));
        match self.outlet.as_ref() {
            Outlet::Bar(bar) => bar.suspend(write),
            Outlet::Lines(_) => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.ended.notify_all();
        if let Some(teller) = lock(&self.teller).take() {
            // It ends by itself; one that has panicked has no more to say either.
            let _ = teller.join();
        }
        if let Outlet::Bar(bar) = self.outlet.as_ref() {
            bar.finish_and_clear();
        }
    }
}
