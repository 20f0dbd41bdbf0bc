-- alembic: 004_github_invitation
-- Invitations get a table of their own, and users may log in with GitHub.

CREATE TABLE invitations (
	id VARCHAR(36) NOT NULL,
	recipient_email VARCHAR NOT NULL,
	token VARCHAR NOT NULL,
	is_used BOOLEAN DEFAULT 0 NOT NULL,
	expires_at DATETIME NOT NULL,
	role VARCHAR DEFAULT 'READONLY' NOT NULL,
	created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_invitations_recipient_email ON invitations (recipient_email);

CREATE UNIQUE INDEX ix_invitations_token ON invitations (token);

ALTER TABLE users ADD COLUMN github_id VARCHAR;

CREATE UNIQUE INDEX ix_users_github_id ON users (github_id);
