-- name: apps
-- Every app, or the one called %(app)s, with its databases and their roles, oldest first. What is prepared is no app.
SELECT a.name, i.name AS instance, a.created_at, a.dropped_at, a.purge_after, a.purging, a.renaming, a.prepared,
       a.login_limits, a.storage_limit, a.is_full, a.cleanup_until,
       (SELECT json_agg(json_build_object(
                   'name', d.name, 'oid', d.oid::bigint, 'connection_limit', d.connection_limit, 'is_open', d.is_open,
                   'executable', d.executable,
                   'purpose', d.purpose, 'state', d.state, 'delivered', d.delivered_at IS NOT NULL,
                   'last_activity_at', d.last_activity_at,
                   'roles', (SELECT json_agg(json_build_object(
                                        'name', r.name, 'kind', r.kind, 'oid', r.oid::bigint, 'access', r.access,
                                        'enabled', r.enabled, 'connection_limit', r.connection_limit,
                                        'valid_until', r.valid_until, 'short_lived', r.short_lived,
                                        'twin_of', r.twin_of, 'password_changed_at', r.password_changed_at,
                                        'label', r.label, 'reason', r.reason, 'added_by', r.added_by,
                                        'revoked', r.revoked_at IS NOT NULL, 'retiring', r.retiring,
                                        'renewed', r.renewed)
                                     ORDER BY r.id)
                               FROM howdah.roles r WHERE r.database_id = d.id))
               ORDER BY d.id)
          FROM howdah.databases d WHERE d.app_id = a.id) AS databases
  FROM howdah.apps a
  JOIN howdah.instances i ON i.id = a.instance_id
 WHERE CASE WHEN %(app)s::text IS NULL THEN (a.prepared IS NOT NULL) = %(prepared)s ELSE a.name = %(app)s END
 ORDER BY a.created_at, a.id

-- name: shown
-- Of every app what a list shows; of its roles just the names of the logins whose URLs are out.
SELECT a.name, i.name, a.created_at, a.purge_after, a.dropped_at IS NOT NULL,
       d.name, d.oid::bigint, d.connection_limit, d.purpose, d.state, a.is_full,
       ARRAY(SELECT r.name FROM howdah.roles r
              WHERE r.database_id = d.id AND r.kind = 'login' AND r.enabled AND NOT r.short_lived
              ORDER BY r.id)
  FROM howdah.apps a
  JOIN howdah.instances i ON i.id = a.instance_id
  JOIN howdah.databases d ON d.app_id = a.id
 WHERE a.prepared IS NULL AND (%(app)s::text IS NULL OR a.name = %(app)s)
 ORDER BY a.created_at, a.id, d.id

-- name: deadlines
SELECT name, purge_after, purging FROM howdah.apps WHERE purge_after IS NOT NULL ORDER BY purge_after

-- name: fingerprint
-- Of what is wanted, in one figure: whatever of it changes, the figure does.
SELECT md5(concat_ws('|',
           (SELECT md5(string_agg(a::text, E'\n' ORDER BY a.id))
              FROM (SELECT id, instance_id, name, dropped_at, purging, renaming, prepared, login_limits, is_full
                      FROM howdah.apps) AS a),
           (SELECT md5(string_agg(d::text, E'\n' ORDER BY d.id))
              FROM (SELECT id, app_id, name, oid, connection_limit, is_open, purpose, state, executable FROM howdah.databases) AS d),
           (SELECT md5(string_agg(r::text, E'\n' ORDER BY r.id))
              FROM (SELECT id, database_id, name, kind, oid, access, enabled, connection_limit, valid_until,
                           short_lived, twin_of
                      FROM howdah.roles) AS r)))

-- name: add_app
INSERT INTO howdah.apps (instance_id, name, prepared)
SELECT id, %(app)s, %(prepared)s FROM howdah.instances WHERE name = %(instance)s
RETURNING id

-- name: add_database
INSERT INTO howdah.databases (app_id, instance_id, name, purpose, connection_limit)
SELECT id, instance_id, %(name)s, %(purpose)s, %(connection_limit)s FROM howdah.apps WHERE name = %(app)s

-- name: holder
-- An app that has a database or role of one of these names, and the name.
SELECT a.name, coalesce(r.name, d.name)
  FROM howdah.instances i
  JOIN howdah.databases d ON d.instance_id = i.id
  JOIN howdah.apps a ON a.id = d.app_id
  LEFT JOIN howdah.roles r ON r.database_id = d.id AND r.name = ANY (%(names)s)
 WHERE i.name = %(instance)s AND (d.name = ANY (%(names)s) OR r.name IS NOT NULL)
 ORDER BY d.id, r.id
 LIMIT 1

