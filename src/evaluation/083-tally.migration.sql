-- SPDX-License-Identifier: GPL-3.0-or-later
-- How the builds of an evaluation's jobs stand, so that no list counts them. Kept by
-- tally.c; NULL = not counted yet.
ALTER TABLE evaluation
  ADD tally_stale boolean NOT NULL DEFAULT true, -- builds have changed since, or may have
  ADD unfinished_count integer,                  -- jobs whose builds wait or run
  ADD failed_count integer,
  ADD dependency_failed_count integer,
  ADD cancelled_count integer,
  -- Against the newest earlier one that succeeded; 0 where there is none.
  ADD broken_count integer,                      -- jobs that fail, and had succeeded
  ADD errors_new_count integer;                  -- errors of jobs that had none
CREATE INDEX evaluation_uncounted ON evaluation (id) WHERE state = 2 AND tally_stale;

-- One row: how far tally.c has read the feed of events.
CREATE TABLE evaluation_tally_place (
  single      boolean PRIMARY KEY DEFAULT true CHECK (single),
  transaction bigint NOT NULL,
  event       bigint NOT NULL
);
INSERT INTO evaluation_tally_place (transaction, event)
SELECT coalesce(max(transaction::text::bigint), 0), coalesce(max(id), 0)
FROM (SELECT transaction, id FROM event ORDER BY transaction DESC, id DESC LIMIT 1) AS last;

-- What it came to: as its state, but that one which succeeded, which says only that Guix
-- computed it, counts as "building" until its jobs are decided, and as "some-failed" when
-- not all is well then.
CREATE FUNCTION evaluation_outcome(it evaluation) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN it.state <> 2 THEN evaluation_state_name(it.state)
            WHEN it.unfinished_count IS NULL OR it.unfinished_count > 0 THEN 'building'
            WHEN it.failed_count + it.dependency_failed_count + it.cancelled_count
                 + it.errors_count > 0 THEN 'some-failed'
            ELSE 'succeeded' END;

CREATE FUNCTION number_text(number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_char(number, 'FM999,999,999,999');

-- The same in words: "2 of 4 failed, 1 error".
CREATE FUNCTION evaluation_summary(it evaluation) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN evaluation_outcome(it) NOT IN ('building', 'some-failed')
            THEN evaluation_outcome(it)
       ELSE concat_ws(', ',
         CASE WHEN it.unfinished_count IS NULL THEN 'building'
              WHEN it.unfinished_count > 0
              THEN 'building: ' || number_text(it.unfinished_count) || ' of '
                   || number_text(it.jobs_count) || ' left' END,
         CASE WHEN it.failed_count + it.dependency_failed_count > 0
              THEN number_text(it.failed_count + it.dependency_failed_count) || ' of '
                   || number_text(it.jobs_count) || ' failed' END,
         CASE WHEN it.cancelled_count > 0
              THEN number_text(it.cancelled_count) || ' cancelled' END,
         CASE WHEN it.errors_count = 1 THEN '1 error'
              WHEN it.errors_count > 1 THEN number_text(it.errors_count) || ' errors' END) END;
