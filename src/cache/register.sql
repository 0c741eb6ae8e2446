-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_register_missing :many
-- Which of the ids are not offered; at most a few.
SELECT p.basename
  FROM store_path p
 WHERE p.id = ANY (:ids::bigint[])
   AND NOT EXISTS (SELECT FROM nar n WHERE n.path_id = p.id)
   AND NOT EXISTS (SELECT FROM derivation d WHERE d.id = p.id)
 ORDER BY p.basename
 LIMIT 3;

-- name: cache_register_nars :many
-- Adds items; returns those that were not there. REFERRERS and REFERENCES are the
-- edges, a pair each; DERIVER_IDS has 0 for none. In order of ids, so that two
-- transactions wait for each other in one direction only.
WITH edge AS (
  SELECT e.referrer, array_agg(e.reference ORDER BY e.place) AS reference_ids
    FROM unnest(:referrers::bigint[], :references::bigint[])
         WITH ORDINALITY AS e (referrer, reference, place)
   GROUP BY e.referrer
)
INSERT INTO nar (path_id, nar_hash, nar_size, deriver_id, reference_ids)
SELECT i.path_id, i.nar_hash, i.nar_size, nullif(i.deriver_id, 0),
       coalesce(edge.reference_ids, '{}')
  FROM unnest(:path_ids::bigint[], :nar_hashes::bytea[], :nar_sizes::bigint[],
              :deriver_ids::bigint[]) AS i (path_id, nar_hash, nar_size, deriver_id)
  LEFT JOIN edge ON edge.referrer = i.path_id
 ORDER BY i.path_id
    ON CONFLICT DO NOTHING
RETURNING path_id;

-- name: cache_register_sizes :exec
-- The sizes of the files with these nars, also for items that had them before: one that
-- was damaged has made way.
UPDATE nar_file
   SET file_size = placed.size
  FROM unnest(:nar_hashes::bytea[], :sizes::bigint[]) AS placed (nar_hash, size)
  JOIN nar n ON n.nar_hash = placed.nar_hash
 WHERE nar_file.path_id = n.path_id AND compression = :compression::smallint
   AND contents IS NULL AND file_size <> placed.size;

-- name: cache_register_files :exec
-- Their first stored form, and a place in the queue for a second one. CONTENTS is
-- empty for forms that lie in the nar folder.
WITH stored AS (
  INSERT INTO nar_file (path_id, compression, file_size, contents)
  SELECT f.path_id, :compression::smallint, f.file_size, nullif(f.contents, '')
    FROM unnest(:path_ids::bigint[], :file_sizes::bigint[], :contents::bytea[])
         AS f (path_id, file_size, contents)
)
INSERT INTO nar_recompression (path_id) SELECT unnest(:recompress_ids::bigint[]);
