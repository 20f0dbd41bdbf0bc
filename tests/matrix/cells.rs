//! One cell of the matrix: a schema with rows, what it is to become, and the rows that there must be then.

use safestep::autogenerate::{ColumnOrder, Decisions};

use super::kinds::Kind;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    AddColumn,
    DropColumn,
    Alter,
    RenameColumn,
    RenameTable,
    ChangeType,
    ChangeDefault,
    Tighten,
    Relax,
    AddConstraint,
    DropConstraint,
}

use Operation::{
    AddColumn, AddConstraint, Alter, ChangeDefault, ChangeType, DropColumn, DropConstraint, Relax,
    RenameColumn, RenameTable, Tighten,
};

pub const OPERATIONS: [Operation; 11] = [
    AddColumn,
    DropColumn,
    Alter,
    RenameColumn,
    RenameTable,
    ChangeType,
    ChangeDefault,
    Tighten,
    Relax,
    AddConstraint,
    DropConstraint,
];

impl Operation {
    /// Also the name of its function in `tests/alembic/batch.py`.
    pub fn name(self) -> &'static str {
        match self {
            AddColumn => "add_column",
            DropColumn => "drop_column",
            Alter => "alter",
            RenameColumn => "rename_column",
            RenameTable => "rename_table",
            ChangeType => "change_type",
            ChangeDefault => "change_default",
            Tighten => "tighten",
            Relax => "relax",
            AddConstraint => "add_constraint",
            DropConstraint => "drop_constraint",
        }
    }

    fn renames_column(self) -> bool {
        matches!(self, RenameColumn | Alter)
    }

    fn drops_column(self) -> bool {
        matches!(self, DropColumn | Alter)
    }

    pub fn decisions(self, column_order: ColumnOrder) -> Decisions {
        let mut decisions = Decisions {
            column_order,
            ..Decisions::default()
        };
        if self.renames_column() {
            decisions.rename("item.label:title").expect("a rename");
        }
        if self.drops_column() {
            decisions.drop("item.spare");
        }
        match self {
            RenameTable => decisions.rename("item:article").expect("a rename"),
            Tighten => decisions.fill("item.label='none'").expect("a fill"),
            _ => {}
        }
        decisions
    }
}

/// A row of the table: each column's literal.
type Row = Vec<(String, String)>;

/// One of the schemas, with rows.
#[derive(Clone)]
pub struct Side {
    pub table: String,
    pub column: String,
    columns: Vec<(String, String)>,
    constraints: Vec<String>,
    rows: Vec<Row>,
    pub kind: &'static Kind,
}

pub struct Cell {
    pub from: Side,
    pub to: Side,
    /// `from`, with the rows that can still be had on the way back.
    pub back: Side,
}

const ROWS: [[&str; 6]; 6] = [
    [
        "1",
        r#"'it''s "quoted"'"#,
        "1.5",
        "x'00ff27'",
        "9007199254740993",
        "'a'",
    ],
    [
        "2",
        "'Zürich — 北京 🚀'",
        "-0.1",
        "NULL",
        "-9223372036854775808",
        "'two\nlines'",
    ],
    ["5", "NULL", "NULL", "x''", "NULL", "NULL"],
    [
        "7",
        "''",
        "3.0e-300",
        "x'deadbeef'",
        "9223372036854775807",
        "''",
    ],
    ["40", "'Abc'", "123456789.125", "NULL", "0", "'b'"],
    ["41", "'%_\\;--'", "0.1", "NULL", "1", "NULL"],
];

const SANE: &str = "CONSTRAINT amount_sane CHECK (amount < 1000000000.0)";

impl Cell {
    pub fn new(kind: &'static Kind, operation: Operation) -> Self {
        let from = Side::start(kind, operation);
        let mut to = from.clone();
        to.change(operation);
        let mut back = from.clone();
        if operation.drops_column() {
            back.set_rows("spare", |_| "NULL");
        }
        if operation == Tighten {
            back.set_rows("label", or_none);
        }
        Self { from, to, back }
    }
}

fn or_none(literal: &str) -> &str {
    if literal == "NULL" { "'none'" } else { literal }
}

