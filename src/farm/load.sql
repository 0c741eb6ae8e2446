-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_load_horizon :one
-- All transactions below it have ended: the next reading begins with it.
SELECT pg_snapshot_xmin(pg_current_snapshot()) AS "horizon!";

-- name: farm_load_orders :many
SELECT o.id, o.kind, o.build_id, o.agent_id, o.priority, o.timeout_s, o.max_silent_s,
       (SELECT t.id FROM agent a JOIN token t ON t.id = a.token_id
         WHERE a.id = o.agent_id AND t.revoked_at IS NULL) AS "valid_token_id?"
  FROM farm_order o
 ORDER BY o.id;

-- name: farm_load_wanted :many
-- Unfinished builds made since HORIZON.
SELECT b.id FROM build b WHERE b.finished_at IS NULL AND b.wanted_in >= :horizon::xid8;

-- name: farm_load_builds :many
SELECT b.id, b.derivation_id, b.created_at, b.timeout_s, b.max_silent_s, b.priority, b.tries,
       b.losses, b.state, b.cause, b.direct, s.name AS system,
       (SELECT coalesce(bool_and(EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id)), false)
          FROM derivation_output o WHERE o.derivation_id = b.derivation_id) AS "offered!"
  FROM build b
  JOIN derivation d ON d.id = b.derivation_id
  JOIN system s ON s.id = d.system_id
 WHERE b.id = ANY (:ids::bigint[]);

-- name: farm_load_few :one
-- For the rest of the transaction: walk along indexes, from what is asked on. It is
-- little of much, and right after a large load the planner does not know yet how much.
SELECT set_config('enable_seqscan', 'off', true) AS "seqscan!",
       set_config('enable_hashjoin', 'off', true) AS "hashjoin!",
       set_config('enable_mergejoin', 'off', true) AS "mergejoin!",
       set_config('enable_nestloop', 'on', true) AS "nestloop!",
       set_config('plan_cache_mode', 'auto', true) AS "plan!",
       set_config('join_collapse_limit', '1', true) AS "order!",
       set_config('jit', 'off', true) AS "jit!";

-- name: farm_load_many :one
-- For the rest of the transaction: join whole tables. At a take-over nearly all of
-- them is asked: three times as fast as along indexes.
SELECT set_config('enable_seqscan', 'on', true) AS "seqscan!",
       set_config('enable_hashjoin', 'on', true) AS "hashjoin!",
       set_config('enable_nestloop', 'off', true) AS "nestloop!",
       set_config('plan_cache_mode', 'force_custom_plan', true) AS "plan!",
       set_config('work_mem', '64MB', true) AS "memory!",
       set_config('join_collapse_limit', '1', true) AS "order!",
       set_config('jit', 'off', true) AS "jit!";

-- name: farm_load_edges :many
-- For each of the builds: the unfinished ones that it needs.
SELECT b.id, array_agg(DISTINCT needed.id) AS "needs!"
  FROM unnest(:ids::bigint[]) AS asked (id)
  JOIN build b ON b.id = asked.id
  JOIN derivation_input i ON i.derivation_id = b.derivation_id
  JOIN derivation d ON d.id = i.input_id
  JOIN build needed ON needed.output_key = d.output_key
 WHERE needed.finished_at IS NULL AND needed.id <> b.id
 GROUP BY b.id;

-- name: farm_load_obstacles :many
-- Builds that the given ones need, which are finished, but not with what is read
-- of them offered.
SELECT DISTINCT b.id, needed.id AS needs_id, needed.state, needed.cause, needed.failed_build_id
  FROM unnest(:ids::bigint[]) AS asked (id)
  JOIN build b ON b.id = asked.id
  JOIN derivation_input i ON i.derivation_id = b.derivation_id
  JOIN derivation d ON d.id = i.input_id
  JOIN build needed ON needed.output_key = d.output_key
 WHERE needed.finished_at IS NOT NULL AND needed.id <> b.id
   AND EXISTS (SELECT FROM derivation_output o
                WHERE o.derivation_id = i.input_id AND o.name = ANY (i.outputs)
                  AND NOT EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id));

-- name: farm_load_attempts :many
SELECT a.id, a.build_id, a.agent_id, a.fence FROM attempt a WHERE a.state = 0 ORDER BY a.id;

-- name: farm_load_agents :many
SELECT a.id, a.token_id, a.name, a.systems, a.jobs, a.paused,
       t.revoked_at IS NOT NULL AS "released!"
  FROM agent a JOIN token t ON t.id = a.token_id
 ORDER BY a.id;

-- name: farm_load_attempt_ids :one
-- The first of a thousand ids that are nobody else's.
SELECT nextval(pg_get_serial_sequence('attempt', 'id')) AS "first!";

-- name: farm_load_epoch :one
-- Begins an epoch: batches of all schedulers before are refused from now on.
UPDATE farm_scheduler SET epoch = epoch + 1, batch = 0 RETURNING epoch;

-- name: farm_load_forget_sessions :exec
UPDATE agent SET connected_at = NULL WHERE connected_at IS NOT NULL;
