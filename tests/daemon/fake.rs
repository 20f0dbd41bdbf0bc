//! A clock that is wound by hand, and an executor that only writes down what it was told to do.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safestep::clock::{Cron, Stamp, Wall, Window, Zone};
use safestep::daemon::{
    Daemon, Ended, Event, Executor, Missed, Schedule, State, Status, Task, Times,
};
use safestep::error::Result;
use safestep::sqlite::Interrupt;
use tempfile::TempDir;
use tokio::sync::mpsc::{self, Sender};

use crate::support::block_on;

pub(crate) fn at(text: &str) -> Stamp {
    Stamp::parse(text).unwrap_or_else(|| panic!("{text}"))
}

pub(crate) fn berlin() -> Zone {
    Zone::parse("Europe/Berlin").expect("known")
}

pub(crate) fn cron(text: &str) -> Times {
    Times::Cron(Box::new(
        Cron::parse(text, berlin()).expect("an expression"),
    ))
}

pub(crate) fn window(text: &str) -> Window {
    Window::parse(text, berlin()).expect("a window")
}

/// Shows what it is told to, and stops the daemon at the end.
pub(crate) struct Clock {
    hands: Mutex<(Stamp, Duration)>,
    end: Stamp,
    events: Sender<Event>,
}

impl Clock {
    /// Time passes.
    pub(crate) fn advance(&self, by: Duration) {
        let mut hands = self.hands.lock().unwrap();
        *hands = (hands.0.plus(by), hands.1 + by);
        if hands.0 >= self.end {
            // A second one would find nobody who listens.
            let _ = self.events.try_send(Event::Stop(15));
        }
    }

    /// Somebody sets it, or the machine has slept: no time passes for the process.
    pub(crate) fn set(&self, to: Stamp) {
        self.hands.lock().unwrap().0 = to;
    }

    pub(crate) fn send(&self, event: Event) {
        self.events.try_send(event).expect("room for an event");
    }
}

impl Wall for Clock {
    fn now(&self) -> Stamp {
        self.hands.lock().unwrap().0
    }

    fn awake(&self) -> Duration {
        self.hands.lock().unwrap().1
    }

    async fn until(&self, moment: Stamp) {
        self.advance(self.now().until(moment.min(self.end)));
    }
}

/// What is done when a task is due: the exit code that it ends with.
pub(crate) type Act = Box<dyn FnMut(&Clock, Task) -> u8>;

struct Recorder {
    clock: Arc<Clock>,
    done: Arc<Mutex<Vec<(Task, Stamp)>>>,
    act: Act,
    world: World,
}

impl Executor for Recorder {
    async fn execute(&mut self, task: Task, _interrupt: &Interrupt) -> Ended {
        self.done.lock().unwrap().push((task, self.clock.now()));
        Ended {
            exit_code: (self.act)(&self.clock, task),
            words: "done".into(),
        }
    }

    async fn look(&mut self) -> std::result::Result<String, String> {
        Ok("008".into())
    }

    async fn reload(&mut self) -> Result<(Schedule, State)> {
        Ok((self.world.schedule.clone(), self.world.state()))
    }
}

/// Where the state of a daemon is, and what it is to do.
#[derive(Clone)]
pub(crate) struct World {
    folder: Arc<TempDir>,
    pub(crate) schedule: Schedule,
}

impl World {
    pub(crate) fn new(times: Vec<(Task, Times)>) -> Self {
        // A year writes thousands of states, each durably.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        Self {
            folder: Arc::new(folder.expect("a folder")),
            schedule: Schedule {
                times,
                window: None,
                zone: berlin(),
                missed: Missed::CatchUp,
            },
        }
    }

    pub(crate) fn skipping(mut self) -> Self {
        self.schedule.missed = Missed::Skip;
        self
    }

    /// Nothing before `moment` is to be done any more.
    pub(crate) fn settled(self, moment: &str) -> Self {
        let mut state = self.state();
        for (task, _) in &self.schedule.times {
            state
                .settle(*task, at(moment), Some(at(moment)))
                .expect("written");
        }
        self
    }

    pub(crate) fn state(&self) -> State {
        State::read(self.folder.path(), "/srv/app.db".as_ref()).0
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        let mut files = crate::support::files_ending(self.folder.path(), ".json");
        files.pop().expect("a state")
    }

    /// Lives from one moment to another, and says what was done when.
    pub(crate) fn live(
        &self,
        from: &str,
        to: &str,
        act: impl FnMut(&Clock, Task) -> u8 + 'static,
    ) -> Vec<(Task, Stamp)> {
        let (sender, events) = mpsc::channel(64);
        let clock = Arc::new(Clock {
            hands: Mutex::new((at(from), Duration::ZERO)),
            end: at(to),
            events: sender,
        });
        let done = Arc::new(Mutex::new(Vec::new()));
        let recorder = Recorder {
            clock: clock.clone(),
            done: done.clone(),
            act: Box::new(act),
            world: self.clone(),
        };
        let known = (self.schedule.clone(), self.state());
        block_on(async {
            let status = Arc::new(Status::default());
            Daemon::new(clock.as_ref(), recorder, status, events, known)
                .run()
                .await
        })
        .expect("nothing was cut short");
        done.lock().unwrap().clone()
    }
}

/// The times of one task, to the second.
pub(crate) fn times_of(done: &[(Task, Stamp)], task: Task) -> Vec<String> {
    done.iter()
        .filter(|(which, _)| *which == task)
        .map(|(_, at)| at.rfc3339()[..19].to_owned())
        .collect()
}
