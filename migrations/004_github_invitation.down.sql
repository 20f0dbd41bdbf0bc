-- drops: column users.github_id, index ix_users_github_id
-- drops: table invitations
-- Open invitations and the links to GitHub accounts are lost.

DROP INDEX ix_users_github_id;

ALTER TABLE users DROP COLUMN github_id;

DROP TABLE invitations;
