-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: specification_insert :one
-- No row when the name is taken.
-- It is asked for at once: a kill before its first poll ends must not lose that.
INSERT INTO specification (name, definition, period_s, priority, requested_at)
VALUES (:name, :definition::jsonb, :period_s, :priority,
        CASE WHEN :period_s::integer > 0 THEN clock_timestamp() END)
ON CONFLICT (name) DO NOTHING
RETURNING id;

-- name: specification_update :one
-- The new definition is looked at without waiting for the period to pass.
UPDATE specification
SET definition = :definition::jsonb, period_s = :period_s, priority = :priority,
    changed_at = now(), polled_at = NULL,
    requested_at = CASE WHEN :period_s::integer > 0 THEN clock_timestamp() ELSE requested_at END
WHERE name = :name
RETURNING id;

-- name: specification_changed_at :one
SELECT changed_at FROM specification WHERE name = :name FOR NO KEY UPDATE;

-- name: specification_set_active :one
UPDATE specification SET active = :active
FROM (SELECT id, active FROM specification WHERE name = :name FOR UPDATE) AS before
WHERE specification.id = before.id
RETURNING specification.id, before.active <> :active AS "changed!";

-- name: specification_remove :one
-- Its evaluations, jobs and errors go with it; builds and outputs stay.
DELETE FROM specification WHERE name = :name RETURNING id;

-- name: specification_claim :one
-- Takes the specification for which somebody asks, else the one that has waited
-- longest beyond its period, and notes the time. BUSY: ids that this process polls
-- already; that another process may poll it too does no harm.
UPDATE specification
SET polled_at = clock_timestamp()
WHERE id = (SELECT id FROM specification
            WHERE (requested_at IS NOT NULL
                   OR (active AND period_s > 0
                       AND (polled_at IS NULL
                            OR specification_due(specification) <= clock_timestamp())))
              AND id <> ALL (:busy::bigint[])
            ORDER BY requested_at, polled_at NULLS FIRST
            LIMIT 1
            FOR UPDATE SKIP LOCKED)
RETURNING id, name, definition, requested_at, polled_at AS "polled_at!";

-- name: specification_request :one
UPDATE specification
SET requested_at = clock_timestamp(), request_forces = request_forces OR :force
WHERE name = :name
RETURNING id;

-- name: specification_request_done :exec
-- What was asked for since stays asked for.
UPDATE specification SET requested_at = NULL, request_forces = false
WHERE id = :id AND requested_at = :requested_at::timestamptz;

-- name: specification_lock :one
-- One evaluation of it is made at a time: else two polls at once, one because it was
-- due and one because it was asked for, would both find the same commit new.
SELECT requested_at, request_forces, polled_at FROM specification WHERE id = :id FOR NO KEY UPDATE;

-- name: specification_next_due :one
-- Milliseconds until the next one is due; NULL when none ever is.
SELECT (extract(epoch FROM min(coalesce(specification_due(specification), now()))
                - clock_timestamp()) * 1000)::bigint AS wait_ms
FROM specification
WHERE active AND period_s > 0 AND id <> ALL (:busy::bigint[]);

-- name: specification_outcome :exec
-- The failure of the last poll, when it differs from the one before.
UPDATE specification
SET failure = :failure?,
    failing_since = CASE WHEN :failure?::text IS NOT NULL THEN coalesce(failing_since, now()) END
WHERE id = :id AND failure IS DISTINCT FROM :failure?;
