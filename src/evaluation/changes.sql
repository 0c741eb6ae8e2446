-- SPDX-License-Identifier: GPL-3.0-or-later
-- Evaluations against the one before.

-- name: changes_head :one
-- An evaluation, its neighbours, and the one that it is held against: the one that is
-- named, or the newest earlier one; both only if they succeeded, for others have no jobs.
SELECT evaluation.id, specification_id, specification.name AS specification,
       evaluation.state, evaluation_state_name(evaluation.state) AS "state_name!",
       evaluation_outcome(evaluation) AS "outcome!", evaluation_summary(evaluation) AS "summary!",
       evaluation.created_at, started_at, finished_at, cancel_requested, jobs_count AS jobs,
       errors_count AS errors, derivations_count AS derivations, message,
       (SELECT max(id) FROM evaluation AS other
        WHERE other.specification_id = specification.id AND other.id < evaluation.id) AS "previous?",
       (SELECT min(id) FROM evaluation AS other
        WHERE other.specification_id = specification.id AND other.id > evaluation.id) AS "next?",
       CASE WHEN :against?::bigint IS NOT NULL
            THEN (SELECT id FROM evaluation AS other
                  WHERE other.specification_id = specification.id AND other.id = :against?
                    AND other.id <> evaluation.id AND other.state = 2)
            ELSE (SELECT max(id) FROM evaluation AS other
                  WHERE other.specification_id = specification.id AND other.id < evaluation.id
                    AND other.state = 2) END AS "against?"
FROM evaluation JOIN specification ON specification.id = specification_id
WHERE evaluation.id = :id;

-- name: changes_roster :one
SELECT names, derivation_ids, build_ids, states
FROM evaluation_roster WHERE evaluation_id = :evaluation_id;

-- name: changes_roster_made :one
-- The same of one that has none yet: it ended before there were any.
SELECT names AS "names!", derivation_ids AS "derivation_ids!", build_ids AS "build_ids!",
       states AS "states!"
FROM evaluation_roster_made WHERE evaluation_id = :evaluation_id;

-- name: changes_roster_write :exec
-- Written with the jobs; later only the states change.
INSERT INTO evaluation_roster (evaluation_id, names, derivation_ids, build_ids, states)
SELECT evaluation_id, names, derivation_ids, build_ids, states
FROM evaluation_roster_made WHERE evaluation_id = :evaluation_id
ON CONFLICT (evaluation_id) DO UPDATE SET states = excluded.states;

-- name: changes_states :one
-- The state of each of these builds, in their order; -1 = there is none. By look-ups
-- whatever their number: the table may be a hundred times as large.
SELECT ARRAY(SELECT coalesce((SELECT state FROM build WHERE build.id = input.id), -1)
             FROM unnest(:ids::bigint[]) AS input (id))::smallint[] AS "states!";

-- name: changes_errors_count :one
-- Errors of jobs that had none in the other evaluation; jobs that had and have none any more.
SELECT (SELECT count(*) FROM evaluation_error
        WHERE evaluation_id = :id
          AND job NOT IN (SELECT job FROM evaluation_error WHERE evaluation_id = :against)) AS "added!",
       (SELECT count(DISTINCT job) FROM evaluation_error
        WHERE evaluation_id = :against
          AND job NOT IN (SELECT job FROM evaluation_error WHERE evaluation_id = :id)) AS "gone!";
