-- SPDX-License-Identifier: GPL-3.0-or-later
-- The words of doc/api.md for the numbers of farm/farm.h.
CREATE FUNCTION build_state_name(state smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY['waiting', 'running', 'succeeded', 'failed', 'dependency-failed',
              'cancelled'])[state + 1];
