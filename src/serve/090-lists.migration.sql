-- SPDX-License-Identifier: GPL-3.0-or-later
-- What lists of builds are sorted by.

-- By name: derivations' own, without the hash; and what begins with a word.
CREATE INDEX store_path_derivation_name ON store_path (substr(basename, 34), id)
  WHERE basename LIKE '%.drv';

-- By what the attempts took, in microseconds.
CREATE INDEX attempt_took
  ON attempt (((extract(epoch FROM finished_at - created_at) * 1000000)::bigint), build_id)
  WHERE finished_at IS NOT NULL;

-- The queue, as the scheduler goes through it (goes_before of farm/mirror.c).
CREATE INDEX build_queue ON build ((-priority), created_at, id) WHERE state = 0;
