-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_order_build :one
SELECT state FROM build WHERE id = :id;

-- name: farm_order_add :exec
INSERT INTO farm_order (kind, build_id) VALUES (:kind, :build_id);

-- name: farm_order_add_dependents :exec
-- For all that failed, or were cancelled, on account of a build.
INSERT INTO farm_order (kind, build_id)
SELECT :kind::smallint, b.id FROM build b WHERE b.failed_build_id = :build_id ORDER BY b.id;

-- name: farm_order_add_agent :exec
INSERT INTO farm_order (kind, agent_id) VALUES (:kind, :agent_id);
