-- SPDX-License-Identifier: GPL-3.0-or-later
-- What tests look at in the tables.

-- name: test_derivation :one
SELECT d.output_key, p.basename, s.name AS system, d.fixed_output
  FROM derivation d
  JOIN store_path p ON p.id = d.id
  JOIN system s ON s.id = d.system_id
 WHERE d.id = :id;

-- name: test_outputs :many
SELECT o.path_id, o.name
  FROM derivation_output o
 WHERE o.derivation_id = :derivation_id
 ORDER BY o.name COLLATE "C";
