-- SPDX-License-Identifier: GPL-3.0-or-later
-- What doc/api.md says of specifications and evaluations, as JSON text that a
-- route sends as it is.

-- name: specification_json :one
SELECT specification_json.json::text AS "json!"
FROM specification_json WHERE name = :name;

-- name: specification_json_list :one
SELECT json_build_object('items', coalesce(json_agg(json ORDER BY name), '[]'),
                         'next', NULL)::text AS "json!"
FROM specification_json;

-- name: evaluation_json :one
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
    FROM build WHERE id IN (SELECT build_id FROM job WHERE evaluation_id = :id))))::text AS "json!"
FROM evaluation_json WHERE evaluation_json.id = :id;

-- name: evaluation_awaits_end :one
SELECT finished_at IS NULL AS "awaits_end!" FROM evaluation WHERE id = :id;

-- name: evaluation_json_list :one
WITH page AS (
  SELECT id, json FROM evaluation_json
  WHERE id < :before AND (:specification?::text IS NULL OR specification = :specification?)
    AND (:state?::text IS NULL OR json ->> 'state' = :state?)
  ORDER BY id DESC LIMIT :limit::bigint),
last AS (SELECT CASE WHEN count(*) = :limit THEN min(id)::text END AS next FROM page)
SELECT json_build_object('items', coalesce(json_agg(json ORDER BY id DESC), '[]'),
                         'next', (SELECT next FROM last))::text AS "json!",
       (SELECT next FROM last) AS "next?",
       (:specification?::text IS NULL
        OR EXISTS (SELECT FROM specification WHERE name = :specification?)) AS "known!"
FROM page;

-- name: evaluation_jobs_json :one
-- By name; the cursor is "NAME/DERIVATION".
WITH page AS (
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
  LIMIT :limit::bigint),
last AS (
  SELECT CASE WHEN count(*) = :limit
              THEN (array_agg(name || '/' || derivation_id
                              ORDER BY name DESC, derivation_id DESC))[1] END AS next
  FROM page)
SELECT json_build_object(
  'items', coalesce(json_agg(json_build_object(
     'name', name, 'system', system, 'derivation', '/gnu/store/' || basename,
     'build', build_id, 'state', build_state_name(state))
     ORDER BY name, derivation_id), '[]'),
  'next', (SELECT next FROM last))::text AS "json!",
  (SELECT next FROM last) AS "next?"
FROM page
HAVING EXISTS (SELECT FROM evaluation WHERE id = :evaluation_id);

-- name: evaluation_errors_json :one
WITH page AS (
  SELECT id, job, message, file, line, column_ FROM evaluation_error
  WHERE evaluation_id = :evaluation_id AND id < :before ORDER BY id DESC LIMIT :limit::bigint),
last AS (SELECT CASE WHEN count(*) = :limit THEN min(id)::text END AS next FROM page)
SELECT json_build_object(
  'items', coalesce(json_agg(json_build_object(
     'name', job, 'message', message, 'file', nullif(file, ''), 'line', nullif(line, 0),
     'column', nullif(column_, 0))
     ORDER BY id DESC), '[]'),
  'next', (SELECT next FROM last))::text AS "json!",
  (SELECT next FROM last) AS "next?"
FROM page
HAVING EXISTS (SELECT FROM evaluation WHERE id = :evaluation_id);
