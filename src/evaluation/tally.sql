-- SPDX-License-Identifier: GPL-3.0-or-later
-- How the builds of evaluations' jobs stand (tally.c).

-- name: tally_place :one
SELECT transaction, event FROM evaluation_tally_place;

-- name: tally_go_on :exec
-- None when another process has gone on meanwhile.
UPDATE evaluation_tally_place SET transaction = :transaction, event = :event
WHERE transaction = :old_transaction AND event = :old_event;

-- name: tally_mark :exec
-- To be counted again: the evaluations that want one of these builds, and each one's next,
-- which is held against it.
WITH wanting AS (
  SELECT id, specification_id FROM evaluation
  WHERE id IN (SELECT evaluation_id FROM job WHERE build_id = ANY (:build_ids::bigint[])))
UPDATE evaluation SET tally_stale = true
WHERE state = 2 AND NOT tally_stale
  AND id IN (SELECT id FROM wanting
             UNION ALL
             SELECT (SELECT min(id) FROM evaluation
                     WHERE specification_id = wanting.specification_id AND id > wanting.id
                       AND state = 2)
             FROM wanting);

-- name: tally_uncounted :many
-- The newest ones, and behind them the oldest of all.
(SELECT id FROM evaluation WHERE state = 2 AND tally_stale ORDER BY id DESC LIMIT :limit::bigint)
UNION
(SELECT id FROM evaluation WHERE state = 2 AND tally_stale ORDER BY id LIMIT 1)
ORDER BY 1 DESC;

-- name: tally_take :one
-- Before it is counted: who marks it from now on waits, and marks it again.
UPDATE evaluation SET tally_stale = false WHERE id = :id AND state = 2 AND tally_stale
RETURNING evaluation_summary(evaluation) AS "summary!", coalesce(broken_count, 0) AS "broken!";

-- name: tally_count :one
-- By look-ups whatever their number: the table of builds may be a hundred times as large.
UPDATE evaluation
SET unfinished_count = counted.unfinished, failed_count = counted.failed,
    dependency_failed_count = counted.dependency_failed, cancelled_count = counted.cancelled
FROM (SELECT count(*) FILTER (WHERE state IN (0, 1)) AS unfinished,
             count(*) FILTER (WHERE state = 3) AS failed,
             count(*) FILTER (WHERE state = 4) AS dependency_failed,
             count(*) FILTER (WHERE state = 5) AS cancelled
      FROM (SELECT (SELECT state FROM build WHERE build.id = build_id) AS state
            FROM job WHERE evaluation_id = :id) AS builds) AS counted
WHERE id = :id
RETURNING counted.failed + counted.dependency_failed AS "failed!", errors_count AS errors;

-- name: tally_news :one
UPDATE evaluation SET broken_count = :broken, errors_new_count = :errors_new
FROM specification
WHERE evaluation.id = :id AND specification.id = specification_id
RETURNING specification.name AS specification, evaluation_outcome(evaluation) AS "outcome!",
          evaluation_summary(evaluation) AS "summary!";

-- name: tally_note_broken :exec
-- Jobs that an evaluation broke, unless they were mended and a later one broke them again.
INSERT INTO job_broken AS known (specification_id, name_id, evaluation_id)
SELECT DISTINCT specification_id, job_name.id, evaluation.id
FROM evaluation, job_name
WHERE evaluation.id = :id AND job_name.name = ANY (:names::text[])
ON CONFLICT (specification_id, name_id) DO UPDATE SET evaluation_id = excluded.evaluation_id
WHERE known.evaluation_id < excluded.evaluation_id;

-- name: tally_forget_mended :exec
-- Of the specification of an evaluation, by what its newest one has.
WITH newest AS (
  SELECT specification_id, max(id) AS id FROM evaluation
  WHERE specification_id = (SELECT specification_id FROM evaluation WHERE id = :id) AND state = 2
  GROUP BY specification_id)
DELETE FROM job_broken USING newest
WHERE job_broken.specification_id = newest.specification_id
  AND NOT EXISTS (SELECT 1 FROM job JOIN build ON build.id = build_id
                  WHERE job.evaluation_id = newest.id AND job.name_id = job_broken.name_id
                    AND build.state <> 2);
