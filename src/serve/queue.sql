-- SPDX-License-Identifier: GPL-3.0-or-later
-- What waits. These walk all unfinished builds: queue.c keeps what they found for a while.

-- name: queue_systems :many
SELECT system.name AS system, count(*) FILTER (WHERE state = 0) AS "waiting!",
       count(*) FILTER (WHERE state = 1) AS "running!",
       min(build.created_at) FILTER (WHERE state = 0) AS "oldest?",
       (SELECT count(*) FROM agent WHERE system.name = ANY (systems) AND connected_at IS NOT NULL
                                     AND NOT paused) AS "agents!",
       (SELECT coalesce(sum(jobs), 0) FROM agent
        WHERE system.name = ANY (systems) AND connected_at IS NOT NULL
          AND NOT paused) AS "places!"
FROM build
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
WHERE finished_at IS NULL
GROUP BY system.name ORDER BY system.name;

-- name: queue_specifications :many
-- Jobs of each specification's newest evaluation that are not built yet.
SELECT specification.name AS specification, evaluation_id AS evaluation, specification.priority,
       count(*) FILTER (WHERE state = 0) AS "waiting!",
       count(*) FILTER (WHERE state = 1) AS "running!",
       min(build.created_at) AS "oldest!"
FROM specification
JOIN job ON evaluation_id = (SELECT max(id) FROM evaluation
                             WHERE specification_id = specification.id AND state = 2)
JOIN build ON build.id = build_id AND finished_at IS NULL
GROUP BY specification.name, evaluation_id, specification.priority
ORDER BY specification.priority DESC, specification.name;

-- name: queue_oldest :many
-- What has waited longest.
SELECT build.id, left(substr(basename, 34), -4) AS "name!", system.name AS system, priority,
       created_at
FROM build
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
JOIN store_path ON store_path.id = derivation_id
WHERE finished_at IS NULL AND state = 0
ORDER BY created_at, build.id LIMIT :limit::bigint;
