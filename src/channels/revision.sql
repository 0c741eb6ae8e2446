-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: channels_repository_touch :one
-- Id of the repository with this URL; made when new. Notes the time of the poll.
INSERT INTO repository (url, polled_at) VALUES (:url, now())
ON CONFLICT (url) DO UPDATE SET polled_at = now()
RETURNING id;

-- name: channels_repository_find :one
SELECT id FROM repository WHERE url = :url;

-- name: channels_repository_outcome :exec
-- Keeps the failure of the last poll (NULL = it went well).
UPDATE repository SET failure = :failure? WHERE url = :url AND failure IS DISTINCT FROM :failure?;

-- name: channels_revision_find :one
SELECT id FROM revision WHERE repository_id = :repository_id AND commit_hash = :commit_hash;

-- name: channels_revision_add :one
-- Records a commit; the id of the present row when it is known.
INSERT INTO revision (repository_id, commit_hash, author, subject, committed_at)
VALUES (:repository_id, :commit_hash, :author, :subject, to_timestamp(:committed_s::bigint))
ON CONFLICT (repository_id, commit_hash) DO UPDATE SET commit_hash = EXCLUDED.commit_hash
RETURNING id;
