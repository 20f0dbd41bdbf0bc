//! What a migration declares to rename.

use std::fmt;

use super::items::{find_outside_quotes, unquoted, written};

/// A table or column that goes on under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rename {
    /// `table a to b`
    Table {
        /// Its name before.
        from: String,
        /// Its name from then on.
        to: String,
    },
    /// `column t.a to b`
    Column {
        /// Its table.
        table: String,
        /// Its name before.
        from: String,
        /// Its name from then on.
        to: String,
    },
}

impl Rename {
    /// Reads one item of a `-- renames:` line.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(item: &str) -> Result<Self, String> {
        let usage = || {
            format!(
                "'{item}': write 'table <name> to <new name>' or 'column <table>.<column> to <new name>'"
            )
        };
        let (kind, rest) = item.trim().split_once(' ').ok_or_else(usage)?;
        let (from, to) = split_at_to(rest).ok_or_else(usage)?;
        let to = unquoted(to).to_ascii_lowercase();
        match (kind, find_outside_quotes(from, '.')) {
            (_, _) if to.is_empty() => Err(usage()),
            ("table", None) => Ok(Self::Table {
                from: unquoted(from).to_ascii_lowercase(),
                to,
            }),
            ("column", Some(at)) => Ok(Self::Column {
                table: unquoted(&from[..at]).to_ascii_lowercase(),
                from: unquoted(&from[at + 1..]).to_ascii_lowercase(),
                to,
            }),
            _ => Err(usage()),
        }
    }
}

/// What stands before and behind the first ` to ` that is not part of a quoted name.
fn split_at_to(text: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    while let Some(at) = find_outside_quotes(&text[start..], ' ') {
        let (before, rest) = text.split_at(start + at);
        if let Some(behind) = rest.strip_prefix(" to ") {
            return Some((before, behind));
        }
        start += at + 1;
    }
    None
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { from, to } => write!(f, "table {} to {}", written(from), written(to)),
            Self::Column { table, from, to } => write!(
                f,
                "column {}.{} to {}",
                written(table),
                written(from),
                written(to)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        for line in [
            "table a to b",
            "column \"a b\".c to \"to do\"",
            "table \"a to b\" to \"b to c\"",
        ] {
            let rename = Rename::parse(line).expect("a renaming");
            assert_eq!(rename.to_string(), line);
        }
        assert!(Rename::parse("column a to b").is_err());
        assert!(Rename::parse("table a b").is_err());
    }
}
