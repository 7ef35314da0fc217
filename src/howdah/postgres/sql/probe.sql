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

-- name: ordinary_members
-- Who isn't a superuser and could act as the role, or give itself the right to.
SELECT m.rolname FROM pg_roles m
 WHERE NOT m.rolsuper AND m.rolname <> %(role)s AND pg_has_role(m.oid, %(role)s, 'MEMBER')
 ORDER BY 1

-- name: may_become
SELECT pg_has_role(session_user, %(role)s, 'MEMBER')

-- name: may_become_16
SELECT pg_has_role(session_user, %(role)s, 'SET') AND pg_has_role(session_user, %(role)s, 'USAGE')
