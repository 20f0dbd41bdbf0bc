"""Plain parameters beside encrypted secrets: secrets.is_parameter

Revision ID: 001_add_is_parameter
Revises:
"""

import sqlalchemy as sa
from alembic import op

# Shorter than the file name, and that is what alembic_version holds.
revision = "001_add_is_parameter"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("secrets") as secrets:
        secrets.add_column(sa.Column("is_parameter", sa.Boolean(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("secrets") as secrets:
        secrets.drop_column("is_parameter")
