-- SPDX-License-Identifier: GPL-3.0-or-later
-- How its machine fares, as each agent told last. Written by whoever hears it.
CREATE TABLE agent_condition (
  agent_id    bigint PRIMARY KEY REFERENCES agent,
  told_at     timestamptz NOT NULL DEFAULT now(),
  load        real NOT NULL,             -- mean number of busy threads in the last minute
  memory_free bigint NOT NULL,           -- bytes that programs could get
  disk_free   bigint NOT NULL,           -- bytes, of the file system with its store
  disk_size   bigint NOT NULL
);

-- What an agent did in the last day.
CREATE INDEX attempt_of_agent ON attempt (agent_id, finished_at);
