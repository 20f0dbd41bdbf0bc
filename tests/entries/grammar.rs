//! A text as anybody may write it, read as SQL, as a name and as a declaration: it is refused, or what is printed of it
//! means the same, to this program and to SQLite.

use safestep::grammar::{TableText, identifier, literal, unquoted, words};
use safestep::migration::{Dropped, Rename, line_of_rows};
use safestep::sqlite::{Connection, Interrupt, quoted};
use sqlx::{Column, Row};

use super::block_on;

pub fn enter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(words) = words(&text) {
        let mut end = 0;
        for word in words {
            assert!(end <= word.start && word.start < word.end, "{word:?}");
            assert!(text.get(word.start..word.end).is_some(), "{word:?}");
            end = word.end;
        }
    }
    if let Ok(table) = TableText::parse(&text) {
        let mut end = 0;
        for column in &table.columns {
            assert!(end < column.end, "{column:?}");
            assert!(text[..column.end].ends_with(&column.text), "{column:?}");
            end = column.end;
        }
    }
    if let Ok(dropped) = Dropped::parse(&text) {
        let printed = dropped.to_string();
        assert_eq!(Dropped::parse(&printed), Ok(dropped), "{printed}");
    }
    if let Ok(rename) = Rename::parse(&text) {
        let printed = rename.to_string();
        assert_eq!(Rename::parse(&printed), Ok(rename), "{printed}");
    }
    assert!(line_of_rows(&text).starts_with("-- deletes: rows "));
    assert_eq!(unquoted(&quoted(&text)), text);
    if text.len() < 200 && !text.contains('\0') {
        block_on(as_sqlite_reads(&text));
    }
}

async fn as_sqlite_reads(text: &str) {
    let mut connection = Connection::in_memory(&Interrupt::default())
        .await
        .expect("a database");
    let name = identifier(text);
    let sql = format!(
        "SELECT {} AS {name} FROM (SELECT 1 AS {name})",
        literal(text)
    );
    let rows = connection.rows("look", &sql).await.expect("a row");
    assert_eq!(rows[0].get::<String, _>(0), text);
    assert_eq!(rows[0].column(0).name(), text);
    connection.close().await.expect("close");
}
