-- alembic: 003_add_user_management_fields
-- E-mail, role, blocking, invitation and Microsoft login on users. Users that are there become READONLY.

ALTER TABLE users ADD COLUMN email VARCHAR;

ALTER TABLE users ADD COLUMN role VARCHAR DEFAULT 'READONLY' NOT NULL;

ALTER TABLE users ADD COLUMN blocked BOOLEAN DEFAULT '0' NOT NULL;

ALTER TABLE users ADD COLUMN invitation_token VARCHAR;

ALTER TABLE users ADD COLUMN invitation_expires_at DATETIME;

ALTER TABLE users ADD COLUMN microsoft_id VARCHAR;
