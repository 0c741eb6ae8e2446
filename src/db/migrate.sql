-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: schema_lock :exec
-- Waits for other processes that migrate; the lock ends with the session.
SELECT pg_advisory_lock(:key);

-- name: schema_is_recorded :one
-- Is this a database that was ever migrated?
SELECT to_regclass('schema_migration') IS NOT NULL AS "recorded!";

-- name: schema_stranger :one
-- A table or view that somebody made where ours would go; extensions' do not count.
SELECT relname AS "name!" FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace
   AND relkind IN ('r', 'p', 'f', 'v', 'm')
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                      AND deptype = 'e')
 ORDER BY relname LIMIT 1;

-- name: schema_applied :many
SELECT number, name FROM schema_migration ORDER BY number;

-- name: schema_record :exec
INSERT INTO schema_migration (number, name) VALUES (:number, :name);
