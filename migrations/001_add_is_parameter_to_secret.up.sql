-- alembic: 001_add_is_parameter
-- Tells plain parameters from encrypted secrets. What is there already counts as a secret.

ALTER TABLE secrets ADD COLUMN is_parameter BOOLEAN DEFAULT '0' NOT NULL;
