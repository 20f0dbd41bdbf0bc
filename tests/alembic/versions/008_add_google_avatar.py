"""Login with Google, and profile pictures: users.google_id, users.avatar_url

Revision ID: 008_add_google_avatar
Revises: 007_drop_password_hash
"""

import sqlalchemy as sa
from alembic import op

revision = "008_add_google_avatar"
down_revision = "007_drop_password_hash"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("google_id", sa.String(), nullable=True))
        users.add_column(sa.Column("avatar_url", sa.String(), nullable=True))
    op.create_index(op.f("ix_users_google_id"), "users", ["google_id"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f("ix_users_google_id"), table_name="users")
    with op.batch_alter_table("users") as users:
        users.drop_column("avatar_url")
        users.drop_column("google_id")
