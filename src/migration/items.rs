//! Names and lists inside of directives.

use crate::grammar;
use crate::sqlite::quoted;

/// Splits a list at the commas that are neither in quotes nor in parentheses.
pub(super) fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = find_outside_quotes(rest, ',') {
        parts.push(rest[..at].trim());
        rest = &rest[at + 1..];
    }
    parts.push(rest.trim());
    parts
}

/// The first `wanted` that is neither in quotes nor in parentheses.
pub(super) fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0_usize);
    for (at, c) in text.char_indices() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if c == wanted && depth == 0 => return Some(at),
            None => match c {
                '\'' | '"' => quote = Some(c),
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    None
}

pub(super) fn unquoted(name: &str) -> String {
    grammar::unquoted(name.trim())
}

/// A name as it is written in a directive: in quotes where it would be read otherwise.
pub(super) fn written(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// What a `-- deletes:` line says of a table.
#[must_use]
pub fn line_of_rows(table: &str) -> String {
    format!("-- deletes: rows {}", written(table))
}
