-- alembic: 006_drop_user_invitation_columns
-- drops: index ix_users_invitation_token
-- drops: column users.invitation_token, column users.invitation_expires_at
-- Invitations live in their own table since 004. Invitations of the old kind that are still open are lost.

DROP INDEX IF EXISTS ix_users_invitation_token;

ALTER TABLE users DROP COLUMN invitation_token;

ALTER TABLE users DROP COLUMN invitation_expires_at;
