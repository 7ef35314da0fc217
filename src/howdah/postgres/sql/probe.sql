-- What an admin's login may do on a server, and what the server offers. Needs no privilege.

-- name: login
SELECT session_user::text, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication OR r.rolsuper,
       pg_is_in_recovery(), current_setting('server_version_num')::int,
       coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false)
  FROM pg_roles r WHERE r.rolname = session_user

-- name: system_identifier
SELECT system_identifier::text FROM pg_control_system()

-- name: predefined_roles
SELECT rolname FROM pg_roles
 WHERE rolname ~ '^pg_' AND rolname <> 'pg_database_owner' AND pg_has_role(session_user, oid, 'MEMBER')
 ORDER BY 1

-- name: extensions
SELECT e.name, v.trusted
  FROM pg_available_extensions e
  JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
 WHERE e.name <> 'plpgsql'
 ORDER BY 1

-- name: may_read_hba
SELECT has_table_privilege(session_user, 'pg_catalog.pg_hba_file_rules', 'SELECT')
   AND has_function_privilege(session_user, 'pg_catalog.pg_hba_file_rules()', 'EXECUTE')

-- name: open_databases
-- Databases into which every login of the server gets.
SELECT datname FROM pg_database
 WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')
 ORDER BY 1

-- name: control_role
SELECT r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb
  FROM pg_roles r WHERE r.rolname = %(role)s

-- name: maker
SELECT rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user

-- name: may_become
SELECT pg_has_role(session_user, %(role)s, 'MEMBER')

-- name: may_become_16
SELECT pg_has_role(session_user, %(role)s, 'SET') AND pg_has_role(session_user, %(role)s, 'USAGE')

-- name: control_role_members
-- Direct members that are no superusers: whoever is a member of those loses it with them.
SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid = %(role)s::regrole AND NOT m.rolsuper
 GROUP BY 1 ORDER BY 1

-- name: control_role_grantors
-- Since 16 a grant is taken back in the name of who made it; CASCADE takes those that rest on it. A superuser's count
-- as the bootstrap superuser's.
SELECT DISTINCT m.rolname, g.rolname
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.grantor
 WHERE a.roleid = %(role)s::regrole AND NOT m.rolsuper AND a.grantor <> 10
   AND g.rolsuper
 ORDER BY 1, 2
