-- SPDX-License-Identifier: GPL-3.0-or-later
-- For tests only: a graph without files, and looks into tables.

-- name: yard_insert_paths :exec
INSERT INTO store_path (id, basename)
SELECT * FROM unnest(:ids::bigint[], :basenames::text[]);

-- name: yard_insert_system :exec
INSERT INTO system (name) VALUES (:name) ON CONFLICT DO NOTHING;

-- name: yard_insert_derivations :exec
INSERT INTO derivation (id, system_id, output_key, fixed_output, text_size, text_zstd)
SELECT new.id, (SELECT s.id FROM system s WHERE s.name = :system), new.output_key, false,
       :text_size::integer, :text_zstd::bytea
  FROM unnest(:ids::bigint[], :output_keys::bigint[]) AS new (id, output_key);

-- name: yard_insert_outputs :exec
INSERT INTO derivation_output (derivation_id, name, path_id)
SELECT *  FROM unnest(:derivation_ids::bigint[], :names::text[], :path_ids::bigint[]);

-- name: yard_fix_derivation :exec
UPDATE derivation SET fixed_output = true, text_size = :text_size, text_zstd = :text_zstd
 WHERE id = :id;

-- name: yard_insert_sources :exec
INSERT INTO derivation_source (derivation_id, path_id) VALUES (:derivation_id, :path_id);

-- name: yard_insert_inputs :exec
INSERT INTO derivation_input (derivation_id, input_id, outputs)
SELECT new.derivation_id, new.input_id, ARRAY['out']
  FROM unnest(:derivation_ids::bigint[], :input_ids::bigint[]) AS new (derivation_id, input_id);

-- name: yard_insert_nars :exec
INSERT INTO nar (path_id, nar_hash, nar_size, reference_ids)
SELECT id, :nar_hash::bytea, 1, '{}' FROM unnest(:path_ids::bigint[]) AS id
    ON CONFLICT DO NOTHING;

-- name: yard_delete_nar :exec
DELETE FROM nar WHERE path_id = :path_id;

-- name: yard_build :one
SELECT b.id, b.state, b.cause, b.priority, b.tries, b.direct, b.timeout_s, b.max_silent_s,
       coalesce(b.failed_build_id, 0) AS "failed_build_id!", (b.finished_at IS NOT NULL) AS "finished!",
       (SELECT count(*) FROM attempt a WHERE a.build_id = b.id) AS "attempts!"
  FROM build b WHERE b.derivation_id = :derivation_id;

-- name: yard_count :one
SELECT count(*) AS "count!" FROM build WHERE state = :state;

-- name: yard_attempts :one
SELECT count(*) FILTER (WHERE state = 0) AS "running!", count(*) FILTER (WHERE state = 1) AS "succeeded!",
       count(*) FILTER (WHERE state = 2) AS "failed!", count(*) FILTER (WHERE cause = :cause) AS "of_cause!"
  FROM attempt;

-- name: yard_attempt :one
SELECT state, cause, message, log_size, (started_at IS NOT NULL) AS "started!" FROM attempt
 WHERE id = :id;

-- name: yard_events :one
SELECT count(*) AS "count!" FROM event WHERE kind = :kind;

-- name: yard_path_events :one
SELECT count(*) AS "count!" FROM event WHERE facts ->> 'derivation' = :path;

-- name: yard_orders :one
SELECT count(*) AS "count!" FROM farm_order;

-- name: yard_scheduler :one
SELECT epoch, batch, (seen_at > now() - interval '1 minute') AS "seen!" FROM farm_scheduler;

-- name: yard_agent :one
SELECT id, jobs, paused, (connected_at IS NOT NULL) AS "connected!" FROM agent WHERE name = :name;

-- name: yard_offer_succeeded :exec
-- What cache_register would have done in the same transactions.
INSERT INTO nar (path_id, nar_hash, nar_size, reference_ids)
SELECT b.output_key, :nar_hash::bytea, 1, '{}' FROM build b WHERE b.state = :succeeded::smallint
    ON CONFLICT DO NOTHING;

-- name: yard_refuse_nars :exec
-- From now on registering anything fails, as if what it refers to had just gone.
ALTER TABLE nar ADD CONSTRAINT refused CHECK (nar_size < 0) NOT VALID;

-- name: yard_accept_nars :exec
ALTER TABLE nar DROP CONSTRAINT refused;
