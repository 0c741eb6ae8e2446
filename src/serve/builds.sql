-- SPDX-License-Identifier: GPL-3.0-or-later
-- Builds as pages and API show them: facts of farm, graph, cache and evaluation
-- together.

-- name: serve_plan_anew :one
-- For the rest of the transaction: plan by the very parameters. What narrows a list
-- may be absent, and one plan for all cases walks all builds.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true) AS "mode!";

-- name: serve_build_ids :many
-- A part of a list: behind a place, or from its beginning when FROM_START. In order of
-- id, or BY_NAME, or BY_TOOK, what the newest attempt took (only those of which one has ended).
-- It RISES or falls. Once the parameters are in place, an index gives the order
-- (090-lists.migration.sql).
-- Of STATE and EVALUATION the list is made; the rest is looked for in the next WINDOW builds of
-- it only, however rare it is: the last of them, the edge, is told whether it FITS or not, and
-- the list goes on behind its CURSOR. By look-ups: what is asked for may have years of jobs and
-- attempts.
SELECT id AS "id!", cursor AS "cursor!", fits AS "fits!", place = :window::bigint AS "is_edge!"
FROM (SELECT ordered.*, row_number() OVER () AS place
      FROM (SELECT build.id, build.state, derivation_id, basename,
                   CASE WHEN :by_name::boolean
                        THEN substr(basename, 34) || '/' || derivation_id
                        WHEN :by_took::boolean
                        THEN (extract(epoch FROM timed.finished_at - timed.created_at)
                              * 1000000)::bigint || '/' || build.id
                        ELSE build.id::text END AS cursor
            FROM build
            JOIN store_path ON store_path.id = derivation_id
            LEFT JOIN attempt AS timed ON :by_took AND timed.build_id = build.id
            WHERE (:state?::smallint IS NULL OR build.state = :state?)
              AND (:evaluation?::bigint IS NULL
                   OR build.id = ANY (ARRAY(SELECT build_id FROM job
                                            WHERE evaluation_id = :evaluation?)))
              AND (NOT :by_name OR basename LIKE '%.drv')
              AND (NOT :by_took
                   OR (timed.finished_at IS NOT NULL
                       AND NOT EXISTS (SELECT FROM attempt AS later
                                       WHERE later.build_id = timed.build_id
                                         AND later.id > timed.id)))
              AND (:from_start::boolean
                   OR CASE WHEN :by_name AND :rises::boolean
                           THEN (substr(basename, 34), store_path.id) > (:at_name::text, :at_id::bigint)
                           WHEN :by_name
                           THEN (substr(basename, 34), store_path.id) < (:at_name, :at_id)
                           WHEN :by_took AND :rises
                           THEN ((extract(epoch FROM timed.finished_at - timed.created_at) * 1000000)::bigint,
                                 timed.build_id) > (:at_took::bigint, :at_id)
                           WHEN :by_took
                           THEN ((extract(epoch FROM timed.finished_at - timed.created_at) * 1000000)::bigint,
                                 timed.build_id) < (:at_took, :at_id)
                           WHEN :rises THEN build.id > :at_id
                           ELSE build.id < :at_id END)
            ORDER BY CASE WHEN :by_name AND :rises THEN substr(basename, 34) END,
                     CASE WHEN :by_name AND NOT :rises THEN substr(basename, 34) END DESC,
                     CASE WHEN :by_took AND :rises
                          THEN (extract(epoch FROM timed.finished_at - timed.created_at)
                                * 1000000)::bigint END,
                     CASE WHEN :by_took AND NOT :rises
                          THEN (extract(epoch FROM timed.finished_at - timed.created_at)
                                * 1000000)::bigint END DESC,
                     CASE WHEN NOT :rises THEN NULL WHEN :by_name THEN store_path.id
                          WHEN :by_took THEN timed.build_id ELSE build.id END,
                     CASE WHEN :rises THEN NULL WHEN :by_name THEN store_path.id
                          WHEN :by_took THEN timed.build_id ELSE build.id END DESC
            LIMIT :window) AS ordered) AS looked
CROSS JOIN LATERAL (
  SELECT ((:name?::text IS NULL OR strpos(basename, :name?) > 33)
          AND (:sought_state?::smallint IS NULL OR looked.state = :sought_state?)
          AND (:system?::text IS NULL
               OR (SELECT system_id FROM derivation WHERE derivation.id = looked.derivation_id)
                  = (SELECT system.id FROM system WHERE system.name = :system?))
          AND (:agent?::bigint IS NULL
               OR (SELECT true FROM attempt
                   WHERE build_id = looked.id AND agent_id = :agent? LIMIT 1))
          AND (:specification?::bigint IS NULL
               OR (SELECT true FROM job
                   WHERE build_id = looked.id
                     AND (SELECT specification_id FROM evaluation
                          WHERE evaluation.id = evaluation_id) = :specification?
                   LIMIT 1))) IS TRUE AS fits) AS asked
