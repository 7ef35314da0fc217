-- What of a database pg_dump leaves out, or writes with the names of roles: asked on a session inside of it.

-- name: database
SELECT pg_encoding_to_char(encoding), shobj_description(oid, 'pg_database')
  FROM pg_database WHERE datname = current_database()

-- name: locale
-- Columns came with 15, 16 and 17; before, all is the C library's.
SELECT CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
       d.datcollate, d.datctype, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
       to_jsonb(d) ->> 'daticurules'
  FROM pg_database d WHERE d.datname = %(database)s

-- name: settings
-- Of the database (no role), and of these roles: here and everywhere.
SELECT r.rolname, split_part(s.setting, '=', 1), substr(s.setting, strpos(s.setting, '=') + 1)
  FROM pg_db_role_setting p
  LEFT JOIN pg_roles r ON r.oid = p.setrole
 CROSS JOIN unnest(p.setconfig) AS s (setting)
 WHERE (p.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (p.setrole = 0 OR r.rolname = ANY (%(roles)s)))
    OR (p.setdatabase = 0 AND r.rolname = ANY (%(roles)s))
 ORDER BY p.setdatabase, r.rolname NULLS FIRST, 2

-- name: extensions
SELECT e.extname, e.extversion, n.nspname
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname <> 'plpgsql'
 ORDER BY e.oid

-- name: policies
SELECT n.nspname, c.relname, p.polname, p.polpermissive, p.polcmd::text,
       ARRAY(SELECT r.rolname FROM unnest(p.polroles) WITH ORDINALITY AS u (oid, n)
               LEFT JOIN pg_roles r ON r.oid = u.oid ORDER BY u.n)::text[],
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
       obj_description(p.oid, 'pg_policy')
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY n.nspname, c.relname, p.polname

-- name: offered
-- Which of these extensions there are, and which of them an app's owner may make.
SELECT e.name, v.trusted
  FROM pg_available_extensions e
  JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
 WHERE e.name = ANY (%(names)s)

-- name: contexts
-- Who may change these settings; what an extension knows alone isn't there.
SELECT name, context FROM pg_settings WHERE name = ANY (%(names)s)
