-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the page of an evaluation shows besides its jobs (changes.sql).

-- name: page_revisions :many
-- Its commits, each with the one of the other evaluation from the same repository.
SELECT now.channel AS "channel!", repository.id AS "repository_id!", url AS "url!",
       revision.commit_hash AS "commit!", revision.subject AS "subject!",
       revision.author AS "author!", revision.committed_at AS "committed_at?",
       earlier.commit_hash AS "before?"
FROM evaluation_revision AS now
JOIN revision ON revision.id = now.revision_id
JOIN repository ON repository.id = revision.repository_id
LEFT JOIN evaluation_revision AS other
       ON other.evaluation_id = :against AND other.channel = now.channel
LEFT JOIN revision AS earlier
       ON earlier.id = other.revision_id AND earlier.repository_id = revision.repository_id
WHERE now.evaluation_id = :id
ORDER BY now.channel;

-- name: page_errors :many
-- In the order in which they were found; or only those of jobs without any in another
-- evaluation.
SELECT id, job, message, file, line, column_,
       job NOT IN (SELECT job FROM evaluation_error WHERE evaluation_id = :other) AS "is_alone!"
FROM evaluation_error
WHERE evaluation_id = :id AND id > :after
  AND (NOT :alone::boolean
       OR job NOT IN (SELECT job FROM evaluation_error WHERE evaluation_id = :other))
ORDER BY id LIMIT :limit::bigint;

-- name: page_pace :one
-- Of one that runs: how long the last ones of its specification took that succeeded
-- (microseconds, the middle one), how many jobs they had, and when it will end by that;
-- NULL = there is none, or it takes longer.
SELECT started_at AS "started_at!", took AS "took?", jobs AS "jobs?",
       CASE WHEN started_at + took * interval '1 microsecond' > now()
            THEN started_at + took * interval '1 microsecond' END AS "ends_at?"
FROM evaluation AS own
CROSS JOIN LATERAL (
  SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY duration)::bigint AS took,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY jobs_count)::bigint AS jobs
  FROM (SELECT extract(epoch FROM finished_at - started_at) * 1000000 AS duration, jobs_count
        FROM evaluation
        WHERE specification_id = own.specification_id AND id < own.id AND state = 2
        ORDER BY id DESC LIMIT 5) AS last) AS usual
WHERE own.id = :id AND own.state = 1;
