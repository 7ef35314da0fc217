-- Reads for people: what `list`, `info`, `logins` and `tables` show.

-- name: databases
-- Sessions are counted once for all: there may be thousands of databases.
WITH sessions AS (
    SELECT datid, count(*) AS connections
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND usename <> current_user
     GROUP BY datid)
SELECT d.datname AS name, d.oid::bigint AS oid, o.rolname AS owner, pg_encoding_to_char(d.encoding) AS encoding,
       d.datallowconn AND d.datconnlimit <> -2 AND has_database_privilege(session_user, d.oid, 'CONNECT') AS accessible,
       d.datconnlimit AS connection_limit,
       d.datallowconn AND d.datconnlimit <> -2 AND EXISTS (
           SELECT FROM aclexplode(d.datacl) x WHERE x.grantee = g.oid AND x.privilege_type = 'CONNECT') AS gate_open,
       coalesce(s.connections, 0) AS connections
  FROM pg_database d
  JOIN pg_roles o ON o.oid = d.datdba
  LEFT JOIN pg_roles g ON g.rolname = d.datname
  LEFT JOIN sessions s ON s.datid = d.oid
 WHERE d.datname = ANY (%(databases)s)

-- name: locale
SELECT coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate)
  FROM pg_database d WHERE d.datname = %(database)s

-- name: sizes
-- Asked only of databases that let somebody in: of a half-made or half-dropped one it can fail. And it is told only to
-- whoever may connect or may read all statistics.
SELECT datname, pg_database_size(oid) FROM pg_database
 WHERE datname = ANY (%(databases)s) AND datallowconn AND datconnlimit <> -2
   AND (has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE'))

-- name: logins
SELECT r.rolname AS login, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls,
       r.rolconnlimit AS connection_limit, nullif(r.rolvaliduntil, 'infinity') AS valid_until,
       ARRAY(SELECT DISTINCT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1)::text[] AS member_of,
       (SELECT count(*) FROM pg_stat_activity s
         WHERE s.usesysid = r.oid AND s.backend_type = 'client backend' AND s.pid <> pg_backend_pid()) AS open_sessions
  FROM pg_roles r
 WHERE r.rolcanlogin
 ORDER BY r.rolname

-- name: passwords
-- Whether there is one, never what it is. Only a superuser may ask.
SELECT rolname, rolpassword IS NOT NULL FROM pg_authid WHERE rolcanlogin

-- name: name_of
-- What the database with this OID is called now.
SELECT datname FROM pg_database WHERE oid = %(oid)s

-- name: names_of
-- What these databases and roles are called now: of roles, then of databases.
SELECT (SELECT coalesce(jsonb_object_agg(oid, rolname), '{}') FROM pg_roles WHERE oid = ANY (%(oids)s)),
       (SELECT coalesce(jsonb_object_agg(oid, datname), '{}') FROM pg_database WHERE oid = ANY (%(databases)s))

-- name: settings
-- Of the database, of roles in it, and of the app's logins everywhere.
SELECT r.rolname AS login, p.setdatabase = 0 AS everywhere, split_part(s.setting, '=', 1) AS name,
       substr(s.setting, strpos(s.setting, '=') + 1) AS value
  FROM pg_db_role_setting p
  LEFT JOIN pg_database d ON d.oid = p.setdatabase
  LEFT JOIN pg_roles r ON r.oid = p.setrole
 CROSS JOIN unnest(p.setconfig) AS s (setting)
 WHERE d.datname = %(database)s OR (p.setdatabase = 0 AND r.rolname = ANY (%(logins)s))
 ORDER BY r.rolname NULLS FIRST, 3

-- name: sessions_of
SELECT usename, count(*) FROM pg_stat_activity WHERE usename = ANY (%(logins)s) GROUP BY usename

-- name: active_sessions
SELECT count(*) FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND state = 'active' AND usename <> current_user

-- name: last_activity
SELECT datname, max(coalesce(state_change, backend_start))
  FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND usename <> current_user AND datname = ANY (%(databases)s)
 GROUP BY datname

-- name: sessions_ever
-- How many sessions there ever were in a database (14+; 0 before). A session is counted when it ends or idles.
SELECT datname, coalesce((to_jsonb(s) ->> 'sessions')::bigint, 0)
  FROM pg_stat_database s WHERE datname = ANY (%(databases)s)

-- name: server
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_num,
       pg_postmaster_start_time() AS started_at, current_setting('max_connections')::int AS max_connections,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('ssl')::bool AS tls

-- name: extensions
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 ORDER BY e.extname

-- name: tables
SELECT n.nspname AS schema, c.relname AS "table",
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' END AS kind,
       CASE WHEN c.relkind IN ('v', 'f') THEN NULL
            WHEN c.reltuples >= 0 THEN c.reltuples::bigint
            WHEN c.relkind IN ('r', 'm') THEN pg_stat_get_live_tuples(c.oid) END AS rows_estimate,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_total_relation_size(c.oid) ELSE 0 END AS size_bytes,
       o.rolname AS owner
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles o ON o.oid = c.relowner
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY n.nspname, c.relname
