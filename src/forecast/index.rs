//! The terms of an index, as a query can group by them.

use crate::grammar::{Word, words};
use crate::schema::{Index, Term};
use crate::sqlite::quoted;

/// The columns of an index, each with its collation; `None` where a term is an expression.
pub(super) fn columns_of(index: &Index) -> Option<Vec<String>> {
    let term = |term: &Term| {
        (!term.is_expression).then(|| format!("{} COLLATE {}", quoted(&term.what), term.collation))
    };
    index.terms.iter().map(term).collect()
}

/// The terms of a CREATE INDEX without their directions, and its WHERE.
pub(super) fn parts(sql: &str) -> Option<(Vec<String>, Option<String>)> {
    let list = words(sql).ok()?;
    let (mut depth, mut start, mut terms) = (0_usize, None, Vec::new());
    for (at, word) in list.iter().enumerate() {
        let ends = depth == 1 && matches!(word.canonical.as_str(), "," | ")");
        if let (true, Some(from)) = (ends, start) {
            let last: &Word = &list[at - 1];
            let directed = matches!(last.canonical.as_str(), "asc" | "desc");
            let end = if directed { list[at - 2].end } else { last.end };
            terms.push(sql.get(from..end)?.to_owned());
            start = None;
        } else if depth == 1 && start.is_none() {
            start = Some(word.start);
        }
        match word.canonical.as_str() {
            "(" => depth += 1,
            ")" if depth == 1 => {
                let condition = list.get(at + 1).filter(|next| next.canonical == "where");
                let text = condition.and_then(|next| sql.get(next.end..));
                return Some((terms, text.map(str::to_owned)));
            }
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_and_the_condition_of_an_index_are_read_as_they_are_written() {
        let sql = "CREATE UNIQUE INDEX i ON t (lower(a) DESC, \"b c\" COLLATE NOCASE, d asc) WHERE a > 'x'";
        let (terms, condition) = parts(sql).expect("an index");
        assert_eq!(terms, ["lower(a)", "\"b c\" COLLATE NOCASE", "d"]);
        assert_eq!(condition.as_deref(), Some(" a > 'x'"));
    }
}
