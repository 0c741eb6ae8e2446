-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: farm_explain_build :one
SELECT b.id, b.state, b.cause, b.priority, b.tries, b.failed_build_id,
       '/gnu/store/' || p.basename AS "derivation!", s.name AS system
  FROM build b
  JOIN derivation d ON d.id = b.derivation_id
  JOIN store_path p ON p.id = d.id
  JOIN system s ON s.id = d.system_id
 WHERE b.id = :id;

-- name: farm_explain_needs :many
-- What it waits for, those that hold it up for good first; COUNT is of all.
SELECT needed.id, needed.state, needed.cause, '/gnu/store/' || p.basename AS "derivation!",
       (needed.finished_at IS NOT NULL) AS "finished!",
       count(*) OVER () AS "count!"
  FROM (SELECT DISTINCT n.id, n.state, n.cause, n.finished_at, n.derivation_id
          FROM build b
          JOIN derivation_input i ON i.derivation_id = b.derivation_id
          JOIN derivation d ON d.id = i.input_id
          JOIN build n ON n.output_key = d.output_key
         WHERE b.id = :build_id AND n.id <> b.id
           AND EXISTS (SELECT FROM derivation_output o
                        WHERE o.derivation_id = i.input_id AND o.name = ANY (i.outputs)
                          AND NOT EXISTS (SELECT FROM nar r WHERE r.path_id = o.path_id))) AS needed
  JOIN store_path p ON p.id = needed.derivation_id
 ORDER BY "finished!" DESC, needed.id
 LIMIT 20;

-- name: farm_explain_agents :many
SELECT g.name, g.paused, g.jobs, (g.connected_at IS NOT NULL) AS "connected!",
       (SELECT count(*) FROM attempt a WHERE a.agent_id = g.id AND a.state = 0) AS "running!"
  FROM agent g
  JOIN token t ON t.id = g.token_id
 WHERE :system::text = ANY (g.systems) AND t.revoked_at IS NULL
 ORDER BY g.name;

-- name: farm_explain_attempt :one
-- The one that runs.
SELECT a.id, g.name AS agent, a.created_at, a.started_at
  FROM attempt a
  JOIN agent g ON g.id = a.agent_id
 WHERE a.build_id = :build_id AND a.state = 0
 ORDER BY a.id DESC
 LIMIT 1;

-- name: farm_explain_root :many
-- Where the waiting ends: from a build to one that it needs and that is not there, and so on (one
-- that ended badly before one that waits before one that runs), to one that needs nothing more;
-- often the build itself, and after 100 steps perhaps not the end. With the agents for its system,
-- a row each; with none, one row.
WITH RECURSIVE path AS (
  SELECT :build_id::bigint AS id, 0 AS step
   UNION ALL
  SELECT next.id, path.step + 1
    FROM path
   CROSS JOIN LATERAL (
      SELECT n.id
        FROM build b
        JOIN derivation_input i ON i.derivation_id = b.derivation_id
        JOIN derivation d ON d.id = i.input_id
        JOIN build n ON n.output_key = d.output_key
       WHERE b.id = path.id AND n.id <> b.id AND n.state <> 2
         AND EXISTS (SELECT FROM derivation_output o
                      WHERE o.derivation_id = i.input_id AND o.name = ANY (i.outputs)
                        AND NOT EXISTS (SELECT FROM nar r WHERE r.path_id = o.path_id))
       ORDER BY n.finished_at IS NULL, n.state, n.id
       LIMIT 1) AS next
   WHERE path.step < 100)
SELECT root.id, root.state, root.cause, '/gnu/store/' || p.basename AS "derivation!",
       s.name AS system, root.finished_at IS NOT NULL AS "finished!",
       last.step = 100 AS "goes_on!", g.name AS "agent?",
       coalesce(g.paused, false) AS "paused!", coalesce(g.jobs, 0) AS "jobs!",
       g.connected_at IS NOT NULL AS "connected!", g.seen_at AS "seen_at?",
       (SELECT count(*) FROM attempt a WHERE a.agent_id = g.id AND a.state = 0) AS "running!",
       EXISTS (SELECT FROM attempt a
                WHERE a.agent_id = g.id AND a.state = 0 AND a.build_id = root.id) AS "builds_it!"
  FROM (SELECT id, step FROM path ORDER BY step DESC LIMIT 1) AS last
  JOIN build root ON root.id = last.id
  JOIN derivation d ON d.id = root.derivation_id
  JOIN store_path p ON p.id = d.id
  JOIN system s ON s.id = d.system_id
  LEFT JOIN (agent g JOIN token t ON t.id = g.token_id AND t.revoked_at IS NULL)
    ON s.name = ANY (g.systems)
 ORDER BY g.name;
