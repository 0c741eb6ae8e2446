-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the pages of this room show.

-- name: page_specifications :many
SELECT specification.name, period_s, active, failure, polled_at,
       jsonb_array_length(specification.definition->'channels') AS "channels!",
       specification.definition->'channels'->0->>'url' AS "url!",
       evaluation.id AS "evaluation_id?",
       CASE WHEN evaluation.id IS NOT NULL THEN evaluation_outcome(evaluation) END AS "outcome?",
       CASE WHEN evaluation.id IS NOT NULL THEN evaluation_summary(evaluation) END AS "summary?",
       jobs_count AS "jobs?", errors_count AS "errors?", evaluation.created_at AS "created_at?"
FROM specification
LEFT JOIN evaluation ON evaluation.id = (SELECT max(id) FROM evaluation
                                         WHERE specification_id = specification.id)
ORDER BY specification.name;

-- name: page_strips :many
-- The newest evaluations of one specification, or of each when NULL: oldest first.
SELECT specification.name, evaluation.id, outcome AS "outcome!", summary AS "summary!",
       evaluation.created_at, jobs_count AS jobs,
       (SELECT subject FROM evaluation_revision JOIN revision ON revision.id = revision_id
        WHERE evaluation_id = evaluation.id ORDER BY channel LIMIT 1) AS "subject?"
FROM specification
CROSS JOIN LATERAL (SELECT id, created_at, jobs_count,
                           evaluation_outcome(evaluation) AS outcome,
                           evaluation_summary(evaluation) AS summary
                    FROM evaluation WHERE specification_id = specification.id
                    ORDER BY id DESC LIMIT :limit::bigint) AS evaluation
WHERE :specification?::text IS NULL OR specification.name = :specification?
ORDER BY specification.name, evaluation.id;

-- name: page_specification :one
SELECT id, name, jsonb_pretty(definition) AS "definition!", active, period_s, priority, failure,
       created_at, changed_at, polled_at, requested_at,
       coalesce(definition->>'mode', 'overlay') AS "mode!",
       CASE WHEN definition->'build' IS NULL OR definition->>'build' = 'all' THEN 'all packages'
            WHEN definition->'build' ? 'channels' THEN 'packages of the channels'
            WHEN definition->'build' ? 'packages' THEN 'packages'
            WHEN definition->'build' ? 'manifests' THEN 'manifests'
            ELSE 'custom modules' END AS "build!",
       coalesce((SELECT string_agg(item, ', ')
                 FROM jsonb_each(CASE WHEN jsonb_typeof(definition->'build') = 'object'
                                      THEN definition->'build' END) AS part,
                      jsonb_array_elements_text(part.value) AS item), '') AS "names!",
       coalesce((SELECT string_agg(item, ', ')
                 FROM jsonb_array_elements_text(definition->'systems') AS item), '') AS "systems!"
FROM specification WHERE name = :name;

-- name: page_channels :many
SELECT channel->>'name' AS "name!", channel->>'url' AS "url!",
       coalesce(channel->>'commit', '') AS "commit!",
       coalesce(channel->>'branch', '') AS "branch!"
FROM specification, jsonb_array_elements(definition->'channels') AS channel
WHERE specification.id = :id;

-- name: page_evaluations :many
-- Newest first; of one specification, or of all when NULL.
SELECT evaluation.id, name AS specification, evaluation_outcome(evaluation) AS "outcome!",
       evaluation_summary(evaluation) AS "summary!",
       evaluation.created_at, started_at, finished_at, jobs_count AS jobs,
       errors_count AS errors, message,
       (SELECT commit_hash FROM evaluation_revision JOIN revision ON revision.id = revision_id
        WHERE evaluation_id = evaluation.id ORDER BY channel LIMIT 1) AS "commit?",
       (SELECT subject FROM evaluation_revision JOIN revision ON revision.id = revision_id
        WHERE evaluation_id = evaluation.id ORDER BY channel LIMIT 1) AS "subject?"
FROM evaluation JOIN specification ON specification.id = specification_id
WHERE (:specification?::text IS NULL OR name = :specification?) AND evaluation.id < :before
ORDER BY evaluation.id DESC LIMIT :limit::bigint;
