-- alembic: 008_add_google_avatar
-- Login with Google, and the profile picture that an OAuth provider gives.

ALTER TABLE users ADD COLUMN google_id VARCHAR;

ALTER TABLE users ADD COLUMN avatar_url VARCHAR;

CREATE UNIQUE INDEX ix_users_google_id ON users (google_id);
