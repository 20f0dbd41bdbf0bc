//! Asking before something is done: on a terminal; elsewhere `--yes` is wanted.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::{Error, Result};

/// Fails unless it was confirmed; `what` is the thing to be done.
pub(super) fn require(what: &str, yes: bool, question: impl FnOnce() -> String) -> Result<()> {
    if yes || confirmed(question)? {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!("the {what} was not confirmed"),
        hint: "Answer yes, or give --yes.".into(),
    })
}

fn confirmed(question: impl FnOnce() -> String) -> Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let question = format!("{} [yes/no] ", question());
    let mut line = String::new();
    io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().lock().read_line(&mut line))
        .map_err(Error::io("ask on", std::path::Path::new("the terminal")))?;
    Ok(matches!(line.trim(), "y" | "yes"))
}