WHERE fits OR place = :window
LIMIT :limit::bigint;

-- name: serve_builds :many
-- These, in their order. The name is the derivation's, without ".drv"; begun_at and
-- ran_until are of the newest attempt.
SELECT build.id AS "id!", left(substr(basename, 34), -4) AS "name!",
       '/gnu/store/' || basename AS "derivation!", derivation_id AS "derivation_id!",
       system.name AS "system!", build_state_name(build.state) AS "state!",
       priority AS "priority!", timeout_s AS "timeout_s!", max_silent_s AS "max_silent_s!",
       build.created_at AS "created_at!", build.finished_at, failed_build_id,
       newest.created_at AS begun_at, newest.finished_at AS ran_until
FROM unnest(:ids::bigint[]) WITH ORDINALITY AS listed (id, place)
JOIN build ON build.id = listed.id
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
JOIN store_path ON store_path.id = derivation_id
LEFT JOIN LATERAL (SELECT created_at, finished_at FROM attempt
                   WHERE attempt.build_id = build.id
                   ORDER BY attempt.id DESC LIMIT 1) AS newest ON true
ORDER BY place;

-- name: serve_build_choices :many
-- What a list of builds can be narrowed to.
SELECT 'system' AS "kind!", name AS "name!" FROM system
UNION ALL SELECT 'specification', name FROM specification
UNION ALL SELECT 'agent', name FROM agent
ORDER BY 1, 2;

-- name: serve_filter_names :one
-- Ids of what a list is narrowed to by name; 0 = there is no such thing.
SELECT coalesce((SELECT id FROM specification WHERE name = :specification), 0) AS "specification!",
       coalesce((SELECT id FROM agent WHERE name = :agent), 0) AS "agent!";

-- name: serve_build :one
-- One, as in that list, and its outputs in order of name (a size of 0: not offered).
SELECT build.id AS "id!", left(substr(basename, 34), -4) AS "name!",
       '/gnu/store/' || basename AS "derivation!", derivation_id AS "derivation_id!",
       system.name AS "system!", build_state_name(build.state) AS "state!",
       priority AS "priority!", timeout_s AS "timeout_s!", max_silent_s AS "max_silent_s!",
       build.created_at AS "created_at!", build.finished_at, failed_build_id,
       newest.created_at AS begun_at, newest.finished_at AS ran_until,
       output.names AS "output_names!", output.paths AS "output_paths!",
       output.sizes AS "output_sizes!"
FROM build
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
JOIN store_path ON store_path.id = derivation_id
LEFT JOIN LATERAL (SELECT created_at, finished_at FROM attempt
                   WHERE attempt.build_id = build.id
                   ORDER BY attempt.id DESC LIMIT 1) AS newest ON true
CROSS JOIN LATERAL (
  SELECT coalesce(array_agg(derivation_output.name ORDER BY derivation_output.name), '{}') AS names,
         coalesce(array_agg(path.basename ORDER BY derivation_output.name), '{}') AS paths,
         coalesce(array_agg(coalesce(nar_size, 0) ORDER BY derivation_output.name), '{}') AS sizes
  FROM derivation_output
  JOIN store_path AS path ON path.id = derivation_output.path_id
  LEFT JOIN nar ON nar.path_id = derivation_output.path_id
  WHERE derivation_output.derivation_id = build.derivation_id) AS output
WHERE build.id = :id;

-- name: serve_build_attempts :many
-- Newest first; COUNT is of all behind BEFORE.
SELECT attempt.id, agent.name AS agent,
       (ARRAY['running', 'succeeded', 'failed'])[state + 1] AS "state!", cause, message,
       created_at, started_at, finished_at, log_size,
       connected_at IS NULL AS "is_away!", seen_at, count(*) OVER () AS "count!"
FROM attempt JOIN agent ON agent.id = agent_id
WHERE build_id = :build_id AND attempt.id < :before
ORDER BY attempt.id DESC LIMIT :limit::bigint;

-- name: serve_build_side :many
-- Builds next to a derivation's, behind AFTER: what it needs or, WANTS_DEPENDENTS, what needs it.
SELECT side.id AS "id!", left(substr(basename, 34), -4) AS "name!",
       build_state_name(side.state) AS "state!"
