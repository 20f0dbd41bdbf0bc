-- drops: index ix_users_google_id
-- drops: column users.avatar_url, column users.google_id
-- The links to Google accounts and the profile pictures are lost.

DROP INDEX ix_users_google_id;

ALTER TABLE users DROP COLUMN avatar_url;

ALTER TABLE users DROP COLUMN google_id;
