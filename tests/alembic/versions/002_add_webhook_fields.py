"""Runs started by webhooks: pipelines.webhook_runs, pipeline_runs.triggered_by

Revision ID: 002_add_webhook_fields
Revises: 001_add_is_parameter
"""

import sqlalchemy as sa
from alembic import op

revision = "002_add_webhook_fields"
down_revision = "001_add_is_parameter"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pipelines") as pipelines:
        pipelines.add_column(sa.Column("webhook_runs", sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("pipeline_runs") as runs:
        runs.add_column(sa.Column("triggered_by", sa.String(), server_default="manual", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("pipeline_runs") as runs:
        runs.drop_column("triggered_by")
    with op.batch_alter_table("pipelines") as pipelines:
        pipelines.drop_column("webhook_runs")
