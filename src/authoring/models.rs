//! Targets that come from an application's models. A model says what its tables, columns and indexes are; of views,
//! triggers and values that the database fills in it says nothing, and saying nothing does not mean "drop it".

use crate::autogenerate::{Blueprint, Kind};
use crate::error::{Error, Problem, Result};
use crate::grammar::{self, TableText};
use crate::sqlite::Interrupt;

/// The target with what the models do not mention, as it is at head: views, triggers, and defaults of columns.
///
/// # Errors
/// [`Error::Usage`] where the two cannot be put together.
pub async fn with_unmentioned(target: &Blueprint, head: &Blueprint) -> Result<Blueprint> {
    let mut statements = Vec::new();
    for object in target.objects() {
        let old = head.table(&object.name).map(|old| old.sql.as_str());
        statements.push(match (object.kind, old) {
            (Kind::Table, Some(old)) => with_defaults(&object.sql, old),
            _ => object.sql.clone(),
        });
    }
    for kind in [Kind::View, Kind::Trigger] {
        let unmentioned = head
            .of_kind(kind)
            .filter(|object| target.get(kind, &object.name).is_none())
            .filter(|object| kind == Kind::View || target.table(&object.table).is_some());
        statements.extend(unmentioned.map(|object| object.sql.clone()));
    }
    let script = statements.join(";\n");
    Blueprint::of_script(&script, &Interrupt::default())
        .await?
        .map_err(|failed| Error::Usage {
            message: format!(
                "{}",
                Problem::new(
                    "a view or trigger of the migrations does not go with the models",
                    format!("{}: {}", failed.failure.message, failed.excerpt)
                )
            ),
            hint: "Drop it in a migration of its own first, or leave --models away.".into(),
        })
}

/// A column without DEFAULT keeps the one it has.
fn with_defaults(sql: &str, old: &str) -> String {
    let (Ok(new), Ok(old)) = (TableText::parse(sql), TableText::parse(old)) else {
        return sql.to_owned();
    };
    let mut text = sql.to_owned();
    for column in new.columns.iter().rev() {
        let has_own = column.constraint(grammar::Kind::Default).is_some();
        let before = old.column(&column.name);
        let default = before.and_then(|column| column.constraint(grammar::Kind::Default));
        if let (false, Some(default)) = (has_own, default) {
            text.insert_str(column.end, &format!(" {}", default.text));
        }
    }
    text
}
