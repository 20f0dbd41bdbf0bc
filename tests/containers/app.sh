#!/bin/sh
# Stands in for Fast-Flow: what it does with its database when it starts, and that it keeps it open.
database="$DATA_DIR/fastflow.db"
# Whatever keeps it from reading the revision, it takes the database for a fresh one.
if version=$(sqlite3 -readonly "$database" 'SELECT version_num FROM alembic_version'); then
	echo "revision $version"
else
	echo "a fresh database"
fi
sqlite3 -cmd '.timeout 5000' "$database" "PRAGMA journal_mode = WAL;
	INSERT INTO secrets (id, key, value, created_at, updated_at, is_parameter)
	VALUES (hex(randomblob(16)), 'started ' || hex(randomblob(4)), 'x', '2026-01-01', '2026-01-01', 1);" || exit 1
trap 'exit 0' TERM
{
	echo "SELECT 'open, secrets: ' || count(*) FROM secrets;"
	tail -f /dev/null
} | sqlite3 -cmd '.timeout 5000' "$database" &
wait
