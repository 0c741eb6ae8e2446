-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: accounts_session_insert :exec
INSERT INTO session (digest, token_id, expires_at)
VALUES (:digest, :token_id, now() + :valid_s::bigint * interval '1 second');

-- name: accounts_session_find :one
-- A living session of a living token.
SELECT token.id, token.name, token.role
FROM session JOIN token ON token.id = token_id
WHERE session.digest = :digest
  AND session.expires_at > now()
  AND revoked_at IS NULL
  AND (token.expires_at IS NULL OR token.expires_at > now());

-- name: accounts_session_delete :exec
DELETE FROM session WHERE digest = :digest;

-- name: accounts_session_sweep :exec
DELETE FROM session WHERE expires_at <= now();
