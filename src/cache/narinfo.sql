-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_narinfo_find :one
-- An item or derivation by the hash part of its name, with its stored forms and,
-- if made by that key, the signed text. See graph_path_by_hash for the range.
SELECT p.id AS "id!", p.basename AS "basename!", n.path_id IS NOT NULL AS "is_item!", n.nar_size AS "nar_size?",
       w.path_id IS NOT NULL AND w.failed_at IS NULL AS "waits!", s.signed_text AS "signed_text?",
       (SELECT array_agg(f.compression ORDER BY f.compression)
          FROM nar_file f WHERE f.path_id = p.id) AS "compressions?",
       (SELECT array_agg(f.file_size ORDER BY f.compression)
          FROM nar_file f WHERE f.path_id = p.id) AS "file_sizes?"
  FROM store_path p
  LEFT JOIN nar n ON n.path_id = p.id
  LEFT JOIN derivation d ON d.id = p.id
  LEFT JOIN nar_recompression w ON w.path_id = p.id
  LEFT JOIN narinfo s ON s.path_id = p.id AND s.signed_by = :signed_by
 WHERE p.basename > :hash_part::text || '-' AND p.basename < :hash_part || '.'
   AND (n.path_id IS NOT NULL OR d.id IS NOT NULL)
 ORDER BY p.basename LIMIT 1;

-- name: cache_narinfo_facts :one
-- What the signed text says of an item.
SELECT n.nar_hash AS "nar_hash!", n.nar_size AS "nar_size!", deriver.basename AS "deriver?",
       (SELECT array_agg(r.basename ORDER BY r.basename)
          FROM store_path r WHERE r.id = ANY (n.reference_ids)) AS "references?"
  FROM nar n
  LEFT JOIN store_path deriver ON deriver.id = n.deriver_id
 WHERE n.path_id = :path_id;

-- name: cache_narinfo_keep :exec
-- Does not wait for the disk: clients ask for a thousand at once, and what a crash
-- takes is signed anew.
INSERT INTO narinfo (path_id, signed_by, signed_text)
SELECT :path_id::bigint, :signed_by::bigint, :signed_text::text
  FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT (path_id) DO UPDATE
   SET signed_by = excluded.signed_by, signed_text = excluded.signed_text;

-- name: cache_narinfo_unsourced :one
-- Sources of a derivation that are not offered: while there are any, it is not
-- offered to clients either.
SELECT count(*) AS "missing!" FROM derivation_source s
 WHERE s.derivation_id = :derivation_id
   AND NOT EXISTS (SELECT FROM nar n WHERE n.path_id = s.path_id)
   AND NOT EXISTS (SELECT FROM derivation d WHERE d.id = s.path_id);

-- name: cache_stored_form :one
-- Where the bytes of an item are: the form in COMPRESSION or, without one, the form
-- that is quickest to unpack.
SELECT p.id, n.nar_hash, n.nar_size, f.compression, f.file_size, f.contents AS "contents?"
  FROM store_path p
  JOIN nar n ON n.path_id = p.id
  JOIN nar_file f ON f.path_id = p.id
 WHERE p.basename = :basename
 ORDER BY f.compression = :compression DESC, f.compression DESC
 LIMIT 1;
