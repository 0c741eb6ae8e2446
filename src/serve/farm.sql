-- SPDX-License-Identifier: GPL-3.0-or-later
-- Agents, and the state of the whole.

-- name: serve_agents :many
-- All, or the one with this name; those behind AFTER.
SELECT agent.id, agent.name, array_to_string(systems, ', ') AS "systems!",
       systems AS "systems_list!", jobs, paused, connected_at IS NOT NULL AS "connected!",
       CASE WHEN revoked_at IS NOT NULL THEN 'released' WHEN paused THEN 'paused'
            WHEN connected_at IS NOT NULL THEN 'connected' ELSE 'away' END AS "state!",
       connected_at, greatest(seen_at, told_at) AS "seen_at?", enrolled_at, revoked_at IS NOT NULL AS "released!",
       facts::text AS "facts!", told_at AS "told_at?", load::double precision AS "load?",
       memory_free AS "memory_free?", disk_free AS "disk_free?", disk_size AS "disk_size?",
       (SELECT count(*) FROM attempt WHERE agent_id = agent.id AND state = 0) AS "running!"
FROM agent
JOIN token ON token.id = token_id
LEFT JOIN agent_condition ON agent_id = agent.id
WHERE (:name?::text IS NULL OR agent.name = :name?) AND agent.name > :after
ORDER BY agent.name LIMIT :limit::bigint;

-- name: serve_running :many
-- What agents, or the one with this name, work on now, by agent.
SELECT attempt.id AS attempt, agent_id, build_id AS build, left(substr(basename, 34), -4) AS "name!",
       attempt.created_at
FROM attempt
JOIN agent ON agent.id = agent_id
JOIN build ON build.id = build_id
JOIN store_path ON store_path.id = derivation_id
WHERE attempt.state = 0 AND (:agent?::text IS NULL OR agent.name = :agent?)
ORDER BY agent_id, attempt.id;

-- name: serve_counts :one
SELECT count(*) FILTER (WHERE state = 0) AS "waiting!",
       count(*) FILTER (WHERE state = 1) AS "running!",
       count(*) FILTER (WHERE state = 2) AS "succeeded!",
       count(*) FILTER (WHERE state = 3) AS "failed!",
       count(*) FILTER (WHERE state = 4) AS "dependency_failed!",
       count(*) FILTER (WHERE state = 5) AS "cancelled!",
       (SELECT seen_at > now() - interval '1 minute' FROM farm_scheduler) AS "scheduler!",
       (SELECT count(*) FROM agent JOIN token ON token.id = token_id WHERE revoked_at IS NULL) AS "agents!",
       (SELECT count(*) FROM agent WHERE connected_at IS NOT NULL) AS "agents_connected!",
       (SELECT count(*) FROM nar) AS "nars!",
       (SELECT count(*) FROM specification) AS "specifications!"
FROM build;

-- name: serve_join_tokens :many
-- Those that enrol agents; the tokens themselves are kept nowhere.
SELECT id, name, created_at, expires_at
FROM token
WHERE role = 'join' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
  AND id > :after
ORDER BY id LIMIT :limit::bigint;
