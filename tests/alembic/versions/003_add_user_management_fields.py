"""User management: e-mail, role, blocking, invitation and Microsoft login on users

Revision ID: 003_add_user_management_fields
Revises: 002_add_webhook_fields
"""

import sqlalchemy as sa
from alembic import op

revision = "003_add_user_management_fields"
down_revision = "002_add_webhook_fields"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("email", sa.String(), nullable=True))
        users.add_column(sa.Column("role", sa.String(), server_default="READONLY", nullable=False))
        users.add_column(sa.Column("blocked", sa.Boolean(), server_default="0", nullable=False))
        users.add_column(sa.Column("invitation_token", sa.String(), nullable=True))
        users.add_column(sa.Column("invitation_expires_at", sa.DateTime(), nullable=True))
        users.add_column(sa.Column("microsoft_id", sa.String(), nullable=True))


def downgrade() -> None:
    # Fast-Flow's own downgrade drops these three without asking. The upgrade never creates them (only the models'
    # create_all does), so on most databases it dies with "no such index"; if_exists is the one thing mended here.
    for column in ("microsoft_id", "invitation_token", "email"):
        op.drop_index(op.f(f"ix_users_{column}"), table_name="users", if_exists=True)
    with op.batch_alter_table("users") as users:
        users.drop_column("microsoft_id")
        users.drop_column("invitation_expires_at")
        users.drop_column("invitation_token")
        users.drop_column("blocked")
        users.drop_column("role")
        users.drop_column("email")
