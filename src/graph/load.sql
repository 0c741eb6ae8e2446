-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: graph_load_known :many
-- Which of the basenames are derivations of the graph, and the names of their outputs.
-- PLACE counts from 1. OFFSET 0
-- keeps it to index look-ups: in a young database, without statistics, the planner
-- would read the whole tables for each batch.
SELECT wanted.place AS "place!", d.id,
       ARRAY(SELECT o.name FROM derivation_output o
              WHERE o.derivation_id = d.id ORDER BY o.name COLLATE "C") AS "outputs!"
  FROM unnest(:basenames::text[]) WITH ORDINALITY AS wanted (basename, place)
 CROSS JOIN LATERAL (SELECT p.id FROM store_path p
                      WHERE p.basename = wanted.basename OFFSET 0) AS path
 CROSS JOIN LATERAL (SELECT d.id FROM derivation d WHERE d.id = path.id OFFSET 0) AS d;

-- name: graph_load_present :many
-- Which of the ids are derivations of the graph.
SELECT id FROM derivation WHERE id = ANY (:ids::bigint[]);

-- name: graph_load_lock :exec
-- One transaction at a time adds derivations (the number is this room's own);
-- the next sees all that this one wrote, so no row can be in conflict.
SELECT pg_advisory_xact_lock(7030001);

-- name: graph_load_systems_insert :exec
-- Under the lock: no number of the small sequence is spent on a conflict.
INSERT INTO system (name)
SELECT wanted.name FROM unnest(:names::text[]) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM system s WHERE s.name = wanted.name);

-- name: graph_load_systems :many
-- Ids of systems, in the order given.
SELECT s.id
  FROM unnest(:names::text[]) WITH ORDINALITY AS wanted (name, place)
  JOIN system s ON s.name = wanted.name
 ORDER BY wanted.place;

-- name: graph_copy_derivation :copy
COPY derivation (id, system_id, output_key, fixed_output, text_size, text_zstd)
FROM STDIN (FORMAT binary);

-- name: graph_copy_output :copy
COPY derivation_output (derivation_id, name, path_id) FROM STDIN (FORMAT binary);

-- name: graph_copy_input :copy
COPY derivation_input (derivation_id, input_id, outputs) FROM STDIN (FORMAT binary);

-- name: graph_copy_source :copy
COPY derivation_source (derivation_id, path_id) FROM STDIN (FORMAT binary);
