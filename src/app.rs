//! The program as a function: arguments in, exit code out. Nothing in here exits.

use std::io::Write;
use std::path::Path;

use clap::Parser;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Output};
use crate::command::{self, Outcome};
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::job::Context;
use crate::logging;
use crate::progress::Progress;
use crate::report::{self, Told};
use crate::sqlite::Interrupt;
use crate::storage;
use crate::telling;

/// Kubernetes shows what a container writes here (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Runs the program.
pub fn run<I, A>(args: I, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8
where
    I: IntoIterator<Item = A>,
    A: Into<std::ffi::OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, stdout, stderr),
    };
    let Ended {
        outcome: (answer, result),
        ready,
    } = execute(&cli);
    let exit_code = result.as_ref().err().map_or(0, Error::exit_code);
    let error = result.as_ref().err();
    let flags = ready.as_ref().map_or_else(String::new, Ready::flags);
    let words = error.map(|error| report::error_text(error, answer.as_ref(), &flags));
    // A closed pipe must not change the outcome of a job that has already ended.
    let _ = match cli.global.output {
        Output::Json => {
            let name = command::name(&cli.command);
            let document = report::document(name, answer.as_ref(), error, exit_code, &flags);
            stdout.write_all(document.as_bytes())
        }
        Output::Human => {
            let text = answer.as_ref().map_or("", |answer| answer.text.as_str());
            stdout.write_all(text.as_bytes())
        }
    };
    if let Some(words) = words {
        let _ = stderr.write_all(words.as_bytes());
        leave_note(&words);
    }
    let _ = stdout.flush();
    let name = command::name(&cli.command);
    match (ready, answer.and_then(|answer| answer.told), error) {
        (Some(ready), Some(told), _) => {
            let telling = telling::of_jobs(name, &ready.config, &told, error);
            ready.runtime.block_on(telling);
        }
        (None, _, Some(error)) if command::is_job(&cli.command) => {
            for line in tell_of_refusal(&cli, error) {
                let _ = writeln!(stderr, "warning: {line}");
            }
        }
        _ => {}
    }
    exit_code
}

/// Where the configuration is wrong, as far as it says whom to tell.
fn tell_of_refusal(cli: &Cli, error: &Error) -> Vec<String> {
    let env = |name: &str| std::env::var(name).ok();
    let Some((outlets, database)) = Config::resolve_outlets(&command::given(cli), &env) else {
        return Vec::new();
    };
    let name = command::name(&cli.command);
    let telling = telling::of_refusal(name, &outlets, database.as_deref(), error);
    match runtime() {
        Ok(runtime) => runtime.block_on(telling),
        Err(error) => vec![format!("nobody was told: {error}")],
    }
}

fn usage(error: &clap::Error, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8 {
    let text = error.render().to_string();
    if error.use_stderr() {
        let _ = stderr.write_all(text.as_bytes());
        return 2;
    }
    let _ = stdout.write_all(text.as_bytes());
    0
}

fn leave_note(words: &str) {
    let path = Path::new(TERMINATION_LOG);
    if path.exists() {
        let _ = storage::write_existing(path, words);
    }
}

/// What a command needs to run.
struct Ready {
    config: Config,
    runtime: Runtime,
}

impl Ready {
    /// What a command must be followed by to mean the same database; of many, each has its own.
    fn flags(&self) -> String {
        match self.config.fleet {
            Some(_) => String::new(),
            None => self.config.settings.flags(),
        }
    }
}

/// How a command ended; `ready` is missing where it could not begin.
struct Ended {
    outcome: Outcome,
    ready: Option<Ready>,
}

fn execute(cli: &Cli) -> Ended {
    match prepare(cli) {
        Ok(ready) => Ended {
            outcome: ready.runtime.block_on(work(cli, &ready.config)),
            ready: Some(ready),
        },
        Err(error) => Ended {
            outcome: (None, Err(error)),
            ready: None,
        },
    }
}

fn prepare(cli: &Cli) -> Result<Ready> {
    config::require_text(&|name| std::env::var_os(name))?;
    let config = load(cli)()?;
    logging::start(&config.log_dir, cli.global.verbose);
    Ok(Ready {
        config,
        runtime: runtime()?,
    })
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        // What takes long is on this thread, on SQLite's own, or on one of its own beside them.
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::io("start", Path::new("the runtime")))
}

/// Reads the configuration, as often as it is asked to.
fn load(cli: &Cli) -> command::Load {
    let given = command::given(cli);
    Box::new(move || Config::resolve(&given, &|name| std::env::var(name).ok()))
}

async fn work(cli: &Cli, config: &Config) -> Outcome {
    let interrupt = Interrupt::default();
    if let Err(error) = listen(&interrupt) {
        return (None, Err(error));
    }
    let progress = Progress::new(cli.global.verbose);
    let context = Context {
        settings: &config.settings,
        interrupt: &interrupt,
        monitor: &progress,
    };
    let outcome = command::dispatch(&cli.command, context, config, &cli.global, load(cli)).await;
    drop(progress);
    log(&outcome);
    outcome
}

fn log((answer, result): &Outcome) {
    let outcome = answer
        .as_ref()
        .map_or("failed", |answer| answer.outcome.as_str());
    let told = answer.as_ref().and_then(|answer| answer.told.as_ref());
    let _span = told.and_then(Told::span).map(tracing::Span::entered);
    match result {
        Ok(())
            if matches!(
                outcome,
                "nothing_to_do"
                    | "would_prune"
                    | "listed"
                    | "shown"
                    | "healthy"
                    | "planned"
                    | "clean"
            ) =>
        {
            tracing::debug!(outcome, "done");
        }
        Ok(()) => tracing::info!(outcome, "done"),
        Err(error) => {
            tracing::error!(target: logging::OUTCOME, outcome, code = error.code(), exit_code = error.exit_code(), "{}", error.discreet());
        }
    }
}

/// SIGTERM and SIGINT ask the job to stop; it rolls back, proves it, and ends.
fn listen(interrupt: &Interrupt) -> Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut stream = signal(kind).map_err(Error::io("listen for", Path::new("signals")))?;
        let interrupt = interrupt.clone();
        tokio::spawn(async move {
            if stream.recv().await.is_some() {
                interrupt.raise(kind.as_raw_value());
            }
        });
    }
    Ok(())
}
