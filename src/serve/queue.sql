-- SPDX-License-Identifier: GPL-3.0-or-later
-- What waits. These walk all unfinished builds: queue.c keeps what they found for a while.

-- name: queue_systems :many
SELECT system.name AS system, count(*) FILTER (WHERE state = 0) AS "waiting!",
       count(*) FILTER (WHERE state = 1) AS "running!",
       min(build.created_at) FILTER (WHERE state = 0) AS "oldest?",
       (SELECT count(*) FROM agent JOIN token ON token.id = token_id
        WHERE system.name = ANY (systems) AND revoked_at IS NULL) AS "enrolled!",
       (SELECT count(*) FROM agent WHERE system.name = ANY (systems) AND connected_at IS NOT NULL
       ) AS "connected!",
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
       min(build.created_at) FILTER (WHERE state = 0) AS "oldest?"
FROM specification
JOIN job ON evaluation_id = (SELECT max(id) FROM evaluation
                             WHERE specification_id = specification.id AND state = 2)
JOIN build ON build.id = build_id AND finished_at IS NULL
GROUP BY specification.name, evaluation_id, specification.priority
ORDER BY specification.priority DESC, specification.name;

-- name: queue_oldest :many
-- What has waited longest.
SELECT build.id, left(substr(basename, 34), -4) AS "name!", system.name AS system, priority,
       build.created_at
FROM build
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
JOIN store_path ON store_path.id = derivation_id
WHERE finished_at IS NULL AND state = 0
ORDER BY build.created_at, build.id LIMIT :limit::bigint;

-- name: queue_place :one
-- Where a build stands in the queue, or stood.
SELECT priority, created_at FROM build WHERE id = :id;

-- name: queue_next :many
-- Waiting builds of these systems behind a place, as the scheduler goes through them
-- (goes_before of farm/mirror.c); READY ones wait for no other build: they read of others'
-- outputs only what is offered. A build that failed for no reason of its own holds others up.
SELECT place.id, left(substr(basename, 34), -4) AS "name!", place.system AS "system!",
       place.priority, place.created_at, ready AS "ready!",
       CASE WHEN ready
            THEN (SELECT specification.name FROM job
                  JOIN evaluation ON evaluation.id = evaluation_id
                  JOIN specification ON specification.id = specification_id
                  WHERE build_id = place.id ORDER BY evaluation.id DESC LIMIT 1)
            END AS "specification?"
FROM (SELECT build.id, derivation_id, priority, build.created_at, system.name AS system,
             NOT EXISTS (
               SELECT FROM derivation_input
               JOIN derivation AS other ON other.id = input_id
               JOIN build AS needed ON needed.output_key = other.output_key
               WHERE derivation_input.derivation_id = build.derivation_id
                 AND needed.id <> build.id AND needed.state IN (0, 1, 3)
                 AND EXISTS (SELECT FROM derivation_output
                             WHERE derivation_output.derivation_id = input_id
                               AND derivation_output.name = ANY (outputs)
                               AND NOT EXISTS (SELECT FROM nar
                                               WHERE nar.path_id = derivation_output.path_id)))
             AS ready
      FROM build
      JOIN derivation ON derivation.id = derivation_id
      JOIN system ON system.id = system_id
      WHERE state = 0 AND system.name = ANY (:systems::text[])
        AND (:from_start::boolean
             OR (-priority, build.created_at, build.id)
                > (-:priority::integer, :created_at::timestamptz, :id::bigint))
      ORDER BY -priority, build.created_at, build.id LIMIT :limit::bigint) AS place
JOIN store_path ON store_path.id = derivation_id
ORDER BY -place.priority, place.created_at, place.id;
