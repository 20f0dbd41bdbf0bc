-- Brings the column back, empty and at the end of the table. Nobody can log in with a password until one is set.

ALTER TABLE users ADD COLUMN password_hash VARCHAR;
