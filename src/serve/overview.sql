-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the overview shows: first of all what somebody should look at.

-- name: overview_troubles :many
-- Specifications whose channels cannot be looked at, or whose newest evaluation failed.
SELECT specification.name, specification.failure, evaluation.id AS "evaluation_id?",
       evaluation.message AS "message?", evaluation.finished_at AS "finished_at?"
FROM specification
LEFT JOIN evaluation ON evaluation.state = 3
  AND evaluation.id = (SELECT max(id) FROM evaluation
                       WHERE specification_id = specification.id AND finished_at IS NOT NULL)
WHERE active AND (failure IS NOT NULL OR evaluation.id IS NOT NULL)
ORDER BY specification.name LIMIT :limit::bigint;

-- name: overview_away :many
-- Agents that should be there: neither paused nor released. The newest loss first.
SELECT agent.name, seen_at
FROM agent JOIN token ON token.id = token_id
WHERE connected_at IS NULL AND NOT paused AND revoked_at IS NULL
ORDER BY seen_at DESC NULLS LAST LIMIT :limit::bigint;

-- name: overview_news :many
-- The newest evaluations that Guix could compute and that made something worse, as far as
-- they are counted; a first one that is not all well.
SELECT specification.name AS specification, evaluation.id AS evaluation,
       coalesce(broken_count, 0) AS "broken!", coalesce(errors_new_count, 0) AS "errors_new!",
       evaluation_summary(evaluation) AS "summary!", before.id AS "before?"
FROM specification
JOIN evaluation ON evaluation.id = (SELECT max(id) FROM evaluation
                                    WHERE specification_id = specification.id AND state = 2)
CROSS JOIN LATERAL (SELECT max(id) AS id FROM evaluation AS earlier
                    WHERE specification_id = specification.id AND state = 2
                      AND earlier.id < evaluation.id) AS before
WHERE active
  AND (broken_count > 0 OR errors_new_count > 0
       OR (before.id IS NULL AND failed_count + dependency_failed_count + errors_count > 0))
ORDER BY evaluation.id DESC LIMIT :limit::bigint;

-- name: overview_broken :many
-- Newly broken: failed builds of the newest evaluations whose job succeeded in the
-- evaluation before. Looks at the newest 200 failures only.
SELECT build.id, left(substr(basename, 34), -4) AS "name!", job.evaluation_id AS evaluation,
       specification.name AS specification, build.finished_at
FROM (SELECT * FROM build WHERE state = 3 ORDER BY id DESC LIMIT 200) AS build
JOIN store_path ON store_path.id = build.derivation_id
JOIN job ON job.build_id = build.id
JOIN specification ON job.evaluation_id = (SELECT max(id) FROM evaluation
                                           WHERE specification_id = specification.id AND state = 2)
JOIN LATERAL (SELECT max(id) AS id FROM evaluation
              WHERE specification_id = specification.id AND state = 2
                AND id < job.evaluation_id) AS before ON true
WHERE EXISTS (SELECT 1 FROM job AS earlier JOIN build AS was ON was.id = earlier.build_id
              WHERE earlier.evaluation_id = before.id AND earlier.name_id = job.name_id
                AND was.state = 2)
ORDER BY build.finished_at DESC LIMIT :limit::bigint;

-- name: overview_builds :many
-- Builds that run, the oldest attempt first; then the newest that failed themselves.
SELECT run.* FROM (
  SELECT true AS "runs!", build_id AS "id!", left(substr(basename, 34), -4) AS "name!",
         agent.name AS "agent?", system.name AS "system!", attempt.created_at AS "happened_at?"
  FROM attempt
  JOIN agent ON agent.id = agent_id
  JOIN build ON build.id = build_id
  JOIN derivation ON derivation.id = derivation_id
  JOIN system ON system.id = system_id
  JOIN store_path ON store_path.id = derivation_id
  WHERE attempt.state = 0
  ORDER BY attempt.created_at LIMIT :limit::bigint) AS run
UNION ALL
SELECT failed.* FROM (
  SELECT false, build.id, left(substr(basename, 34), -4), NULL, system.name, finished_at
  FROM build
  JOIN derivation ON derivation.id = derivation_id
  JOIN system ON system.id = system_id
  JOIN store_path ON store_path.id = derivation_id
  WHERE state = 3
  ORDER BY build.id DESC LIMIT :limit) AS failed;
