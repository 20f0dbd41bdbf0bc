-- The schema at head. A test holds it equal to what the migrations build.

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
	exit_code INTEGER, triggered_by VARCHAR DEFAULT 'manual' NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE pipelines (
	pipeline_name VARCHAR NOT NULL,
	has_requirements BOOLEAN NOT NULL,
	last_cache_warmup DATETIME,
	total_runs INTEGER NOT NULL,
	successful_runs INTEGER NOT NULL,
	failed_runs INTEGER NOT NULL, webhook_runs INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (pipeline_name)
);

CREATE TABLE scheduled_jobs (
	id CHAR(32) NOT NULL,
	pipeline_name VARCHAR NOT NULL,
	trigger_type VARCHAR(8) NOT NULL,
	trigger_value VARCHAR NOT NULL,
	enabled BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE secrets (
	id CHAR(32) NOT NULL,
	"key" VARCHAR NOT NULL,
	value VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL, is_parameter BOOLEAN DEFAULT '0' NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE sessions (
	id CHAR(32) NOT NULL,
	token VARCHAR NOT NULL,
	user_id CHAR(32) NOT NULL,
	expires_at DATETIME NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE users (
	id CHAR(32) NOT NULL,
	username VARCHAR NOT NULL,
	created_at DATETIME NOT NULL,
	email VARCHAR,
	role VARCHAR DEFAULT 'READONLY' NOT NULL,
	blocked BOOLEAN DEFAULT '0' NOT NULL,
	microsoft_id VARCHAR,
	github_id VARCHAR, google_id VARCHAR, avatar_url VARCHAR,
	PRIMARY KEY (id)
);

CREATE INDEX ix_invitations_recipient_email ON invitations (recipient_email);

CREATE UNIQUE INDEX ix_invitations_token ON invitations (token);

CREATE INDEX ix_pipeline_runs_pipeline_name ON pipeline_runs (pipeline_name);

CREATE INDEX ix_scheduled_jobs_pipeline_name ON scheduled_jobs (pipeline_name);

CREATE UNIQUE INDEX ix_secrets_key ON secrets ("key");

CREATE UNIQUE INDEX ix_sessions_token ON sessions (token);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE UNIQUE INDEX ix_users_github_id ON users (github_id);

CREATE UNIQUE INDEX ix_users_google_id ON users (google_id);

CREATE UNIQUE INDEX ix_users_username ON users (username);
