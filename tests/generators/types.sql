-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: sample_insert :exec
INSERT INTO sample VALUES (:id, :i64, :i32, :i16, :truth, :f64, :note, :short_note, :label, :bytes,
  :plain_json, :binary_json, :moment, :transaction, :i64s, :i32s, :i16s, :truths, :notes, :bytes_list);

-- name: sample_get :one
SELECT * FROM sample WHERE id = :id;

-- name: sample_copy :copy
COPY sample (id, i64, i32, i16, truth, f64, note, short_note, label, bytes, plain_json, binary_json,
  moment, transaction, i64s, i32s, i16s, truths, notes, bytes_list) FROM STDIN (FORMAT binary);

-- name: sample_as_text :many
-- The server's own view of what was sent, a row for each column.
SELECT key, value AS "value!" FROM sample s, jsonb_each_text(to_jsonb(s) - 'moment') WHERE id = :id
UNION ALL
SELECT 'moment', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM sample WHERE id = :id
ORDER BY 1;

-- name: nullable_insert :exec
INSERT INTO nullable VALUES (:id, :i64?, :i32?, :i16?, :truth?, :f64?, :note?, :bytes?, :facts?,
  :moment?, :i64s?, :notes?);

-- name: nullable_get :one
SELECT * FROM nullable WHERE id = :id;

-- name: nullable_copy :copy
COPY nullable (id, i64, note, i64s) FROM STDIN (FORMAT binary);

-- name: nullable_count :one
SELECT count(*) AS "count!" FROM nullable;

-- name: nullable_ids :many
SELECT id FROM nullable ORDER BY id;

-- name: nullable_set_note :exec
UPDATE nullable SET note = :note WHERE id = :id;

-- name: nullable_lie :one
-- Says that something which is NULL never is.
SELECT note AS "note!" FROM nullable WHERE id = :id;

-- name: joined_notes :many
SELECT s.id, n.note, n.id AS nullable_id FROM sample s LEFT JOIN nullable n ON n.id = s.id ORDER BY s.id;

-- name: null_in_list :one
SELECT ARRAY[1, NULL, 3]::bigint[] AS "items!";

-- name: square :one
SELECT ARRAY[[1, 2], [3, 4]]::bigint[] AS "items!";

-- name: infinities :one
SELECT 'infinity'::timestamptz AS "late!", '-infinity'::timestamptz AS "early!";

-- name: take_lock :exec
SELECT pg_advisory_xact_lock(:key);

-- name: drop_note :exec
-- Makes the server's schema another than the one that was compiled for.
ALTER TABLE nullable ALTER note TYPE bytea USING NULL;
