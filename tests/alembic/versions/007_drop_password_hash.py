"""Login is OAuth only: drop users.password_hash

Revision ID: 007_drop_password_hash
Revises: 006_drop_user_invitation_columns
"""

import sqlalchemy as sa
from alembic import op

revision = "007_drop_password_hash"
down_revision = "006_drop_user_invitation_columns"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_column("password_hash")


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("password_hash", sa.String(), nullable=True))
