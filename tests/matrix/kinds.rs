//! The kinds of objects: each is the same table with one feature more, and how to see whether the feature is still there.

/// In all texts `{t}` is the table's name and `{c}` that of the column which the operations change.
pub struct Kind {
    pub name: &'static str,
    /// What `id` is, where it is not the INTEGER PRIMARY KEY.
    pub id: &'static str,
    /// Behind the column's type.
    pub column: &'static str,
    /// One column more.
    pub extra: Option<(&'static str, &'static str)>,
    pub constraint: Option<&'static str>,
    /// Behind the closing parenthesis.
    pub tail: &'static str,
    pub objects: &'static str,
    pub rowids: bool,
    pub comments: bool,
    /// Whether the connection of the tool that we compare with enforces foreign keys.
    pub enforced: bool,
    pub probes: &'static [Probe],
}

/// Runs a script that may be refused, asks a question, and takes the script back.
pub struct Probe {
    /// What is lost where the answer is another one.
    pub what: &'static str,
    pub does: &'static str,
    pub asks: &'static str,
}

const PLAIN: Kind = Kind {
    name: "",
    id: "INTEGER PRIMARY KEY",
    column: "",
    extra: None,
    constraint: None,
    tail: "",
    objects: "",
    rowids: false,
    comments: false,
    enforced: false,
    probes: &[],
};

const fn asks(what: &'static str, asks: &'static str) -> Probe {
    Probe {
        what,
        does: "",
        asks,
    }
}

const fn does(what: &'static str, does: &'static str) -> Probe {
    Probe {
        what,
        does,
        asks: "",
    }
}

const TOO_LONG: &str = "UPDATE {t} SET {c} = 'much too long to be a label' WHERE id = 40";
const REFERENCE: Probe = asks(
    "the reference",
    "SELECT \"table\" || \"from\" || \"to\" FROM pragma_foreign_key_list('{t}')",
);
const DEFERRABLE: &[Probe] = &[
    REFERENCE,
    asks(
        "DEFERRABLE",
        "SELECT sql LIKE '%DEFERRABLE INITIALLY DEFERRED%' FROM sqlite_schema WHERE name = '{t}'",
    ),
];
const CHILDREN: &[Probe] = &[
    asks(
        "the child's rows",
        "SELECT group_concat(id || ' of ' || item) FROM part",
    ),
    asks(
        "the child's reference",
        "SELECT \"table\" || on_delete FROM pragma_foreign_key_list('part')",
    ),
];

/// Whether the operation was done, whatever the kind.
pub const CHANGE: &[Probe] = &[
    asks(
        "the change",
        "SELECT group_concat(fact, ', ') FROM (SELECT name || trim(coalesce(dflt_value, ''), '''') || \"notnull\" \
         || iif(name = '{c}', type, '') AS fact FROM pragma_table_info('{t}') WHERE name NOT IN ('id', 'shown') ORDER BY name)",
    ),
    does("the change", "UPDATE {t} SET amount = 1e10 WHERE id = 40"),
];

