-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: schema_lock :exec
-- Waits for other processes that migrate; the lock ends with the session.
SELECT pg_advisory_lock(:key);

-- name: schema_is_recorded :one
-- Is this a database that was ever migrated?
SELECT to_regclass('schema_migration') IS NOT NULL AS "recorded!";

-- name: schema_applied :many
SELECT number, name FROM schema_migration ORDER BY number;

-- name: schema_record :exec
INSERT INTO schema_migration (number, name) VALUES (:number, :name);
