-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: accounts_token_insert :one
-- VALID_S 0 = for ever.
INSERT INTO token (name, role, digest, expires_at)
VALUES (:name, :role, :digest,
        CASE WHEN :valid_s::bigint > 0 THEN now() + :valid_s::bigint * interval '1 second' END)
RETURNING id;

-- name: accounts_token_find :one
-- A living token by its digest; the look-up by digest is what keeps the
-- comparison's timing from telling anything about the token.
SELECT id, role
FROM token
WHERE digest = :digest
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now());

-- name: accounts_token_find_revoked :one
SELECT id FROM token WHERE digest = :digest AND role = :role AND revoked_at IS NOT NULL;

-- name: accounts_token_set_revoked :exec
UPDATE token SET revoked_at = now() WHERE id = :id AND role = :role AND revoked_at IS NULL;