-- name: add_role
INSERT INTO howdah.roles (database_id, instance_id, name, kind, access, enabled, connection_limit, valid_until,
                          short_lived, twin_of, label, reason, added_by, renewed)
SELECT d.id, d.instance_id, %(name)s, %(kind)s, %(access)s, %(enabled)s, %(connection_limit)s, %(valid_until)s,
       %(short_lived)s, %(twin_of)s, %(label)s, %(reason)s, %(added_by)s, %(renewed)s
  FROM howdah.databases d
  JOIN howdah.apps a ON a.id = d.app_id
 WHERE a.name = %(app)s AND d.name = %(database)s

-- name: set_revoked
UPDATE howdah.roles r
   SET enabled = false, retiring = false, revoked_at = coalesce(r.revoked_at, now()), rotate_every = NULL, rotate_at = NULL
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = ANY (%(logins)s)

-- name: set_enabled
UPDATE howdah.roles r
   SET enabled = true, retiring = false, revoked_at = NULL, closed = false, valid_until = %(valid_until)s
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = %(login)s

-- name: set_valid_until
UPDATE howdah.roles r SET valid_until = %(valid_until)s
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = %(login)s

-- name: remove_role
DELETE FROM howdah.roles r USING howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = %(name)s

-- name: forget_unmade_databases
-- Databases of which nothing was made: no role, no database.
DELETE FROM howdah.databases d USING howdah.apps a
 WHERE a.id = d.app_id AND a.name = %(app)s AND d.state = 'creating' AND d.oid IS NULL
   AND NOT EXISTS (SELECT FROM howdah.roles r WHERE r.database_id = d.id AND r.oid IS NOT NULL)

-- name: forget_app_without_databases
DELETE FROM howdah.apps a
 WHERE a.name = %(app)s AND NOT EXISTS (SELECT FROM howdah.databases d WHERE d.app_id = a.id)

-- name: set_role_oids
UPDATE howdah.roles r SET oid = n.oid
  FROM howdah.databases d, howdah.apps a, unnest(%(names)s::text[], %(oids)s::oid[]) AS n (name, oid)
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = n.name

-- name: set_database_oid
UPDATE howdah.databases d SET oid = %(oid)s
  FROM howdah.apps a
 WHERE a.id = d.app_id AND a.name = %(app)s AND d.name = %(name)s

-- name: set_ready
UPDATE howdah.databases d SET state = 'ready'
  FROM howdah.apps a WHERE a.id = d.app_id AND a.name = %(app)s AND d.name = %(name)s

-- name: set_delivered
UPDATE howdah.databases d SET delivered_at = coalesce(delivered_at, now())
  FROM howdah.apps a WHERE a.id = d.app_id AND a.name = %(app)s AND d.name = ANY (%(names)s)

-- name: set_passwords_changed
UPDATE howdah.roles r SET password_changed_at = now()
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = ANY (%(logins)s)

-- name: set_activity
UPDATE howdah.databases d SET last_activity_at = greatest(d.last_activity_at, s.at)
  FROM unnest(%(names)s::text[], %(times)s::timestamptz[]) AS s (name, at)
 WHERE d.name = s.name AND d.instance_id = (SELECT id FROM howdah.instances WHERE name = %(instance)s)

-- name: set_dropped
-- A second drop doesn't move the deadline.
UPDATE howdah.apps
   SET dropped_at = coalesce(dropped_at, now()), purge_after = coalesce(purge_after, now() + %(keep)s)
 WHERE name = %(app)s

-- name: set_undropped
UPDATE howdah.apps SET dropped_at = NULL, purge_after = NULL WHERE name = %(app)s AND NOT purging

-- name: set_purging
UPDATE howdah.apps SET purging = true WHERE name = %(app)s AND dropped_at IS NOT NULL

-- name: forget
DELETE FROM howdah.apps WHERE name = %(app)s AND purging

-- name: forget_prepared
DELETE FROM howdah.apps WHERE name = %(app)s AND prepared IS NOT NULL

-- name: rename_app
UPDATE howdah.apps SET name = %(name)s, renaming = true WHERE name = %(app)s

