//! `completions` and `man`, made from the command line's own definition.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::{Error, Result};
use crate::report::Answer;

/// The completion script for a shell.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "safestep", &mut script);
    text(&script)
}

/// The manual page, in roff.
pub fn man() -> Result<Answer> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(Error::io("render", std::path::Path::new("the manual page")))?;
    Ok(text(&page))
}

fn text(bytes: &[u8]) -> Answer {
    Answer::new(
        "shown",
        &serde_json::json!({}),
        String::from_utf8_lossy(bytes).into_owned(),
    )
}
