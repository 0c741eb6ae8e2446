-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the pages of this room show.

-- name: page_specifications :many
SELECT specification.name, period_s, active, failure, evaluation.id AS "evaluation_id?",
       evaluation_state_name(state) AS "state?", jobs_count AS "jobs?",
       errors_count AS "errors?", evaluation.created_at AS "created_at?"
FROM specification
LEFT JOIN evaluation ON evaluation.id = (SELECT max(id) FROM evaluation
                                         WHERE specification_id = specification.id)
ORDER BY specification.name;

-- name: page_specification :one
SELECT id, name, jsonb_pretty(definition) AS "definition!", active, period_s, priority, failure,
       created_at, polled_at
FROM specification WHERE name = :name;

-- name: page_evaluations :many
-- Newest first; of one specification, or of all when NULL.
SELECT evaluation.id, name AS specification, evaluation_state_name(state) AS "state!",
       evaluation.created_at, started_at, finished_at, jobs_count AS jobs,
       errors_count AS errors, message,
       (SELECT commit_hash FROM evaluation_revision JOIN revision ON revision.id = revision_id
        WHERE evaluation_id = evaluation.id ORDER BY channel LIMIT 1) AS "commit?",
       (SELECT subject FROM evaluation_revision JOIN revision ON revision.id = revision_id
        WHERE evaluation_id = evaluation.id ORDER BY channel LIMIT 1) AS "subject?"
FROM evaluation JOIN specification ON specification.id = specification_id
WHERE (:specification?::text IS NULL OR name = :specification?) AND evaluation.id < :before
ORDER BY evaluation.id DESC LIMIT :limit::bigint;

-- name: page_evaluation_revisions :many
SELECT channel, url, commit_hash AS commit, subject, author, committed_at
FROM evaluation_revision
JOIN revision ON revision.id = revision_id
JOIN repository ON repository.id = repository_id
WHERE evaluation_id = :evaluation_id
ORDER BY channel;

-- name: page_evaluation_builds :many
-- How many builds of its jobs are in each state.
SELECT build_state_name(state) AS "state!", count(*) AS "count!"
FROM build WHERE id IN (SELECT build_id FROM job WHERE evaluation_id = :evaluation_id)
GROUP BY state ORDER BY state;

-- name: page_evaluation_jobs :many
SELECT job_name.name, build_id, build_state_name(state) AS "state!", job.derivation_id
FROM job
JOIN job_name ON job_name.id = name_id
JOIN build ON build.id = build_id
WHERE evaluation_id = :evaluation_id
  AND (job_name.name, job.derivation_id) > (:after_name COLLATE "C", :after_id)
  AND (:state?::smallint IS NULL OR state = :state?)
ORDER BY job_name.name, job.derivation_id LIMIT :limit::bigint;

-- name: page_evaluation_errors :many
SELECT job, message, file, line, column_
FROM evaluation_error WHERE evaluation_id = :evaluation_id ORDER BY id LIMIT :limit::bigint;
