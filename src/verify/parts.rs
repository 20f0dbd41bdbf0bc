//! Everything that a schema holds and can lose, part by part.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar;
use crate::migration::{Dropped, What};
use crate::schema::{Column, ForeignKey, Index, Nature, Schema, Table};

/// What `PRAGMA table_xinfo` says of them in `hidden`.
const GENERATED_VIRTUAL: i64 = 2;
const GENERATED_STORED: i64 = 3;

/// One part.
pub(super) struct Held {
    /// How a declaration may name it as well, and how messages do.
    pub(super) shown: Dropped,
    /// In words, where the name alone does not say it.
    pub(super) words: Option<String>,
    /// What it is made of: a part that is there but lacks one of these has lost it.
    pub(super) facets: BTreeSet<String>,
    /// What takes it along.
    pub(super) within: Vec<Dropped>,
}

impl Held {
    fn new(shown: &Dropped, within: Vec<Dropped>) -> Self {
        Self {
            shown: shown.clone(),
            words: None,
            facets: BTreeSet::new(),
            within,
        }
    }
}

/// The parts by name.
pub(super) type Parts = BTreeMap<Dropped, Held>;

pub(super) fn parts(schema: &Schema) -> Parts {
    let mut parts = Parts::new();
    let tables = schema.tables.iter();
    for (name, table) in tables.filter(|(_, table)| table.nature != Nature::Shadow) {
        add_table(&mut parts, schema, name, table);
    }
    for view in schema.views.keys() {
        add(&mut parts, Dropped::whole(What::View, view), Vec::new());
    }
    for (name, trigger) in &schema.triggers {
        let on_a_table = schema.tables.contains_key(&trigger.table);
        let owner = if on_a_table { What::Table } else { What::View };
        let owner = Dropped::whole(owner, &trigger.table);
        add(&mut parts, Dropped::whole(What::Trigger, name), vec![owner]);
    }
    parts
}

fn add(parts: &mut Parts, part: Dropped, within: Vec<Dropped>) -> &mut Held {
    let held = Held::new(&part, within);
    parts.entry(part).or_insert(held)
}

fn add_table(parts: &mut Parts, schema: &Schema, name: &str, table: &Table) {
    let whole = Dropped::whole(What::Table, name);
    add(parts, whole.clone(), Vec::new());
    for column in &table.columns {
        add_column(parts, name, column);
    }
    for (index_name, index) in &table.indexes {
        if index.created {
            let part = Dropped::whole(What::Index, index_name);
            let held = add(parts, part, vec![whole.clone()]);
            held.words = Some(format!("{index} of {name}"));
            held.facets = index_facets(table, index);
        } else if !index_name.starts_with("PRIMARY KEY") {
            add_unique(parts, name, table, index);
        }
    }
    for key in &table.foreign_keys {
        add_foreign_key(parts, name, key, &parent_columns(schema, key));
    }
    add_primary_key(parts, name, table);
    add_details(parts, name, table);
}

fn needs<'c>(table: &str, columns: impl IntoIterator<Item = &'c String>) -> Vec<Dropped> {
    let columns = columns
        .into_iter()
        .map(|column| Dropped::member(What::Column, table, column));
    std::iter::once(Dropped::whole(What::Table, table))
        .chain(columns)
        .collect()
}

fn add_column(parts: &mut Parts, table: &str, column: &Column) {
    let name = &column.name;
    let whole = Dropped::whole(What::Table, table);
    add(
        parts,
        Dropped::member(What::Column, table, name),
        vec![whole],
    );
    if let Some(collation) = &column.collation {
        let part = Dropped::member(What::Collate, table, name);
        let held = add(parts, part, needs(table, [name]));
        held.words = Some(format!("COLLATE {collation} of {table}.{name}"));
        held.facets = BTreeSet::from([collation.clone()]);
    }
    if matches!(column.hidden, GENERATED_VIRTUAL | GENERATED_STORED) {
        let part = Dropped::member(What::Generated, table, name);
        let held = add(parts, part, needs(table, [name]));
        held.words = Some(format!("that {table}.{name} is a generated column"));
    }
}

