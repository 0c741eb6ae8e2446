-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: graph_path_lookup :many
-- Ids of basenames, a row for each in the order given; NULL = unknown. OFFSET 0: by
-- the index, whatever the statistics say (graph_load_known).
SELECT found.id AS "id?"
  FROM unnest(:basenames::text[]) WITH ORDINALITY AS wanted (basename, place)
  LEFT JOIN LATERAL (SELECT p.id FROM store_path p
                      WHERE p.basename = wanted.basename OFFSET 0) AS found ON true
 ORDER BY wanted.place;

-- name: graph_path_insert :exec
-- Adds basenames. In byte order, so that two transactions that add the same
-- names wait for each other in one direction only.
INSERT INTO store_path (basename)
SELECT wanted.basename
  FROM unnest(:basenames::text[]) AS wanted (basename)
 ORDER BY wanted.basename COLLATE "C"
    ON CONFLICT DO NOTHING;

-- name: graph_path_by_basename :one
SELECT id FROM store_path WHERE basename = :basename;

-- name: graph_path_names :many
-- Basenames of ids, a row for each in the order given; NULL = unknown.
SELECT p.basename AS "basename?"
  FROM unnest(:ids::bigint[]) WITH ORDINALITY AS wanted (id, place)
  LEFT JOIN store_path p ON p.id = wanted.id
 ORDER BY wanted.place;
