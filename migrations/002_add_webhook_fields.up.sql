-- alembic: 002_add_webhook_fields
-- Counts the runs that webhooks started, and notes for each run what started it. Old runs count as manual.

ALTER TABLE pipelines ADD COLUMN webhook_runs INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE pipeline_runs ADD COLUMN triggered_by VARCHAR DEFAULT 'manual' NOT NULL;
