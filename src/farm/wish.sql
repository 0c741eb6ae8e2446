-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_wish_look :many
-- What is known of derivations: their build, if any, and whether all their outputs
-- are offered. DERIVATION_ID is the build's own, which may be another one with the
-- same outputs.
SELECT d.id AS "wished_id!", coalesce(b.derivation_id, d.id) AS "derivation_id!", d.output_key AS "output_key!", b.id AS "build_id?", b.state AS "state?",
       (SELECT coalesce(bool_and(EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id)), false)
          FROM derivation_output o WHERE o.derivation_id = d.id) AS "offered!"
  FROM unnest(:derivation_ids::bigint[]) AS wanted (id)
  JOIN derivation d ON d.id = wanted.id
  LEFT JOIN build b ON b.output_key = d.output_key;

-- name: farm_wish_below :many
-- One level down: what these derivations read the outputs of, as far as one such
-- output is not offered. Most read the same: a million edges of all of Guix are 60,000
-- different ones.
SELECT coalesce(b.derivation_id, d.id) AS "derivation_id!", d.output_key AS "output_key!", b.id AS "build_id?", b.state AS "state?"
  FROM (SELECT DISTINCT edge.input_id
          FROM (SELECT DISTINCT i.input_id, i.outputs
                  FROM derivation_input i
                 WHERE i.derivation_id = ANY (:derivation_ids::bigint[])) AS edge
         WHERE EXISTS (SELECT FROM derivation_output o
                        WHERE o.derivation_id = edge.input_id AND o.name = ANY (edge.outputs)
                          AND NOT EXISTS (SELECT FROM nar n WHERE n.path_id = o.path_id))) AS below
  JOIN derivation d ON d.id = below.input_id
  LEFT JOIN build b ON b.output_key = d.output_key;

-- name: farm_wish_insert :exec
-- In the order of output_key, so that two wishes at once wait for each other and
-- never in a circle.
INSERT INTO build (derivation_id, output_key, state, priority, direct, timeout_s, max_silent_s,
                   finished_at)
SELECT wished.derivation_id, wished.output_key, wished.state, wished.priority, wished.direct,
       wished.timeout_s, wished.max_silent_s,
       CASE WHEN wished.state = :succeeded::smallint THEN now() END
  FROM unnest(:derivation_ids::bigint[], :output_keys::bigint[], :states::smallint[],
              :priorities::integer[], :directs::boolean[], :timeouts_s::bigint[],
              :max_silents_s::bigint[])
       AS wished (derivation_id, output_key, state, priority, direct, timeout_s, max_silent_s)
 ORDER BY wished.output_key
    ON CONFLICT (output_key) DO NOTHING;

-- name: farm_wish_builds :many
SELECT output_key, id FROM build WHERE output_key = ANY (:output_keys::bigint[]);

-- name: farm_wish_order :exec
-- Asks the scheduler to heed wishes for builds that existed already, where they
-- change anything. OFFERED: as of farm_wish_look. What failed by a limit is wanted anew
-- when that one is larger now; else what failed only notes larger limits (KIND_LIMITS),
-- for when it is restarted. A limit of 0 is none, larger than any other.
INSERT INTO farm_order (kind, build_id, priority, timeout_s, max_silent_s)
SELECT CASE WHEN b.finished_at IS NULL OR b.state IN (:cancelled::smallint, :succeeded::smallint)
                 OR (b.state = :failed::smallint AND b.cause = :timeout::smallint AND longer)
                 OR (b.state = :failed::smallint AND b.cause = :silence::smallint AND quieter)
            THEN :kind::smallint ELSE :kind_limits::smallint END,
       b.id, wished.priority, wished.timeout_s, wished.max_silent_s
  FROM unnest(:output_keys::bigint[], :priorities::integer[], :timeouts_s::bigint[],
              :max_silents_s::bigint[], :offered::boolean[])
       AS wished (output_key, priority, timeout_s, max_silent_s, offered)
  JOIN build b ON b.output_key = wished.output_key
 CROSS JOIN LATERAL
       (SELECT b.timeout_s <> 0 AND (wished.timeout_s = 0 OR wished.timeout_s > b.timeout_s),
               b.max_silent_s <> 0
               AND (wished.max_silent_s = 0 OR wished.max_silent_s > b.max_silent_s))
       AS larger (longer, quieter)
 WHERE (b.finished_at IS NULL
        AND (b.priority < wished.priority OR NOT b.direct OR longer OR quieter))
    OR b.state = :cancelled::smallint
    OR (b.state = :succeeded::smallint AND NOT wished.offered)
    OR (b.finished_at IS NOT NULL AND b.state <> :succeeded::smallint AND (longer OR quieter));
