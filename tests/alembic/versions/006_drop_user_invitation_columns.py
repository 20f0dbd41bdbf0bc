"""Invitations live in their own table: drop users.invitation_token and users.invitation_expires_at

Revision ID: 006_drop_user_invitation_columns
Revises: 005_make_password_hash_nullable
"""

import sqlalchemy as sa
from alembic import op

revision = "006_drop_user_invitation_columns"
down_revision = "005_make_password_hash_nullable"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f("ix_users_invitation_token"), table_name="users", if_exists=True)
    with op.batch_alter_table("users") as users:
        users.drop_column("invitation_token")
        users.drop_column("invitation_expires_at")


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("invitation_expires_at", sa.DateTime(), nullable=True))
        users.add_column(sa.Column("invitation_token", sa.String(), nullable=True))
        users.create_index(op.f("ix_users_invitation_token"), ["invitation_token"], unique=True)
