-- SPDX-License-Identifier: GPL-3.0-or-later
-- What is broken and not mended: jobs that had succeeded, with the evaluation in which they
-- fail first. Kept by tally.c; a row goes when the job succeeds in the newest evaluation of
-- its specification, or is not there any more.
CREATE TABLE job_broken (
  specification_id bigint NOT NULL REFERENCES specification ON DELETE CASCADE,
  name_id          bigint NOT NULL REFERENCES job_name,
  evaluation_id    bigint NOT NULL REFERENCES evaluation ON DELETE CASCADE,
  PRIMARY KEY (specification_id, name_id)
);
CREATE INDEX job_broken_evaluation ON job_broken (evaluation_id);
UPDATE evaluation SET tally_stale = true WHERE state = 2 AND broken_count > 0;
