#!/usr/bin/env python3
"""What an Alembic user would write, for each operation of tests/matrix.rs, on databases that are there already.

    batch.py CELLS.json

CELLS.json is a list of {"database": path, "operation": name, "strict": bool, "foreign_keys": bool}. Each database is
changed in place by batch mode with default arguments, as a migration's upgrade() would. Prints one JSON document: the
versions, and for each cell the error (or null) and the warnings.
"""

import json
import sqlite3
import sys
import warnings
from pathlib import Path

import alembic
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

SANE = "amount < 1000000000.0"


def add_column(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.add_column(sa.Column("added", sa.Integer(), nullable=False, server_default="7"))


def drop_column(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.drop_column("spare")


def alter(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.drop_column("spare")
        batch_op.alter_column("label", new_column_name="title", server_default="it's")
        batch_op.alter_column("big", existing_type=sa.Integer(), type_=sa.Text())
        batch_op.add_column(sa.Column("added", sa.Integer(), nullable=False, server_default="7"))
        batch_op.create_check_constraint("amount_sane", SANE)


def rename_column(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.alter_column("label", new_column_name="title")


def rename_table(op: Operations, strict: bool) -> None:
    op.rename_table("item", "article")


def change_type(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        if strict:
            batch_op.alter_column("big", existing_type=sa.INT(), type_=sa.INTEGER())
        else:
            batch_op.alter_column("label", existing_type=sa.Text(), type_=sa.String(200))


def change_default(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.alter_column("label", server_default="it's")


def tighten(op: Operations, strict: bool) -> None:
    op.execute("UPDATE item SET label = 'none' WHERE label IS NULL")
    with op.batch_alter_table("item") as batch_op:
        batch_op.alter_column("label", existing_type=sa.Text(), nullable=False)


def relax(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.alter_column("label", existing_type=sa.Text(), nullable=True)


def add_constraint(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.create_check_constraint("amount_sane", SANE)


def drop_constraint(op: Operations, strict: bool) -> None:
    with op.batch_alter_table("item") as batch_op:
        batch_op.drop_constraint("amount_sane", type_="check")


OPERATIONS = [
    add_column,
    drop_column,
    alter,
    rename_column,
    rename_table,
    change_type,
    change_default,
    tighten,
    relax,
    add_constraint,
    drop_constraint,
]


def enforce(connection: sqlite3.Connection, _: object) -> None:
    """As in SQLAlchemy's documentation, "Foreign Key Support" of SQLite."""
    connection.execute("PRAGMA foreign_keys=ON")


def first_line(text: object) -> str:
    return str(text).strip().splitlines()[0]


def upgrade(cell: dict) -> dict:
    operation = {function.__name__: function for function in OPERATIONS}[cell["operation"]]
    engine = sa.create_engine(f"sqlite:///{cell['database']}")
    if cell["foreign_keys"]:
        sa.event.listen(engine, "connect", enforce)
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with engine.connect() as connection:
                # As MigrationContext.run_migrations() does around every migration.
                context = MigrationContext.configure(connection)
                with context.begin_transaction(_per_migration=True):
                    operation(Operations(context), cell["strict"])
        except Exception as failure:  # noqa: BLE001: whatever it is, it is what the user gets
            error = f"{type(failure).__name__}: {first_line(failure)}"
    engine.dispose()
    return {"error": error, "warnings": [first_line(warning.message) for warning in caught]}


if __name__ == "__main__":
    cells = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    versions = {
        "Alembic": alembic.__version__,
        "SQLAlchemy": sa.__version__,
        "SQLite": sqlite3.sqlite_version,
    }
    json.dump({"versions": versions, "cells": [upgrade(cell) for cell in cells]}, sys.stdout, indent=1)
