#!/usr/bin/env python3
"""Creates the base schema, which stands before revision 001, the way Fast-Flow does: SQLAlchemy's create_all.

    base.py DATABASE
"""

import argparse

import sqlalchemy as sa

metadata = sa.MetaData()

RunStatus = sa.Enum("PENDING", "RUNNING", "SUCCESS", "FAILED", "INTERRUPTED", "WARNING", name="runstatus")
TriggerType = sa.Enum("CRON", "INTERVAL", "DATE", name="triggertype")


def required(name: str, type_: sa.types.TypeEngine, *args, **options) -> sa.Column:
    return sa.Column(name, type_, *args, nullable=False, **options)


sa.Table(
    "pipelines",
    metadata,
    required("pipeline_name", sa.String(), primary_key=True),
    required("has_requirements", sa.Boolean()),
    sa.Column("last_cache_warmup", sa.DateTime()),
    required("total_runs", sa.Integer()),
    required("successful_runs", sa.Integer()),
    required("failed_runs", sa.Integer()),
)

sa.Table(
    "pipeline_runs",
    metadata,
    required("id", sa.Uuid(), primary_key=True),
    required("pipeline_name", sa.String(), index=True),
    required("status", RunStatus),
    required("log_file", sa.String()),
    sa.Column("metrics_file", sa.String()),
    sa.Column("env_vars", sa.JSON()),
    sa.Column("parameters", sa.JSON()),
    sa.Column("uv_version", sa.String()),
    sa.Column("setup_duration", sa.Float()),
    required("started_at", sa.DateTime()),
    sa.Column("finished_at", sa.DateTime()),
    sa.Column("exit_code", sa.Integer()),
)

sa.Table(
    "scheduled_jobs",
    metadata,
    required("id", sa.Uuid(), primary_key=True),
    required("pipeline_name", sa.String(), index=True),
    required("trigger_type", TriggerType),
    required("trigger_value", sa.String()),
    required("enabled", sa.Boolean()),
    required("created_at", sa.DateTime()),
)

sa.Table(
    "secrets",
    metadata,
    required("id", sa.Uuid(), primary_key=True),
    required("key", sa.String(), index=True, unique=True),
    required("value", sa.String()),
    required("created_at", sa.DateTime()),
    required("updated_at", sa.DateTime()),
)

sa.Table(
    "users",
    metadata,
    required("id", sa.Uuid(), primary_key=True),
    required("username", sa.String(), index=True, unique=True),
    required("password_hash", sa.String()),
    required("created_at", sa.DateTime()),
)

sa.Table(
    "sessions",
    metadata,
    required("id", sa.Uuid(), primary_key=True),
    required("token", sa.String(), index=True, unique=True),
    required("user_id", sa.Uuid(), sa.ForeignKey("users.id"), index=True),
    required("expires_at", sa.DateTime()),
    required("created_at", sa.DateTime()),
)


def create(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    metadata.create_all(engine)
    engine.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    create(f"sqlite:///{parser.parse_args().database}")
