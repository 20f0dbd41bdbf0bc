-- The schema before Alembic's first revision, as SQLModel's create_all writes it.
-- Revision 0, so that a fresh database is built by the same path as an old one.

CREATE TABLE pipelines (
	pipeline_name VARCHAR NOT NULL,
	has_requirements BOOLEAN NOT NULL,
	last_cache_warmup DATETIME,
	total_runs INTEGER NOT NULL,
	successful_runs INTEGER NOT NULL,
	failed_runs INTEGER NOT NULL,
	PRIMARY KEY (pipeline_name)
);

CREATE TABLE pipeline_runs (
	id CHAR(32) NOT NULL,
	pipeline_name VARCHAR NOT NULL,
	status VARCHAR(11) NOT NULL,
	log_file VARCHAR NOT NULL,
	metrics_file VARCHAR,
	env_vars JSON,
	parameters JSON,
	uv_version VARCHAR,
	setup_duration FLOAT,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	exit_code INTEGER,
	PRIMARY KEY (id)
);

CREATE INDEX ix_pipeline_runs_pipeline_name ON pipeline_runs (pipeline_name);

CREATE TABLE scheduled_jobs (
	id CHAR(32) NOT NULL,
	pipeline_name VARCHAR NOT NULL,
	trigger_type VARCHAR(8) NOT NULL,
	trigger_value VARCHAR NOT NULL,
	enabled BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_scheduled_jobs_pipeline_name ON scheduled_jobs (pipeline_name);

CREATE TABLE secrets (
	id CHAR(32) NOT NULL,
	"key" VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE UNIQUE INDEX ix_secrets_key ON secrets ("key");

CREATE TABLE users (
	id CHAR(32) NOT NULL,
	username VARCHAR NOT NULL,
	password_hash VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE UNIQUE INDEX ix_users_username ON users (username);

CREATE TABLE sessions (
	id CHAR(32) NOT NULL,
	token VARCHAR NOT NULL,
	user_id CHAR(32) NOT NULL,
	expires_at DATETIME NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE UNIQUE INDEX ix_sessions_token ON sessions (token);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);
