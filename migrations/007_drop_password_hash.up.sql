-- alembic: 007_drop_password_hash
-- drops: column users.password_hash
-- Login is OAuth only from here on. The hashes are gone for good, a downgrade brings back an empty column.

ALTER TABLE users DROP COLUMN password_hash;
