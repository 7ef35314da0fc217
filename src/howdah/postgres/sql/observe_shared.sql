-- What all databases of a server share. Parameters: roles (text[]), databases (text[]).

-- name: server
-- A provider's roles are told by the name of the bootstrap superuser, which nobody else can choose.
SELECT current_setting('server_version_num')::int, r.rolsuper, r.rolname, b.rolname,
       substring(b.rolname FROM '^(rds|cloudsql|azure)') AS provider,
       ARRAY(SELECT p.rolname FROM pg_roles p
              WHERE starts_with(p.rolname, substring(b.rolname FROM '^(rds|cloudsql|azure)'))
                AND p.rolname NOT IN (current_user, session_user))::text[] AS provider_roles
  FROM pg_roles r, pg_roles b
 WHERE r.rolname = current_user AND b.oid = 10

-- name: roles
SELECT rolname, oid, rolcanlogin, rolinherit, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
       rolconnlimit, nullif(rolvaliduntil, 'infinity') AS rolvaliduntil
  FROM pg_roles
 WHERE rolname = ANY (%(roles)s)

-- name: names
SELECT ARRAY(SELECT rolname FROM pg_roles WHERE rolname = ANY (%(roles)s))::text[],
       ARRAY(SELECT datname FROM pg_database WHERE datname = ANY (%(databases)s))::text[]

-- name: memberships
-- No join for the grantor: before 16 a membership outlives the role that granted it. Two looks by OID
-- go by the catalog's indexes; one by names would read all memberships of the server.
WITH ours AS (SELECT oid FROM pg_roles WHERE rolname = ANY (%(roles)s)),
found AS (
    SELECT * FROM pg_auth_members WHERE roleid = ANY (ARRAY(SELECT oid FROM ours))
    UNION ALL
    SELECT * FROM pg_auth_members
     WHERE member = ANY (ARRAY(SELECT oid FROM ours)) AND roleid <> ALL (ARRAY(SELECT oid FROM ours))),
named AS (
    SELECT (SELECT rolname FROM pg_roles WHERE oid = a.roleid) AS role,
           (SELECT rolname FROM pg_roles WHERE oid = a.member) AS member,
           pg_get_userbyid(a.grantor) AS grantor, a.admin_option,
           (to_jsonb(a) ->> 'inherit_option')::bool AS inherit_option,
           (to_jsonb(a) ->> 'set_option')::bool AS set_option
      FROM found a)
SELECT role, member, grantor, admin_option, inherit_option, set_option
  FROM named
 WHERE role IS NOT NULL AND member IS NOT NULL

-- name: settings
SELECT r.rolname, d.datname, split_part(s.setting, '=', 1) AS name,
       substr(s.setting, strpos(s.setting, '=') + 1) AS value
  FROM pg_db_role_setting p
  JOIN pg_roles r ON r.oid = p.setrole
  JOIN pg_database d ON d.oid = p.setdatabase
 CROSS JOIN unnest(p.setconfig) AS s (setting)
 WHERE r.rolname = ANY (%(roles)s)

-- name: databases
SELECT d.datname, d.oid, o.rolname AS owner, d.datallowconn, d.datistemplate, d.datconnlimit,
       (SELECT coalesce(json_agg(json_build_array(coalesce(ge.rolname, ''), x.privilege_type, gr.rolname, x.is_grantable)), '[]')
          FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
          LEFT JOIN pg_roles ge ON ge.oid = x.grantee
          LEFT JOIN pg_roles gr ON gr.oid = x.grantor) AS grants,
       NOT has_database_privilege(session_user, d.oid, 'CONNECT') AS barred
  FROM pg_database d
  JOIN pg_roles o ON o.oid = d.datdba
 WHERE d.datname = ANY (%(databases)s)

-- name: elsewhere
-- Which databases to look at say the dependencies: who is named in an ACL and doesn't own the object has one.
SELECT d.datname, json_agg(json_build_array(ge.rolname, x.privilege_type, gr.rolname, x.is_grantable)) AS grants
  FROM pg_database d
 CROSS JOIN LATERAL aclexplode(d.datacl) x
  JOIN pg_roles ge ON ge.oid = x.grantee
  LEFT JOIN pg_roles gr ON gr.oid = x.grantor
 WHERE d.oid = ANY (ARRAY(SELECT s.objid
                            FROM pg_shdepend s
                           WHERE s.refclassid = 'pg_authid'::regclass AND s.classid = 'pg_database'::regclass
                             AND s.refobjid = ANY (ARRAY(SELECT oid FROM pg_roles WHERE rolname = ANY (%(roles)s)))))
   AND ge.rolname = ANY (%(roles)s) AND x.grantee <> d.datdba
 GROUP BY d.datname

-- name: dependents
SELECT r.rolname, array_agg(DISTINCT d.datname) AS databases
  FROM pg_shdepend s
  JOIN pg_roles r ON r.oid = s.refobjid
  JOIN pg_database d ON d.oid = s.dbid
 WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = ANY (%(roles)s)
 GROUP BY r.rolname

-- name: shared_dependents
-- What no database holds and roles own or have privileges on: other databases that they own, tablespaces, parameters.
-- Grants on databases are in `elsewhere`.
SELECT r.rolname, array_agg(DISTINCT pg_describe_object(s.classid, s.objid, s.objsubid)) AS objects
  FROM pg_shdepend s
  JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = 0 AND r.rolname = ANY (%(roles)s)
   AND NOT (s.classid = 'pg_database'::regclass AND s.deptype <> 'o')
   -- The grantor of a membership (16+): the membership goes with the role.
   AND s.classid <> 'pg_auth_members'::regclass
   AND NOT (s.classid = 'pg_database'::regclass AND s.objid IN
            (SELECT oid FROM pg_database WHERE datname = ANY (%(databases)s)))
 GROUP BY r.rolname
