-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: evaluation_newest :one
-- The newest evaluation of a specification, however it ended, with its channels'
-- revisions in order of channel name, by bytes, as a specification has them.
SELECT evaluation.id, evaluation.definition = :definition::jsonb AS "same_definition!",
       array_agg(revision_id ORDER BY channel COLLATE "C")::bigint[] AS "revision_ids!"
FROM evaluation
JOIN evaluation_revision ON evaluation_id = evaluation.id
WHERE evaluation.id = (SELECT max(id) FROM evaluation WHERE specification_id = :specification_id)
GROUP BY evaluation.id;

-- name: evaluation_insert :one
INSERT INTO evaluation (specification_id, definition)
VALUES (:specification_id, :definition::jsonb)
RETURNING id;

-- name: evaluation_revisions_insert :exec
INSERT INTO evaluation_revision (evaluation_id, channel, revision_id)
SELECT :evaluation_id, channel, revision_id
FROM unnest(:channels::text[], :revision_ids::bigint[]) AS input (channel, revision_id);

-- name: evaluation_unfinished :many
-- Oldest first, without those under way in this process. One that is running is up
-- for grabs when nobody holds its lock: its process is gone.
SELECT id FROM evaluation WHERE finished_at IS NULL AND id <> ALL (:running::bigint[]) ORDER BY id;

-- name: evaluation_claim :one
UPDATE evaluation
SET state = 1, started_at = clock_timestamp()
FROM specification
WHERE specification.id = specification_id AND evaluation.id = :id AND finished_at IS NULL
RETURNING evaluation.id, specification.name, evaluation.definition, specification.priority;

-- name: evaluation_commits :many
-- Channels and commits of an evaluation, in order of channel name.
SELECT channel, url, commit_hash
FROM evaluation_revision
JOIN revision ON revision.id = revision_id
JOIN repository ON repository.id = repository_id
WHERE evaluation_id = :evaluation_id
ORDER BY channel COLLATE "C";

-- name: evaluation_progress :one
UPDATE evaluation SET jobs_count = :jobs_count, errors_count = :errors_count
WHERE id = :id AND state = 1
RETURNING cancel_requested;

-- name: evaluation_cancel_running :exec
UPDATE evaluation SET cancel_requested = true WHERE id = :id AND state = 1;

-- name: evaluation_finish :exec
UPDATE evaluation
SET state = :state, finished_at = clock_timestamp(), jobs_count = :jobs_count,
    errors_count = :errors_count, derivations_count = :derivations_count, message = :message
WHERE id = :id AND state = 1;

-- name: evaluation_cancel_waiting :one
UPDATE evaluation SET state = 4, finished_at = clock_timestamp(), message = 'cancelled'
FROM specification
WHERE evaluation.id = :id AND state = 0 AND specification.id = specification_id
RETURNING specification.name AS specification;

-- name: evaluation_supersede :many
-- Those of a specification that wait, but for the newest: what they would tell nobody
-- needs any more.
UPDATE evaluation
SET state = 4, finished_at = clock_timestamp(), message = 'superseded by evaluation ' || :newest::bigint
WHERE specification_id = :specification_id AND state = 0 AND id < :newest
RETURNING id;

-- name: evaluation_state :one
SELECT state FROM evaluation WHERE id = :id;

-- name: evaluation_own_builds :many
-- Builds of its jobs that have not ended and that no other evaluation asks for which is the
-- newest that succeeded of a specification, and was not cancelled likewise.
WITH newest AS MATERIALIZED (
  SELECT DISTINCT ON (specification_id) id, cancel_requested
  FROM evaluation WHERE state = 2 ORDER BY specification_id, id DESC)
SELECT DISTINCT build_id AS "build!"
FROM job JOIN build ON build.id = build_id AND finished_at IS NULL
WHERE evaluation_id = :id
  AND NOT EXISTS (SELECT FROM newest JOIN job AS other ON other.evaluation_id = newest.id
                  WHERE newest.id <> :id AND NOT cancel_requested AND other.build_id = job.build_id);

-- name: evaluation_cancel_rest :exec
UPDATE evaluation SET cancel_requested = true WHERE id = :id AND state = 2;

-- name: evaluation_job_names :exec
-- Makes the names that are new; in one order everywhere, so that two
-- evaluations never wait for each other crosswise.
INSERT INTO job_name (name)
SELECT DISTINCT input.name COLLATE "C"
FROM unnest(:names::text[]) AS input (name)
LEFT JOIN job_name ON job_name.name = input.name COLLATE "C"
WHERE job_name.id IS NULL
ORDER BY 1
ON CONFLICT (name) DO NOTHING;

-- name: evaluation_jobs :exec
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT :evaluation_id, job_name.id, derivation_id, build_id
FROM unnest(:names::text[], :derivation_ids::bigint[], :build_ids::bigint[])
     AS input (name, derivation_id, build_id)
JOIN job_name ON job_name.name = input.name COLLATE "C"
ON CONFLICT DO NOTHING;

-- name: evaluation_errors :exec
INSERT INTO evaluation_error (evaluation_id, job, message, file, line, column_)
SELECT :evaluation_id, job, message, file, line, column_
FROM unnest(:jobs::text[], :messages::text[], :files::text[], :lines::integer[],
            :columns::integer[]) AS input (job, message, file, line, column_);