FROM (SELECT needed.id, needed.state, needed.derivation_id
      FROM derivation_input
      JOIN derivation ON derivation.id = input_id
      JOIN build AS needed ON needed.output_key = derivation.output_key
      WHERE NOT :wants_dependents::boolean AND derivation_input.derivation_id = :derivation_id
      UNION
      SELECT dependent.id, dependent.state, dependent.derivation_id
      FROM derivation AS own
      JOIN derivation AS same ON same.output_key = own.output_key
      JOIN derivation_input ON input_id = same.id
      JOIN build AS dependent ON dependent.derivation_id = derivation_input.derivation_id
      WHERE :wants_dependents AND own.id = :derivation_id) AS side
JOIN store_path ON store_path.id = side.derivation_id
WHERE side.id > :after
ORDER BY side.id LIMIT :limit::bigint;

-- name: serve_build_jobs :many
-- Newest evaluations first; with the first one, from what that evaluation was made, for
-- others to make it again: its channels in order of name. Those behind BEFORE, an evaluation,
-- and of that one behind AFTER_NAME; COUNT is of all of these.
SELECT specification_id, specification.name AS specification, asked.evaluation_id AS evaluation,
       asked.name_id, job_name.name, evaluation.created_at, asked.count AS "count!",
       coalesce(evaluation.definition ->> 'mode', 'overlay') = 'time-machine' AS "is_whole!",
       origin.channels AS "channels?", origin.urls AS "urls?", origin.commits AS "commits?",
       origin.introduction_commits AS "introduction_commits?",
       origin.introduction_signers AS "introduction_signers?"
FROM (SELECT evaluation_id, name_id, count(*) OVER () AS count,
             row_number() OVER (ORDER BY evaluation_id DESC, name_id) AS place
      FROM job
      WHERE build_id = :build_id
        AND (evaluation_id < :before OR (evaluation_id = :before AND name_id > :after_name))
      ORDER BY place LIMIT :limit::bigint) AS asked
JOIN job_name ON job_name.id = asked.name_id
JOIN evaluation ON evaluation.id = asked.evaluation_id
JOIN specification ON specification.id = specification_id
CROSS JOIN LATERAL (
  SELECT array_agg(channel ORDER BY channel) AS channels,
         array_agg(url ORDER BY channel) AS urls,
         array_agg(commit_hash ORDER BY channel) AS commits,
         array_agg(coalesce(given -> 'introduction' ->> 'commit', '') ORDER BY channel)
           AS introduction_commits,
         array_agg(coalesce(given -> 'introduction' ->> 'signer', '') ORDER BY channel)
           AS introduction_signers
  FROM evaluation_revision
  JOIN revision ON revision.id = revision_id
  JOIN repository ON repository.id = repository_id
  LEFT JOIN LATERAL (SELECT given FROM jsonb_array_elements(evaluation.definition -> 'channels') AS given
                     WHERE given ->> 'name' = channel LIMIT 1) AS found ON true
  WHERE place = 1 AND evaluation_id = asked.evaluation_id) AS origin
ORDER BY asked.place;

-- name: serve_build_neighbours :many
-- Builds next to a derivation's: what it needs, and what needs it; on either side those
-- that failed or are not finished first, then the oldest. Of each as many as are asked
-- for, and COUNT, which says how many there are. No more than LOOKED are looked at, any of
-- them: some are needed by all that was ever built.
SELECT 'needs' AS "side!", side.id AS "id!", left(substr(basename, 34), -4) AS "name!",
       build_state_name(state) AS "state!", count AS "count!"
FROM (SELECT found.*, count(*) OVER () AS count
      FROM (SELECT DISTINCT * FROM (
              SELECT needed.id, needed.state, needed.derivation_id
              FROM derivation_input
              JOIN derivation ON derivation.id = input_id
              JOIN build AS needed ON needed.output_key = derivation.output_key
              WHERE derivation_input.derivation_id = :derivation_id
              LIMIT :looked::bigint) AS near) AS found
      ORDER BY state = 2, id LIMIT :limit::bigint) AS side
JOIN store_path ON store_path.id = side.derivation_id
UNION ALL
SELECT 'needed by', side.id, left(substr(basename, 34), -4), build_state_name(state), count
FROM (SELECT found.*, count(*) OVER () AS count
      FROM (SELECT DISTINCT * FROM (
              SELECT dependent.id, dependent.state, dependent.derivation_id
              FROM derivation AS own
              JOIN derivation AS same ON same.output_key = own.output_key
              JOIN derivation_input ON input_id = same.id
              JOIN build AS dependent ON dependent.derivation_id = derivation_input.derivation_id
              WHERE own.id = :derivation_id
              LIMIT :looked) AS near) AS found
      ORDER BY state = 2, id LIMIT :limit::bigint) AS side
JOIN store_path ON store_path.id = side.derivation_id;

