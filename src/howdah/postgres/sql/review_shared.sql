-- What all databases of a server share, read to see what is open: for all roles at once, not for one app's.

-- name: reach
-- Which databases each login, and each of `roles` besides, may connect to. Roles are the outer loop and databases the
-- inner one, as OFFSET 0 keeps them: PostgreSQL caches the memberships of one role, and the other way round each answer
-- would look them up anew.
SELECT r.rolname::text, d.names
  FROM (SELECT oid, rolname FROM pg_roles
         WHERE NOT rolsuper AND (rolcanlogin OR rolname = ANY (%(roles)s::text[])) OFFSET 0) r,
       LATERAL (SELECT array_agg(datname::text) AS names FROM pg_database
                 WHERE datallowconn AND has_database_privilege(r.oid, oid, 'CONNECT') OFFSET 0) d
 WHERE d.names IS NOT NULL

-- name: memberships
-- Every edge. Before 16 it has no options, and a member inherits as its role says, and may always SET ROLE.
SELECT r.rolname::text, m.rolname::text, pg_get_userbyid(a.grantor)::text, a.admin_option,
       (to_jsonb(a) ->> 'inherit_option')::bool, (to_jsonb(a) ->> 'set_option')::bool
  FROM pg_auth_members a
  JOIN pg_roles r ON r.oid = a.roleid
  JOIN pg_roles m ON m.oid = a.member

-- name: roles
SELECT rolname::text, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
  FROM pg_roles
 WHERE rolsuper OR rolname = ANY (%(roles)s::text[])

-- name: settings
-- Of roles and databases, and whether only a superuser could set it for a session.
SELECT coalesce(r.rolname, '')::text, coalesce(d.datname, '')::text,
       split_part(s.setting, '=', 1), substr(s.setting, strpos(s.setting, '=') + 1),
       coalesce((SELECT g.context IN ('superuser', 'superuser-backend') FROM pg_settings g
                  WHERE g.name = split_part(s.setting, '=', 1)), false)
  FROM pg_db_role_setting p
  LEFT JOIN pg_roles r ON r.oid = p.setrole
  LEFT JOIN pg_database d ON d.oid = p.setdatabase
 CROSS JOIN unnest(p.setconfig) AS s (setting)
 WHERE r.rolname = ANY (%(roles)s::text[]) OR d.datname = ANY (%(databases)s::text[])

-- name: databases
SELECT d.datname::text, pg_get_userbyid(d.datdba)::text, d.datistemplate,
       coalesce(g.rolname, '')::text, x.privilege_type, x.is_grantable
  FROM pg_database d
  LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x ON x.grantee <> d.datdba
  LEFT JOIN pg_roles g ON g.oid = x.grantee

-- name: tablespaces
SELECT t.spcname::text, coalesce(g.rolname, '')::text, x.privilege_type
  FROM pg_tablespace t
 CROSS JOIN LATERAL aclexplode(t.spcacl) x
  LEFT JOIN pg_roles g ON g.oid = x.grantee
 WHERE x.grantee <> t.spcowner

-- name: parameters
-- Since 15.
SELECT p.parname, coalesce(g.rolname, '')::text, x.privilege_type
  FROM pg_parameter_acl p
 CROSS JOIN LATERAL aclexplode(p.paracl) x
  LEFT JOIN pg_roles g ON g.oid = x.grantee
 WHERE x.grantee <> 10

-- name: elsewhere
-- What belongs to `roles`, or is granted to them, by database; what is in none of them has an empty name.
SELECT r.rolname::text, coalesce(d.datname, '')::text, s.deptype = 'o',
       CASE WHEN s.dbid = 0 THEN pg_describe_object(s.classid, s.objid, s.objsubid)
            ELSE s.classid::regclass::text || ' ' || s.objid END, count(*)
  FROM pg_shdepend s
  JOIN pg_roles r ON r.oid = s.refobjid
  LEFT JOIN pg_database d ON d.oid = s.dbid
 WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = ANY (%(roles)s::text[])
   -- Memberships and databases are looked at themselves.
   AND s.classid <> 'pg_auth_members'::regclass AND s.classid <> 'pg_database'::regclass
 GROUP BY 1, 2, 3, 4
