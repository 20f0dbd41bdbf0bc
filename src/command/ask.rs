//! Questions on a terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Asks on standard error; `None` where nobody can answer.
pub(super) fn ask(question: &str) -> Result<Option<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut line = String::new();
    io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().lock().read_line(&mut line))
        .map_err(Error::io("ask on", Path::new("the terminal")))?;
    Ok(Some(line.trim().to_owned()))
}
