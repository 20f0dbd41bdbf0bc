-- alembic: 005_make_password_hash_nullable
-- Users who log in with GitHub have no password. SQLite cannot take a NOT NULL away, so users is rebuilt.
-- Every row keeps its rowid. Nothing is renamed, so that views on users stay valid.

-- For runners that enforce foreign keys, such as sqlx-cli: the references are checked at the commit, when all are back.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE users_kept AS SELECT rowid AS old_rowid, * FROM users;

-- Three indexes exist in databases that SQLModel's create_all made, and not in those that Alembic made. To keep them
-- exactly where they are: this placeholder takes the name of each one that is missing. When users goes, those that
-- were there free their names, and only those are made again below. The placeholder takes the rest with it.
CREATE TABLE users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_email ON users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_invitation_token ON users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_microsoft_id ON users_missing_indexes (placeholder);

DROP TABLE users;

CREATE TABLE users (
	id CHAR(32) NOT NULL,
	username VARCHAR NOT NULL,
	password_hash VARCHAR,
	created_at DATETIME NOT NULL,
	email VARCHAR,
	role VARCHAR DEFAULT 'READONLY' NOT NULL,
	blocked BOOLEAN DEFAULT '0' NOT NULL,
	invitation_token VARCHAR,
	invitation_expires_at DATETIME,
	microsoft_id VARCHAR,
	github_id VARCHAR,
	PRIMARY KEY (id)
);

INSERT INTO users (
	rowid, id, username, password_hash, created_at, email, role, blocked,
	invitation_token, invitation_expires_at, microsoft_id, github_id
)
SELECT old_rowid, id, username, password_hash, created_at, email, role, blocked,
	invitation_token, invitation_expires_at, microsoft_id, github_id
FROM users_kept;

DROP TABLE users_kept;

CREATE UNIQUE INDEX ix_users_username ON users (username);

CREATE UNIQUE INDEX ix_users_github_id ON users (github_id);

CREATE INDEX IF NOT EXISTS ix_users_email ON users (email);

CREATE UNIQUE INDEX IF NOT EXISTS ix_users_invitation_token ON users (invitation_token);

CREATE UNIQUE INDEX IF NOT EXISTS ix_users_microsoft_id ON users (microsoft_id);

DROP TABLE users_missing_indexes;
