"""Users who log in with GitHub have no password: users.password_hash becomes nullable

Revision ID: 005_make_password_hash_nullable
Revises: 004_github_invitation
"""

import sqlalchemy as sa
from alembic import op

revision = "005_make_password_hash_nullable"
down_revision = "004_github_invitation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.alter_column("password_hash", existing_type=sa.String(), nullable=True)


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.alter_column("password_hash", existing_type=sa.String(), nullable=False)