-- name: serve_job_history :many
-- What the latest EVALUATIONS of a specification that succeeded, and so have jobs, asked for
-- by this name, newest first; at the edge, the oldest of them, when there are older ones.
-- Failed before: it is being built again.
WITH latest AS (
  SELECT id, created_at FROM evaluation
  WHERE specification_id = :specification_id AND state = 2
  ORDER BY id DESC LIMIT :evaluations::bigint)
SELECT latest.id AS "evaluation!", latest.created_at AS "created_at!", build_id AS build,
       build_state_name(build.state) AS "state!", left(substr(basename, 34), -4) AS "name!",
       build.finished_at IS NULL
       AND coalesce((SELECT attempt.state = 2 FROM attempt
                     WHERE attempt.build_id = build.id AND attempt.state <> 0
                     ORDER BY attempt.id DESC LIMIT 1), false) AS "failed_before!",
       latest.id = (SELECT min(id) FROM latest)
       AND EXISTS (SELECT FROM evaluation
                   WHERE specification_id = :specification_id AND state = 2
                     AND id < latest.id) AS "is_edge!"
FROM latest
JOIN job ON job.evaluation_id = latest.id AND job.name_id = :name_id
JOIN build ON build.id = build_id
JOIN store_path ON store_path.id = build.derivation_id
ORDER BY latest.id DESC, build_id DESC;

-- name: serve_build_hold :one
-- How much is cancelled with a build, about: what needs it, directly and by others, and
-- is not finished. Counts up to 1,000.
WITH RECURSIVE held AS (
  SELECT id, derivation_id FROM build WHERE id = :build_id
  UNION
  SELECT dependent.id, dependent.derivation_id
  FROM held
  JOIN derivation AS own ON own.id = held.derivation_id
  JOIN derivation AS same ON same.output_key = own.output_key
  JOIN derivation_input ON input_id = same.id
  JOIN build AS dependent ON dependent.derivation_id = derivation_input.derivation_id
                         AND dependent.finished_at IS NULL)
SELECT count(*) - 1 AS "count!" FROM (SELECT id FROM held LIMIT 1001) AS held;

-- name: serve_attempt_of_build :one
-- The one that is named, or the one whose log people want: what runs now, else the newest
-- whose builder ran. An attempt that found its output in the agent's store has nothing to
-- show, the one before it, which was lost or could not deliver, has the whole log.
SELECT id, state = 0 AS "is_running!", state = 2 AS "has_failed!" FROM attempt
WHERE build_id = :build_id AND (:attempt_id?::bigint IS NULL OR id = :attempt_id?)
ORDER BY state = 0 DESC, started_at IS NOT NULL DESC, id DESC LIMIT 1;

-- name: serve_graph_step :many
-- What the builds of NEEDING need, and what needs those of NEEDED: of each side at most LIMIT,
-- first what failed or is not finished. LOOKED are looked at, any of them.
SELECT edge.is_user AS "is_user!", edge.near AS "near!", edge.far AS "far!",
       edge.state = 2 AS "is_good!"
FROM ((SELECT false AS is_user, found.*
       FROM (SELECT DISTINCT * FROM (
               SELECT build.id AS near, needed.id AS far, needed.state
               FROM build
               JOIN derivation_input ON derivation_input.derivation_id = build.derivation_id
               JOIN derivation ON derivation.id = input_id
               JOIN build AS needed ON needed.output_key = derivation.output_key
                                   AND needed.id <> build.id
               WHERE build.id = ANY (:needing::bigint[])
               LIMIT :looked::bigint) AS next) AS found
       ORDER BY state = 2, far LIMIT :limit::bigint)
      UNION ALL
      (SELECT true, found.*
       FROM (SELECT DISTINCT * FROM (
               SELECT build.id AS near, dependent.id AS far, dependent.state
               FROM build
               JOIN derivation AS same ON same.output_key = build.output_key
               JOIN derivation_input ON input_id = same.id
               JOIN build AS dependent ON dependent.derivation_id = derivation_input.derivation_id
                                      AND dependent.id <> build.id
               WHERE build.id = ANY (:needed::bigint[])
               LIMIT :looked) AS next) AS found
       ORDER BY state = 2, far LIMIT :limit)) AS edge
ORDER BY edge.is_user, edge.state = 2, edge.far, edge.near;

-- name: serve_graph_builds :many
SELECT build.id, left(substr(basename, 34), -4) AS "name!", build_state_name(state) AS "state!"
FROM build JOIN store_path ON store_path.id = derivation_id
WHERE build.id = ANY (:ids);

-- name: serve_evaluation_known :one
SELECT EXISTS (SELECT FROM evaluation WHERE id = :id) AS "known!";
