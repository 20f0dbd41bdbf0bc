//! Questions on a terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Fails unless it was confirmed: on a terminal by an answer, elsewhere by `--yes`; `what` is the thing to be done.
pub(super) fn require(what: &str, yes: bool, question: impl FnOnce() -> String) -> Result<()> {
    if yes {
        return Ok(());
    }
    match ask(|| format!("{} [yes/no] ", question()))?.as_deref() {
        Some("y" | "yes") => Ok(()),
        _ => Err(Error::Usage {
            message: format!("the {what} was not confirmed"),
            hint: "Answer yes, or give --yes.".into(),
        }),
    }
}

/// Asks on standard error; `None` where nobody can answer, or the answers have come to an end.
pub(super) fn ask(question: impl FnOnce() -> String) -> Result<Option<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut line = String::new();
    let length = io::stderr()
        .write_all(question().as_bytes())
        .and_then(|()| io::stdin().lock().read_line(&mut line))
        .map_err(Error::io("ask on", Path::new("the terminal")))?;
    Ok((length > 0).then(|| line.trim().to_owned()))
}