/// The terms with their collations where these are not the columns' own: what a column's COLLATE says is that column's.
fn terms(table: &Table, index: &Index) -> String {
    let shown = index.terms.iter().map(|term| {
        let own = table
            .column(&term.what)
            .and_then(|column| column.collation.as_deref())
            .unwrap_or("binary");
        let collate = if term.is_expression || term.collation.eq_ignore_ascii_case(own) {
            String::new()
        } else {
            format!(" collate {}", term.collation.to_ascii_lowercase())
        };
        let direction = if term.descending { " desc" } else { "" };
        format!("{}{collate}{direction}", term.what.to_ascii_lowercase())
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn index_facets(table: &Table, index: &Index) -> BTreeSet<String> {
    let filter = match &index.filter {
        Some(filter) => format!("where {filter}"),
        None => "every row".to_owned(),
    };
    let unique = index.unique.then(|| "unique".to_owned());
    unique
        .into_iter()
        .chain([format!("({})", terms(table, index)), filter])
        .collect()
}

fn add_unique(parts: &mut Parts, name: &str, table: &Table, index: &Index) {
    let columns: Vec<&String> = index.terms.iter().map(|term| &term.what).collect();
    let part = Dropped::columns(What::Unique, name, columns.iter().copied());
    let held = add(parts, part, needs(name, columns));
    let terms = terms(table, index);
    held.words = Some(format!("UNIQUE ({terms}) of {name}"));
    held.facets.insert(terms);
}

/// Its columns in order, in lower case.
fn primary_key(table: &Table) -> Vec<String> {
    let mut columns: Vec<&Column> = table.columns.iter().filter(|c| c.key > 0).collect();
    columns.sort_by_key(|column| column.key);
    let names = columns
        .iter()
        .map(|column| column.name.to_ascii_lowercase());
    names.collect()
}

fn add_primary_key(parts: &mut Parts, name: &str, table: &Table) {
    let columns = primary_key(table);
    if columns.is_empty() {
        return;
    }
    let part = Dropped::whole(What::PrimaryKey, name);
    let held = add(parts, part, needs(name, &columns));
    held.words = Some(format!("PRIMARY KEY ({}) of {name}", columns.join(", ")));
    held.facets.insert(columns.join(", "));
}

/// REFERENCES without columns means the primary key.
fn parent_columns(schema: &Schema, key: &ForeignKey) -> Vec<String> {
    let mut tables = schema.tables.iter();
    let parent = tables.find(|(name, _)| name.eq_ignore_ascii_case(&key.parent));
    match parent {
        Some((_, parent)) if key.parent_columns.is_empty() => primary_key(parent),
        _ => key
            .parent_columns
            .iter()
            .map(|c| c.to_ascii_lowercase())
            .collect(),
    }
}

fn add_foreign_key(parts: &mut Parts, table: &str, key: &ForeignKey, to: &[String]) {
    let name = |what| Dropped::columns(what, table, &key.columns);
    let whole = name(What::ForeignKey);
    let held = add(parts, whole.clone(), needs(table, &key.columns));
    held.words = Some(format!("FOREIGN KEY {key} of {table}"));
    held.facets.insert(format!(
        "{} ({})",
        key.parent.to_ascii_lowercase(),
        to.join(", ")
    ));
    let mut within = needs(table, &key.columns);
    within.push(whole);
    let actions = [
        (What::OnDelete, "ON DELETE", &key.on_delete),
        (What::OnUpdate, "ON UPDATE", &key.on_update),
    ];
    for (what, word, action) in actions.into_iter().filter(|(_, _, a)| *a != "NO ACTION") {
        let held = add(parts, name(what), within.clone());
        held.words = Some(format!(
            "{word} {action} of the foreign key {key} of {table}"
        ));
        held.facets.insert(action.clone());
    }
    if key.deferred {
        let held = add(parts, name(What::Deferrable), within);
        held.words = Some(format!(
            "DEFERRABLE INITIALLY DEFERRED of the foreign key {key} of {table}"
        ));
    }
}

fn add_details(parts: &mut Parts, name: &str, table: &Table) {
    let details = &table.details;
    let whole = || vec![Dropped::whole(What::Table, name)];
    if details.autoincrement {
        add(parts, Dropped::whole(What::Autoincrement, name), whole());
    }
    if details.strict {
        add(parts, Dropped::whole(What::Strict, name), whole());
    }
    for check in &details.checks {
        let part = Dropped::check(name, &check.expression);
        let columns = table.columns.iter().map(|column| &column.name);
        let used = columns.filter(|column| mentions(&check.expression, column));
        let held = add(parts, part, needs(name, used));
        if let Some(own) = &check.name {
            held.shown = Dropped::member(What::Check, name, own);
            held.words = Some(format!("CHECK {own} ({}) of {name}", check.expression));
        }
    }
    for (columns, what) in &details.conflicts {
        let columns: Vec<String> = columns.split(", ").map(str::to_owned).collect();
        let part = Dropped::columns(What::OnConflict, name, &columns);
        let held = add(parts, part, needs(name, &columns));
        held.words = Some(format!("ON CONFLICT of {name} ({})", columns.join(", ")));
        held.facets.insert(what.clone());
    }
    if let Some(reason) = &details.unread {
        let held = add(parts, Dropped::whole(What::Constraints, name), whole());
        held.words = Some(format!(
            "a constraint of {name}, whose definition changed and which safestep cannot read ({reason}),"
        ));
        held.facets.insert(details.text.clone());
    }
}

fn mentions(expression: &str, column: &str) -> bool {
    let name = grammar::canonical_name(column);
    grammar::words(expression).is_ok_and(|words| words.iter().any(|word| word.canonical == name))
}
