//! The `safestep` program. Everything is in the library.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    // What is created without a mode of its own, such as a log file, is private, too.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    ExitCode::from(safestep::app::run(
        std::env::args_os(),
        &mut stdout,
        &mut stderr,
    ))
}
