-- SPDX-License-Identifier: GPL-3.0-or-later
-- A farm of some size: 1,000,000 builds, and two evaluations of 31,000 jobs of which 300
-- differ. The jobs' builds lie all over the table. Nothing here is random.
SET session_replication_role = replica; -- no checks of references: 4 million of them
SET synchronous_commit = off;

INSERT INTO system (name) VALUES ('x86_64-linux');

-- Paths: odd ids are derivations, even ones outputs.
INSERT INTO store_path (id, basename)
SELECT n, substr(translate(md5(n::text) || md5((n + 1)::text), 'e', 'z'), 1, 32) || '-package-' || n / 2
          || CASE WHEN n % 2 = 1 THEN '.drv' ELSE '' END
FROM generate_series(1, 2000000) AS n;
INSERT INTO derivation (id, system_id, output_key, fixed_output, text_size, text_zstd)
SELECT n * 2 - 1, 1, n * 2, false, 0, '' FROM generate_series(1, 1000000) AS n;

-- state: one in 40 failed, one in 60 dependency-failed, the last ones wait or run.
INSERT INTO build (id, derivation_id, output_key, state, priority, timeout_s, max_silent_s,
                   finished_at)
SELECT n, n * 2 - 1, n * 2,
       CASE WHEN n > 999000 THEN n % 2 WHEN n % 40 = 0 THEN 3 WHEN n % 60 = 1 THEN 4
            WHEN n % 4000 = 7 THEN 5 ELSE 2 END,
       0, 72000, 3600, CASE WHEN n <= 999000 THEN now() END
FROM generate_series(1, 1000000) AS n;

INSERT INTO repository (url) VALUES ('https://codeberg.org/guix/guix.git');
INSERT INTO revision (repository_id, commit_hash, author, subject, committed_at)
SELECT 1, md5('a' || n) || substr(md5('b' || n), 1, 8), 'Ada Example', 'gnu: Change number ' || n,
       now() - interval '1 hour' * (10 - n)
FROM generate_series(1, 8) AS n;
INSERT INTO specification (name, definition, period_s, priority)
VALUES ('guix', '{"channels": [{"name": "guix", "url": "https://codeberg.org/guix/guix.git"}]}', 300, 0);
INSERT INTO evaluation (specification_id, definition, state, created_at, started_at, finished_at,
                        jobs_count, errors_count)
SELECT 1, '{}', 2, now() - interval '1 hour' * (10 - n), now() - interval '1 hour' * (10 - n),
       now() - interval '1 hour' * (9.9 - n), 31000, 12
FROM generate_series(1, 8) AS n;
INSERT INTO evaluation_revision (evaluation_id, channel, revision_id)
SELECT n, 'guix', n FROM generate_series(1, 8) AS n;

-- Names as long as Guix's: 8 to 40 digits and the system.
INSERT INTO job_name (name)
SELECT substr(md5(n::text) || md5((n + 7)::text), 1, 8 + n % 24) || '-' || n || '.x86_64-linux'
FROM generate_series(1, 31300) AS n;

-- Eight evaluations; each has 300 jobs of its own making.
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT evaluation, n, build * 2 - 1, build
FROM generate_series(1, 8) AS evaluation, generate_series(1, 31000) AS n,
     LATERAL (SELECT CASE WHEN n % 103 = 5 THEN n * 32 + evaluation ELSE n * 32 - n % 23 END AS build) AS b
WHERE NOT (evaluation = 8 AND n > 30980);
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT 8, 31000 + n, 1999999 - 2 * n, 1000000 - n FROM generate_series(1, 20) AS n;

INSERT INTO evaluation_roster
SELECT evaluation_id, names, derivation_ids, build_ids, states FROM evaluation_roster_made;

INSERT INTO evaluation_error (evaluation_id, job, message, file, line, column_)
SELECT evaluation, 'broken-' || n + evaluation || '@1.0', repeat('a patch was not found; ', 20),
       'gnu/packages/broken.scm', n * 10, 2
FROM generate_series(1, 8) AS evaluation, generate_series(1, 12) AS n;

SELECT setval(pg_get_serial_sequence('build', 'id'), 1000000),
       setval(pg_get_serial_sequence('store_path', 'id'), 2000000);
VACUUM ANALYZE;
