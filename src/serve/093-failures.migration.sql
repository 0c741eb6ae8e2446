-- SPDX-License-Identifier: GPL-3.0-or-later
-- What failed last on an agent, where little fails.
CREATE INDEX attempt_failed ON attempt (agent_id, finished_at, id) WHERE state = 2;
