-- drops: column pipeline_runs.triggered_by, column pipelines.webhook_runs
-- What started each run, and the webhook counters, are lost.

ALTER TABLE pipeline_runs DROP COLUMN triggered_by;

ALTER TABLE pipelines DROP COLUMN webhook_runs;
