-- SPDX-License-Identifier: GPL-3.0-or-later
-- What doc/api.md says of specifications and evaluations, as JSON text that a
-- route sends as it is.

-- name: specification_json :one
SELECT specification_json.json::text AS "json!"
FROM specification_json WHERE name = :name;

-- name: specification_json_list :one
-- By name; the cursor is the name. Of a page one row more than LIMIT is read, here and below: there is
-- a next one only where something is on it.
WITH page AS (
  SELECT json, name, row_number() OVER (ORDER BY name) AS place
  FROM (SELECT json, name FROM specification_json WHERE name > :after
        ORDER BY name LIMIT :limit::bigint + 1) AS found),
last AS (SELECT CASE WHEN count(*) > :limit
                     THEN max(name) FILTER (WHERE place = :limit) END AS next FROM page)
SELECT json_build_object('items', coalesce(json_agg(json ORDER BY place)
                                           FILTER (WHERE place <= :limit), '[]'),
                         'next', (SELECT next FROM last))::text AS "json!",
       (SELECT next FROM last) AS "next?"
FROM page;

-- name: evaluation_json :one
-- USUAL_DURATION (seconds), EXPECTED_JOBS and EXPECTED_END: of page_pace.
SELECT (jsonb_set(jsonb_set(evaluation_json.json, '{revisions}',
   coalesce((SELECT jsonb_agg(jsonb_build_object(
               'channel', channel, 'url', url, 'commit', commit_hash, 'subject', subject,
               'author', author, 'committed_at', api_time(committed_at)) ORDER BY channel)
             FROM evaluation_revision
             JOIN revision ON revision.id = revision_id
             JOIN repository ON repository.id = repository_id
             WHERE evaluation_id = :id), '[]')),
   '{builds_by_state}',
   (SELECT jsonb_build_object(
             'waiting', count(*) FILTER (WHERE state = 0),
             'running', count(*) FILTER (WHERE state = 1),
             'succeeded', count(*) FILTER (WHERE state = 2),
             'failed', count(*) FILTER (WHERE state = 3),
             'dependency-failed', count(*) FILTER (WHERE state = 4),
             'cancelled', count(*) FILTER (WHERE state = 5))
    FROM build WHERE id IN (SELECT build_id FROM job WHERE evaluation_id = :id)))
  || jsonb_build_object(
       'cancelling', cancel_requested AND finished_at IS NULL,
       'usual_duration_s', :usual_duration?::bigint, 'expected_jobs_count', :expected_jobs?::bigint,
       'expected_end_at', api_time(:expected_end?::timestamptz)))::text AS "json!"
FROM evaluation_json JOIN evaluation ON evaluation.id = evaluation_json.id
WHERE evaluation_json.id = :id;

-- name: evaluation_awaits_end :one
SELECT finished_at IS NULL AS "awaits_end!" FROM evaluation WHERE id = :id;

-- name: evaluation_json_list :one
WITH page AS (
  SELECT id, json, row_number() OVER (ORDER BY id DESC) AS place
  FROM (SELECT id, json FROM evaluation_json
        WHERE id < :before AND (:specification?::text IS NULL OR specification = :specification?)
          AND (:state?::text IS NULL OR json ->> 'state' = :state?)
          AND (:outcome?::text IS NULL OR json ->> 'outcome' = :outcome?)
        ORDER BY id DESC LIMIT :limit::bigint + 1) AS found),
last AS (SELECT CASE WHEN count(*) > :limit
                     THEN (max(id) FILTER (WHERE place = :limit))::text END AS next FROM page)
SELECT json_build_object('items', coalesce(json_agg(json ORDER BY place)
                                           FILTER (WHERE place <= :limit), '[]'),
                         'next', (SELECT next FROM last))::text AS "json!",
       (SELECT next FROM last) AS "next?",
       (:specification?::text IS NULL
        OR EXISTS (SELECT FROM specification WHERE name = :specification?)) AS "known!"
FROM page;

-- name: evaluation_jobs_json :one
-- By name; the cursor is "NAME/DERIVATION".
WITH found AS (
  SELECT job_name.name, job.derivation_id, system.name AS system, basename, build.id AS build_id,
         build.state
  FROM job
  JOIN job_name ON job_name.id = name_id
  JOIN derivation ON derivation.id = job.derivation_id
  JOIN system ON system.id = system_id
  JOIN store_path ON store_path.id = job.derivation_id
  JOIN build ON build.id = build_id
  WHERE evaluation_id = :evaluation_id
    AND (job_name.name, job.derivation_id) > (:after_name COLLATE "C", :after_id)
    AND (:state?::smallint IS NULL OR build.state = :state?)
    AND (:name?::text IS NULL OR strpos(job_name.name, :name?) > 0)
    AND (:system?::text IS NULL OR system.name = :system?)
  ORDER BY job_name.name, job.derivation_id
  LIMIT :limit::bigint + 1),
page AS (SELECT *, row_number() OVER (ORDER BY name, derivation_id) AS place FROM found),
last AS (
  SELECT CASE WHEN count(*) > :limit
              THEN max(name || '/' || derivation_id) FILTER (WHERE place = :limit) END AS next
  FROM page)
SELECT json_build_object(
  'items', coalesce(json_agg(json_build_object(
     'name', name, 'system', system, 'derivation', '/gnu/store/' || basename,
     'build', build_id, 'state', build_state_name(state))
     ORDER BY place) FILTER (WHERE place <= :limit), '[]'),
  'next', (SELECT next FROM last))::text AS "json!",
  (SELECT next FROM last) AS "next?"
FROM page
HAVING EXISTS (SELECT FROM evaluation WHERE id = :evaluation_id);
