//! The program as a function: arguments in, exit code out. Nothing in here exits.

use std::io::Write;
use std::path::Path;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, Output};
use crate::command::{self, Outcome};
use crate::config::{self, Config, Given, GivenMany, GivenTimes};
use crate::error::{Error, Result};
use crate::job::Context;
use crate::logging;
use crate::progress::Progress;
use crate::report;
use crate::sqlite::Interrupt;
use crate::storage;

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
    let (answer, result) = execute(&cli);
    let exit_code = result.as_ref().err().map_or(0, Error::exit_code);
    let error = result.as_ref().err();
    let words = error.map(|error| report::error_text(error, answer.as_ref()));
    // A closed pipe must not change the outcome of a job that has already ended.
    let _ = match cli.global.output {
        Output::Json => {
            let name = command::name(&cli.command);
            stdout.write_all(report::document(name, answer.as_ref(), error, exit_code).as_bytes())
        }
        Output::Human => stdout.write_all(
            answer
                .map_or_else(String::new, |answer| answer.text)
                .as_bytes(),
        ),
    };
    if let Some(words) = words {
        let _ = stderr.write_all(words.as_bytes());
        leave_note(&words);
    }
    let _ = stdout.flush();
    exit_code
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

fn execute(cli: &Cli) -> Outcome {
    match prepare(cli) {
        Ok((config, runtime)) => runtime.block_on(work(cli, &config)),
        Err(error) => (None, Err(error)),
    }
}

fn prepare(cli: &Cli) -> Result<(Config, tokio::runtime::Runtime)> {
    config::require_text(&|name| std::env::var_os(name))?;
    let config = Config::resolve(&given(cli), &|name| std::env::var(name).ok())?;
    logging::start(&config.log_dir, cli.global.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // What takes long is on this thread, on SQLite's own, or on one of its own beside them.
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::io("start", Path::new("the runtime")))?;
    Ok((config, runtime))
}

fn given(cli: &Cli) -> Given {
    let global = &cli.global;
    Given {
        database: global.database.clone(),
        migrations: global.migrations.clone(),
        backups: global.backups.clone(),
        config: global.config.clone(),
        lock_timeout: global.lock_timeout.clone(),
        keep: global.keep.clone(),
        verify: global.verify.clone(),
        compression: global.compression.clone(),
        log_dir: global.log_dir.clone(),
        create_if_missing: command::creates(&cli.command),
        times: given_times(&cli.command),
        many: command::many(&cli.command).map(|many| GivenMany {
            all: many.all.clone(),
            jobs: many.jobs.clone(),
            max_failures: many.max_failures.clone(),
            shard: many.shard.clone(),
            shards: many.shards.clone(),
        }),
    }
}

fn given_times(command: &Command) -> GivenTimes {
    let limit = command::limit(command);
    let given = command::times(command).map(|times| GivenTimes {
        window: times.window.clone(),
        timezone: times.timezone.clone(),
        wait: times.wait,
        start_anyway: times.start_anyway,
        deadline: times.limit.deadline.clone(),
    });
    given.unwrap_or_else(|| GivenTimes {
        deadline: limit.and_then(|limit| limit.deadline.clone()),
        ..GivenTimes::default()
    })
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
    let fleet = config.fleet.as_ref();
    let outcome = command::dispatch(&cli.command, context, fleet, &cli.global).await;
    drop(progress);
    log(&outcome);
    outcome
}

fn log((answer, result): &Outcome) {
    let outcome = answer
        .as_ref()
        .map_or("failed", |answer| answer.outcome.as_str());
    match result {
        Ok(())
            if matches!(
                outcome,
                "nothing_to_do" | "listed" | "shown" | "healthy" | "planned" | "clean"
            ) =>
        {
            tracing::debug!(outcome, "done");
        }
        Ok(()) => tracing::info!(outcome, "done"),
        Err(error) => {
            tracing::error!(target: logging::OUTCOME, outcome, code = error.code(), exit_code = error.exit_code(), "{error}");
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
