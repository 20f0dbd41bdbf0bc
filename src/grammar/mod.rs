//! SQLite's own grammar: what a statement says, whatever its layout. The only user of the parser, a port of SQLite's
//! `tokenize.c` and `parse.y`.

mod table;

use std::fmt;

use sqlite3_parser::lexer::Scanner;
use sqlite3_parser::lexer::sql::{TokenType, Tokenizer};

use crate::sqlite::quoted;

pub use table::{ColumnText, Constraint, Kind, TableText, unordered};

/// A text that is no statement of SQLite's grammar, or not of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    /// What the parser says.
    pub message: String,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

type Result<T> = std::result::Result<T, NotUnderstood>;

fn not_understood(error: impl fmt::Display) -> NotUnderstood {
    NotUnderstood {
        message: error.to_string(),
    }
}

/// One word of a statement: everything but blanks and comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// In canonical form: identifiers as [`canonical_name`] writes them, keywords in lower case, literals as they are.
    pub canonical: String,
    /// Byte offset at which it starts.
    pub start: usize,
    /// Byte offset behind it.
    pub end: usize,
}

/// The words of a text.
///
/// # Errors
/// [`NotUnderstood`] where a quote or a comment does not end, or a character is none of SQL's.
pub fn words(sql: &str) -> Result<Vec<Word>> {
    let mut scanner = Scanner::new(Tokenizer::new());
    let mut list: Vec<Word> = Vec::new();
    loop {
        let (start, token, end) = scanner.scan(sql.as_bytes()).map_err(not_understood)?;
        if token.is_none() {
            return Ok(list);
        }
        let after_default = list.last().is_some_and(|word| word.canonical == "default");
        list.push(Word {
            canonical: canonical_word(&sql[start..end], after_default),
            start,
            end,
        });
    }
}

/// How many statements a script has. As for the sqlite3 shell, that of a trigger ends with `; END;`.
///
/// # Errors
/// As [`words`].
pub fn count_statements(sql: &str) -> Result<usize> {
    let mut scanner = Scanner::new(Tokenizer::new());
    let (mut count, mut length) = (0, 0_usize);
    let (mut creates, mut is_trigger) = (false, false);
    let mut last = [TokenType::TK_SEMI; 2];
    while let (_, Some((_, token)), _) = scanner.scan(sql.as_bytes()).map_err(not_understood)? {
        creates |= token == TokenType::TK_CREATE && length == 0;
        is_trigger |= token == TokenType::TK_TRIGGER && creates && length <= 2;
        if token != TokenType::TK_SEMI {
            length += 1;
        } else if length > 0 && (!is_trigger || last == [TokenType::TK_SEMI, TokenType::TK_END]) {
            count += 1;
            length = 0;
            (creates, is_trigger) = (false, false);
        }
        last = [last[1], token];
    }
    Ok(count + usize::from(length > 0))
}

/// A statement in canonical form: two statements that differ only in blanks, comments, the case of keywords and
/// identifiers, or the quotes of identifiers, have the same.
///
/// # Errors
/// As [`words`].
pub fn canonical(sql: &str) -> Result<String> {
    let words: Vec<String> = words(sql)?.into_iter().map(|word| word.canonical).collect();
    Ok(words.join(" "))
}

/// After DEFAULT a double-quoted word is a string (<https://www.sqlite.org/quirks.html#dblquote>).
fn canonical_word(word: &str, after_default: bool) -> String {
    let quote = word.chars().next().unwrap_or(' ');
    match quote {
        '"' | '`' | '[' if !after_default => canonical_name(&unquoted(word)),
        '\'' | '"' => word.to_owned(),
        _ => word.to_ascii_lowercase(),
    }
}

/// A name in canonical form: in lower case, and in quotes where it would be read as something else without them.
#[must_use]
pub fn canonical_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if means_itself(&name) {
        name
    } else {
        quoted(&name)
    }
}

/// Many keywords are names, too, where SQLite expects one.
fn means_itself(name: &str) -> bool {
    let of_a_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    let is_a_column = || {
        TableText::parse(&format!("CREATE TABLE t ({name})"))
            .is_ok_and(|table| matches!(table.columns.as_slice(), [one] if one.name == name))
    };
    is_plain_identifier(name) || (name.chars().all(of_a_word) && is_a_column())
}

/// An identifier without its quotes.
#[must_use]
pub fn unquoted(word: &str) -> String {
    let inner = |quote: char| {
        word.strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
            .map(|inner| inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
    };
    let bracketed = || {
        word.strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .map(str::to_owned)
    };
    inner('"')
        .or_else(|| inner('`'))
        .or_else(|| inner('\''))
        .or_else(bracketed)
        .unwrap_or_else(|| word.to_owned())
}

/// A name as it is written in a statement: with quotes only where SQLite needs them.
#[must_use]
pub fn identifier(name: &str) -> String {
    if is_plain_identifier(name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn is_plain_identifier(name: &str) -> bool {
    let mut scanner = Scanner::new(Tokenizer::new());
    let is_one_word = matches!(
        scanner.scan(name.as_bytes()),
        Ok((_, Some((word, TokenType::TK_ID)), _)) if word.len() == name.len()
    );
    is_one_word && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A text as a string literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_case_quotes_and_comments_do_not_count_and_strings_do() {
        let plain = canonical("CREATE TABLE users (name TEXT DEFAULT 'x', b BLOB DEFAULT X'AB')");
        let odd = canonical(
            "create  table \"Users\"(\n[name] text default 'x', -- why\n `b` blob default x'ab')",
        );
        assert_eq!(plain, odd);
        assert_ne!(
            plain,
            canonical("CREATE TABLE users (name TEXT DEFAULT 'X', b BLOB DEFAULT X'AB')")
        );
        assert_ne!(canonical("DEFAULT \"x\""), canonical("DEFAULT \"X\""));
    }

    #[test]
    fn a_name_keeps_its_quotes_where_it_would_be_read_as_something_else_without_them() {
        for (written, read) in [
            ("\"Key\" > 0", "key > 0"),
            ("[größe] > 0", "größe > 0"),
            ("`a b` > 0", "\"a b\" > 0"),
            ("\"order\" > \",\"", "\"order\" > \",\""),
        ] {
            assert_eq!(canonical(written).as_deref(), Ok(read));
            assert_eq!(canonical(read).as_deref(), Ok(read));
        }
    }

    #[test]
    fn a_trigger_is_one_statement_and_comments_and_empty_ones_are_none() {
        for (sql, count) in [
            ("", 0),
            ("-- nothing\n;;", 0),
            ("SELECT ';'; SELECT 2", 2),
            (
                "CREATE TABLE t (a); CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN \
                 SELECT CASE WHEN 1 THEN 2 END; SELECT 2; END; -- end\nDROP TABLE t;",
                3,
            ),
            ("DROP TRIGGER g; DROP TABLE t;", 2),
        ] {
            assert_eq!(count_statements(sql), Ok(count), "{sql}");
        }
    }

    #[test]
    fn names_get_quotes_where_they_need_them() {
        let names = [
            "users",
            "t",
            "_a1",
            "key",
            "a b",
            "1st",
            "say \"x\"",
            "größe",
            "",
        ];
        let written: Vec<String> = names.iter().map(|name| identifier(name)).collect();
        let expected = [
            "users",
            "t",
            "_a1",
            "\"key\"",
            "\"a b\"",
            "\"1st\"",
            "\"say \"\"x\"\"\"",
            "\"größe\"",
            "\"\"",
        ];
        assert_eq!(written, expected);
        assert_eq!(literal("it's"), "'it''s'");
    }
}
