//! A way as the text of a file.

use super::route::{Piece, Route};

const DEFERRED: &str = "-- For runners that enforce foreign keys, such as sqlx-cli: the references are checked at the commit, when all is back.\n\
     PRAGMA defer_foreign_keys = ON;\n";

pub(super) fn script(route: &Route) -> String {
    let mut parts = Vec::new();
    if !route.acted_on.is_empty() {
        let tables: Vec<&str> = route.acted_on.iter().map(String::as_str).collect();
        parts.push(guard(&tables.join(", ")));
    }
    if route.drops_tables {
        parts.push(DEFERRED.to_owned());
    }
    parts.extend(route.pieces.iter().map(piece));
    parts.join("\n")
}

fn piece(piece: &Piece) -> String {
    let comments = piece
        .comments
        .iter()
        .map(|comment| format!("-- {comment}\n"));
    let statements: Vec<String> = piece
        .statements
        .iter()
        .map(|statement| format!("{statement};\n"))
        .collect();
    comments.collect::<String>() + &statements.join("\n")
}

/// A deleted row would take others with it: <https://www.sqlite.org/lang_droptable.html>.
fn guard(tables: &str) -> String {
    format!(
        "-- Other tables refer to {tables} with ON DELETE actions, which a runner that enforces foreign keys carries out when the\n\
         -- table is dropped. This stops such a runner; safestep does not enforce them, and compares them before and after.\n\
         CREATE TEMP TABLE safestep_guard (foreign_keys INTEGER CONSTRAINT foreign_keys_must_be_off CHECK (foreign_keys = 0));\n\n\
         INSERT INTO safestep_guard SELECT foreign_keys FROM pragma_foreign_keys;\n\n\
         DROP TABLE temp.safestep_guard;\n"
    )
}
