#!/usr/bin/env python3
"""Fills a Fast-Flow database with rows like those of real installations, always the same ones for the same arguments.

    fill.py DATABASE --users N --runs N [--stopped-at-003]

The database stands at base, or at 003 with --stopped-at-003. Needs nothing but the standard library. On purpose:

- pipeline_runs.status and scheduled_jobs.trigger_type come in mixed case and with blanks around them, and so does
  users.role at 003 ('Viewer' among them): all of them known to migrations/enums.toml
- some sessions belong to users who are gone, because the app never switches foreign keys on
- text with quotes, umlauts, line breaks and emoji; NULLs; empty and nested JSON
"""

import argparse
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

SEED = 20240118
EPOCH = datetime(2024, 1, 18, 18, 0)

PIPELINES = (
    "daily_sales_import", "customer_sync", "invoice_export", "stock_forecast", "newsletter", "gdpr_cleanup",
    "weather_ingest", "log_rotation", "price_crawler", "umsätze_nach_region", "it's_quoted", "heartbeat",
)  # fmt: skip

# (as stored, weight): most rows are as they should be, as in life.
STATUSES = {
    "SUCCESS": 60, "FAILED": 8, "INTERRUPTED": 3, "WARNING": 4, "RUNNING": 1, "PENDING": 1,
    "success": 8, " Success ": 4, "Failed": 3, "FAILED ": 2, "running": 2, "  pending": 1, "Warning": 2,
    "interrupted": 1,
}  # fmt: skip

TRIGGERS = (
    ("CRON", "0 6 * * *"), ("cron", "*/15 * * * *"), ("Interval", "hours=6"), ("INTERVAL", "minutes=30"),
    (" Cron ", "30 2 * * 0"), ("interval", "days=1"), ("Date", "2024-12-24T18:00:00"), ("DATE", "2025-01-01T00:00:00"),
)  # fmt: skip

ROLES_AT_003 = ("readonly", " Admin ", "WRITE", "Write", "READONLY", "Viewer")

FIRST_NAMES = ("ada", "grace", "jürgen", "chloé", "linus", "o'brien", "mei", "olu", "frieda", "zoë")

PARAMETERS = (
    {},
    {"region": "EMEA"},
    {"region": "DACH", "limit": "1000"},
    {"since": "2024-01-01", "dry_run": "false", "note": "line one\nline two"},
    {"filter": {"status": ["open", "paid"], "min": 10.5}, "label": "Prüfung \"Q1\" 🚀"},
)

Row = tuple[object, ...]


def new_id(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"


def at(moment: datetime) -> str:
    """As SQLAlchemy stores a DATETIME."""
    return moment.isoformat(sep=" ", timespec="microseconds")


def users(rng: random.Random, count: int, stopped_at_003: bool) -> Iterator[Row]:
    for number in range(count):
        name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]}.{number:06}"
        password_hash = f"$2b$12${new_id(rng)}{new_id(rng)}"[:60]
        row = (new_id(rng), name, password_hash, at(EPOCH - timedelta(hours=number % 5000)))
        if stopped_at_003:
            invited = number % 7 == 3
            row += (
                None if number % 5 == 4 else f"{name}@example.org",
                ROLES_AT_003[number % len(ROLES_AT_003)],
                int(number % 11 == 7),
                new_id(rng) if invited else None,
                at(EPOCH + timedelta(days=number % 30)) if invited else None,
                new_id(rng) if number % 9 == 5 else None,
            )
        yield row


def sessions(rng: random.Random, user_ids: list[str]) -> Iterator[Row]:
    """One for most users; one in ten belongs to a user who was deleted."""
    for number in range(max(len(user_ids), 10)):
        orphan = number % 10 == 9 or not user_ids
        user_id = new_id(rng) if orphan else user_ids[number]
        created = EPOCH - timedelta(minutes=number)
        yield new_id(rng), f"eyJhbGciOiJIUzI1NiJ9.{new_id(rng)}", user_id, at(created + timedelta(days=1)), at(created)


