-- SPDX-License-Identifier: GPL-3.0-or-later
-- Bearer tokens. Only their SHA-256 is kept; the token itself has 32 random bytes.
CREATE TABLE token (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  role       text NOT NULL CHECK (role IN ('admin', 'join', 'agent')),
  digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
