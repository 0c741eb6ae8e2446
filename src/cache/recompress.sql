-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_recompress_next :many
-- Items that wait, after one of them; those that failed are tried again after a day.
SELECT w.path_id, n.nar_hash, n.nar_size, f.compression, f.file_size, f.contents AS "contents?"
  FROM nar_recompression w
  JOIN nar n ON n.path_id = w.path_id
  JOIN nar_file f ON f.path_id = w.path_id
 WHERE (w.failed_at IS NULL OR w.failed_at < now() - interval '1 day')
   AND f.compression <> :second AND w.path_id > :after
 ORDER BY w.path_id
 LIMIT 32;

-- name: cache_recompress_done :exec
-- CONTENTS is empty when the bytes lie in the nar folder.
WITH stored AS (
  INSERT INTO nar_file (path_id, compression, file_size, contents)
  VALUES (:path_id, :compression, :file_size, nullif(:contents::bytea, ''))
      ON CONFLICT DO NOTHING
)
DELETE FROM nar_recompression WHERE path_id = :path_id;

-- name: cache_recompress_failed :exec
UPDATE nar_recompression SET failed_at = now(), failure = :failure WHERE path_id = :path_id;

-- name: cache_sweep_unused :many
-- Which of the files (nar hash, compression) no stored form uses. Places from 1.
SELECT wanted.place AS "place!"
  FROM unnest(:nar_hashes::bytea[], :compressions::smallint[])
       WITH ORDINALITY AS wanted (nar_hash, compression, place)
 WHERE NOT EXISTS (
         SELECT FROM nar n JOIN nar_file f ON f.path_id = n.path_id
          WHERE n.nar_hash = wanted.nar_hash AND f.compression = wanted.compression
            AND f.contents IS NULL);