pub const KINDS: &[Kind] = &[
    Kind {
        name: "trigger",
        objects: "CREATE TRIGGER item_touched AFTER UPDATE OF {c} ON {t} BEGIN INSERT INTO log VALUES (new.id); END;",
        probes: &[Probe {
            what: "the trigger",
            does: "UPDATE {t} SET {c} = 'Abcd' WHERE id = 40",
            asks: "SELECT count(*) FROM log WHERE entry = 40",
        }],
        ..PLAIN
    },
    Kind {
        name: "trigger of another table",
        objects: "CREATE TRIGGER logged AFTER INSERT ON log BEGIN UPDATE {t} SET {c} = 'Abcd' WHERE id = new.entry; END;",
        probes: &[Probe {
            what: "the trigger",
            does: "INSERT INTO log VALUES (40)",
            asks: "SELECT {c} FROM {t} WHERE id = 40",
        }],
        ..PLAIN
    },
    Kind {
        name: "trigger INSTEAD OF",
        objects: "CREATE VIEW all_labels AS SELECT id, {c} AS shown FROM {t}; \
            CREATE VIEW labels AS SELECT * FROM all_labels WHERE shown <> ''; \
            CREATE TRIGGER labels_new INSTEAD OF INSERT ON labels BEGIN INSERT INTO {t} (id, {c}) VALUES (new.id, new.shown); END;",
        probes: &[Probe {
            what: "the trigger",
            does: "INSERT INTO labels VALUES (777, 'new')",
            asks: "SELECT {c} FROM {t} WHERE id = 777",
        }],
        ..PLAIN
    },
    Kind {
        name: "view",
        objects: "CREATE VIEW labels AS SELECT id, {c} AS shown FROM {t} WHERE {c} IS NOT NULL;",
        probes: &[asks(
            "the view",
            "SELECT group_concat(quote(shown)) FROM labels",
        )],
        ..PLAIN
    },
    Kind {
        name: "CHECK, named",
        constraint: Some("CONSTRAINT label_short CHECK (length({c}) < 25)"),
        probes: &[
            does("the CHECK", TOO_LONG),
            asks(
                "the CHECK's name",
                "SELECT sql LIKE '%label_short%' FROM sqlite_schema WHERE name = '{t}'",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "CHECK, unnamed",
        column: " CHECK (length({c}) < 25)",
        probes: &[does("the CHECK", TOO_LONG)],
        ..PLAIN
    },
    Kind {
        name: "COLLATE",
        column: " COLLATE NOCASE",
        probes: &[asks(
            "COLLATE",
            "SELECT count(*) FROM {t} WHERE {c} = 'aBC'",
        )],
        ..PLAIN
    },
    Kind {
        name: "DESC index",
        objects: "CREATE INDEX item_by_label ON {t} ({c} DESC, id);",
        probes: &[
            asks(
                "the index",
                "SELECT group_concat(name) FROM pragma_index_xinfo('item_by_label') WHERE key",
            ),
            asks(
                "DESC",
                "SELECT group_concat(\"desc\") FROM pragma_index_xinfo('item_by_label') WHERE key",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "AUTOINCREMENT",
        id: "INTEGER PRIMARY KEY AUTOINCREMENT",
        probes: &[
            asks(
                "AUTOINCREMENT",
                "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_schema WHERE name = '{t}'",
            ),
            asks(
                "the sequence",
                "SELECT seq FROM sqlite_sequence WHERE name = '{t}'",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "ON DELETE, of a column",
        column: " REFERENCES tag (name) ON DELETE CASCADE",
        probes: &[
            REFERENCE,
            asks(
                "ON DELETE",
                "SELECT on_delete FROM pragma_foreign_key_list('{t}')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "ON DELETE, of the table",
        constraint: Some("FOREIGN KEY ({c}) REFERENCES tag (name) ON DELETE CASCADE"),
        probes: &[
            REFERENCE,
            asks(
                "ON DELETE",
                "SELECT on_delete FROM pragma_foreign_key_list('{t}')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "ON UPDATE, of a column",
        column: " REFERENCES tag (name) ON UPDATE CASCADE",
        probes: &[
            REFERENCE,
            asks(
                "ON UPDATE",
                "SELECT on_update FROM pragma_foreign_key_list('{t}')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "ON UPDATE, of the table",
        constraint: Some("FOREIGN KEY ({c}) REFERENCES tag (name) ON UPDATE CASCADE"),
        probes: &[
            REFERENCE,
            asks(
                "ON UPDATE",
                "SELECT on_update FROM pragma_foreign_key_list('{t}')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "DEFERRABLE, of a column",
        column: " REFERENCES tag (name) DEFERRABLE INITIALLY DEFERRED",
        probes: DEFERRABLE,
        ..PLAIN
    },
    Kind {
        name: "DEFERRABLE, of the table",
        constraint: Some("FOREIGN KEY ({c}) REFERENCES tag (name) DEFERRABLE INITIALLY DEFERRED"),
        probes: DEFERRABLE,
        ..PLAIN
    },
    Kind {
        name: "reference to itself",
        extra: Some(("parent", "INTEGER REFERENCES {t} (id) ON DELETE CASCADE")),
        probes: &[
            REFERENCE,
            asks(
                "ON DELETE",
                "SELECT on_delete FROM pragma_foreign_key_list('{t}')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "reference to the column",
        column: " UNIQUE",
        objects: "CREATE TABLE wearer (label TEXT REFERENCES {t} ({c}) ON UPDATE CASCADE); INSERT INTO wearer VALUES ('Abc');",
        probes: &[
            asks(
                "UNIQUE",
                "SELECT count(*) FROM pragma_index_list('{t}') WHERE origin = 'u'",
            ),
            asks(
                "the other's reference",
                "SELECT \"table\" || \"to\" || on_update FROM pragma_foreign_key_list('wearer')",
            ),
            asks("the other's rows", "SELECT group_concat(label) FROM wearer"),
        ],
        ..PLAIN
    },
    Kind {
        name: "ON CONFLICT",
        column: " UNIQUE ON CONFLICT IGNORE",
        probes: &[
            asks(
                "UNIQUE",
                "SELECT count(*) FROM pragma_index_list('{t}') WHERE origin = 'u'",
            ),
            does(
                "ON CONFLICT",
                "INSERT INTO {t} (id, {c}) VALUES (777, 'Abc')",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "partial index",
        objects: "CREATE UNIQUE INDEX item_labelled ON {t} ({c}) WHERE {c} <> '';",
        probes: &[
            asks(
                "the index",
                "SELECT group_concat(name) FROM pragma_index_xinfo('item_labelled') WHERE key",
            ),
            asks(
                "WHERE",
                "SELECT partial FROM pragma_index_list('{t}') WHERE name = 'item_labelled'",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "expression index",
        objects: "CREATE INDEX item_lower ON {t} (lower({c}));",
        probes: &[asks(
            "the index",
            "SELECT count(*) FROM sqlite_schema WHERE name = 'item_lower' AND sql LIKE '%lower%{c}%'",
        )],
        ..PLAIN
    },
    Kind {
        name: "generated, VIRTUAL",
        extra: Some(("shown", "TEXT GENERATED ALWAYS AS (upper({c})) VIRTUAL")),
        probes: &[
            asks("the column", "SELECT group_concat(quote(shown)) FROM {t}"),
            asks(
                "that it is generated",
                "SELECT hidden FROM pragma_table_xinfo('{t}') WHERE name = 'shown'",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "generated, STORED",
        extra: Some(("shown", "TEXT GENERATED ALWAYS AS (upper({c})) STORED")),
        probes: &[
            asks("the column", "SELECT group_concat(quote(shown)) FROM {t}"),
            asks(
                "that it is generated",
                "SELECT hidden FROM pragma_table_xinfo('{t}') WHERE name = 'shown'",
            ),
        ],
        ..PLAIN
    },
    Kind {
        name: "STRICT",
        tail: " STRICT",
        probes: &[asks(
            "STRICT",
            "SELECT strict FROM pragma_table_list WHERE name = '{t}'",
        )],
        ..PLAIN
    },
    Kind {
        name: "WITHOUT ROWID",
        tail: " WITHOUT ROWID",
        probes: &[asks(
            "WITHOUT ROWID",
            "SELECT wr FROM pragma_table_list WHERE name = '{t}'",
        )],
        ..PLAIN
    },
    Kind {
        name: "rowids",
        id: "INTEGER UNIQUE",
        rowids: true,
        probes: &[asks(
            "the rowids",
            "SELECT group_concat(rowid || ' is ' || id) FROM {t}",
        )],
        ..PLAIN
    },
    Kind {
        name: "rowids, and a column rowid",
        id: "INTEGER UNIQUE",
        rowids: true,
        extra: Some(("rowid", "TEXT")),
        probes: &[asks(
            "the rowids",
            "SELECT group_concat(_rowid_ || ' is ' || id) FROM {t}",
        )],
        ..PLAIN
    },
    Kind {
        name: "comments",
        comments: true,
        probes: &[asks(
            "the comments",
            "SELECT sql LIKE '%-- about label%' FROM sqlite_schema WHERE name = '{t}'",
        )],
        ..PLAIN
    },
    Kind {
        name: "child rows",
        probes: CHILDREN,
        ..PLAIN
    },
    Kind {
        name: "child rows, foreign_keys=ON",
        enforced: true,
        probes: CHILDREN,
        ..PLAIN
    },
];
