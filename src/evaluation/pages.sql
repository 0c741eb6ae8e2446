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
