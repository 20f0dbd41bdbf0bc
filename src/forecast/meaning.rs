//! What a statement does to the rows of its table, where that can be said as a SELECT.

use crate::grammar::{Word, unquoted, words};

/// The part of a statement that tells which rows there will be. Texts are those of the script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'t> {
    /// CREATE TABLE … AS
    CreateAs { select: &'t str },
    /// INSERT INTO … SELECT or VALUES
    Insert {
        table: String,
        columns: Option<Vec<String>>,
        select: &'t str,
    },
    /// UPDATE … SET column = expression
    Update {
        table: String,
        sets: Vec<(String, &'t str)>,
        condition: Option<&'t str>,
    },
    /// DELETE FROM
    Delete {
        table: String,
        condition: Option<&'t str>,
    },
    /// Anything else.
    Other,
}

/// Clauses that change which rows a statement is about.
const BEYOND_US: [&str; 7] = [
    "on",
    "returning",
    "indexed",
    "order",
    "limit",
    "from",
    "replace",
];

/// Reads a statement.
pub(super) fn meaning(text: &str) -> Meaning<'_> {
    let Ok(mut list) = words(text) else {
        return Meaning::Other;
    };
    if list.last().is_some_and(|word| word.canonical == ";") {
        list.pop();
    }
    let reader = Reader { text, words: &list };
    let first = list.first().map_or("", |word| word.canonical.as_str());
    match first {
        "create" => reader.create(),
        "insert" => reader.insert(),
        "update" => reader.update(),
        "delete" => reader.delete(),
        _ => None,
    }
    .unwrap_or(Meaning::Other)
}

struct Reader<'t, 'w> {
    text: &'t str,
    words: &'w [Word],
}

impl<'t> Reader<'t, '_> {
    fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| &word.canonical)
    }

    /// The name that a word is.
    fn name(&self, index: usize) -> String {
        unquoted(self.word(index))
    }

    /// The text of the words from one index up to another.
    fn text(&self, from: usize, to: usize) -> Option<&'t str> {
        let (first, last) = (self.words.get(from)?, self.words.get(to.checked_sub(1)?)?);
        self.text.get(first.start..last.end)
    }

    /// Where one of the words stands outside all parentheses, from an index on.
    fn find(&self, from: usize, wanted: &[&str]) -> Option<usize> {
        let mut depth = 0_usize;
        for index in from..self.words.len() {
            match self.word(index) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                word if depth == 0 && wanted.contains(&word) => return Some(index),
                _ => {}
            }
        }
        None
    }

    /// The table's name and the index behind it; `main.` may stand before it.
    fn table(&self, at: usize) -> (String, usize) {
        let qualified = self.word(at) == "main" && self.word(at + 1) == ".";
        let at = if qualified { at + 2 } else { at };
        (self.name(at), at + 1)
    }

    fn create(&self) -> Option<Meaning<'t>> {
        let at = self.find(1, &["as"])?;
        let is_plain_table = self.word(1) == "table" && !(1..at).any(|i| self.word(i) == "(");
        let select = self.text(at + 1, self.words.len())?;
        is_plain_table.then_some(Meaning::CreateAs { select })
    }

    fn insert(&self) -> Option<Meaning<'t>> {
        if self.word(1) != "into" {
            return None;
        }
        let (table, mut at) = self.table(2);
        let mut columns = None;
        if self.word(at) == "(" {
            let end = (at..self.words.len()).find(|i| self.word(*i) == ")")?;
            let names = (at + 1..end).step_by(2).map(|i| self.name(i));
            columns = Some(names.collect());
            at = end + 1;
        }
        let is_query = matches!(self.word(at), "select" | "values" | "with");
        // Behind a FROM, ON may belong to a JOIN; then there is no telling.
        if !is_query || self.find(at, &["on", "returning"]).is_some() && !self.joins(at) {
            return None;
        }
        let select = self.text(at, self.words.len())?;
        Some(Meaning::Insert {
            table,
            columns,
            select,
        })
    }

    fn joins(&self, at: usize) -> bool {
        self.find(at, &["join"]).is_some() && self.find(at, &["conflict", "returning"]).is_none()
    }

    fn update(&self) -> Option<Meaning<'t>> {
        let (table, at) = self.table(1);
        if self.word(at) != "set" || self.find(at, &BEYOND_US).is_some() {
            return None;
        }
        let end = self.find(at, &["where"]).unwrap_or(self.words.len());
        let mut sets = Vec::new();
        let mut start = at + 1;
        while start < end {
            let comma = self
                .find(start, &[","])
                .filter(|at| *at < end)
                .unwrap_or(end);
            if self.word(start + 1) != "=" {
                return None;
            }
            sets.push((self.name(start), self.text(start + 2, comma)?));
            start = comma + 1;
        }
        Some(Meaning::Update {
            table,
            sets,
            condition: self.condition(end),
        })
    }

    fn delete(&self) -> Option<Meaning<'t>> {
        let (table, at) = self.table(2);
        if self.word(1) != "from" || self.find(at, &BEYOND_US).is_some() {
            return None;
        }
        let is_whole = at == self.words.len();
        (is_whole || self.word(at) == "where").then(|| Meaning::Delete {
            table,
            condition: self.condition(at),
        })
    }

    /// What follows a WHERE.
    fn condition(&self, at: usize) -> Option<&'t str> {
        (self.word(at) == "where")
            .then(|| self.text(at + 1, self.words.len()))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_copy_change_or_remove_rows_are_understood() {
        assert_eq!(
            meaning("CREATE TABLE kept AS SELECT rowid AS r, * FROM users;"),
            Meaning::CreateAs {
                select: "SELECT rowid AS r, * FROM users"
            }
        );
        assert_eq!(
            meaning("INSERT INTO \"Users\" (id, \"key\") SELECT a, b FROM kept JOIN x ON x.a = b"),
            Meaning::Insert {
                table: "users".into(),
                columns: Some(vec!["id".into(), "key".into()]),
                select: "SELECT a, b FROM kept JOIN x ON x.a = b",
            }
        );
        assert_eq!(
            meaning("UPDATE users SET a = coalesce(a, 'x, y'), b = 1 WHERE a IS NULL -- why\n;"),
            Meaning::Update {
                table: "users".into(),
                sets: vec![("a".into(), "coalesce(a, 'x, y')"), ("b".into(), "1")],
                condition: Some("a IS NULL"),
            }
        );
        assert_eq!(
            meaning("DELETE FROM main.sessions"),
            Meaning::Delete {
                table: "sessions".into(),
                condition: None
            }
        );
    }

    #[test]
    fn what_is_not_surely_understood_is_left_alone() {
        for text in [
            "INSERT OR IGNORE INTO t SELECT * FROM u",
            "INSERT INTO t SELECT * FROM u ON CONFLICT DO NOTHING",
            "INSERT INTO t DEFAULT VALUES",
            "UPDATE t SET (a, b) = (1, 2)",
            "UPDATE t SET a = u.a FROM u WHERE u.b = t.b",
            "DELETE FROM t WHERE a = 1 RETURNING a",
            "CREATE TABLE t (a AS (1))",
            "CREATE VIEW v AS SELECT 1",
            "WITH x AS (SELECT 1) DELETE FROM t",
        ] {
            assert_eq!(meaning(text), Meaning::Other, "{text}");
        }
    }
}
