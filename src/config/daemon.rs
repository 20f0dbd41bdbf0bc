//! What the daemon does, and when.

use std::net::SocketAddr;

use super::source::{Source, Value};
use super::{Given, times, usage};
use crate::clock::{Cron, Window, Zone};
use crate::daemon::{Missed, Schedule, Task, Times};
use crate::error::Result;

const DEFAULT_LISTEN: &str = "127.0.0.1:9187";
/// Instead of an expression: when the window opens.
const WINDOW: &str = "window";

/// As the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct GivenDaemon {
    /// `--run-at`
    pub run: Option<String>,
    /// `--backup-at`
    pub backup: Option<String>,
    /// `--verify-at`
    pub verify: Option<String>,
    /// `--prune-at`
    pub prune: Option<String>,
    /// `--missed`
    pub missed: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
}

/// What the daemon does, and where it is asked how it is.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// What is due when.
    pub schedule: Schedule,
    /// Where it listens; `None` for nowhere.
    pub listen: Option<SocketAddr>,
}

/// The daemon's part, where it is the daemon that is started.
pub(super) fn daemon(
    given: &Given,
    source: &Source<'_>,
    window: Option<&Window>,
) -> Result<Option<DaemonConfig>> {
    let Some(wanted) = &given.daemon else {
        return Ok(None);
    };
    let zone = times::timezone(&given.times, source)?;
    let file = &source.file.daemon;
    let entries = [
        (Task::Run, &wanted.run, &file.run),
        (Task::Backup, &wanted.backup, &file.backup),
        (Task::Verify, &wanted.verify, &file.verify),
        (Task::Prune, &wanted.prune, &file.prune),
    ];
    let mut due = Vec::new();
    for (task, given, file) in entries {
        let flag = format!("{task}-at");
        let value = source.of_daemon(given.as_deref(), &flag, task.name(), file.as_deref());
        if let Some(value) = value {
            due.push((task, times_of(task, &value, zone, window)?));
        }
    }
    if due.is_empty() {
        return Err(usage(
            "the daemon has nothing to do: no task has a time",
            "Give one in [daemon] of safestep.toml, for example backup = \"0 * * * *\", or --backup-at \"0 * * * *\".",
        ));
    }
    let of = |given: &Option<String>, name: &str, file: &Option<String>| {
        source.of_daemon(given.as_deref(), name, name, file.as_deref())
    };
    Ok(Some(DaemonConfig {
        schedule: Schedule {
            times: due,
            window: window.cloned(),
            zone,
            missed: missed(of(&wanted.missed, "missed", &file.missed))?,
        },
        listen: listen(of(&wanted.listen, "listen", &file.listen).as_ref())?,
    }))
}

fn times_of(task: Task, value: &Value, zone: Zone, window: Option<&Window>) -> Result<Times> {
    if task == Task::Run && value.text.trim() == WINDOW {
        return window.cloned().map(Times::Opening).ok_or_else(|| {
            value.wrong(
                "there is no window at whose opening it could run",
                "Set the window as well: window = \"Sun 02:00-04:00\" at the top of safestep.toml, SAFESTEP_WINDOW, or --window.",
            )
        });
    }
    Cron::parse(&value.text, zone)
        .map(|cron| Times::Cron(Box::new(cron)))
        .map_err(|message| {
            let hint = if task == Task::Run {
                "Set a cron expression, or \"window\" for the opening of the window."
            } else {
                "Set a cron expression: minute, hour, day of the month, month, day of the week."
            };
            value.wrong(message, hint)
        })
}

fn missed(value: Option<Value>) -> Result<Missed> {
    let Some(value) = value else {
        return Ok(Missed::default());
    };
    match value.text.as_str() {
        "catch_up" => Ok(Missed::CatchUp),
        "skip" => Ok(Missed::Skip),
        other => Err(value.wrong(
            format!("'{other}' is no way to treat missed times"),
            "Set it to catch_up or skip.",
        )),
    }
}

/// A port of another machine's reach has to be written out.
fn listen(value: Option<&Value>) -> Result<Option<SocketAddr>> {
    let text = value.map_or(DEFAULT_LISTEN, |value| value.text.trim());
    if matches!(text, "" | "none") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let message = format!("'{text}' is no address to listen on");
        let hint = "Give address and port, such as 127.0.0.1:9187 or 0.0.0.0:9187; \"\" or none for nowhere.";
        match value {
            Some(value) => value.wrong(message, hint),
            None => usage(message, hint),
        }
    })
}
