-- What is asked of a database that is to be brought in: only read, as whoever may log in there.

-- name: server
SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_user::text,
       pg_database_size(current_database())

-- name: tables
-- Tables with rows of their own; those of extensions come with them.
SELECT n.nspname, c.relname, c.relkind::text, has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'),
       c.relrowsecurity AND NOT pg_has_role(c.relowner, 'USAGE') OR c.relrowsecurity AND c.relforcerowsecurity
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'f') AND (c.relkind <> 'm' OR c.relispopulated) AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_'
   AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2

-- name: sequences
SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2

-- name: large_objects
SELECT count(*) FROM pg_largeobject_metadata

-- name: left_out
-- What isn't an app's, by kind: publications, subscriptions (if they may be seen), event triggers, foreign servers.
SELECT 'publication', pubname FROM pg_publication
 UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger e
            WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = e.oid AND d.deptype = 'e')
 UNION ALL SELECT 'foreign server', srvname FROM pg_foreign_server
 ORDER BY 1, 2

-- name: grantees
-- Roles that were granted something, and aren't its owner: their grants stay behind.
SELECT DISTINCT pg_get_userbyid(a.grantee)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND a.grantee NOT IN (0, c.relowner)
 ORDER BY 1
