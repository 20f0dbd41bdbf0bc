//! What a migration may declare to take away, as a person writes it and as a message prints it.

use std::fmt;

use super::items::{find_outside_quotes, split_outside_quotes, unquoted, written};
use crate::grammar::{Kind, TableText};

/// The kinds of things that can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A table, with all that is in it.
    Table,
    /// A column, with the constraints that need it.
    Column,
    /// An index, or what it was before it was made anew.
    Index,
    /// A trigger.
    Trigger,
    /// A view.
    View,
    /// A CHECK.
    Check,
    /// A column's COLLATE.
    Collate,
    /// That a column is generated.
    Generated,
    /// A table's AUTOINCREMENT.
    Autoincrement,
    /// That a table is STRICT.
    Strict,
    /// A table's PRIMARY KEY.
    PrimaryKey,
    /// A UNIQUE constraint.
    Unique,
    /// A FOREIGN KEY.
    ForeignKey,
    /// Its ON DELETE.
    OnDelete,
    /// Its ON UPDATE.
    OnUpdate,
    /// Its DEFERRABLE INITIALLY DEFERRED.
    Deferrable,
    /// The ON CONFLICT of constraints on these columns.
    OnConflict,
    /// Any constraint of a table whose definition cannot be read.
    Constraints,
}

/// How its place is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `table users`
    Name,
    /// `column users.email`
    Member,
    /// `unique users (a, b)`
    Columns,
    /// `check users.positive`, `check users (age > 0)`
    MemberOrExpression,
}

const ALL: [(What, &str, Shape); 18] = [
    (What::Table, "table", Shape::Name),
    (What::Column, "column", Shape::Member),
    (What::Index, "index", Shape::Name),
    (What::Trigger, "trigger", Shape::Name),
    (What::View, "view", Shape::Name),
    (What::Check, "check", Shape::MemberOrExpression),
    (What::Collate, "collate", Shape::Member),
    (What::Generated, "generated", Shape::Member),
    (What::Autoincrement, "autoincrement", Shape::Name),
    (What::Strict, "strict", Shape::Name),
    (What::PrimaryKey, "primary key", Shape::Name),
    (What::Unique, "unique", Shape::Columns),
    (What::ForeignKey, "foreign key", Shape::Columns),
    (What::OnDelete, "on delete", Shape::Columns),
    (What::OnUpdate, "on update", Shape::Columns),
    (What::Deferrable, "deferrable", Shape::Columns),
    (What::OnConflict, "on conflict", Shape::Columns),
    (What::Constraints, "constraints", Shape::Name),
];

/// Which part of the named object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    Whole,
    /// A column, or a constraint by its name.
    Member(String),
    /// Columns.
    Columns(Vec<String>),
    /// A CHECK by its expression in canonical form.
    Expression(String),
}

/// Something that can be lost. Names are in lower case, as SQLite takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// What it is.
    pub what: What,
    /// The table that it is part of, or its own name.
    pub name: String,
    /// Which part of it.
    pub part: Part,
}

impl Dropped {
    /// The whole of a named object.
    #[must_use]
    pub fn whole(what: What, name: &str) -> Self {
        Self {
            what,
            name: name.to_ascii_lowercase(),
            part: Part::Whole,
        }
    }

    /// A member of a table.
    #[must_use]
    pub fn member(what: What, table: &str, member: &str) -> Self {
        Self {
            part: Part::Member(member.to_ascii_lowercase()),
            ..Self::whole(what, table)
        }
    }

    /// Something on columns of a table.
    #[must_use]
    pub fn columns<'c>(
        what: What,
        table: &str,
        columns: impl IntoIterator<Item = &'c String>,
    ) -> Self {
        let columns = columns.into_iter().map(|name| name.to_ascii_lowercase());
        Self {
            part: Part::Columns(columns.collect()),
            ..Self::whole(what, table)
        }
    }

    /// A CHECK, by its expression in canonical form.
    #[must_use]
    pub fn check(table: &str, expression: &str) -> Self {
        Self {
            part: Part::Expression(expression.to_owned()),
            ..Self::whole(What::Check, table)
        }
    }

    /// Reads one item of a `-- drops:` line; the complaint is a sentence for a developer.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(item: &str) -> Result<Self, String> {
        let item = item.trim();
        let (what, word, shape) = ALL
            .into_iter()
            .find(|(_, word, _)| after_word(item, word).is_some())
            .ok_or_else(|| usage(item))?;
        let rest = after_word(item, word).unwrap_or_default();
        place(what, shape, rest)
            .ok_or_else(|| format!("'{item}': write {}", example(word, shape)))?
    }
}

