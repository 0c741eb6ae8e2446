-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_bundle_items :many
-- What an export stream needs to know, a row for each basename that is an item or
-- a derivation. PLACE counts from 1. COMPRESSION is that of the stored form that
-- is quickest to unpack; NULL for a derivation that has no nar.
SELECT wanted.place AS "place!", p.id AS "id!", n.nar_hash AS "nar_hash?", n.nar_size AS "nar_size?",
       deriver.basename AS "deriver?",
       f.compression AS "compression?", f.file_size AS "file_size?", f.contents IS NOT NULL AS "is_inline!",
       (SELECT array_agg(r.basename ORDER BY r.basename)
          FROM store_path r WHERE r.id = ANY (n.reference_ids)) AS "references?"
  FROM unnest(:basenames::text[]) WITH ORDINALITY AS wanted (basename, place)
  JOIN store_path p ON p.basename = wanted.basename
  LEFT JOIN nar n ON n.path_id = p.id
  LEFT JOIN derivation d ON d.id = p.id
  LEFT JOIN store_path deriver ON deriver.id = n.deriver_id
  LEFT JOIN LATERAL (SELECT s.compression, s.file_size, s.contents FROM nar_file s
                      WHERE s.path_id = p.id ORDER BY s.compression DESC LIMIT 1) f ON true
 WHERE n.path_id IS NOT NULL OR d.id IS NOT NULL
 ORDER BY wanted.place;

-- name: cache_inline_contents :many
-- Bytes of stored forms that lie in the database.
SELECT f.path_id, f.contents AS "contents!" FROM nar_file f
 WHERE f.path_id = ANY (:ids::bigint[]) AND f.compression = :compression
   AND f.contents IS NOT NULL;
