-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_agent_of_token :one
SELECT id, name, paused FROM agent WHERE token_id = :token_id;

-- name: farm_agent_named :one
SELECT agent.id, token_id, connected_at IS NOT NULL AS "connected!",
       revoked_at IS NOT NULL AS "released!"
  FROM agent JOIN token ON token.id = token_id
 WHERE agent.name = :name;

-- name: farm_agent_insert :one
-- None when the name is taken.
INSERT INTO agent (name, token_id, systems, jobs, facts)
VALUES (:name, :token_id, :systems::text[], :jobs, :facts::jsonb)
    ON CONFLICT (name) DO NOTHING
RETURNING id;

-- name: farm_agent_renew :exec
UPDATE agent SET token_id = :token_id, systems = :systems::text[], jobs = :jobs, facts = :facts::jsonb
 WHERE id = :id;

-- name: farm_agent_condition :exec
INSERT INTO agent_condition (agent_id, load, memory_free, disk_free, disk_size)
SELECT id, :load::double precision, :memory_free, :disk_free, :disk_size FROM agent WHERE token_id = :token_id
    ON CONFLICT (agent_id) DO UPDATE
   SET told_at = now(), load = excluded.load, memory_free = excluded.memory_free,
       disk_free = excluded.disk_free, disk_size = excluded.disk_size;

-- name: farm_attempt_ended :one
-- How an attempt of that token with that fence ended.
SELECT a.state, a.cause
  FROM attempt a
  JOIN agent g ON g.id = a.agent_id
 WHERE a.id = :id AND a.fence = :fence AND g.token_id = :token_id;

-- name: farm_attempt_supplies :many
-- Which of the basenames are an output or a source of the given derivations.
SELECT wanted.basename AS "basename!"
  FROM unnest(:basenames::text[]) AS wanted (basename)
  JOIN store_path p ON p.basename = wanted.basename
 WHERE EXISTS (SELECT FROM derivation_output o
                WHERE o.path_id = p.id AND o.derivation_id = ANY (:derivation_ids::bigint[]))
    OR EXISTS (SELECT FROM derivation_source s
                WHERE s.path_id = p.id AND s.derivation_id = ANY (:derivation_ids::bigint[]));

-- name: farm_attempt_addresses :many
-- Of items that an attempt may bring: a derivation that declares the hash of what they
-- hold, and whether they are the output of any; if not, they are sources.
SELECT p.basename,
       (SELECT o.derivation_id FROM derivation_output o
          JOIN derivation d ON d.id = o.derivation_id
         WHERE o.path_id = p.id AND d.fixed_output LIMIT 1) AS "fixed_by?",
       EXISTS (SELECT FROM derivation_output o WHERE o.path_id = p.id) AS "output!"
  FROM store_path p
 WHERE p.basename = ANY (:basenames::text[]);

-- name: farm_attempt_log :one
-- The attempt whose log belongs to an output or a derivation, of the build that has these
-- outputs; chosen as in serve_attempt_of_build.
SELECT a.id
  FROM attempt a
  JOIN build b ON b.id = a.build_id
 WHERE b.output_key IN (SELECT d.output_key FROM store_path p
                          JOIN derivation d ON d.id = p.id
                         WHERE p.basename = :basename
                        UNION
                        SELECT d.output_key FROM store_path p
                          JOIN derivation_output o ON o.path_id = p.id
                          JOIN derivation d ON d.id = o.derivation_id
                         WHERE p.basename = :basename)
 ORDER BY a.state = 0 DESC, a.started_at IS NOT NULL DESC, a.id DESC
 LIMIT 1;
