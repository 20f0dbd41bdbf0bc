//! An `enums.toml` as anybody may write it: it is refused, or what it changes is right the second time, and nothing else
//! is changed.

use safestep::enums::{EnumMap, normalise};
use safestep::schema;
use safestep::sqlite::{Connection, Interrupt};

use super::{Folder, block_on, list};

const TABLES: &str = "
CREATE TABLE users (id INTEGER PRIMARY KEY, role TEXT, state TEXT COLLATE NOCASE, n INTEGER, note TEXT);
INSERT INTO users (role, state, n, note) VALUES
    ('ADMIN', 'on', 1, 'a'), (' admin ', 'ON', 2, 'b'), ('Readonly', 'off', NULL, 'c'), ('viewer', '', 'x', 'd'),
    (NULL, NULL, NULL, NULL), (x'ff00', x'6f6e', 1.5, 'ADMIN'), ('ä', 'Ä', '1', 'on'), ('', 'ON ', 0, '');
CREATE TABLE \"odd \"\"name\" (\"a b\" TEXT UNIQUE);
INSERT INTO \"odd \"\"name\" VALUES ('x'), ('X'), ('y');
";

/// Of the columns that no map of ours may reach.
const REST: &str = "SELECT quote(id) || quote(note) FROM users ORDER BY id";

pub fn enter(data: &[u8]) {
    let folder = Folder::new();
    folder.write("enums.toml", data);
    let Ok(map) = EnumMap::read(&folder.path("")) else {
        return;
    };
    block_on(async {
        let mut connection = Connection::in_memory(&Interrupt::default())
            .await
            .expect("a database");
        connection.run("fill", TABLES).await.expect("tables");
        let schema = schema::read(&mut connection).await.expect("its schema");
        let survey = map
            .survey(&mut connection, &schema)
            .await
            .expect("a survey");
        let rest = list(&mut connection, REST).await;
        let reaches_it = |name: &str| survey.changes.iter().any(|change| change.column == name);
        let is_rest = !reaches_it("id") && !reaches_it("note");
        for change in &survey.changes {
            assert_ne!(change.from, change.to);
            assert!(change.rows > 0);
        }
        if normalise(&mut connection, &survey.changes).await.is_ok() {
            let again = map
                .survey(&mut connection, &schema)
                .await
                .expect("a survey");
            assert_eq!(again.changes, [], "the second time");
            assert_eq!(again.unknown, survey.unknown);
            assert_eq!(again.kept, survey.kept);
        }
        if is_rest {
            assert_eq!(list(&mut connection, REST).await, rest, "other columns");
        }
        connection.close().await.expect("close");
    });
}
