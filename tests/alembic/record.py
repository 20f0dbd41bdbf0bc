#!/usr/bin/env python3
"""Records what real Alembic builds: the schema at every revision, up from base to head and down again.

    record.py OUT_DIR

writes OUT_DIR/up-000.json .. up-008.json and down-007.json .. down-000.json (dump.py's format). The copies under
recorded/ let the tests compare our SQL files with Alembic's result on a machine that has no Python. Renew them with

    pip install -r requirements.txt && python record.py recorded
"""

import argparse
import os
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import base
import dump

HERE = Path(__file__).resolve().parent


def record(out_dir: Path) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    config = Config(HERE / "alembic.ini")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]

    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch, "fastflow.db")
        os.environ["DATABASE_URL"] = f"sqlite:///{database}"

        def write(direction: str, number: int) -> None:
            schema = dump.as_text(dump.dump(database))
            (out_dir / f"{direction}-{number:03}.json").write_text(schema, encoding="utf-8")

        base.create(os.environ["DATABASE_URL"])
        write("up", 0)
        for number, revision in enumerate(revisions, start=1):
            command.upgrade(config, revision)
            write("up", number)
        for number in range(len(revisions) - 1, -1, -1):
            command.downgrade(config, revisions[number - 1] if number else "base")
            write("down", number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    record(parser.parse_args().out_dir)
