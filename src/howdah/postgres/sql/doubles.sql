-- Of logins and their doubles. Parameter: roles (text[]).

-- name: settings
SELECT r.rolname::text, d.datname::text, split_part(s.setting, '=', 1), substr(s.setting, strpos(s.setting, '=') + 1)
  FROM pg_db_role_setting p
  JOIN pg_roles r ON r.oid = p.setrole
  LEFT JOIN pg_database d ON d.oid = p.setdatabase
 CROSS JOIN unnest(p.setconfig) AS s (setting)
 WHERE r.rolname = ANY (%(roles)s)
 ORDER BY 1, 2, 3

-- name: likeness
SELECT r.rolname::text,
       concat_ws(' ', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls),
       (SELECT string_agg(concat_ws(' ', m.roleid, m.admin_option, to_jsonb(m) ->> 'inherit_option', to_jsonb(m) ->> 'set_option'),
                          ', ' ORDER BY m.roleid)
          FROM pg_auth_members m WHERE m.member = r.oid),
       (SELECT string_agg(concat_ws(' ', p.setdatabase, s.setting), ', ' ORDER BY p.setdatabase, s.setting)
          FROM pg_db_role_setting p CROSS JOIN unnest(p.setconfig) AS s (setting) WHERE p.setrole = r.oid)
  FROM pg_roles r
 WHERE r.rolname = ANY (%(roles)s)
