-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: events_insert :exec
-- The transaction's number and the time are the table's own defaults.
INSERT INTO event (kind, subject, facts) VALUES (:kind, :subject, :facts);

-- name: events_insert_all :exec
INSERT INTO event (kind, subject, facts)
SELECT new.kind, new.subject, new.facts::jsonb
FROM unnest(:kinds::text[], :subjects::bigint[], :facts::text[])
     WITH ORDINALITY AS new (kind, subject, facts, place)
ORDER BY new.place;

-- name: events_after :many
-- What follows a position, among transactions older than every running one:
-- none of those can still grow, so a reader that goes on from the last row
-- misses nothing that commits late. Of so many those of these kinds, and the last one
-- whatever it is.
WITH next AS MATERIALIZED (
  SELECT transaction, id, happened_at, kind, subject, facts
  FROM event
  WHERE (transaction, id) > (:transaction, :id)
    AND transaction < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY transaction, id
  LIMIT :most::bigint)
SELECT transaction AS "transaction!", id AS "id!", happened_at AS "happened_at!", kind AS "kind!",
       subject AS "subject!", facts AS "facts!", (SELECT count(*) FROM next) AS "looked_at!"
FROM next
WHERE starts_with(kind, :prefix)
   OR id = (SELECT id FROM next ORDER BY transaction DESC, id DESC LIMIT 1)
ORDER BY transaction, id;

-- name: events_horizon :one
-- The oldest transaction that still runs; all that is not yet shown is of it
-- or of later ones.
SELECT pg_snapshot_xmin(pg_current_snapshot()) AS "transaction!";

-- name: events_is_known :one
-- Has this feed told that position? One that is not there is of another database's feed, or of
-- an event that is kept no more.
SELECT :transaction::xid8 <= pg_snapshot_xmin(pg_current_snapshot())
       AND (:id::bigint = 0
            OR EXISTS (SELECT FROM event WHERE id = :id::bigint AND transaction = :transaction::xid8))
       AS "known!";

-- name: events_held_back :one
-- Is anything committed behind the position, but not shown yet?
SELECT EXISTS (SELECT FROM event WHERE (transaction, id) > (:transaction, :id)) AS "any!";
