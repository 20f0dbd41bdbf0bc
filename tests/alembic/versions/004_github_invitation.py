"""Invitations by token, and login with GitHub: table invitations, users.github_id

Revision ID: 004_github_invitation
Revises: 003_add_user_management_fields
"""

import sqlalchemy as sa
from alembic import op

revision = "004_github_invitation"
down_revision = "003_add_user_management_fields"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("recipient_email", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("is_used", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("role", sa.String(), server_default="READONLY", nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=sa.func.now(), nullable=False),
    )
    op.create_index(op.f("ix_invitations_recipient_email"), "invitations", ["recipient_email"])
    op.create_index(op.f("ix_invitations_token"), "invitations", ["token"], unique=True)
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("github_id", sa.String(), nullable=True))
    op.create_index(op.f("ix_users_github_id"), "users", ["github_id"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f("ix_users_github_id"), table_name="users")
    with op.batch_alter_table("users") as users:
        users.drop_column("github_id")
    op.drop_index(op.f("ix_invitations_token"), table_name="invitations")
    op.drop_index(op.f("ix_invitations_recipient_email"), table_name="invitations")
    op.drop_table("invitations")
