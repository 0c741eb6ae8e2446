-- SPDX-License-Identifier: GPL-3.0-or-later
-- Builds as pages and API show them: facts of farm, graph, cache and evaluation
-- together.

-- name: serve_plan_anew :one
-- For the rest of the transaction: plan by the very parameters. What narrows a list
-- may be absent, and one plan for all cases walks all builds.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true) AS "mode!";

-- name: serve_builds :many
-- Newest first. The name is the derivation's, without ".drv".
SELECT build.id, left(substr(basename, 34), -4) AS "name!",
       '/gnu/store/' || basename AS "derivation!", derivation_id, system.name AS system,
       build_state_name(state) AS "state!", priority, timeout_s, max_silent_s, created_at,
       finished_at, failed_build_id
FROM build
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
JOIN store_path ON store_path.id = derivation_id
WHERE build.id < :before
  AND (:state?::smallint IS NULL OR state = :state?)
  AND (:system?::text IS NULL
       OR system_id = (SELECT system.id FROM system WHERE system.name = :system?))
  AND (:name?::text IS NULL OR strpos(basename, :name?) > 33)
  AND (:evaluation?::bigint IS NULL
       OR build.id IN (SELECT build_id FROM job WHERE evaluation_id = :evaluation?))
ORDER BY build.id DESC LIMIT :limit::bigint;

-- name: serve_build_outputs :many
SELECT derivation_output.name, '/gnu/store/' || basename AS "path!",
       nar.path_id IS NOT NULL AS "available!", nar_size AS "nar_size?"
FROM derivation_output
JOIN store_path ON store_path.id = derivation_output.path_id
LEFT JOIN nar ON nar.path_id = derivation_output.path_id
WHERE derivation_id = :derivation_id
ORDER BY derivation_output.name;

-- name: serve_build_attempts :many
-- Newest first.
SELECT attempt.id, agent.name AS agent,
       (ARRAY['running', 'succeeded', 'failed'])[state + 1] AS "state!", cause, message,
       created_at, started_at, finished_at, log_size
FROM attempt JOIN agent ON agent.id = agent_id
WHERE build_id = :build_id
ORDER BY attempt.id DESC LIMIT 100;

-- name: serve_build_dependencies :many
-- Builds of the derivations that this one's derivation takes as inputs.
SELECT DISTINCT needed.id, left(substr(basename, 34), -4) AS "name!",
       build_state_name(needed.state) AS "state!"
FROM derivation_input
JOIN derivation ON derivation.id = input_id
JOIN build AS needed ON needed.output_key = derivation.output_key
JOIN store_path ON store_path.id = needed.derivation_id
WHERE derivation_input.derivation_id = :derivation_id
ORDER BY needed.id LIMIT 100;

-- name: serve_build_dependents :many
SELECT DISTINCT dependent.id, left(substr(basename, 34), -4) AS "name!",
       build_state_name(dependent.state) AS "state!"
FROM derivation AS own
JOIN derivation AS same ON same.output_key = own.output_key
JOIN derivation_input ON input_id = same.id
JOIN build AS dependent ON dependent.derivation_id = derivation_input.derivation_id
JOIN store_path ON store_path.id = dependent.derivation_id
WHERE own.id = :derivation_id
ORDER BY dependent.id LIMIT 100;

-- name: serve_build_jobs :many
-- Newest evaluations first.
SELECT specification.name AS specification, evaluation_id AS evaluation, job_name.name
FROM job
JOIN job_name ON job_name.id = name_id
JOIN evaluation ON evaluation.id = evaluation_id
JOIN specification ON specification.id = specification_id
WHERE build_id = :build_id
ORDER BY evaluation_id DESC, job_name.name LIMIT 20;

-- name: serve_attempt_of_build :one
-- The one that is named, or the one whose log people want: what runs now, else the newest
-- whose builder ran. An attempt that found its output in the agent's store has nothing to
-- show, the one before it, which was lost or could not deliver, has the whole log.
SELECT id, state = 0 AS "is_running!" FROM attempt
WHERE build_id = :build_id AND (:attempt_id?::bigint IS NULL OR id = :attempt_id?)
ORDER BY state = 0 DESC, started_at IS NOT NULL DESC, id DESC LIMIT 1;
