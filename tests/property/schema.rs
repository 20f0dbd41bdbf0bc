//! Random schemas, random changes of them, and rows that both sides allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// `SplitMix64` (Steele, Lea, Flood 2014): the seed is all that a case needs.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub declared: String,
    pub not_null: bool,
    pub default: Option<String>,
    pub collate: Option<String>,
    pub check: Option<String>,
    pub unique: Option<String>,
    pub references: Option<String>,
    /// The column that it is computed from, and whether it is stored.
    pub generated: Option<(String, bool)>,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    None,
    Rowid { autoincrement: bool },
    Text,
    Pair(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub key: Key,
    pub columns: Vec<Column>,
    /// Name, text, columns used.
    pub constraints: Vec<(String, Vec<String>)>,
    pub strict: bool,
    pub without_rowid: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub name: String,
    pub table: String,
    pub columns: Vec<String>,
    pub text: String,
    pub unique: bool,
    pub filter: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub indexes: Vec<Index>,
    /// Name, table, columns.
    pub views: Vec<(String, String, Vec<String>)>,
    /// Name, table, column, words.
    pub triggers: Vec<(String, String, String, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub renames: Vec<String>,
    pub drops: Vec<String>,
    pub fills: Vec<String>,
    /// New column of a table by the old one.
    pub columns: BTreeMap<(String, String), String>,
    pub tables: BTreeMap<String, String>,
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

impl Column {
    fn text(&self, table: &str) -> String {
        let mut text = if self.name.contains(' ') || self.name == "order" {
            quoted(&self.name)
        } else {
            self.name.clone()
        };
        if !self.declared.is_empty() {
            write!(text, " {}", self.declared).expect("text");
        }
        if let Some(comment) = &self.comment {
            write!(text, " /* {comment}, (see) */").expect("text");
        }
        if self.not_null {
            text.push_str(" NOT NULL");
        }
        let own = quoted(&self.name);
        for (word, value) in [
            ("DEFAULT", &self.default),
            ("COLLATE", &self.collate),
            ("UNIQUE", &self.unique),
            ("REFERENCES", &self.references),
        ] {
            if let Some(value) = value {
                write!(text, " {word} {value}").expect("text");
            }
        }
        if let Some(check) = &self.check {
            let _ = write!(
                text,
                " {}",
                check.replace('@', &own).replace('#', &quoted(table))
            );
        }
        if let Some((from, stored)) = &self.generated {
            let kind = if *stored { "STORED" } else { "VIRTUAL" };
            write!(text, " GENERATED ALWAYS AS (\"{from}\" || 'x') {kind}").expect("text");
        }
        text
    }
}

impl Table {
    fn text(&self) -> String {
        let mut items = Vec::new();
        match &self.key {
            Key::Rowid { autoincrement } => items.push(format!(
                "id INTEGER PRIMARY KEY{}",
                if *autoincrement { " AUTOINCREMENT" } else { "" }
            )),
            Key::Text => items.push("id TEXT NOT NULL PRIMARY KEY".into()),
            Key::Pair(_) => items.push("id TEXT NOT NULL".into()),
            Key::None => {}
        }
        items.extend(self.columns.iter().map(|column| column.text(&self.name)));
        if let Key::Pair(order) = &self.key {
            items.push(format!("PRIMARY KEY (id {order})"));
        }
        items.extend(self.constraints.iter().map(|(text, _)| text.clone()));
        let mut options = Vec::new();
        if self.strict {
            options.push("STRICT");
        }
        if self.without_rowid {
            options.push("WITHOUT ROWID");
        }
        format!(
            "CREATE TABLE {} (\n\t{}\n) {}",
            self.name,
            items.join(",\n\t"),
            options.join(", ")
        )
        .trim_end()
        .to_owned()
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn plain(&self) -> Vec<String> {
        let plain = self
            .columns
            .iter()
            .filter(|column| column.generated.is_none());
        plain.map(|column| column.name.clone()).collect()
    }
}

impl Schema {
    pub fn script(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let _ = writeln!(text, "{};", table.text());
        }
        for index in &self.indexes {
            let unique = if index.unique { "UNIQUE " } else { "" };
            let _ = writeln!(
                text,
                "CREATE {unique}INDEX {} ON {} ({}){};",
                index.name, index.table, index.text, index.filter
            );
        }
        for (name, table, columns) in &self.views {
            let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let _ = writeln!(
                text,
                "CREATE VIEW {name} AS SELECT {} FROM {table};",
                columns.join(", ")
            );
        }
        for (name, table, column, words) in &self.triggers {
            let _ = writeln!(
                text,
                "CREATE TRIGGER {name} AFTER UPDATE OF \"{column}\" ON {table} WHEN new.\"{column}\" IS NOT NULL \
                 BEGIN SELECT '{words}', old.\"{column}\"; END;"
            );
        }
        text
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Takes away what refers to columns that are not there any more.
    fn tidy(&mut self) {
        let names: BTreeSet<String> = self.tables.iter().map(|table| table.name.clone()).collect();
        for table in &mut self.tables {
            loop {
                let plain: BTreeSet<String> = table.plain().into_iter().collect();
                let before = table.columns.len();
                table.columns.retain(|column| {
                    column
                        .generated
                        .as_ref()
                        .is_none_or(|(from, _)| plain.contains(from))
                });
                if table.columns.len() == before {
                    break;
                }
            }
            let all: BTreeSet<String> = table
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect();
            let has = |columns: &[String]| {
                columns
                    .iter()
                    .all(|column| all.contains(column) || column == "id")
            };
            table.constraints.retain(|(_, columns)| has(columns));
            if table.columns.is_empty() {
                table.columns.push(plain_column("kept", "TEXT"));
            }
        }
        let tables = self.tables.clone();
        let has = |table: &str, column: &str| {
            tables
                .iter()
                .any(|t| t.name == table && (t.column(column).is_some()))
        };
        self.indexes
            .retain(|index| index.columns.iter().all(|column| has(&index.table, column)));
        self.views
            .retain(|(_, table, columns)| columns.iter().all(|column| has(table, column)));
        self.triggers
            .retain(|(_, table, column, _)| has(table, column));
        for table in &mut self.tables {
            for column in &mut table.columns {
                let parent = column
                    .references
                    .as_ref()
                    .and_then(|text| text.split([' ', '(']).next());
                if parent.is_some_and(|parent| !names.contains(parent)) {
                    column.references = None;
                }
            }
        }
    }
}

pub fn plain_column(name: &str, declared: &str) -> Column {
    Column {
        name: name.into(),
        declared: declared.into(),
        not_null: false,
        default: None,
        collate: None,
        check: None,
        unique: None,
        references: None,
        generated: None,
        comment: None,
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e f", "order", "größe", "h"];

fn random_type(dice: &mut Dice, strict: bool) -> String {
    if strict {
        "TEXT".into()
    } else {
        dice.pick(&[
            "TEXT",
            "VARCHAR(20)",
            "INTEGER",
            "NUMERIC",
            "",
            "BLOB",
            "DATETIME",
            "REAL",
            "text",
        ])
        .into()
    }
}

fn random_check(dice: &mut Dice) -> String {
    dice.pick(&[
        "CHECK (@ <> 'forbidden')",
        "CONSTRAINT \"allowed @\" CHECK (length(@) < 1000)",
        "CHECK (#.@ IS NULL OR @ <> x'00')",
        "CONSTRAINT plain CHECK (coalesce(@, '') NOT LIKE 'zz%')",
    ])
    .replace("\"allowed @\"", "allowed")
}

fn random_references(dice: &mut Dice, schema: &[String]) -> Option<String> {
    if schema.is_empty() {
        return None;
    }
    let parent = dice.pick(schema);
    let action = dice.pick(&[
        "",
        " ON DELETE CASCADE",
        " ON DELETE SET NULL ON UPDATE CASCADE",
        " DEFERRABLE INITIALLY DEFERRED",
        " ON UPDATE RESTRICT",
    ]);
    Some(format!("{parent}(id){action}"))
}

fn random_column(dice: &mut Dice, name: &str, table: &Table, parents: &[String]) -> Column {
    let mut column = plain_column(name, &random_type(dice, table.strict));
    let plain = table.plain();
    if dice.one_in(8) && !plain.is_empty() {
        column.generated = Some((dice.pick(&plain), dice.one_in(2)));
        return column;
    }
    if dice.one_in(3) {
        column.default = Some(
            dice.pick(&["'dflt'", "'it''s'", "NULL", "('v' || 1)", "\"Str\""])
                .into(),
        );
    }
    if dice.one_in(3) && column.default.as_deref() != Some("NULL") {
        column.not_null = true;
    }
    if dice.one_in(5) {
        column.collate = Some(dice.pick(&["NOCASE", "RTRIM"]).into());
    }
    if dice.one_in(5) {
        column.check = Some(random_check(dice));
    }
    if dice.one_in(8) {
        column.references = random_references(dice, parents);
    }
    if dice.one_in(10) && !column.not_null && column.default.is_none() {
        column.unique = Some(
            dice.pick(&["", "ON CONFLICT IGNORE", "ON CONFLICT REPLACE"])
                .into(),
        );
    }
    if dice.one_in(6) {
        column.comment = Some("in euros".into());
    }
    column
}

fn random_table(dice: &mut Dice, name: &str, parents: &[String]) -> Table {
    let without_rowid = dice.one_in(6);
    let mut table = Table {
        name: name.into(),
        key: if without_rowid {
            dice.pick(&[
                Key::Text,
                Key::Pair("DESC".into()),
                Key::Pair(String::new()),
            ])
        } else {
            dice.pick(&[
                Key::None,
                Key::Rowid {
                    autoincrement: false,
                },
                Key::Rowid {
                    autoincrement: true,
                },
                Key::Text,
                Key::Pair("COLLATE NOCASE".into()),
            ])
        },
        columns: Vec::new(),
        constraints: Vec::new(),
        strict: dice.one_in(5),
        without_rowid,
    };
    for name in &NAMES[..=dice.below(NAMES.len() - 2)] {
        if !dice.one_in(4) {
            let column = random_column(dice, name, &table, parents);
            table.columns.push(column);
        }
    }
    if table.plain().is_empty() {
        table.columns.push(plain_column("kept", "TEXT"));
    }
    if dice.one_in(3) {
        let constraint = random_constraint(dice, &table);
        table.constraints.push(constraint);
    }
    table
}

fn random_constraint(dice: &mut Dice, table: &Table) -> (String, Vec<String>) {
    let column = dice.pick(&table.plain());
    let text = dice.pick(&[
        "CHECK (\"@\" <> 'never')",
        "CONSTRAINT named CHECK (\"@\" IS NOT 'never')",
        "CONSTRAINT parent FOREIGN KEY (\"@\") REFERENCES elsewhere (x) ON DELETE SET NULL",
    ]);
    (text.replace('@', &column), vec![column])
}

fn random_index(dice: &mut Dice, name: &str, table: &Table) -> Index {
    let column = dice.pick(&table.plain());
    let text = dice.pick(&[
        "\"@\"",
        "\"@\" DESC",
        "\"@\" COLLATE NOCASE",
        "lower(\"@\")",
        "\"@\" || 'x', \"@\"",
    ]);
    Index {
        name: name.into(),
        table: table.name.clone(),
        text: text.replace('@', &column),
        unique: false,
        filter: if dice.one_in(3) {
            format!(" WHERE \"{column}\" IS NOT NULL")
        } else {
            String::new()
        },
        columns: vec![column],
    }
}

pub fn random_schema(dice: &mut Dice) -> Schema {
    let mut schema = Schema::default();
    for name in ["alpha", "beta", "gamma"] {
        if !dice.one_in(4) {
            let parents: Vec<String> = schema
                .tables
                .iter()
                .map(|table| table.name.clone())
                .collect();
            schema.tables.push(random_table(dice, name, &parents));
        }
    }
    decorate(dice, &mut schema);
    schema.tidy();
    schema
}

fn decorate(dice: &mut Dice, schema: &mut Schema) {
    for table in schema.tables.clone() {
        let name = &table.name;
        let columns = table.plain();
        if dice.one_in(2) {
            schema
                .indexes
                .push(random_index(dice, &format!("ix_{name}"), &table));
        }
        if dice.one_in(4) {
            schema.views.push((
                format!("{name}_view"),
                name.clone(),
                vec![dice.pick(&columns)],
            ));
        }
        if dice.one_in(4) {
            let words = dice.pick(&["seen", "it is"]);
            schema.triggers.push((
                format!("{name}_trigger"),
                name.clone(),
                dice.pick(&columns),
                words.into(),
            ));
        }
    }
}

/// Another schema: a changed one most of the time, and sometimes one that has nothing to do with the first.
pub fn changed(dice: &mut Dice, from: &Schema) -> (Schema, Answers) {
    let mut answers = Answers::default();
    if dice.one_in(10) {
        let to = compatible(random_schema(dice), from);
        return finish(dice, from, to, answers);
    }
    let mut to = from.clone();
    for _ in 0..=dice.below(5) {
        change(dice, from, &mut to, &mut answers);
        to.tidy();
    }
    let to = compatible(to, from);
    finish(dice, from, to, answers)
}

/// Keys stay what they are: rows could not follow.
fn compatible(mut to: Schema, from: &Schema) -> Schema {
    for table in &mut to.tables {
        if let Some(old) = from.table(&table.name) {
            let kind = std::mem::discriminant(&old.key) == std::mem::discriminant(&table.key);
            if !kind {
                table.key = old.key.clone();
                table.without_rowid = old.without_rowid;
            }
            if table.strict && !old.strict {
                table.strict = false;
            }
        }
    }
    to
}

fn change(dice: &mut Dice, from: &Schema, to: &mut Schema, answers: &mut Answers) {
    if to.tables.is_empty() {
        to.tables.push(random_table(dice, "delta", &[]));
        return;
    }
    let parents: Vec<String> = to.tables.iter().map(|table| table.name.clone()).collect();
    let at = dice.below(to.tables.len());
    match dice.below(13) {
        0 => {
            to.tables.remove(at);
        }
        1 if to.table("delta").is_none() => to.tables.push(random_table(dice, "delta", &parents)),
        2 => decorate_again(dice, to),
        3 => {
            let table = &mut to.tables[at];
            let name = dice.pick(&["new1", "new 2", "new3"]);
            if table.column(name).is_none() {
                let mut column = random_column(dice, name, table, &parents);
                if column.default.is_none() && column.not_null {
                    column.default = Some("'given'".into());
                }
                let place = if dice.one_in(2) {
                    table.columns.len()
                } else {
                    dice.below(table.columns.len() + 1)
                };
                table.columns.insert(place, column);
            }
        }
        4 => {
            let columns = &mut to.tables[at].columns;
            columns.remove(dice.below(columns.len()));
        }
        5 => {
            let table = &mut to.tables[at];
            let constraint = random_constraint(dice, table);
            table.constraints.push(constraint);
        }
        6 => {
            let count = to.tables[at].constraints.len();
            if count > 0 {
                to.tables[at].constraints.remove(dice.below(count));
            }
        }
        7 if !to.tables[at].strict => {
            let table = &mut to.tables[at];
            let place = dice.below(table.columns.len());
            table.columns[place].declared = random_type(dice, false);
        }
        8 => change_key(dice, &mut to.tables[at]),
        9 => rename_column(dice, from, &mut to.tables[at], answers),
        10 if from.table("alpha").is_some() && answers.tables.is_empty() => {
            rename_table(to, answers);
        }
        _ => alter_column(dice, &mut to.tables[at], &parents),
    }
}

fn change_key(dice: &mut Dice, table: &mut Table) {
    match &mut table.key {
        Key::Rowid { autoincrement } => *autoincrement = !*autoincrement,
        Key::Pair(order) => *order = dice.pick(&["", "DESC", "COLLATE NOCASE"]).into(),
        Key::Text => table.without_rowid = !table.without_rowid,
        Key::None => {}
    }
}

fn decorate_again(dice: &mut Dice, to: &mut Schema) {
    match dice.below(3) {
        0 => to.indexes.clear(),
        1 => to.views.clear(),
        _ => to.triggers.clear(),
    }
    let kept = to.clone();
    decorate(dice, to);
    let known = |names: &mut BTreeSet<String>, name: &str| names.insert(name.to_owned());
    let mut names = BTreeSet::new();
    to.indexes.retain(|index| known(&mut names, &index.name));
    to.views.retain(|view| known(&mut names, &view.0));
    to.triggers.retain(|trigger| known(&mut names, &trigger.0));
    assert!(to.tables == kept.tables);
}

fn alter_column(dice: &mut Dice, table: &mut Table, parents: &[String]) {
    let place = dice.below(table.columns.len());
    let column = &mut table.columns[place];
    if let Some((_, stored)) = &mut column.generated {
        *stored = !*stored;
        return;
    }
    match dice.below(6) {
        0 if column.unique.is_none() && column.default.as_deref() != Some("NULL") => {
            column.not_null = !column.not_null;
        }
        1 if column.unique.is_none() => column.default = Some("'other'".into()),
        2 => {
            column.collate = if column.collate.is_some() {
                None
            } else {
                Some("NOCASE".into())
            }
        }
        3 => {
            column.check = if column.check.is_some() {
                None
            } else {
                Some(random_check(dice))
            }
        }
        4 => column.references = random_references(dice, parents),
        _ => {
            column.comment = Some("changed".into());
        }
    }
}

fn rename_column(dice: &mut Dice, from: &Schema, table: &mut Table, answers: &mut Answers) {
    let old_table = answers
        .tables
        .iter()
        .find(|(_, new)| **new == table.name)
        .map_or(table.name.clone(), |(old, _)| old.clone());
    let Some(old) = from.table(&old_table) else {
        return;
    };
    let names = table.plain();
    let name = dice.pick(&names);
    let new = dice.pick(&["renamed1", "renamed 2"]).to_owned();
    let is_used = |column: &Column| {
        column
            .generated
            .as_ref()
            .is_some_and(|(from, _)| *from == name)
    };
    if old.column(&name).is_none()
        || table.column(&new).is_some()
        || answers
            .columns
            .iter()
            .any(|((table, _), other)| *table == old_table && *other == new)
        || table.columns.iter().any(is_used)
        || table
            .constraints
            .iter()
            .any(|(_, columns)| columns.contains(&name))
    {
        return;
    }
    if let Some(column) = table.columns.iter_mut().find(|column| column.name == name) {
        column.name.clone_from(&new);
    }
    answers.columns.insert((old_table, name), new);
}

fn rename_table(to: &mut Schema, answers: &mut Answers) {
    let Some(table) = to.tables.iter_mut().find(|table| table.name == "alpha") else {
        return;
    };
    table.name = "omega".into();
    answers.tables.insert("alpha".into(), "omega".into());
    for table in &mut to.tables {
        for column in &mut table.columns {
            if let Some(text) = &mut column.references {
                *text = text.replace("alpha(", "omega(");
            }
        }
    }
}

/// Makes the answers complete, and the new schema one that rows can come to and go back from.
fn finish(
    dice: &mut Dice,
    from: &Schema,
    mut to: Schema,
    mut answers: Answers,
) -> (Schema, Answers) {
    let old_name = |answers: &Answers, table: &str| {
        answers
            .tables
            .iter()
            .find(|(_, new)| *new == table)
            .map_or(table.to_owned(), |(old, _)| old.clone())
    };
    answers.columns.retain(|(table, _), new| {
        let now = answers.tables.get(table).unwrap_or(table);
        to.table(now)
            .is_some_and(|table| table.column(new).is_some())
    });
    answers.tables.retain(|_, new| to.table(new).is_some());
    for table in &mut to.tables {
        let was = old_name(&answers, &table.name);
        let Some(old) = from.table(&was) else {
            continue;
        };
        let renamed: BTreeMap<&str, &str> = answers
            .columns
            .iter()
            .filter(|((table, _), _)| *table == was)
            .map(|((_, old), new)| (new.as_str(), old.as_str()))
            .collect();
        for column in &mut table.columns {
            let name = renamed
                .get(column.name.as_str())
                .copied()
                .unwrap_or(&column.name);
            let is_new = old.column(name).is_none();
            if is_new && column.not_null && column.default.is_none() && column.generated.is_none() {
                if dice.one_in(2) {
                    column.default = Some("'given'".into());
                } else {
                    answers
                        .fills
                        .push(format!("{}.{}='filled'", table.name, column.name));
                }
            }
            let before = old.column(name).cloned();
            match before {
                // A computed value can be NULL.
                Some(before) if before.generated.is_some() => column.not_null = false,
                // Nor are computed values unique when they come back.
                Some(before)
                    if column.generated.is_some()
                        && (before.not_null || before.unique.is_some()) =>
                {
                    column.generated = None;
                    column.declared = before.declared;
                }
                _ => {}
            }
            if is_new && column.default.is_some() {
                column.unique = None;
            }
        }
    }
    for ((table, old), new) in &answers.columns {
        answers.renames.push(format!("{table}.{old}:{new}"));
    }
    for (old, new) in &answers.tables {
        answers.renames.push(format!("{old}:{new}"));
    }
    for table in &from.tables {
        answers.drops.push(table.name.clone());
        let columns = table.columns.iter().map(|column| column.name.as_str());
        answers.drops.extend(
            columns
                .chain((table.key != Key::None).then_some("id"))
                .map(|column| format!("{}.{column}", table.name)),
        );
    }
    (to, answers)
}

/// INSERT statements for the old schema that the new one allows, too.
pub fn rows(dice: &mut Dice, from: &Schema, to: &Schema, answers: &Answers) -> String {
    let mut text = String::new();
    for table in &from.tables {
        let now = answers.tables.get(&table.name).unwrap_or(&table.name);
        let after = to.table(now);
        for row in 0..dice.below(6) {
            let mut names = Vec::new();
            let mut values = Vec::new();
            match table.key {
                Key::None => {
                    names.push("rowid".to_owned());
                    values.push(format!("{}", row * 7 + 3));
                }
                Key::Rowid { .. } => {
                    names.push("id".to_owned());
                    values.push(format!("{}", row * 5 + 2));
                }
                Key::Text | Key::Pair(_) => {
                    names.push("id".to_owned());
                    values.push(format!("'k{row}'"));
                }
            }
            for column in table
                .columns
                .iter()
                .filter(|column| column.generated.is_none())
            {
                let renamed = answers
                    .columns
                    .get(&(table.name.clone(), column.name.clone()));
                let later = after.and_then(|after| after.column(renamed.unwrap_or(&column.name)));
                let nullable = !column.not_null && later.is_none_or(|later| !later.not_null);
                let strict = table.strict || after.is_some_and(|after| after.strict);
                let same_type = later.is_none_or(|later| later.declared == column.declared);
                names.push(quoted(&column.name));
                values.push(match dice.below(5) {
                    0 if nullable => "NULL".into(),
                    1 if !strict => format!("x'4b{:02x}'", row + 48),
                    2 if !strict && same_type => format!("{row}"),
                    3 if !strict && same_type => format!("'00{row}'"),
                    _ => format!("'v{row} ä'"),
                });
            }
            let _ = writeln!(
                text,
                "INSERT INTO {} ({}) VALUES ({});",
                table.name,
                names.join(", "),
                values.join(", ")
            );
        }
        if matches!(
            table.key,
            Key::Rowid {
                autoincrement: true
            }
        ) {
            let _ = writeln!(
                text,
                "UPDATE sqlite_sequence SET seq = 99 WHERE name = '{}';",
                table.name
            );
        }
    }
    text
}
