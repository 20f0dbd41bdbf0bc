//! `daemon`: stays until a signal asks it to go.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Load, Outcome};
use crate::clock::SystemWall;
use crate::config::Config;
use crate::daemon::{Daemon, Event, Jobs, Setup, Status};
use crate::error::{Error, Result};
use crate::logging;
use crate::progress::Progress;
use crate::report::Answer;
use crate::sqlite::Interrupt;

/// Signals that have come and are not heard yet.
const EVENTS: usize = 16;

pub(super) async fn daemon(load: Load, interrupt: &Interrupt, verbose: bool) -> Outcome {
    match serve(load, interrupt.clone(), verbose).await {
        Ok(()) => (
            Some(Answer::new("stopped", &json!({}), String::new())),
            Ok(()),
        ),
        Err(error) => (None, Err(error)),
    }
}

async fn serve(load: Load, interrupt: Interrupt, verbose: bool) -> Result<()> {
    let events = listen()?;
    let status = Arc::new(Status::default());
    let watch = Arc::new(move || Box::new(Progress::new(verbose)) as _);
    let setup = Box::new(move || setup(load()?));
    let (jobs, known) = Jobs::start(setup, watch, status.clone(), interrupt).await?;
    tracing::info!(target: logging::WATCH, pid = std::process::id(), "daemon starts");
    let wall = SystemWall::default();
    Daemon::new(&wall, jobs, status, events, known).run().await
}

fn setup(config: Config) -> Result<Setup> {
    let Some(daemon) = config.daemon else {
        return Err(Error::Usage {
            message: "the configuration is none of a daemon".into(),
            hint: "This is a defect of safestep; please report it.".into(),
        });
    };
    let mut settings = config.settings;
    // The daemon itself waits for the window, and does other things meanwhile.
    settings.times.wait = false;
    Ok(Setup {
        settings,
        outlets: config.outlets,
        schedule: daemon.schedule,
        listen: daemon.listen,
    })
}

fn listen() -> Result<Receiver<Event>> {
    let (sender, events) = mpsc::channel(EVENTS);
    let stop = |kind: SignalKind| (kind, Event::Stop(kind.as_raw_value()));
    let signals = [
        stop(SignalKind::terminate()),
        stop(SignalKind::interrupt()),
        (SignalKind::hangup(), Event::Reload),
    ];
    for (kind, event) in signals {
        forward(kind, event, sender.clone())?;
    }
    Ok(events)
}

fn forward(kind: SignalKind, event: Event, events: Sender<Event>) -> Result<()> {
    let mut stream = signal(kind).map_err(Error::io("listen for", Path::new("signals")))?;
    tokio::spawn(async move {
        while stream.recv().await.is_some() {
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
