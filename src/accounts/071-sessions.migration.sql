-- SPDX-License-Identifier: GPL-3.0-or-later
-- Browsers that are signed in. Only the SHA-256 of the cookie is kept. A session may what
-- its token may, and ends with it.
CREATE TABLE session (
  digest     bytea PRIMARY KEY CHECK (length(digest) = 32),
  token_id   bigint NOT NULL REFERENCES token,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
