-- SPDX-License-Identifier: GPL-3.0-or-later
-- Channels that cannot be fetched cost much at each look: what goes on failing is looked at more
-- and more rarely.
ALTER TABLE specification ADD failing_since timestamptz; -- end of the first look that failed; NULL = fine

-- When its period brings the next look; NULL = at once. After failures as long again as they
-- have lasted, though once an hour.
CREATE FUNCTION specification_due(specification) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN $1.polled_at + greatest(
  make_interval(secs => $1.period_s),
  CASE WHEN $1.failing_since IS NOT NULL
       THEN least($1.polled_at - $1.failing_since, interval '1 hour') END);
