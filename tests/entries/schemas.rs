//! Two schemas as anybody may write them: autogenerate says why not, or the scripts that it writes lead from the one to
//! the other and back, as SQLite itself tells it.
//!
//! The input is two scripts, with a line `===` between them.

use safestep::autogenerate::{Blueprint, ColumnOrder, Decisions, draft};
use safestep::grammar::TableText;
use safestep::schema::{self, Nature, differences};
use safestep::sqlite::{Connection, Interrupt, Scope, run_script};

use super::{block_on, list};

/// Tables, columns, indexes, keys, views and triggers.
const FACTS: &str = "
SELECT lower(l.name) || '|' || l.type || l.wr || l.strict || '|' || lower(x.name) || '|' || upper(x.type) || '|' || x.\"notnull\"
    || '|' || coalesce(x.dflt_value, 'none') || '|' || x.pk || '|' || x.hidden || '|' || x.cid
    FROM pragma_table_list AS l, pragma_table_xinfo(l.name, 'main') AS x
    WHERE l.schema = 'main' AND l.type <> 'view' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
UNION ALL SELECT 'index|' || lower(m.name) || '|' || i.\"unique\" || i.partial || i.origin || '|'
    || (SELECT group_concat(coalesce(lower(t.name), '?') || t.\"desc\" || lower(t.coll))
        FROM pragma_index_xinfo(i.name, 'main') AS t WHERE t.key = 1)
    FROM sqlite_schema AS m, pragma_index_list(m.name, 'main') AS i WHERE m.type = 'table'
UNION ALL SELECT 'foreign|' || lower(m.name) || '|' || lower(f.\"table\") || lower(f.\"from\") || coalesce(lower(f.\"to\"), '')
    || f.on_update || f.on_delete FROM sqlite_schema AS m, pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table'
UNION ALL SELECT type || '|' || lower(name) || '|' || lower(tbl_name) FROM sqlite_schema
    WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
ORDER BY 1";

pub fn enter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Without an end, or with one in a very long time.
    if text.to_ascii_lowercase().contains("recursive") {
        return;
    }
    if let Some((from, to)) = text.split_once("\n===\n") {
        block_on(both(from, to));
    }
}

async fn both(from: &str, to: &str) {
    let (Ok(Ok(old)), Ok(Ok(new))) = (
        Blueprint::of_script(from, &Interrupt::default()).await,
        Blueprint::of_script(to, &Interrupt::default()).await,
    ) else {
        return;
    };
    let mut decisions = Decisions {
        column_order: ColumnOrder::Counts,
        ..Decisions::default()
    };
    for _ in 0..2 {
        for question in decisions.questions(&old, &new) {
            decisions.drop(&question.subject());
        }
    }
    let Some(mut world) = world(&old).await else {
        return;
    };
    let Some(mut target) = self::world(&new).await else {
        return;
    };
    let before = facts(&mut world).await;
    let wanted = facts(&mut target).await;
    match draft(&old, &new, &decisions).await {
        Err(_) => {}
        Ok(None) => assert_eq!(before, wanted, "nothing to do"),
        Ok(Some(draft)) => {
            let story = format!("--- up\n{}\n--- down\n{}", draft.up, draft.down);
            run(&mut world, &draft.up, &story).await;
            assert_eq!(facts(&mut world).await, wanted, "{story}");
            run(&mut world, &draft.down, &story).await;
            assert_eq!(facts(&mut world).await, before, "{story}");
        }
    }
    for connection in [world, target] {
        connection.close().await.expect("close");
    }
}

async fn run(world: &mut Connection, script: &str, story: &str) {
    run_script(world, script, Scope::Transactional)
        .await
        .expect("a connection")
        .unwrap_or_else(|failed| panic!("{failed:?}\n{story}"));
}

/// `None` where the statements as SQLite keeps them do not make the schema again.
async fn world(blueprint: &Blueprint) -> Option<Connection> {
    let mut connection = Connection::in_memory(&Interrupt::default())
        .await
        .expect("a database");
    for object in blueprint.objects() {
        connection.execute(&object.sql).await.ok()?;
    }
    Some(connection)
}

async fn facts(connection: &mut Connection) -> Vec<String> {
    let schema = schema::read(connection).await.expect("its schema");
    assert_eq!(differences(&schema, &schema), []);
    for object in Blueprint::read(connection).await.expect("it").objects() {
        let table = schema.tables.get(&object.name);
        if let (Some(table), Ok(text)) = (table, TableText::parse(&object.sql))
            && table.nature == Nature::Ordinary
            && table.details.unread.is_none()
        {
            let names = |columns: Vec<&String>| columns.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(
                names(table.columns.iter().map(|c| &c.name).collect()),
                names(text.columns.iter().map(|c| &c.name).collect())
            );
        }
    }
    list(connection, FACTS).await
}
