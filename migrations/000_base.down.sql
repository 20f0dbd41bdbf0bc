-- drops: table sessions, table users, table secrets
-- drops: table scheduled_jobs, table pipeline_runs, table pipelines
-- Takes everything away, rows and all. Tables that refer to others go first.

DROP TABLE sessions;

DROP TABLE users;

DROP TABLE secrets;

DROP TABLE scheduled_jobs;

DROP TABLE pipeline_runs;

DROP TABLE pipelines;