def runs(rng: random.Random, count: int, counts: dict[str, Counter]) -> Iterator[Row]:
    statuses = rng.choices(list(STATUSES), weights=list(STATUSES.values()), k=count)
    parameters = [json.dumps(value) for value in PARAMETERS]
    for number, status in enumerate(statuses):
        run_id = new_id(rng)
        pipeline = PIPELINES[number % len(PIPELINES)]
        state = status.strip().upper()
        counts[pipeline][state] += 1
        ended = state not in ("PENDING", "RUNNING")
        started = EPOCH - timedelta(seconds=37 * (count - number))
        seconds = rng.randrange(1, 900)
        environment = {"PIPELINE": pipeline, "ATTEMPT": str(number % 3), "API_TOKEN": f"gAAAAAB{run_id}=="}
        if number % 50 == 0:
            environment["ZERTIFIKAT"] = "-----BEGIN-----\n" + run_id * 40 + "\n-----END-----"
        yield (
            run_id,
            pipeline,
            status,
            f"logs/{pipeline}/{run_id}.log",
            f"logs/{pipeline}/{run_id}.metrics.jsonl" if ended else None,
            json.dumps(environment),
            parameters[number % len(parameters)] if number % 13 else None,
            "0.1.13" if number % 4 else None,
            round(rng.random() * 20, 3) if ended else None,
            at(started),
            at(started + timedelta(seconds=seconds)) if ended else None,
            {"SUCCESS": 0, "WARNING": 0, "FAILED": 1, "INTERRUPTED": 137}.get(state),
        )


def pipelines(counts: dict[str, Counter]) -> Iterator[Row]:
    for number, (name, states) in enumerate(counts.items()):
        warmed_up = at(EPOCH - timedelta(days=number)) if number % 3 else None
        yield name, number % 2, warmed_up, states.total(), states["SUCCESS"], states["FAILED"] + states["INTERRUPTED"]


def scheduled_jobs(rng: random.Random) -> Iterator[Row]:
    for number in range(2 * len(PIPELINES)):
        trigger = TRIGGERS[number % len(TRIGGERS)]
        created = at(EPOCH - timedelta(days=number))
        yield new_id(rng), PIPELINES[number % len(PIPELINES)], *trigger, int(number % 4 != 3), created


def secrets(rng: random.Random, count: int, stopped_at_003: bool) -> Iterator[Row]:
    for number in range(count):
        changed = at(EPOCH - timedelta(days=number))
        row = (new_id(rng), f"SECRET_{number:03}", f"gAAAAAB{new_id(rng)}{new_id(rng)}==", changed, changed)
        yield row + (int(number % 4 == 0),) if stopped_at_003 else row


def fill(connection: sqlite3.Connection, user_count: int, run_count: int, stopped_at_003: bool) -> None:
    rng = random.Random(SEED)
    counts: dict[str, Counter] = {name: Counter() for name in PIPELINES}

    def insert(table: str, columns: str, rows: Iterator[Row]) -> None:
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    user_columns = "id, username, password_hash, created_at"
    secret_columns = 'id, "key", value, created_at, updated_at'
    if stopped_at_003:
        user_columns += ", email, role, blocked, invitation_token, invitation_expires_at, microsoft_id"
        secret_columns += ", is_parameter"

    insert("users", user_columns, users(rng, user_count, stopped_at_003))
    user_ids = [user_id for (user_id,) in connection.execute("SELECT id FROM users ORDER BY rowid")]
    insert("sessions", "id, token, user_id, expires_at, created_at", sessions(rng, user_ids))
    insert(
        "pipeline_runs",
        "id, pipeline_name, status, log_file, metrics_file, env_vars, parameters, uv_version, setup_duration, "
        "started_at, finished_at, exit_code",
        runs(rng, run_count, counts),
    )
    insert(
        "pipelines",
        "pipeline_name, has_requirements, last_cache_warmup, total_runs, successful_runs, failed_runs",
        pipelines(counts),
    )
    insert(
        "scheduled_jobs",
        "id, pipeline_name, trigger_type, trigger_value, enabled, created_at",
        scheduled_jobs(rng),
    )
    insert("secrets", secret_columns, secrets(rng, 20, stopped_at_003))
    if stopped_at_003:
        connection.execute("UPDATE pipelines SET webhook_runs = total_runs / 5")
        connection.execute("UPDATE pipeline_runs SET triggered_by = 'webhook' WHERE rowid % 5 = 0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("--users", type=int, required=True, metavar="N")
    parser.add_argument("--runs", type=int, required=True, metavar="N")
    parser.add_argument("--stopped-at-003", action="store_true")
    arguments = parser.parse_args()

    connection = sqlite3.connect(arguments.database)
    connection.execute("PRAGMA cache_size = -200000")  # KiB; keeps the indexes of a million runs in memory
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        fill(connection, arguments.users, arguments.runs, arguments.stopped_at_003)
    connection.close()


if __name__ == "__main__":
    main()
