-- SPDX-License-Identifier: GPL-3.0-or-later
-- Looking for something by what is known of it. Each statement is bounded: it walks names,
-- commits or one range of an index, never builds or jobs.

-- name: search_jobs :many
-- Jobs of the newest evaluations, one of each specification, whose names contain WORD (in lower
-- case), the shortest first. Names are kept for ever: of all NAMES that contain it, each is looked
-- up in these evaluations until there are enough jobs.
WITH newest AS MATERIALIZED (
  SELECT max(evaluation.id) AS evaluation, specification.name AS specification
  FROM specification
  JOIN evaluation ON specification_id = specification.id AND state = 2
  GROUP BY specification.id)
SELECT job_name.name, newest.specification AS "specification!", newest.evaluation AS "evaluation!",
       job.build_id AS build, build_state_name(build.state) AS "state!"
FROM (SELECT id, name, length(name) AS length FROM job_name WHERE strpos(lower(name), :word) > 0
      ORDER BY length(name), name LIMIT :names::bigint) AS job_name
CROSS JOIN newest
JOIN job ON job.name_id = job_name.id AND job.evaluation_id = newest.evaluation
JOIN build ON build.id = job.build_id
ORDER BY job_name.length, job_name.name, newest.specification, job.build_id
LIMIT :limit::bigint;

-- name: search_builds :many
-- Builds whose derivation's name begins with WORD, by an index; behind them those among the
-- NEWEST ones that have it anywhere else.
SELECT build.id, left(substr(basename, 34), -4) AS "name!", build_state_name(state) AS "state!",
       system.name AS system, created_at
FROM ((SELECT build.id AS build_id, 0 AS rank
       FROM store_path JOIN build ON build.derivation_id = store_path.id
       WHERE basename LIKE '%.drv' AND substr(basename, 34) >= :word
         AND substr(basename, 34) < :word || '~'
       ORDER BY substr(basename, 34), store_path.id LIMIT :beginning::bigint)
      UNION ALL
      (SELECT newest.id, 1
       FROM (SELECT id, derivation_id FROM build ORDER BY id DESC LIMIT :newest::bigint) AS newest
       JOIN store_path ON store_path.id = derivation_id
       WHERE strpos(lower(left(basename, -4)), lower(:word)) > 33
         AND NOT (substr(basename, 34) >= :word AND substr(basename, 34) < :word || '~')
       LIMIT :limit::bigint)) AS found
JOIN build ON build.id = build_id
JOIN store_path ON store_path.id = derivation_id
JOIN derivation ON derivation.id = derivation_id
JOIN system ON system.id = system_id
ORDER BY rank, length(basename), build.id DESC LIMIT :limit;

-- name: search_store_items :many
-- Store items whose basename begins with BEGINNING, with the build that makes them or,
-- for a derivation, carries it out.
SELECT '/gnu/store/' || basename AS "path!", derivation.id IS NOT NULL AS "is_derivation!",
       build.id AS "build?", build_state_name(build.state) AS "state?", nar_size AS "nar_size?"
FROM store_path
LEFT JOIN derivation ON derivation.id = store_path.id
LEFT JOIN LATERAL (SELECT output_key FROM derivation_output
                   JOIN derivation ON derivation.id = derivation_id
                   WHERE path_id = store_path.id LIMIT 1) AS maker ON true
LEFT JOIN build ON build.output_key = coalesce(derivation.output_key, maker.output_key)
LEFT JOIN nar ON nar.path_id = store_path.id
WHERE basename >= :beginning AND basename < :beginning || '~'
ORDER BY basename LIMIT :limit::bigint;

-- name: search_commits :many
-- By the beginning of their hash, or by what their subject contains (in lower case); each with the
-- newest evaluation that it stood in.
SELECT DISTINCT ON (revision.id)
       commit_hash AS commit, subject, author, committed_at, url,
       specification.name AS "specification?", evaluation.id AS "evaluation?",
       evaluation_state_name(evaluation.state) AS "state?",
       CASE WHEN evaluation.id IS NOT NULL THEN evaluation_outcome(evaluation) END AS "outcome?",
       CASE WHEN evaluation.id IS NOT NULL THEN evaluation_summary(evaluation) END AS "summary?"
FROM (SELECT * FROM revision
      WHERE starts_with(commit_hash, :word) OR strpos(lower(subject), :word) > 0
      ORDER BY id DESC LIMIT :limit::bigint) AS revision
JOIN repository ON repository.id = repository_id
LEFT JOIN evaluation_revision ON revision_id = revision.id
LEFT JOIN evaluation ON evaluation.id = evaluation_id
LEFT JOIN specification ON specification.id = specification_id
ORDER BY revision.id DESC, evaluation.id DESC NULLS LAST;

-- name: search_number :many
-- What has this number.
SELECT 'build' AS "kind!", build.id, '/builds/' || build.id AS "path!",
       'Build ' || build.id AS "title!",
       left(substr(basename, 34), -4) AS "name!", build_state_name(state) AS "state!"
FROM build JOIN store_path ON store_path.id = derivation_id WHERE build.id = :number
UNION ALL
SELECT 'evaluation', evaluation.id, '/evaluations/' || evaluation.id,
       'Evaluation ' || evaluation.id, specification.name, evaluation_state_name(state)
FROM evaluation JOIN specification ON specification.id = specification_id
WHERE evaluation.id = :number;

-- name: search_names :many
-- Specifications and agents whose name contains WORD (in lower case).
SELECT '/specifications/' || name AS "path!", 'specification' AS "kind!",
       'Specification' AS "title!", name AS "name!"
FROM specification WHERE strpos(lower(name), :word) > 0
UNION ALL
SELECT '/agents/' || name, 'agent', 'Agent', name FROM agent WHERE strpos(lower(name), :word) > 0
ORDER BY 2, 4 LIMIT :limit::bigint;
