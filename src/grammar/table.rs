//! What a CREATE TABLE says.

use sqlite3_parser::ast::fmt::{ToTokens, TokenStream};
use sqlite3_parser::ast::{
    Cmd, ColumnConstraint, ColumnDefinition, CreateTableBody, NamedColumnConstraint,
    NamedTableConstraint, Stmt, TabFlags, TableConstraint,
};
use sqlite3_parser::lexer::sql::{Parser, TokenType};
use sqlite3_parser::{Bump, FallibleIterator};

use super::{Result, canonical_word, not_understood, unquoted, words};

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
    /// The byte offset behind it in the statement.
    pub end: usize,
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

/// SQLite itself has no limit for parentheses; what is made of them here is walked by recursion.
const DEEPEST: usize = 100;

/// How deeply parentheses are nested.
fn depth(sql: &str) -> Result<usize> {
    let (mut now, mut deepest) = (0_usize, 0);
    for word in words(sql)? {
        match word.canonical.as_str() {
            "(" => now += 1,
            ")" => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    Ok(deepest)
}

impl TableText {
    /// Reads a CREATE TABLE statement.
    ///
    /// # Errors
    /// [`NotUnderstood`] where it is none.
    pub fn parse(sql: &str) -> Result<Self> {
        // SQLite's text ends there, and the parser would panic at one in a name.
        if sql.contains('\0') {
            return Err(not_understood("it has a NUL character"));
        }
        if depth(sql)? > DEEPEST {
            return Err(not_understood("its parentheses are nested too deeply"));
        }
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
    /// Whether it says the same as another, in whatever order.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.unordered() == other.unordered()
    }

    /// Name, type and constraints in a form in which their order does not count.
    #[must_use]
    pub fn unordered(&self) -> (String, String, Vec<String>) {
        (
            self.name.to_ascii_lowercase(),
            self.declared_type.clone(),
            unordered(&self.constraints),
        )
    }

    /// Its constraint of a kind.
    #[must_use]
    pub fn constraint(&self, kind: Kind) -> Option<&Constraint> {
        self.constraints
            .iter()
            .find(|constraint| constraint.kind == kind)
    }
}

/// Constraints with their names, sorted.
#[must_use]
pub fn unordered(constraints: &[Constraint]) -> Vec<String> {
    let mut list: Vec<String> = constraints.iter().map(Constraint::full_text).collect();
    list.sort();
    list
}

impl Constraint {
    /// In canonical form, with its name.
    #[must_use]
    pub fn full_text(&self) -> String {
        match &self.name {
            Some(name) => format!("constraint {} {}", name.to_ascii_lowercase(), self.text),
            None => self.text.clone(),
        }
    }
}

/// The first `count` items between the outermost parentheses: columns are always separated by commas.
fn column_texts(sql: &str, count: usize) -> Result<Vec<(String, usize)>> {
    let mut texts = Vec::new();
    let (mut depth, mut start, mut end) = (0_usize, None, 0);
    for word in words(sql)? {
        let splits = depth == 1 && matches!(word.canonical.as_str(), "," | ")");
        if let (true, Some(from)) = (splits && texts.len() < count, start) {
            texts.push((sql[from..end].to_owned(), end));
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

fn column((definition, (text, end)): (&ColumnDefinition<'_>, (String, usize))) -> ColumnText {
    ColumnText {
        name: unquoted(definition.col_name.0),
        declared_type: definition
            .col_type
            .as_ref()
            .map_or_else(String::new, canonical_node),
        constraints: definition.constraints.iter().map(of_column).collect(),
        text,
        end,
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
