-- Extensions that a server has, and those of the database that one is connected to.

-- name: offered
SELECT e.name::text, coalesce(x.extversion, e.default_version) AS version, x.oid IS NOT NULL AS installed,
       n.nspname::text AS schema, coalesce(v.trusted, false) AS trusted, coalesce(v.relocatable, false) AS relocatable,
       v.schema::text AS own_schema, coalesce(v.requires, '{}')::text[] AS requires, e.comment
  FROM pg_available_extensions e
  LEFT JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
  LEFT JOIN pg_extension x ON x.extname = e.name
  LEFT JOIN pg_namespace n ON n.oid = x.extnamespace
 WHERE e.name <> 'plpgsql'
 ORDER BY 1

-- name: schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(name)s)
