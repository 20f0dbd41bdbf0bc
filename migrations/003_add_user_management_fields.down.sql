-- drops: column users.microsoft_id, column users.invitation_expires_at, column users.invitation_token
-- drops: column users.blocked, column users.role, column users.email
-- drops: index ix_users_microsoft_id, index ix_users_invitation_token, index ix_users_email
-- Every user loses role and block. 003 makes none of the three indexes. SQLModel's create_all does (and the way down
-- through 006 brings one back), so they go where they exist.

DROP INDEX IF EXISTS ix_users_microsoft_id;

DROP INDEX IF EXISTS ix_users_invitation_token;

DROP INDEX IF EXISTS ix_users_email;

ALTER TABLE users DROP COLUMN microsoft_id;

ALTER TABLE users DROP COLUMN invitation_expires_at;

ALTER TABLE users DROP COLUMN invitation_token;

ALTER TABLE users DROP COLUMN blocked;

ALTER TABLE users DROP COLUMN role;

ALTER TABLE users DROP COLUMN email;
