//! Logs: short lines on standard error, JSON lines in rolling files.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing::{Event, Subscriber};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{
    self, FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::storage;

const FILES_KEPT: usize = 14;
/// How a command ended: for the files only, since standard error gets the error as text.
pub const OUTCOME: &str = "safestep::outcome";
/// How a long job goes on: on standard error also where nobody asked for more than warnings, since a log that is silent for
/// minutes looks like a job that hangs.
pub const WATCH: &str = "safestep::watch";

/// Starts logging. A second call in one process changes nothing.
pub fn start(folder: &Path, verbose: bool) {
    let level = if verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::WARN
    };
    let ours = |level: LevelFilter, outcome: LevelFilter| {
        Targets::new()
            .with_target("safestep", level)
            .with_target(OUTCOME, outcome)
            .with_target(WATCH, LevelFilter::INFO)
    };
    let stderr = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .event_format(Line {
            names_job: !io::stderr().is_terminal(),
        })
        .with_filter(ours(level, LevelFilter::OFF));
    let files = fmt::layer()
        .json()
        // The innermost one, which is the job's, and not the list of all of them as well.
        .with_span_list(false)
        .with_writer(LazyFiles::new(folder))
        .with_filter(ours(LevelFilter::INFO, LevelFilter::INFO));
    // Fails only where a subscriber is set already, as when a test calls `run` twice.
    let _ = tracing_subscriber::registry()
        .with(stderr)
        .with(files)
        .try_init();
}

/// A line for people: what it says comes first, and behind it the job that it is of. On a terminal that is the one that
/// somebody has just started.
struct Line {
    names_job: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:>5} ", event.metadata().level())?;
        context.format_fields(writer.by_ref(), event)?;
        let spans = context.event_scope().filter(|_| self.names_job);
        for span in spans.into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

/// Rolling files that come into being with the first line: a job with nothing to do writes nothing.
struct LazyFiles {
    folder: PathBuf,
    files: OnceLock<Option<RollingFileAppender>>,
}

impl LazyFiles {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            files: OnceLock::new(),
        }
    }

    fn open(&self) -> Option<RollingFileAppender> {
        storage::make_folder(&self.folder).ok()?;
        // Where it cannot be read, the appender would complain on standard error.
        storage::list(&self.folder).ok()?;
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("safestep")
            .filename_suffix("jsonl")
            .max_log_files(FILES_KEPT)
            .build(&self.folder)
            .ok()
    }
}

impl<'w> MakeWriter<'w> for LazyFiles {
    type Writer = Box<dyn io::Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        match self.files.get_or_init(|| self.open()) {
            Some(files) => Box::new(files.make_writer()),
            None => Box::new(io::sink()),
        }
    }
}
