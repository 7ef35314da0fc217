-- name: add
-- A repeat of the same request replaces a token that was never used: the first answer was lost on its way.
INSERT INTO howdah.tokens AS t (name, hash, scope, app_id, person, created_by, expires_at, idempotency_key)
VALUES (%(name)s, %(hash)s, %(scope)s, (SELECT id FROM howdah.apps WHERE name = %(app)s), %(person)s, %(created_by)s,
        now() + %(lifetime)s::interval, %(key)s)
ON CONFLICT (name) WHERE revoked_at IS NULL DO UPDATE
   SET hash = excluded.hash, expires_at = excluded.expires_at
 WHERE t.idempotency_key = excluded.idempotency_key AND t.created_by = excluded.created_by AND t.last_used_at IS NULL
   AND t.scope = excluded.scope AND t.app_id IS NOT DISTINCT FROM excluded.app_id
   AND t.person IS NOT DISTINCT FROM excluded.person
RETURNING expires_at

-- name: by_hash
SELECT t.id, t.name, t.scope, a.name AS app, t.created_by, t.created_at, t.expires_at, t.last_used_at,
       t.revoked_at IS NOT NULL AS revoked, coalesce(t.expires_at <= now(), false) AS expired,
       t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute' AS stale, t.person
  FROM howdah.tokens t
  LEFT JOIN howdah.apps a ON a.id = t.app_id
 WHERE t.hash = %(hash)s

-- name: list
SELECT t.id, t.name, t.scope, a.name AS app, t.created_by, t.created_at, t.expires_at, t.last_used_at,
       false AS revoked, coalesce(t.expires_at <= now(), false) AS expired, false AS stale, t.person
  FROM howdah.tokens t
  LEFT JOIN howdah.apps a ON a.id = t.app_id
 WHERE t.revoked_at IS NULL
 ORDER BY t.created_at, t.id

-- name: touch
UPDATE howdah.tokens SET last_used_at = now()
 WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: revoke
UPDATE howdah.tokens SET revoked_at = now() WHERE name = %(name)s AND revoked_at IS NULL
