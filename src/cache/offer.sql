-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_offer_flags :many
-- Whether each id is offered, in the order given.
SELECT (n.path_id IS NOT NULL OR d.id IS NOT NULL) AS "offered!"
  FROM unnest(:ids::bigint[]) WITH ORDINALITY AS wanted (id, place)
  LEFT JOIN nar n ON n.path_id = wanted.id
  LEFT JOIN derivation d ON d.id = wanted.id
 ORDER BY wanted.place;

-- name: cache_offer_missing :many
-- Places (from 1) of the basenames that are not offered.
SELECT wanted.place AS "place!"
  FROM unnest(:basenames::text[]) WITH ORDINALITY AS wanted (basename, place)
  LEFT JOIN store_path p ON p.basename = wanted.basename
  LEFT JOIN nar n ON n.path_id = p.id
  LEFT JOIN derivation d ON d.id = p.id
 WHERE n.path_id IS NULL AND d.id IS NULL
 ORDER BY wanted.place;

-- name: cache_offer_references :many
-- One level of edges between items.
SELECT n.path_id, n.reference_ids FROM nar n
 WHERE n.path_id = ANY (:ids::bigint[]) AND n.reference_ids <> '{}';
