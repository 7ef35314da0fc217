-- name: begin
-- Of pairs of logins, the new one takes the old one's place: it is wanted open, and the old one goes when nobody uses
-- it any more. Somebody gets the URL.
WITH pair AS (
    SELECT a.id AS app_id, d.id AS database_id, o.id AS old_id, n.id AS new_id, o.valid_until
      FROM unnest(%(apps)s::text[], %(olds)s::text[], %(news)s::text[]) AS p (app, old, new)
      JOIN howdah.apps a ON a.name = p.app
      JOIN howdah.roles o ON o.instance_id = a.instance_id AND o.name = p.old
      JOIN howdah.roles n ON n.instance_id = a.instance_id AND n.name = p.new
      JOIN howdah.databases d ON d.id = o.database_id AND d.app_id = a.id
), opened AS (
    UPDATE howdah.roles r
       SET enabled = true, retiring = false, revoked_at = NULL, closed = false, valid_until = pair.valid_until,
           password_changed_at = now(), rotate_at = now() + r.rotate_every
      FROM pair WHERE r.id = pair.new_id
), closing AS (
    UPDATE howdah.roles r
       SET enabled = NOT %(now)s, retiring = NOT %(now)s, rotate_at = now() + r.rotate_every
      FROM pair WHERE r.id = pair.old_id
), delivered AS (
    UPDATE howdah.databases d SET delivered_at = coalesce(d.delivered_at, now())
      FROM pair WHERE d.id = pair.database_id
), before AS (
    -- Where the new one was still open, it was the old one of a rotation under way.
    UPDATE howdah.rotations t SET retired_at = now(), retired_by = %(actor)s
      FROM pair WHERE t.old_id = pair.new_id AND t.retired_at IS NULL
)
INSERT INTO howdah.rotations (app_id, old_id, new_id, actor, grace, retired_at, retired_by)
SELECT app_id, old_id, new_id, %(actor)s, make_interval(secs => %(grace_s)s),
       CASE WHEN %(now)s THEN now() END, CASE WHEN %(now)s THEN %(actor)s END
  FROM pair
RETURNING id

-- name: rotations
-- Those of an app, or of all, the newest of each login alone; or those that are watched.
SELECT t.id, a.name AS app, i.name AS instance, d.name AS database, o.name AS old, n.name AS new, t.actor,
       extract(epoch FROM t.grace)::float8 AS grace_s, t.started_at, t.unused_s, t.old_seen_at, t.new_seen_at,
       t.retired_at, t.retired_by, t.attempts, t.attempted_at, t.attempted_from, o.enabled AS old_enabled,
       extract(epoch FROM n.rotate_every)::bigint AS every_s, n.rotate_at AS next_at, o.oid::bigint AS old_oid
  FROM howdah.rotations t
  JOIN howdah.apps a ON a.id = t.app_id
  JOIN howdah.instances i ON i.id = a.instance_id
  JOIN howdah.roles o ON o.id = t.old_id
  JOIN howdah.roles n ON n.id = t.new_id
  JOIN howdah.databases d ON d.id = o.database_id
 WHERE (%(app)s::text IS NULL OR a.name = %(app)s)
   AND CASE WHEN %(watched)s THEN t.retired_at IS NULL AND a.dropped_at IS NULL
            ELSE NOT EXISTS (SELECT FROM howdah.rotations l
                              WHERE l.id > t.id AND (l.old_id = t.old_id OR l.new_id = t.old_id)) END
 ORDER BY t.id

-- name: noted
-- What a look saw; the time without a session of the old one is what was watched, not what passed.
UPDATE howdah.rotations
   SET unused_s = %(unused_s)s, old_seen_at = coalesce(%(old_seen_at)s, old_seen_at),
       new_seen_at = coalesce(%(new_seen_at)s, new_seen_at)
 WHERE id = %(id)s

-- name: retire
WITH rotation AS (
    UPDATE howdah.rotations SET retired_at = now(), retired_by = %(actor)s
     WHERE id = %(id)s AND retired_at IS NULL
    RETURNING old_id
)
UPDATE howdah.roles r SET enabled = false, retiring = false FROM rotation WHERE r.id = rotation.old_id

-- name: reopen
WITH rotation AS (
    UPDATE howdah.rotations SET retired_at = NULL, retired_by = NULL, unused_s = 0
     WHERE id = %(id)s
    RETURNING old_id
)
UPDATE howdah.roles r SET enabled = true, retiring = true FROM rotation WHERE r.id = rotation.old_id

-- name: forget
-- One whose new login never came to be: what was before is wanted again.
WITH rotation AS (
    DELETE FROM howdah.rotations WHERE id = %(id)s RETURNING old_id, new_id
), old AS (
    UPDATE howdah.roles r SET enabled = true, retiring = false FROM rotation WHERE r.id = rotation.old_id
)
UPDATE howdah.roles r SET enabled = false FROM rotation WHERE r.id = rotation.new_id

-- name: attempted
UPDATE howdah.rotations
   SET attempts = attempts + %(count)s, attempted_at = %(at)s,
       attempted_from = ARRAY(SELECT DISTINCT f FROM unnest(attempted_from || %(from)s::text[]) f ORDER BY f LIMIT 20)
 WHERE id = %(id)s

-- name: retired
-- Rotations whose old login somebody may still try: those retired in the last days, the newest of each.
SELECT t.id, o.name AS old, i.name AS instance, t.retired_at, t.attempted_at
  FROM howdah.rotations t
  JOIN howdah.roles o ON o.id = t.old_id AND NOT o.enabled
  JOIN howdah.apps a ON a.id = t.app_id
  JOIN howdah.instances i ON i.id = a.instance_id
 WHERE t.retired_at > now() - %(days)s * interval '1 day'
   AND NOT EXISTS (SELECT FROM howdah.rotations l WHERE l.id > t.id AND l.old_id = t.old_id)

-- name: set_every
UPDATE howdah.roles r
   SET rotate_every = make_interval(secs => %(every_s)s),
       rotate_at = CASE WHEN %(every_s)s::float8 IS NOT NULL THEN now() + make_interval(secs => %(every_s)s) END
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = ANY (%(logins)s)

-- name: scheduled
-- Pairs that have a schedule and were never rotated.
SELECT a.name AS app, i.name AS instance, r.name AS login, extract(epoch FROM r.rotate_every)::bigint AS every_s,
       r.rotate_at AS next_at
  FROM howdah.roles r
  JOIN howdah.databases d ON d.id = r.database_id
  JOIN howdah.apps a ON a.id = d.app_id AND a.dropped_at IS NULL
  JOIN howdah.instances i ON i.id = a.instance_id
 WHERE r.rotate_every IS NOT NULL AND r.twin_of IS NULL AND (%(app)s::text IS NULL OR a.name = %(app)s)
   AND NOT EXISTS (SELECT FROM howdah.rotations t WHERE r.id IN (t.old_id, t.new_id))
 ORDER BY r.rotate_at

-- name: due
-- Logins whose password is due to change within so many seconds, by the pair's first name.
SELECT a.name AS app, coalesce(r.twin_of, r.name) AS login, min(r.rotate_at) AS at, min(r.rotate_at) <= now() AS due
  FROM howdah.roles r
  JOIN howdah.databases d ON d.id = r.database_id
  JOIN howdah.apps a ON a.id = d.app_id AND a.dropped_at IS NULL AND a.prepared IS NULL AND NOT a.renaming
 WHERE r.rotate_at < now() + make_interval(secs => %(within_s)s)
 GROUP BY 1, 2
 ORDER BY 3
