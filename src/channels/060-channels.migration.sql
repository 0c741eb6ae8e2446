-- SPDX-License-Identifier: GPL-3.0-or-later
-- Git repositories and the commits seen in them.
CREATE TABLE repository (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url       text NOT NULL UNIQUE,
  polled_at timestamptz,
  failure   text                          -- of the last poll; NULL = fine
);

CREATE TABLE revision (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository_id bigint NOT NULL REFERENCES repository,
  commit_hash   text NOT NULL CHECK (commit_hash ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
  author        text NOT NULL DEFAULT '',
  subject       text NOT NULL DEFAULT '',
  committed_at  timestamptz,
  seen_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (repository_id, commit_hash)
);
