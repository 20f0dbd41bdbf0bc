//! Logs: short lines on standard error, JSON lines in rolling files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
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
        .with_target(false)
        .compact()
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