-- name: rename_database
UPDATE howdah.databases SET name = %(new)s WHERE name = %(old)s AND app_id = (SELECT id FROM howdah.apps WHERE name = %(app)s)

-- name: rename_roles
UPDATE howdah.roles r
   SET name = n.new, twin_of = (SELECT t.new FROM unnest(%(old)s::text[], %(new)s::text[]) t (old, new) WHERE t.old = r.twin_of)
  FROM unnest(%(old)s::text[], %(new)s::text[]) n (old, new), howdah.databases d, howdah.apps a
 WHERE n.old = r.name AND r.database_id = d.id AND d.app_id = a.id AND a.name = %(app)s

-- name: claim
-- What was prepared as %(app)s becomes an app, as old as its name is: all of it in one statement.
WITH app AS (
    UPDATE howdah.apps SET name = %(name)s, renaming = true, prepared = NULL, created_at = now()
     WHERE name = %(app)s AND prepared IS NOT NULL
    RETURNING id
), database AS (
    UPDATE howdah.databases d SET name = %(database)s FROM app WHERE d.app_id = app.id RETURNING d.id
)
UPDATE howdah.roles r
   SET name = n.new, twin_of = (SELECT t.new FROM unnest(%(old)s::text[], %(new)s::text[]) t (old, new) WHERE t.old = r.twin_of)
  FROM unnest(%(old)s::text[], %(new)s::text[]) n (old, new), database
 WHERE n.old = r.name AND r.database_id = database.id

-- name: set_claimed
WITH app AS (UPDATE howdah.apps SET renaming = false WHERE name = %(app)s RETURNING id),
     database AS (UPDATE howdah.databases d SET state = 'ready' FROM app WHERE d.app_id = app.id RETURNING d.id)
UPDATE howdah.roles r SET password_changed_at = now() FROM database
 WHERE r.database_id = database.id AND r.name = ANY (%(logins)s)

-- name: set_renamed
UPDATE howdah.apps SET renaming = false WHERE name = %(app)s

-- name: set_name
-- The app's alone: its databases and roles are called as before.
UPDATE howdah.apps SET name = %(name)s WHERE name = %(app)s

-- name: set_unprepared
UPDATE howdah.apps SET prepared = NULL, created_at = now() WHERE name = %(app)s

-- name: set_database
UPDATE howdah.databases d SET connection_limit = %(limit)s, executable = %(executable)s
  FROM howdah.apps a
 WHERE a.id = d.app_id AND a.name = %(app)s AND d.name = %(name)s

-- name: set_login
UPDATE howdah.roles r SET enabled = %(enabled)s, connection_limit = %(limit)s, valid_until = %(valid_until)s
  FROM howdah.databases d, howdah.apps a
 WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %(app)s AND r.name = %(name)s

-- name: set_limits
UPDATE howdah.apps
   SET login_limits = %(logins)s, storage_limit = %(storage)s, is_full = %(full)s, cleanup_until = %(cleanup_until)s
 WHERE name = %(app)s

-- name: limiting
-- Instances with apps whose logins have limits.
SELECT DISTINCT i.name
  FROM howdah.apps a
  JOIN howdah.instances i ON i.id = a.instance_id
 WHERE a.login_limits <> '{}' AND a.prepared IS NULL

-- name: limited
-- Those of these logins whose app has limits; a person's own session (`howdah psql`) has none of time.
SELECT a.name, r.name, r.access, a.login_limits
  FROM howdah.instances i
  JOIN howdah.roles r ON r.instance_id = i.id AND r.name = ANY (%(logins)s) AND r.kind = 'login' AND NOT r.short_lived
  JOIN howdah.databases d ON d.id = r.database_id
  JOIN howdah.apps a ON a.id = d.app_id
 WHERE i.name = %(instance)s AND a.login_limits <> '{}' AND a.prepared IS NULL

-- name: stored
-- Databases of apps whose room is limited.
SELECT i.name, a.name, d.name, a.storage_limit, a.is_full, a.cleanup_until
  FROM howdah.apps a
  JOIN howdah.instances i ON i.id = a.instance_id
  JOIN howdah.databases d ON d.app_id = a.id AND d.state = 'ready'
 WHERE (a.storage_limit IS NOT NULL OR a.is_full) AND a.dropped_at IS NULL AND a.prepared IS NULL AND NOT a.renaming
 ORDER BY a.id, d.id

-- name: set_prepared
UPDATE howdah.apps SET prepared = %(prepared)s, renaming = false WHERE name = %(app)s