fn after_word<'i>(item: &'i str, word: &str) -> Option<&'i str> {
    let head = item.get(..word.len())?;
    let rest = &item[word.len()..];
    (head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// `None` where it does not have the shape.
fn place(what: What, shape: Shape, text: &str) -> Option<Result<Dropped, String>> {
    let (head, inner) = match find_outside_quotes(text, '(') {
        Some(at) => (
            text[..at].trim(),
            Some(text[at..].strip_prefix('(')?.strip_suffix(')')?),
        ),
        None => (text, None),
    };
    let member = find_outside_quotes(head, '.').map(|at| (&head[..at], &head[at + 1..]));
    match (shape, member, inner) {
        (_, _, _) if head.is_empty() => None,
        (Shape::Name, _, None) => Some(Ok(Dropped::whole(what, &unquoted(head)))),
        (Shape::Member | Shape::MemberOrExpression, Some((table, member)), None)
            if !table.is_empty() && !member.is_empty() =>
        {
            Some(Ok(Dropped::member(
                what,
                &unquoted(table),
                &unquoted(member),
            )))
        }
        (Shape::Columns, _, Some(list)) => {
            let columns: Vec<String> = split_outside_quotes(list)
                .into_iter()
                .map(unquoted)
                .collect();
            Some(Ok(Dropped::columns(what, &unquoted(head), &columns)))
        }
        (Shape::MemberOrExpression, _, Some(text)) => {
            let table = unquoted(head);
            Some(expression(text).map(|expression| Dropped::check(&table, &expression)))
        }
        _ => None,
    }
}

fn example(word: &str, shape: Shape) -> String {
    match shape {
        Shape::Name => format!("'{word} <name>'"),
        Shape::Member => format!("'{word} <table>.<column>'"),
        Shape::Columns => format!("'{word} <table> (<column>, …)'"),
        Shape::MemberOrExpression => {
            format!("'{word} <table>.<name>' or '{word} <table> (<expression>)'")
        }
    }
}

fn usage(item: &str) -> String {
    let examples: Vec<String> = ALL
        .iter()
        .map(|(_, word, shape)| example(word, *shape))
        .collect();
    format!("'{item}': write one of {}", examples.join(", "))
}

/// A CHECK's expression, read as SQLite reads it in a table.
fn expression(text: &str) -> Result<String, String> {
    let table = TableText::parse(&format!("CREATE TABLE t (c CHECK ({text}))"))
        .map_err(|error| format!("'({text})' is not an expression: {error}"))?;
    let mut constraints = table.all_constraints();
    match (constraints.next(), constraints.next()) {
        (Some(check), None) if check.kind == Kind::Check => Ok(check
            .text
            .trim_start_matches("check ( ")
            .strip_suffix(" )")
            .unwrap_or(&check.text)
            .to_owned()),
        _ => Err(format!("'({text})' is not an expression")),
    }
}

/// Canonical text with fewer blanks.
fn airy(text: &str) -> String {
    text.replace("( ", "(")
        .replace(" )", ")")
        .replace(" ,", ",")
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ALL
            .iter()
            .find(|(what, _, _)| *what == self.what)
            .map_or("", |(_, word, _)| word);
        write!(f, "{word} {}", written(&self.name))?;
        match &self.part {
            Part::Whole => Ok(()),
            Part::Member(member) => write!(f, ".{}", written(member)),
            Part::Columns(columns) => {
                let columns: Vec<String> = columns.iter().map(|name| written(name)).collect();
                write!(f, " ({})", columns.join(", "))
            }
            Part::Expression(text) => {
                // Blanks inside of strings count.
                let text = if text.contains(['\'', '"']) {
                    text.clone()
                } else {
                    airy(text)
                };
                write!(f, " ({text})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same_whatever_the_kind() {
        for (what, _, shape) in ALL {
            for name in ["users", "Odd, \"name\".x (y)", "größe"] {
                let list = match shape {
                    Shape::Name => vec![Dropped::whole(what, name)],
                    Shape::Member => vec![Dropped::member(what, name, "a.b, c")],
                    Shape::Columns => vec![Dropped::columns(
                        what,
                        name,
                        &["a".to_owned(), "b, \"c\"".to_owned()],
                    )],
                    Shape::MemberOrExpression => vec![
                        Dropped::member(what, name, "positive"),
                        Dropped::check(name, "length ( a ) > 0 and b in ( 'x,  ( y' , 'z' )"),
                        Dropped::check(name, "a > 0 or ( b is null )"),
                    ],
                };
                for dropped in list {
                    assert_eq!(Dropped::parse(&dropped.to_string()), Ok(dropped));
                }
            }
        }
    }

    #[test]
    fn layout_and_case_do_not_count() {
        assert_eq!(
            Dropped::parse("CHECK Users (Age>0)"),
            Ok(Dropped::check("users", "age > 0"))
        );
        assert_eq!(
            Dropped::parse("unique users(A,b)").map(|dropped| dropped.to_string()),
            Ok("unique users (a, b)".into())
        );
    }

    #[test]
    fn what_has_not_its_shape_is_refused_with_the_shape() {
        for (item, part) in [
            ("users", "one of"),
            ("column users", "'column <table>.<column>'"),
            ("unique users", "'unique <table> (<column>, …)'"),
            ("check users", "'check <table> (<expression>)'"),
            ("check users (age >)", "not an expression"),
            ("foreign users (a)", "one of"),
        ] {
            let complaint = Dropped::parse(item).expect_err(item);
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}
