//! SQLite's own grammar: what a statement says, whatever its layout. The only user of the parser, a port of SQLite's
//! `tokenize.c` and `parse.y`.

use std::fmt;

use sqlite3_parser::ast::fmt::{ToTokens, TokenStream};
use sqlite3_parser::ast::{
    Cmd, ColumnConstraint, ColumnDefinition, CreateTableBody, NamedColumnConstraint,
    NamedTableConstraint, Stmt, TabFlags, TableConstraint,
};
use sqlite3_parser::lexer::Scanner;
use sqlite3_parser::lexer::sql::{Parser, TokenType, Tokenizer};
use sqlite3_parser::{Bump, FallibleIterator};

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
    /// In canonical form: identifiers without quotes and, like keywords, in lower case; literals as they are.
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
        '"' | '`' | '[' if !after_default => unquoted(word).to_ascii_lowercase(),
        '\'' | '"' => word.to_owned(),
        'x' | 'X' if word[1..].starts_with('\'') => word.to_ascii_lowercase(),
        _ => word.to_ascii_lowercase(),
    }
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

/// What a CREATE TABLE says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableText {
    /// The table's name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnText>,
    /// Its table constraints, in order.
    pub constraints: Vec<Constraint>,
    /// `STRICT`
    pub strict: bool,
    /// `WITHOUT ROWID`
    pub without_rowid: bool,
}

/// What a CREATE TABLE says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnText {
    /// Its name.
    pub name: String,
    /// Its type in canonical form; empty where it has none.
    pub declared_type: String,
    /// Its constraints, in order.
    pub constraints: Vec<Constraint>,
    /// Its definition as it is written, from the name to the last constraint.
    pub text: String,
}

/// A constraint of a column or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The name that CONSTRAINT gives it.
    pub name: Option<String>,
    /// What kind it is.
    pub kind: Kind,
    /// In canonical form, without its name.
    pub text: String,
}

/// The kinds of constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PRIMARY KEY without AUTOINCREMENT
    PrimaryKey,
    /// PRIMARY KEY AUTOINCREMENT
    Autoincrement,
    /// NOT NULL
    NotNull,
    /// UNIQUE
    Unique,
    /// CHECK
    Check,
    /// DEFAULT
    Default,
    /// COLLATE
    Collate,
    /// REFERENCES, FOREIGN KEY
    ForeignKey,
    /// DEFERRABLE, which belongs to the foreign key before it
    Deferrable,
    /// GENERATED ALWAYS AS
    Generated,
    /// NULL, which says nothing
    Null,
}

impl TableText {
    /// Reads a CREATE TABLE statement.
    ///
    /// # Errors
    /// [`NotUnderstood`] where it is none.
    pub fn parse(sql: &str) -> Result<Self> {
        let bump = Bump::new();
        let mut parser = Parser::new(&bump, sql.as_bytes());
        let Some(Cmd::Stmt(Stmt::CreateTable { tbl_name, body, .. })) =
            parser.next().map_err(not_understood)?
        else {
            return Err(not_understood("it is not a CREATE TABLE statement"));
        };
        let CreateTableBody::ColumnsAndConstraints {
            columns,
            constraints,
            flags,
        } = body
        else {
            return Err(not_understood("CREATE TABLE AS lists no columns"));
        };
        let texts = column_texts(sql, columns.len())?;
        Ok(Self {
            name: unquoted(tbl_name.name.0),
            columns: columns.iter().zip(texts).map(column).collect(),
            constraints: constraints
                .unwrap_or_default()
                .iter()
                .map(of_table)
                .collect(),
            strict: flags.contains(TabFlags::Strict),
            without_rowid: flags.contains(TabFlags::WithoutRowid),
        })
    }

    /// The column of that name, whatever its case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnText> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether its rowid is given by AUTOINCREMENT.
    #[must_use]
    pub fn is_autoincrement(&self) -> bool {
        self.all_constraints()
            .any(|constraint| constraint.kind == Kind::Autoincrement)
    }

    /// The constraints of the columns and of the table.
    pub fn all_constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.columns
            .iter()
            .flat_map(|column| &column.constraints)
            .chain(&self.constraints)
    }
}

impl ColumnText {
    /// Its constraint of a kind.
    #[must_use]
    pub fn constraint(&self, kind: Kind) -> Option<&Constraint> {
        self.constraints
            .iter()
            .find(|constraint| constraint.kind == kind)
    }
}

/// The first `count` items between the outermost parentheses: columns are always separated by commas.
fn column_texts(sql: &str, count: usize) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let (mut depth, mut start, mut end) = (0_usize, None, 0);
    for word in words(sql)? {
        let splits = depth == 1 && matches!(word.canonical.as_str(), "," | ")");
        if let (true, Some(from)) = (splits && texts.len() < count, start) {
            texts.push(sql[from..end].to_owned());
            start = None;
        } else if depth >= 1 && start.is_none() {
            start = Some(word.start);
        }
        match word.canonical.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        end = word.end;
    }
    Ok(texts)
}

