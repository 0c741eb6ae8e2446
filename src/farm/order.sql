-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_order_build :one
SELECT state FROM build WHERE id = :id;

-- name: farm_order_add :exec
INSERT INTO farm_order (kind, build_id) VALUES (:kind, :build_id);

-- name: farm_order_add_dependents :exec
-- For all that failed, or were cancelled, on account of a build.
INSERT INTO farm_order (kind, build_id)
SELECT :kind::smallint, b.id FROM build b WHERE b.failed_build_id = :build_id ORDER BY b.id;

-- name: farm_order_restart_failed :exec
-- For those of these builds that are in one of these states.
INSERT INTO farm_order (kind, build_id)
SELECT :kind::smallint, b.id FROM build b
 WHERE b.id = ANY (:build_ids::bigint[]) AND b.state = ANY (:states::smallint[]) ORDER BY b.id;

-- name: farm_order_withdraw :exec
-- For those of these builds that have not ended.
INSERT INTO farm_order (kind, build_id)
SELECT :kind::smallint, b.id FROM build b
 WHERE b.id = ANY (:build_ids::bigint[]) AND b.finished_at IS NULL ORDER BY b.id;

-- name: farm_order_restart_dependents :exec
-- For all that failed, or were cancelled, on account of one of these builds.
INSERT INTO farm_order (kind, build_id)
SELECT :kind::smallint, b.id FROM build b
 WHERE b.failed_build_id = ANY (:build_ids::bigint[]) ORDER BY b.id;

-- name: farm_order_rebuild :many
-- For builds that had succeeded, but whose outputs are among these items.
INSERT INTO farm_order (kind, build_id, priority, timeout_s, max_silent_s)
SELECT :kind::smallint, b.id, b.priority, b.timeout_s, b.max_silent_s
  FROM build b
 WHERE b.state = :succeeded::smallint
   AND EXISTS (SELECT FROM derivation_output o
                WHERE o.derivation_id = b.derivation_id AND o.path_id = ANY (:path_ids::bigint[]))
 ORDER BY b.id
RETURNING build_id AS "build_id!";

-- name: farm_order_add_agent :exec
INSERT INTO farm_order (kind, agent_id) VALUES (:kind, :agent_id);
