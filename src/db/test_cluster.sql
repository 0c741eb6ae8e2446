-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: test_cut_off :one
-- Ends all sessions in a database and waits until they have ended.
SELECT count(pg_terminate_backend(pid, 5000)) AS "count!"
FROM pg_stat_activity
WHERE datname = :database::text AND backend_type = 'client backend';
