#!/usr/bin/env python3
"""Prints the schema of a SQLite database as canonical JSON, so that two databases can be compared as text.

    dump.py DATABASE

Only what SQLite understands of the schema counts: tables, columns in order, foreign keys and indexes as the pragmas
report them, never the text of the CREATE statements. The tables that migration tools keep for themselves are left out.
"""

import argparse
import json
import sqlite3
from pathlib import Path

BOOKKEEPING = ("alembic_version", "_sqlx_migrations", "_safestep_migrations")

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"

COLUMNS = (
    'SELECT cid, name, type, "notnull", dflt_value AS "default", pk, hidden '
    "FROM pragma_table_xinfo(?) ORDER BY cid"
)

FOREIGN_KEYS = (
    'SELECT id, seq, "table", "from", "to", on_update, on_delete, "match" '
    "FROM pragma_foreign_key_list(?) ORDER BY id, seq"
)

INDEXES = 'SELECT name, "unique", origin, partial FROM pragma_index_list(?) ORDER BY name'

INDEX_COLUMNS = 'SELECT seqno, name, "desc", coll, "key" FROM pragma_index_xinfo(?) ORDER BY seqno'


def dump(path: str | Path) -> dict:
    """The schema as plain dictionaries and lists: table name -> columns, foreign_keys, indexes."""
    connection = sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row

    def rows(query: str, *parameters: str) -> list[dict]:
        return [dict(row) for row in connection.execute(query, parameters)]

    try:
        return {
            table: {
                "columns": rows(COLUMNS, table),
                "foreign_keys": rows(FOREIGN_KEYS, table),
                "indexes": [index | {"columns": rows(INDEX_COLUMNS, index["name"])} for index in rows(INDEXES, table)],
            }
            for (table,) in connection.execute(TABLES)
            if table not in BOOKKEEPING
        }
    finally:
        connection.close()


def as_text(schema: dict) -> str:
    """One line per column, foreign key and index column, so that a difference can be read."""

    def render(value: object, indent: str) -> str:
        inner = indent + "  "
        if isinstance(value, list) and value:
            return "[\n" + ",\n".join(inner + render(child, inner) for child in value) + f"\n{indent}]"
        if isinstance(value, dict) and any(isinstance(child, (dict, list)) for child in value.values()):
            lines = [f"{inner}{json.dumps(key)}: {render(child, inner)}" for key, child in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        return json.dumps(value, ensure_ascii=False)

    return render(schema, "") + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    print(as_text(dump(parser.parse_args().database)), end="")
