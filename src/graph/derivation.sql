-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: graph_texts_packed :many
-- Compressed texts, a row for each id that is a derivation, in the order given.
-- PLACE counts from 1.
SELECT wanted.place AS "place!", d.text_size, d.text_zstd
  FROM unnest(:ids::bigint[]) WITH ORDINALITY AS wanted (id, place)
  JOIN derivation d ON d.id = wanted.id
 ORDER BY wanted.place;

-- name: graph_inputs_of :many
-- The outputs that the builder reads, and its sources.
SELECT o.path_id AS "path_id!"
  FROM derivation_input i
  JOIN derivation_output o ON o.derivation_id = i.input_id AND o.name = ANY (i.outputs)
 WHERE i.derivation_id = :derivation_id
 UNION
SELECT s.path_id FROM derivation_source s WHERE s.derivation_id = :derivation_id;

-- name: graph_closure_inputs :many
-- One level of edges from derivation to derivation.
SELECT derivation_id, input_id FROM derivation_input
 WHERE derivation_id = ANY (:derivation_ids::bigint[]);

-- name: graph_closure_sources :many
-- One level of edges from derivation to source.
SELECT derivation_id, path_id FROM derivation_source
 WHERE derivation_id = ANY (:derivation_ids::bigint[]);