fn column((definition, text): (&ColumnDefinition<'_>, String)) -> ColumnText {
    ColumnText {
        name: unquoted(definition.col_name.0),
        declared_type: definition
            .col_type
            .as_ref()
            .map_or_else(String::new, canonical_node),
        constraints: definition.constraints.iter().map(of_column).collect(),
        text,
    }
}

fn of_column(named: &NamedColumnConstraint<'_>) -> Constraint {
    Constraint {
        name: named.name.as_ref().map(|name| unquoted(name.0)),
        kind: match &named.constraint {
            ColumnConstraint::PrimaryKey {
                auto_increment: true,
                ..
            } => Kind::Autoincrement,
            ColumnConstraint::PrimaryKey { .. } => Kind::PrimaryKey,
            ColumnConstraint::NotNull { nullable: true, .. } => Kind::Null,
            ColumnConstraint::NotNull { .. } => Kind::NotNull,
            ColumnConstraint::Unique(_) => Kind::Unique,
            ColumnConstraint::Check(_) => Kind::Check,
            ColumnConstraint::Default(_) => Kind::Default,
            ColumnConstraint::Defer(_) => Kind::Deferrable,
            ColumnConstraint::Collate { .. } => Kind::Collate,
            ColumnConstraint::ForeignKey { .. } => Kind::ForeignKey,
            ColumnConstraint::Generated { .. } => Kind::Generated,
        },
        text: canonical_node(&named.constraint),
    }
}

fn of_table(named: &NamedTableConstraint<'_>) -> Constraint {
    Constraint {
        name: named.name.as_ref().map(|name| unquoted(name.0)),
        kind: match &named.constraint {
            TableConstraint::PrimaryKey {
                auto_increment: true,
                ..
            } => Kind::Autoincrement,
            TableConstraint::PrimaryKey { .. } => Kind::PrimaryKey,
            TableConstraint::Unique { .. } => Kind::Unique,
            TableConstraint::Check(..) => Kind::Check,
            TableConstraint::ForeignKey { .. } => Kind::ForeignKey,
        },
        text: canonical_node(&named.constraint),
    }
}

fn canonical_node(node: &impl ToTokens) -> String {
    let mut words = Words::default();
    let Ok(()) = node.to_tokens(&mut words);
    words.0.join(" ")
}

/// Collects a parsed node's words in canonical form.
#[derive(Default)]
struct Words(Vec<String>);

impl TokenStream for Words {
    type Error = std::convert::Infallible;

    fn append(
        &mut self,
        kind: TokenType,
        value: Option<&str>,
    ) -> std::result::Result<(), Self::Error> {
        let after_default = self.0.last().is_some_and(|word| word == "default");
        match value {
            Some(value) if kind == TokenType::TK_BLOB => {
                self.0.push(format!("x'{}'", value.to_ascii_lowercase()));
            }
            Some(value) if value.trim().is_empty() => {}
            Some(value) => {
                self.0.extend(kind.as_str().map(str::to_ascii_lowercase));
                self.0.push(canonical_word(value, after_default));
            }
            None => self.0.extend(kind.as_str().map(str::to_ascii_lowercase)),
        }
        Ok(())
    }
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
    fn a_table_is_read_with_every_column_as_it_is_written() {
        let sql = "CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key\n\
                   n NUMERIC(10, 2) /* money, (net) */ CONSTRAINT positive CHECK (n > 0) DEFAULT 1,\n\
                   up TEXT COLLATE NOCASE GENERATED ALWAYS AS (upper(n)) STORED REFERENCES t(x) ON DELETE CASCADE,\n\
                   UNIQUE (n DESC) ON CONFLICT IGNORE CONSTRAINT pair CHECK (n <> id)) STRICT";
        let table = TableText::parse(sql).expect("a table");
        assert_eq!(table.name, "a b");
        assert!(table.is_autoincrement() && table.strict && !table.without_rowid);
        let texts: Vec<&str> = table.columns.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts[0], "id INTEGER PRIMARY KEY AUTOINCREMENT");
        assert_eq!(
            texts[1],
            "n NUMERIC(10, 2) /* money, (net) */ CONSTRAINT positive CHECK (n > 0) DEFAULT 1"
        );
        let check = table.columns[1].constraint(Kind::Check).expect("a check");
        assert_eq!(
            (check.name.as_deref(), check.text.as_str()),
            (Some("positive"), "check ( n > 0 )")
        );
        let kinds: Vec<Kind> = table.columns[2]
            .constraints
            .iter()
            .map(|c| c.kind)
            .collect();
        assert_eq!(kinds, [Kind::Collate, Kind::Generated, Kind::ForeignKey]);
        let kinds: Vec<Kind> = table.constraints.iter().map(|c| c.kind).collect();
        assert_eq!(kinds, [Kind::Unique, Kind::Check]);
        assert_eq!(table.columns[1].declared_type, "numeric ( 10 , 2 )");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for sql in [
            "",
            "SELECT 1",
            "CREATE TABLE t (",
            "CREATE TABLE t AS SELECT 1",
        ] {
            assert!(TableText::parse(sql).is_err(), "{sql}");
        }
    }
}
