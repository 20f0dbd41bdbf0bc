-- Before 005 every user had a password. SQLite cannot add a NOT NULL, so users is rebuilt.
-- Every row keeps its rowid. Nothing is renamed, so that views on users stay valid.
-- The columns stand in the order that Alembic leaves on its way down from head, where 007 and 006 put theirs last.

-- Where users have no password, say how many and what to do before anything is touched. SQL knows no other way to stop
-- with a message than a trigger. The count in it needs SQLite 3.47.
CREATE TEMP TABLE password_hash_guard (missing INTEGER NOT NULL);

CREATE TEMP TRIGGER password_hash_guard_stop
BEFORE INSERT ON password_hash_guard
WHEN new.missing > 0
BEGIN
	SELECT RAISE(
		ABORT,
		'Revision 004 requires a password_hash, and ' || new.missing || ' row(s) in users have none. '
		|| 'Downgrade to 005 only, where the column exists, and look at them: '
		|| 'SELECT id, username FROM users WHERE password_hash IS NULL; '
		|| 'Then give them a value that no password matches, so that none of them can log in with one: '
		|| 'UPDATE users SET password_hash = ''!'' WHERE password_hash IS NULL; '
		|| 'or delete those users. After that, downgrade again.'
	);
END;

INSERT INTO password_hash_guard (missing) SELECT count(*) FROM users WHERE password_hash IS NULL;

DROP TABLE temp.password_hash_guard;

-- For runners that enforce foreign keys, such as sqlx-cli: the references are checked at the commit, when all are back.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE users_kept AS SELECT rowid AS old_rowid, * FROM users;

-- Keeps three indexes exactly where they are, as explained in 005_make_password_hash_nullable.up.sql.
CREATE TABLE users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_email ON users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_invitation_token ON users_missing_indexes (placeholder);

CREATE INDEX IF NOT EXISTS ix_users_microsoft_id ON users_missing_indexes (placeholder);

DROP TABLE users;

CREATE TABLE users (
	id CHAR(32) NOT NULL,
	username VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	email VARCHAR,
	role VARCHAR DEFAULT 'READONLY' NOT NULL,
	blocked BOOLEAN DEFAULT '0' NOT NULL,
	microsoft_id VARCHAR,
	github_id VARCHAR,
	password_hash VARCHAR NOT NULL,
	invitation_expires_at DATETIME,
	invitation_token VARCHAR,
	PRIMARY KEY (id)
);

INSERT INTO users (
	rowid, id, username, created_at, email, role, blocked, microsoft_id, github_id,
	password_hash, invitation_expires_at, invitation_token
)
SELECT old_rowid, id, username, created_at, email, role, blocked, microsoft_id, github_id,
	password_hash, invitation_expires_at, invitation_token
FROM users_kept;

DROP TABLE users_kept;

CREATE UNIQUE INDEX ix_users_username ON users (username);

CREATE UNIQUE INDEX ix_users_github_id ON users (github_id);

CREATE INDEX IF NOT EXISTS ix_users_email ON users (email);

CREATE UNIQUE INDEX IF NOT EXISTS ix_users_invitation_token ON users (invitation_token);

CREATE UNIQUE INDEX IF NOT EXISTS ix_users_microsoft_id ON users (microsoft_id);

DROP TABLE users_missing_indexes;
