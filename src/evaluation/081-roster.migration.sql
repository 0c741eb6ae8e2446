-- SPDX-License-Identifier: GPL-3.0-or-later
-- The jobs of an evaluation in one row, for pages that show or compare all of them: names
-- with a zero byte behind each, and numbers of fixed size, most significant byte first, all
-- in order of name and derivation. (Arrays would do, but PostgreSQL takes ten times as
-- long to write them out.) Made from `job`, written with it, and again when many of its
-- builds have succeeded since.
CREATE TABLE evaluation_roster (
  evaluation_id  bigint PRIMARY KEY REFERENCES evaluation ON DELETE CASCADE,
  names          bytea NOT NULL,
  derivation_ids bytea NOT NULL, -- 8 bytes each
  build_ids      bytea NOT NULL, -- 8 bytes each
  states         bytea NOT NULL  -- 2 bytes each: of the builds when this was written
);

CREATE VIEW evaluation_roster_made AS
SELECT evaluation.id AS evaluation_id, made.*
FROM evaluation, LATERAL (
  SELECT coalesce(string_agg(convert_to(name, 'UTF8') || '\x00', ''), '') AS names,
         coalesce(string_agg(int8send(derivation_id), ''), '') AS derivation_ids,
         coalesce(string_agg(int8send(build_id), ''), '') AS build_ids,
         coalesce(string_agg(int2send(state), ''), '') AS states
  FROM (SELECT job_name.name, job.derivation_id, build_id, state
        FROM job
        JOIN job_name ON job_name.id = name_id
        JOIN build ON build.id = build_id
        WHERE job.evaluation_id = evaluation.id
        ORDER BY job_name.name, job.derivation_id) AS sorted) AS made;
