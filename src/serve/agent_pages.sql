-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the page of an agent shows of its past.

-- name: agent_facts :many
-- What it says of its machine: the names are the agent's own.
SELECT left(key, 60) AS "name!", left(coalesce(value, ''), 200) AS "value!",
       CASE WHEN key = 'memory' AND value ~ '^[0-9]{1,18}$' THEN value::bigint END AS "bytes?"
FROM agent, jsonb_each_text(facts)
WHERE agent.id = :id ORDER BY key LIMIT 30;

-- name: agent_day :many
-- The last day in steps of STEP_S seconds, oldest first: how many of its places were
-- taken on average (thousandths of a place), and how many attempts failed.
WITH attempts AS (
  SELECT state, finished_at,
         extract(epoch FROM created_at - (now() - interval '1 day')) AS begins,
         extract(epoch FROM coalesce(finished_at, now()) - (now() - interval '1 day')) AS ends
  FROM attempt
  WHERE agent_id = :id AND (state = 0 OR finished_at > now() - interval '1 day')),
shares AS (
  SELECT step, least(ends, (step + 1) * :step_s::integer)
           - greatest(begins, step * :step_s::integer) AS busy,
         state = 2 AND floor(ends / :step_s::integer) = step AS failed
  FROM attempts
  JOIN LATERAL generate_series(greatest(floor(begins / :step_s::integer), 0)::integer,
                               least(floor(ends / :step_s::integer),
                                     86400 / :step_s::integer - 1)::integer) AS step ON true)
SELECT step AS "step!",
       now() - interval '1 day' + step * :step_s::integer * interval '1 second' AS "begins_at!",
       (1000 * sum(busy) / :step_s::integer)::bigint AS "busy!",
       count(*) FILTER (WHERE failed) AS "failures!"
FROM shares GROUP BY step ORDER BY step;

-- name: agent_attempts :many
-- Its attempts that have ended, newest first, behind BEFORE and BEFORE_ID; in that STATE. With
-- serve_plan_anew, so that failed ones have an index of their own (093-failures.migration.sql).
SELECT attempt.id, build_id AS build, left(substr(basename, 34), -4) AS "name!",
       (ARRAY['running', 'succeeded', 'failed'])[attempt.state + 1] AS "state!",
       attempt.cause, message, attempt.created_at, attempt.finished_at
FROM attempt
JOIN build ON build.id = build_id
JOIN store_path ON store_path.id = derivation_id
WHERE agent_id = :id AND (:state?::smallint IS NULL OR attempt.state = :state?)
  AND (attempt.finished_at, attempt.id)
      < (coalesce(:before?::timestamptz, 'infinity'), :before_id::bigint)
ORDER BY attempt.finished_at DESC, attempt.id DESC LIMIT :limit::bigint;