impl Side {
    fn start(kind: &'static Kind, operation: Operation) -> Self {
        let mut columns = vec![
            ("id".to_owned(), kind.id.to_owned()),
            ("label".to_owned(), "TEXT".to_owned() + kind.column),
            ("amount".to_owned(), "REAL".to_owned()),
            ("data".to_owned(), "BLOB".to_owned()),
            ("spare".to_owned(), "TEXT".to_owned()),
            ("big".to_owned(), "INT".to_owned()),
        ];
        columns.extend(
            kind.extra
                .map(|(name, text)| (name.to_owned(), text.to_owned())),
        );
        let names = ["id", "label", "amount", "data", "big", "spare"];
        let row = |row: &[&str; 6]| {
            names
                .iter()
                .zip(row)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let mut side = Self {
            table: "item".into(),
            column: "label".into(),
            columns,
            constraints: kind.constraint.map(str::to_owned).into_iter().collect(),
            rows: ROWS.iter().map(row).collect(),
            kind,
        };
        match operation {
            Relax => {
                side.define("label", |text| text.replacen("TEXT", "TEXT NOT NULL", 1));
                side.set_rows("label", or_none);
            }
            DropConstraint => side.constraints.push(SANE.into()),
            _ => {}
        }
        side
    }

    fn change(&mut self, operation: Operation) {
        match operation {
            AddColumn => self
                .columns
                .push(("added".into(), "INTEGER NOT NULL DEFAULT 7".into())),
            DropColumn => self.drop_spare(),
            Alter => {
                self.drop_spare();
                self.rename_label();
                self.columns
                    .push(("added".into(), "INTEGER NOT NULL DEFAULT 7".into()));
                self.define("title", |text| {
                    text.replacen("TEXT", "TEXT DEFAULT 'it''s'", 1)
                });
                self.define("big", |_| "TEXT".into());
                self.constraints.push(SANE.into());
            }
            RenameColumn => self.rename_label(),
            RenameTable => self.table = "article".into(),
            // STRICT knows no VARCHAR.
            ChangeType if self.is_strict() => self.define("big", |_| "INTEGER".into()),
            ChangeType => self.define("label", |text| text.replacen("TEXT", "VARCHAR(200)", 1)),
            ChangeDefault => self.define("label", |text| {
                text.replacen("TEXT", "TEXT DEFAULT 'it''s'", 1)
            }),
            Tighten => {
                self.define("label", |text| text.replacen("TEXT", "TEXT NOT NULL", 1));
                self.set_rows("label", or_none);
            }
            Relax => self.define("label", |text| text.replacen(" NOT NULL", "", 1)),
            AddConstraint => self.constraints.push(SANE.into()),
            DropConstraint => self.constraints.retain(|constraint| constraint != SANE),
        }
    }

    pub fn is_strict(&self) -> bool {
        self.kind.tail == " STRICT"
    }

    fn drop_spare(&mut self) {
        self.columns.retain(|(name, _)| name != "spare");
        for row in &mut self.rows {
            row.retain(|(name, _)| name != "spare");
        }
    }

    fn rename_label(&mut self) {
        self.column = "title".into();
        let names = self
            .columns
            .iter_mut()
            .chain(self.rows.iter_mut().flatten());
        for (name, _) in names.filter(|(name, _)| name == "label") {
            *name = "title".into();
        }
    }

    fn define(&mut self, column: &str, change: impl Fn(&str) -> String) {
        for (_, text) in self.columns.iter_mut().filter(|(name, _)| name == column) {
            *text = change(text);
        }
    }

    fn set_rows(&mut self, column: &str, change: impl Fn(&str) -> &str) {
        for (_, literal) in self
            .rows
            .iter_mut()
            .flatten()
            .filter(|(name, _)| name == column)
        {
            *literal = change(literal).to_owned();
        }
    }

    /// A text of the kind, with this side's names.
    pub fn named(&self, text: &str) -> String {
        text.replace("{t}", &self.table)
            .replace("{c}", &self.column)
    }

    /// What stands behind a column, where the kind is about comments; a renamed column keeps it.
    pub fn comments(&self) -> Vec<String> {
        if !self.kind.comments {
            return Vec::new();
        }
        let about =
            |name: &str| format!("-- about {}", if name == "title" { "label" } else { name });
        self.columns
            .iter()
            .map(|(name, _)| about(name))
            .filter(|comment| !comment.ends_with("added"))
            .collect()
    }

    fn create_table(&self) -> String {
        let comments = self.comments();
        let columns = self
            .columns
            .iter()
            .map(|(name, text)| format!("{name} {text}"));
        let items: Vec<String> = columns.chain(self.constraints.clone()).collect();
        let lines = items.iter().enumerate().map(|(index, item)| {
            let comma = if index + 1 < items.len() { "," } else { "" };
            let comment = comments.get(index).map_or(String::new(), |comment| {
                format!(" {comment}: it's \"so\", (or not)")
            });
            format!("    {item}{comma}{comment}\n")
        });
        let head = if self.kind.comments {
            " -- what we sell;\n    /* one line each */"
        } else {
            ""
        };
        let text = format!(
            "CREATE TABLE {} ({head}\n{}){};",
            self.table,
            lines.collect::<String>(),
            self.kind.tail
        );
        self.named(&text)
    }

    pub fn schema(&self) -> String {
        let rest = "CREATE TABLE part (id INTEGER PRIMARY KEY, item INTEGER REFERENCES {t} (id) ON DELETE CASCADE);";
        format!(
            "CREATE TABLE tag (name TEXT PRIMARY KEY);\nCREATE TABLE log (entry);\n{}\n{}\n{}\n",
            self.create_table(),
            self.named(rest),
            self.named(self.kind.objects)
        )
    }

    pub fn inserts(&self) -> String {
        let mut script = String::from("INSERT INTO tag VALUES ('none');\n");
        for [id, label, ..] in ROWS {
            if label != "NULL" {
                script += &format!("INSERT INTO tag VALUES ({label});\n");
            }
            script += &format!("INSERT INTO part VALUES (100 - {id}, {id});\n");
        }
        for row in &self.rows {
            let rowid = self
                .kind
                .rowids
                .then(|| ("_rowid_".to_owned(), format!("3 + 10 * {}", row[0].1)));
            let (names, values): (Vec<String>, Vec<String>) =
                row.iter().cloned().chain(rowid).unzip();
            script += &format!(
                "INSERT INTO {} ({}) VALUES ({});\n",
                self.table,
                names.join(", "),
                values.join(", ")
            );
        }
        if self.kind.id.ends_with("AUTOINCREMENT") {
            script += &format!(
                "UPDATE sqlite_sequence SET seq = 99 WHERE name = '{}';\n",
                self.table
            );
        }
        script
    }

    /// The columns that hold values.
    pub fn stored(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}
