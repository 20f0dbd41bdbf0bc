//! A schema as the statements that make it.

use sqlx::Row;

use crate::error::{Error, Result};
use crate::grammar::{self, ColumnText, TableText, canonical};
use crate::sqlite::{
    Connection, Interrupt, OF_APPLICATION, Scope, ScriptFailure, failure_of, run_script,
};

/// What a statement makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A table.
    Table,
    /// A virtual table; its shadow tables belong to its module.
    Virtual,
    /// An index that has a statement of its own.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
}

impl Kind {
    /// The word behind CREATE and DROP.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Table | Self::Virtual => "TABLE",
            Self::Index => "INDEX",
            Self::View => "VIEW",
            Self::Trigger => "TRIGGER",
        }
    }
}

/// One object of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The table or view that it belongs to; its own name for a table.
    pub table: String,
    /// The statement, as SQLite keeps it.
    pub sql: String,
    canonical: String,
}

/// Whether two tables are the same whose columns, or whose constraints, stand in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColumnOrder {
    /// They are: the order is nothing that an application should see.
    #[default]
    Free,
    /// They are not.
    Counts,
}

impl Object {
    /// Whether it makes the same as another, whatever the layout of the text.
    pub(super) fn same_as(&self, other: &Self, order: ColumnOrder) -> bool {
        if self.kind != other.kind {
            return false;
        }
        let reordered = || {
            let tables = (TableText::parse(&self.sql), TableText::parse(&other.sql));
            matches!(tables, (Ok(one), Ok(two)) if unordered(&one) == unordered(&two))
        };
        self.canonical == other.canonical
            || (order == ColumnOrder::Free && self.kind == Kind::Table && reordered())
    }

    /// Whether its statement has this word.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let name = grammar::canonical_name(name);
        grammar::words(&self.sql).is_ok_and(|words| words.iter().any(|word| word.canonical == name))
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

type Unordered = (
    String,
    Vec<(String, String, Vec<String>)>,
    Vec<String>,
    bool,
    bool,
);

fn unordered(table: &TableText) -> Unordered {
    let mut columns: Vec<_> = table.columns.iter().map(ColumnText::unordered).collect();
    columns.sort();
    (
        table.name.to_ascii_lowercase(),
        columns,
        grammar::unordered(&table.constraints),
        table.strict,
        table.without_rowid,
    )
}

/// A schema as statements, in the order in which they were run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blueprint {
    objects: Vec<Object>,
}

impl Blueprint {
    /// Reads the schema of `main`, without the tables of SQLite and of the migrators.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn read(connection: &mut Connection) -> Result<Self> {
        let doing = "read the schema";
        let mut objects = Vec::new();
        let sql = format!(
            "SELECT m.type, m.name, m.tbl_name, m.sql, coalesce(l.type, '') FROM main.sqlite_schema AS m \
             LEFT JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = m.name AND m.type = 'table' \
             WHERE m.sql IS NOT NULL AND {OF_APPLICATION} AND coalesce(l.type, '') <> 'shadow' ORDER BY m.rowid"
        );
        for row in connection.rows(doing, &sql).await? {
            let text = |index: usize| {
                row.try_get_unchecked::<String, _>(index)
                    .map_err(|error| Error::sqlite(doing)(failure_of(&error)))
            };
            let (sort, sql) = (text(0)?, text(3)?);
            let kind = match (sort.as_str(), text(4)?.as_str()) {
                ("table", "virtual") => Kind::Virtual,
                ("table", _) => Kind::Table,
                ("index", _) => Kind::Index,
                ("view", _) => Kind::View,
                _ => Kind::Trigger,
            };
            let canonical = canonical(&sql).unwrap_or_else(|_| sql.clone());
            objects.push(Object {
                kind,
                name: text(1)?,
                table: text(2)?,
                sql,
                canonical,
            });
        }
        Ok(Self { objects })
    }

    /// What a script makes of an empty database.
    ///
    /// # Errors
    /// The outer error is ours, the inner one the script's.
    pub async fn of_script(
        script: &str,
        interrupt: &Interrupt,
    ) -> Result<std::result::Result<Self, ScriptFailure>> {
        let mut connection = Connection::in_memory(interrupt).await?;
        let built = run_script(&mut connection, script, Scope::NonTransactional).await?;
        let blueprint = match built {
            Ok(_) => Ok(Self::read(&mut connection).await?),
            Err(failed) => {
                interrupt.check()?;
                Err(failed)
            }
        };
        connection.close().await?;
        Ok(blueprint)
    }

    /// All objects.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Those of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(move |object| object.kind == kind)
    }

    /// The table of that name, virtual or not.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Object> {
        self.objects
            .iter()
            .find(|o| matches!(o.kind, Kind::Table | Kind::Virtual) && o.is_named(name))
    }

    /// The object of that kind and name.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.of_kind(kind).find(|object| object.is_named(name))
    }

    /// The statements as a script: tables and what belongs to them by name, views as they were made.
    #[must_use]
    pub fn script(&self) -> String {
        let mut objects: Vec<&Object> = self.objects.iter().collect();
        objects.sort_by(|a, b| {
            let views_as_made = |o: &Object| match o.kind {
                Kind::View => String::new(),
                _ => o.name.clone(),
            };
            (a.kind, views_as_made(a)).cmp(&(b.kind, views_as_made(b)))
        });
        let statements: Vec<String> = objects
            .iter()
            .map(|object| format!("{};\n", object.sql))
            .collect();
        statements.join("\n")
    }

    /// In what it differs from another: each object's name, and what is the matter.
    #[must_use]
    pub fn differences(&self, target: &Self, order: ColumnOrder) -> Vec<(Kind, String, Change)> {
        let mut list = Vec::new();
        for wanted in &target.objects {
            match self.get(wanted.kind, &wanted.name) {
                None => list.push((wanted.kind, wanted.name.clone(), Change::Missing)),
                Some(found) if !found.same_as(wanted, order) => {
                    list.push((wanted.kind, wanted.name.clone(), Change::Different));
                }
                Some(_) => {}
            }
        }
        for found in &self.objects {
            if target.get(found.kind, &found.name).is_none() {
                list.push((found.kind, found.name.clone(), Change::Extra));
            }
        }
        list
    }
}

/// How an object differs from the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The target has it.
    Missing,
    /// The target has it otherwise.
    Different,
    /// The target does not have it.
    Extra,
}
