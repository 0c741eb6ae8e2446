-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_batch_claim :exec
-- 1 = this batch may be written; 0 = it was written already, or the epoch is over.
UPDATE farm_scheduler SET batch = :batch::bigint, seen_at = now()
 WHERE epoch = :epoch AND batch = :batch::bigint - 1;

-- name: farm_batch_alive :exec
-- A sign of life, also when there is nothing to write; 0 = the epoch is over.
UPDATE farm_scheduler SET seen_at = now() WHERE epoch = :epoch;

-- name: farm_batch_last :one
SELECT epoch, batch FROM farm_scheduler;

-- name: farm_batch_builds :exec
-- Rows as they are to be. A build that ends now gets its time, one that ended
-- before keeps it.
UPDATE build b
   SET state = new.state, cause = new.cause, priority = new.priority, tries = new.tries,
       losses = new.losses, direct = new.direct, timeout_s = new.timeout_s, max_silent_s = new.max_silent_s,
       failed_build_id = nullif(new.failed_id, 0),
       finished_at = CASE WHEN new.unfinished THEN NULL ELSE coalesce(b.finished_at, now()) END
  FROM unnest(:ids::bigint[], :states::smallint[], :causes::smallint[], :priorities::integer[],
              :tries::integer[], :losses::integer[], :directs::boolean[], :timeouts_s::bigint[],
              :max_silents_s::bigint[], :failed_ids::bigint[], :unfinished::boolean[])
       AS new (id, state, cause, priority, tries, losses, direct, timeout_s, max_silent_s,
               failed_id, unfinished)
 WHERE b.id = new.id;

-- name: farm_batch_limits :exec
-- Finished builds, which nothing else changes meanwhile. 0 = no limit, the largest.
UPDATE build b
   SET direct = true,
       timeout_s = CASE WHEN 0 IN (b.timeout_s, new.timeout_s) THEN 0
                        ELSE greatest(b.timeout_s, new.timeout_s) END,
       max_silent_s = CASE WHEN 0 IN (b.max_silent_s, new.max_silent_s) THEN 0
                           ELSE greatest(b.max_silent_s, new.max_silent_s) END
  FROM unnest(:ids::bigint[], :timeouts_s::bigint[], :max_silents_s::bigint[])
       AS new (id, timeout_s, max_silent_s)
 WHERE b.id = new.id;

-- name: farm_batch_starts :exec
INSERT INTO attempt (id, build_id, agent_id, fence, state)
SELECT new.id, new.build_id, new.agent_id, new.fence, 0
  FROM unnest(:ids::bigint[], :build_ids::bigint[], :agent_ids::bigint[], :fences::bigint[])
       AS new (id, build_id, agent_id, fence);

-- name: farm_batch_builders :exec
UPDATE attempt SET started_at = now() WHERE id = ANY (:ids::bigint[]) AND started_at IS NULL;

-- name: farm_batch_ends :exec
UPDATE attempt a
   SET state = CASE WHEN ended.cause = 0 THEN 1 ELSE 2 END, cause = ended.cause,
       message = ended.message, log_size = ended.log_size, finished_at = now()
  FROM unnest(:ids::bigint[], :causes::smallint[], :messages::text[], :log_sizes::bigint[])
       AS ended (id, cause, message, log_size)
 WHERE a.id = ended.id;

-- name: farm_batch_log_size :exec
-- The log of an attempt that ended without a word of its agent.
UPDATE attempt SET log_size = :log_size WHERE id = :id AND log_size = 0;

-- name: farm_batch_ended :many
-- Which of the attempts run no more.
SELECT id FROM attempt WHERE id = ANY (:ids::bigint[]) AND state <> 0;

-- name: farm_batch_agents :exec
-- That one is paused, or missed, is no sign of life.
UPDATE agent a
   SET paused = new.paused,
       connected_at = CASE WHEN new.connected THEN coalesce(a.connected_at, now()) END
  FROM unnest(:ids::bigint[], :connected::boolean[], :paused::boolean[])
       AS new (id, connected, paused)
 WHERE a.id = new.id;

-- name: farm_batch_session :exec
-- What an agent said of itself at the beginning of a session.
UPDATE agent SET systems = :systems::text[], jobs = :jobs, facts = :facts::jsonb, connected_at = now(),
       seen_at = now()
 WHERE id = :id;

-- name: farm_batch_seen :many
-- Notes how many milliseconds ago each was heard; returns those whose token was revoked since
-- they came.
WITH seen AS (
  UPDATE agent SET seen_at = greatest(seen_at, now() - ago * interval '1 millisecond')
    FROM unnest(:ids::bigint[], :ago::bigint[]) AS heard (agent_id, ago)
   WHERE id = agent_id RETURNING id, token_id)
SELECT seen.id FROM seen JOIN token ON token.id = token_id WHERE revoked_at IS NOT NULL;

-- name: farm_batch_orders_done :exec
DELETE FROM farm_order WHERE id = ANY (:ids::bigint[]);

-- name: farm_batch_facts :many
-- Of builds that are told about: the derivation, and whether all outputs are offered.
SELECT b.id, b.derivation_id, p.basename, s.name AS system,
       (SELECT coalesce(bool_and(EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id)), false)
          FROM derivation_output o WHERE o.derivation_id = b.derivation_id) AS "offered!"
  FROM build b
  JOIN derivation d ON d.id = b.derivation_id
  JOIN store_path p ON p.id = b.derivation_id
  JOIN system s ON s.id = d.system_id
 WHERE b.id = ANY (:ids::bigint[]);

-- name: farm_batch_outputs :many
SELECT o.derivation_id, o.name, p.basename
  FROM derivation_output o
  JOIN store_path p ON p.id = o.path_id
 WHERE o.derivation_id = ANY (:derivation_ids::bigint[])
 ORDER BY o.derivation_id, o.name COLLATE "C";
