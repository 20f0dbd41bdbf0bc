-- drops: column secrets.is_parameter
-- Which rows were plain parameters is forgotten. An app of that time would take their values for encrypted ones.

ALTER TABLE secrets DROP COLUMN is_parameter;
