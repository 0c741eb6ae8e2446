-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the overview shows: first of all what somebody should look at.

-- name: overview_troubles :many
-- Specifications whose channels cannot be looked at, or whose newest evaluation failed; then
-- agents that should be there, neither paused nor released, the newest loss first.
SELECT asked.* FROM (
  SELECT false AS "is_agent!", specification.name AS "name!", specification.failure AS "failure?",
         evaluation.id AS "evaluation_id?", evaluation.message AS "message?",
         NULL::timestamptz AS "seen_at?"
  FROM specification
  LEFT JOIN evaluation ON evaluation.state = 3
    AND evaluation.id = (SELECT max(id) FROM evaluation
                         WHERE specification_id = specification.id AND finished_at IS NOT NULL)
  WHERE active AND (failure IS NOT NULL OR evaluation.id IS NOT NULL)
  ORDER BY specification.name LIMIT :limit::bigint) AS asked
UNION ALL
SELECT away.* FROM (
  SELECT true, agent.name, NULL, NULL::bigint, NULL, seen_at
  FROM agent JOIN token ON token.id = token_id
  WHERE connected_at IS NULL AND NOT paused AND revoked_at IS NULL
  ORDER BY seen_at DESC NULLS LAST LIMIT :limit) AS away;

-- name: overview_news :many
-- The newest evaluations that have errors which the one before had not; and first ones that
-- are not all well. As far as they are counted.
SELECT specification.name AS specification, evaluation.id AS evaluation,
       coalesce(errors_new_count, 0) AS "errors_new!",
       evaluation_summary(evaluation) AS "summary!", before.id AS "before?"
FROM specification
JOIN evaluation ON evaluation.id = (SELECT max(id) FROM evaluation
                                    WHERE specification_id = specification.id AND state = 2)
CROSS JOIN LATERAL (SELECT max(id) AS id FROM evaluation AS earlier
                    WHERE specification_id = specification.id AND state = 2
                      AND earlier.id < evaluation.id) AS before
WHERE active
  AND (errors_new_count > 0
       OR (before.id IS NULL AND failed_count + dependency_failed_count + errors_count > 0))
ORDER BY evaluation.id DESC LIMIT :limit::bigint;

-- name: overview_broken :many
-- Jobs that are broken since an evaluation, the newest breakage first; of each the first few,
-- those that failed themselves before those that failed through them.
WITH since AS (
  SELECT specification_id, evaluation_id, count(*) AS jobs
  FROM job_broken JOIN specification ON specification.id = specification_id
  WHERE active
  GROUP BY specification_id, evaluation_id ORDER BY evaluation_id DESC LIMIT :limit::bigint)
SELECT specification.name AS specification, since.evaluation_id AS evaluation,
       evaluation.created_at AS since, since.jobs AS "jobs!", place AS "place!",
       build_id AS "build!", shown.name AS "name!",
       count(*) OVER (PARTITION BY since.evaluation_id) AS "shown!"
FROM since
JOIN specification ON specification.id = since.specification_id
JOIN evaluation ON evaluation.id = since.evaluation_id
CROSS JOIN LATERAL (
  SELECT job.build_id, job_name.name, row_number() OVER (ORDER BY build.state, job_name.name) AS place
  FROM (SELECT name_id FROM job_broken
        WHERE job_broken.evaluation_id = since.evaluation_id LIMIT 100) AS known
  JOIN job ON job.name_id = known.name_id
    AND job.evaluation_id = (SELECT max(id) FROM evaluation
                             WHERE specification_id = since.specification_id AND state = 2)
  JOIN build ON build.id = job.build_id AND build.state <> 2
  JOIN job_name ON job_name.id = known.name_id
  ORDER BY place LIMIT 5) AS shown
ORDER BY since.evaluation_id DESC, place;

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
