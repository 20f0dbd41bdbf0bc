-- Brings both columns back, empty and at the end of the table, with the unique index that Alembic makes here.

ALTER TABLE users ADD COLUMN invitation_expires_at DATETIME;

ALTER TABLE users ADD COLUMN invitation_token VARCHAR;

CREATE UNIQUE INDEX ix_users_invitation_token ON users (invitation_token);
