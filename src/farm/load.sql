-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_load_horizon :one
-- All transactions below it have ended: the next reading begins with it.
SELECT pg_snapshot_xmin(pg_current_snapshot()) AS "horizon!";

-- name: farm_load_orders :many
SELECT id, kind, build_id, agent_id, priority, timeout_s, max_silent_s FROM farm_order ORDER BY id;

-- name: farm_load_wanted :many
-- Unfinished builds made since HORIZON.
SELECT b.id FROM build b WHERE b.finished_at IS NULL AND b.wanted_in >= :horizon::xid8;

-- name: farm_load_builds :many
SELECT b.id, b.derivation_id, b.created_at, b.timeout_s, b.max_silent_s, b.priority, b.tries,
       b.state, b.cause, b.direct, s.name AS system,
       (SELECT coalesce(bool_and(EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id)), false)
          FROM derivation_output o WHERE o.derivation_id = b.derivation_id) AS "offered!"
  FROM build b
  JOIN derivation d ON d.id = b.derivation_id
  JOIN system s ON s.id = d.system_id
 WHERE b.id = ANY (:ids::bigint[]);

-- name: farm_load_by_index :one
-- For the rest of the transaction: walk along indexes. What is asked is little of
-- much, and right after a large load the planner does not know yet how much.
SELECT set_config('enable_seqscan', 'off', true) AS "seqscan!",
       set_config('enable_hashjoin', 'off', true) AS "hashjoin!",
       set_config('enable_mergejoin', 'off', true) AS "mergejoin!";

-- name: farm_load_edges :many
-- For each of the builds: the unfinished ones that it needs. (LATERAL: from the
-- builds down, never from all unfinished ones up.)
SELECT b.id, below.needs AS "needs!"
  FROM unnest(:ids::bigint[]) AS asked (id)
  JOIN build b ON b.id = asked.id
 CROSS JOIN LATERAL
       (SELECT array_agg(DISTINCT needed.id) AS needs
          FROM derivation_input i
          JOIN derivation d ON d.id = i.input_id
          JOIN build needed ON needed.output_key = d.output_key
         WHERE i.derivation_id = b.derivation_id AND needed.finished_at IS NULL
           AND needed.id <> b.id) AS below
 WHERE below.needs IS NOT NULL;

-- name: farm_load_obstacles :many
-- Builds that the given ones need, which are finished, but not with what is read
-- of them offered.
SELECT b.id, below.needs_id, below.state, below.cause, below.failed_build_id
  FROM unnest(:ids::bigint[]) AS asked (id)
  JOIN build b ON b.id = asked.id
 CROSS JOIN LATERAL
       (SELECT DISTINCT needed.id AS needs_id, needed.state, needed.cause, needed.failed_build_id
          FROM derivation_input i
          JOIN derivation d ON d.id = i.input_id
          JOIN build needed ON needed.output_key = d.output_key
         WHERE i.derivation_id = b.derivation_id AND needed.finished_at IS NOT NULL
           AND needed.id <> b.id
           AND EXISTS (SELECT FROM derivation_output o
                        WHERE o.derivation_id = i.input_id AND o.name = ANY (i.outputs)
                          AND NOT EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id))) AS below;

-- name: farm_load_attempts :many
SELECT a.id, a.build_id, a.agent_id, a.fence FROM attempt a WHERE a.state = 0 ORDER BY a.id;

-- name: farm_load_agents :many
SELECT id, token_id, name, systems, jobs, paused FROM agent ORDER BY id;

-- name: farm_load_attempt_ids :one
-- The first of a thousand ids that are nobody else's.
SELECT nextval(pg_get_serial_sequence('attempt', 'id')) AS "first!";

-- name: farm_load_epoch :one
-- Begins an epoch: batches of all schedulers before are refused from now on.
UPDATE farm_scheduler SET epoch = epoch + 1, batch = 0 RETURNING epoch;

-- name: farm_load_forget_sessions :exec
UPDATE agent SET connected_at = NULL WHERE connected_at IS NOT NULL;
