-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: cache_check_page :many
-- Forms that lie in the nar folder, from behind the one given.
SELECT f.path_id, f.compression, f.file_size, n.nar_hash
  FROM nar_file f
  JOIN nar n ON n.path_id = f.path_id
 WHERE f.contents IS NULL AND (f.path_id, f.compression) > (:path_id::bigint, :compression::smallint)
 ORDER BY f.path_id, f.compression
 LIMIT :limit::bigint;

-- name: cache_forget_forms :exec
DELETE FROM nar_file
 USING unnest(:path_ids::bigint[], :compressions::smallint[]) AS lost (path_id, compression)
 WHERE nar_file.path_id = lost.path_id AND nar_file.compression = lost.compression;

-- name: cache_withdraw :many
-- Those of the items that have no form any more, and whatever refers to them.
WITH RECURSIVE edge AS MATERIALIZED (
  SELECT path_id, unnest(reference_ids) AS reference_id FROM nar
), gone (path_id) AS (
  SELECT path_id FROM nar
   WHERE path_id = ANY (:path_ids::bigint[])
     AND NOT EXISTS (SELECT FROM nar_file f WHERE f.path_id = nar.path_id)
  UNION
  SELECT edge.path_id FROM gone JOIN edge ON edge.reference_id = gone.path_id
)
DELETE FROM nar USING gone WHERE nar.path_id = gone.path_id RETURNING nar.path_id;

-- name: cache_forget_narinfos :exec
-- An item that is made again may differ.
DELETE FROM narinfo WHERE path_id = ANY (:path_ids::bigint[]);
