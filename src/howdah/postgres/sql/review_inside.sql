-- What only a connection to an app's database can tell, read to see what is open. Parameters: owner, rw, ro, reader
-- (the groups, and what reads), roles (all of the app's).

-- name: privileges
-- Every entry of every access control list that PostgreSQL itself, or an extension, didn't bring along, but for those of
-- an object's own owner: (kind, identity, column, owner, system, grantee, privilege, grantable). A list that is missing
-- is the built-in one, which says nothing of system objects; of the app's own it gives PUBLIC its routines and types.
WITH schemas AS (
    SELECT oid, nspname, nspname ~ '^pg_' OR nspname = 'information_schema' AS system FROM pg_namespace),
objects AS (
    SELECT 'SCHEMA' AS kind, quote_ident(n.nspname) AS identity, 'pg_namespace'::regclass AS classid, n.oid AS objid,
           0 AS sub, n.nspowner AS owner, n.nspacl AS acl, acldefault('n', n.nspowner) AS built_in, s.system
      FROM pg_namespace n JOIN schemas s ON s.oid = n.oid
    UNION ALL
    SELECT CASE WHEN c.relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('%%I.%%I', s.nspname, c.relname),
           'pg_class'::regclass, c.oid, 0, c.relowner, c.relacl,
           acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner), s.system
      FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relacl IS NOT NULL
    UNION ALL
    SELECT 'COLUMN', format('%%I.%%I', s.nspname, c.relname), 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl,
           NULL::aclitem[], s.system
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN schemas s ON s.oid = c.relnamespace
     WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'ROUTINE', CASE WHEN s.nspname = 'pg_catalog' THEN 'pg_catalog.' ELSE '' END || p.oid::regprocedure::text,
           'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl, acldefault('f', p.proowner), s.system
      FROM pg_proc p JOIN schemas s ON s.oid = p.pronamespace
     WHERE p.proacl IS NOT NULL OR NOT s.system
    UNION ALL
    SELECT 'TYPE', format('%%I.%%I', s.nspname, t.typname), 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl,
           acldefault('T', t.typowner), s.system
      FROM pg_type t JOIN schemas s ON s.oid = t.typnamespace
     WHERE t.typacl IS NOT NULL
    UNION ALL
    SELECT 'LANGUAGE', quote_ident(l.lanname), 'pg_language'::regclass, l.oid, 0, l.lanowner, l.lanacl,
           acldefault('l', l.lanowner), true
      FROM pg_language l WHERE l.lanacl IS NOT NULL
    UNION ALL
    SELECT 'FOREIGN DATA WRAPPER', quote_ident(f.fdwname), 'pg_foreign_data_wrapper'::regclass, f.oid, 0, f.fdwowner,
           f.fdwacl, acldefault('F', f.fdwowner), true
      FROM pg_foreign_data_wrapper f WHERE f.fdwacl IS NOT NULL
    UNION ALL
    SELECT 'FOREIGN SERVER', quote_ident(f.srvname), 'pg_foreign_server'::regclass, f.oid, 0, f.srvowner, f.srvacl,
           acldefault('S', f.srvowner), false
      FROM pg_foreign_server f WHERE f.srvacl IS NOT NULL
    UNION ALL
    SELECT 'LARGE OBJECT', min(l.oid)::text, 'pg_largeobject'::regclass, min(l.oid), 0, l.lomowner, l.lomacl,
           acldefault('L', l.lomowner), false
      FROM (SELECT oid, lomowner, lomacl, lomacl::text AS text FROM pg_largeobject_metadata
             WHERE lomacl IS NOT NULL) l
     GROUP BY l.lomowner, l.lomacl),
members AS (
    -- A range type's constructors are its own.
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e' OR (deptype = 'i' AND classid = 'pg_proc'::regclass)),
entries AS (
    SELECT o.kind, o.identity, o.objid, o.sub, o.owner, o.system OR m.objid IS NOT NULL AS system,
           x.grantee, x.privilege_type, x.is_grantable
      FROM objects o
      LEFT JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = o.sub
      LEFT JOIN members m ON m.classid = o.classid AND m.objid = o.objid
     CROSS JOIN LATERAL aclexplode(coalesce(o.acl, o.built_in)) x
     WHERE x.grantee <> o.owner
       AND NOT ((o.system OR m.objid IS NOT NULL) AND (x.grantee, x.privilege_type, x.is_grantable) IN (
                SELECT b.grantee, b.privilege_type, b.is_grantable
                  FROM aclexplode(coalesce(i.initprivs, o.built_in)) b)))
SELECT e.kind, e.identity, (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = e.objid AND attnum = e.sub AND e.kind = 'COLUMN'),
       pg_get_userbyid(e.owner)::text, e.system, coalesce(g.rolname, '')::text, e.privilege_type, e.is_grantable
  FROM entries e
  LEFT JOIN pg_roles g ON g.oid = e.grantee

-- name: defaults
SELECT pg_get_userbyid(d.defaclrole)::text, quote_ident(n.nspname),
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES'
            WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
       coalesce(g.rolname, '')::text, x.privilege_type, x.is_grantable
  FROM pg_default_acl d
  LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
 CROSS JOIN LATERAL aclexplode(d.defaclacl) x
  LEFT JOIN pg_roles g ON g.oid = x.grantee
 WHERE x.grantee <> d.defaclrole

-- name: writable
-- By what `reader` may change something, whoever gave it: by PUBLIC, by another group, by a column.
SELECT 'TABLE', format('%%I.%%I', n.nspname, c.relname), p.privilege
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) AS p (privilege)
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (has_table_privilege(%(reader)s, c.oid, p.privilege)
        OR (p.privilege IN ('INSERT', 'UPDATE', 'REFERENCES')
            AND has_any_column_privilege(%(reader)s, c.oid, p.privilege)))
   -- A view that PUBLIC may write to by the catalogs' own rights, as PostgreSQL ships it.
   AND NOT (n.nspname = 'pg_catalog' AND c.relname = 'pg_settings' AND p.privilege = 'UPDATE')
UNION ALL
SELECT 'SEQUENCE', format('%%I.%%I', n.nspname, c.relname), p.privilege
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN (VALUES ('USAGE'), ('UPDATE')) AS p (privilege)
 WHERE c.relkind = 'S' AND has_sequence_privilege(%(reader)s, c.oid, p.privilege)
UNION ALL
SELECT 'SCHEMA', quote_ident(n.nspname), 'CREATE'
  FROM pg_namespace n
 WHERE n.nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege(%(reader)s, n.oid, 'CREATE')
UNION ALL
SELECT 'ROUTINE', p.oid::regprocedure::text, 'EXECUTE'
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND has_function_privilege(%(reader)s, p.oid, 'EXECUTE')
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype IN ('e', 'i'))
UNION ALL
SELECT 'ROUTINE', 'pg_catalog.' || p.oid::regprocedure::text, 'EXECUTE'
  FROM pg_proc p
 WHERE p.pronamespace = 'pg_catalog'::regnamespace
   AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
   AND has_function_privilege(%(reader)s, p.oid, 'EXECUTE')
UNION ALL
SELECT 'DATABASE', quote_ident(current_database()), p.privilege
  FROM (VALUES ('CREATE'), ('TEMPORARY')) AS p (privilege)
 WHERE has_database_privilege(%(reader)s, current_database(), p.privilege)

-- name: unreadable
SELECT format('%%I.%%I', n.nspname, c.relname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
   AND NOT (has_schema_privilege(%(reader)s, n.oid, 'USAGE') AND has_table_privilege(%(reader)s, c.oid, 'SELECT'))
 ORDER BY 1

-- name: definers
SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.prosecdef

-- name: owners
-- What in the app's own schemas is neither an extension's nor the owner group's, and what of it anywhere is another of
-- the app's roles'.
SELECT kind, identity, pg_get_userbyid(owner)::text
  FROM (SELECT 'schema' AS kind, quote_ident(nspname) AS identity, nspowner AS owner, 'pg_namespace'::regclass AS classid, oid,
               nspname AS schema
          FROM pg_namespace
        UNION ALL
        SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                    WHEN 'f' THEN 'foreign table' ELSE 'table' END,
               format('%%I.%%I', n.nspname, relname), relowner, 'pg_class'::regclass, c.oid, n.nspname
          FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL
        SELECT 'routine', p.oid::regprocedure::text, proowner, 'pg_proc'::regclass, p.oid, n.nspname
          FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        UNION ALL
        SELECT 'type', format('%%I.%%I', n.nspname, typname), typowner, 'pg_type'::regclass, t.oid, n.nspname
          FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
         WHERE typtype IN ('e', 'd', 'r')
        UNION ALL
        SELECT 'operator', o.oid::regoperator::text, oprowner, 'pg_operator'::regclass, o.oid, n.nspname
          FROM pg_operator o JOIN pg_namespace n ON n.oid = oprnamespace) o
 WHERE schema !~ '^pg_' AND schema <> 'information_schema' AND pg_get_userbyid(owner) <> %(owner)s
   -- As the server ships it, where howdah can't change it; what is granted on it is looked at apart.
   AND NOT (kind = 'schema' AND identity = 'public' AND (owner = 10 OR pg_get_userbyid(owner) = 'pg_database_owner'))
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.classid AND e.objid = o.oid AND e.deptype IN ('e', 'i'))
UNION ALL
SELECT 'large object', min(oid)::text, pg_get_userbyid(lomowner)::text
  FROM pg_largeobject_metadata WHERE pg_get_userbyid(lomowner) <> %(owner)s
 GROUP BY lomowner
UNION ALL
SELECT DISTINCT 'object', 'something of ' || s.classid::regclass::text, r.rolname::text
  FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND r.rolname = ANY (%(roles)s) AND r.rolname <> %(owner)s
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.classid NOT IN ('pg_namespace'::regclass, 'pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass,
                         'pg_operator'::regclass, 'pg_largeobject'::regclass, 'pg_default_acl'::regclass)

-- name: ways_out
-- Code and connections that lead out of the database: (what, identity, who).
SELECT 'untrusted language called trusted', quote_ident(lanname), pg_get_userbyid(lanowner)::text
  FROM pg_language WHERE (lanname IN ('c', 'internal') OR lanname ~ '^pl.*u$') AND lanpltrusted
UNION ALL
SELECT 'foreign data wrapper', quote_ident(f.fdwname), r.role
  FROM pg_foreign_data_wrapper f CROSS JOIN unnest(%(roles)s::text[]) AS r (role)
 WHERE has_foreign_data_wrapper_privilege(r.role, f.oid, 'USAGE')
UNION ALL
SELECT 'foreign server', quote_ident(f.srvname), r.role
  FROM pg_foreign_server f CROSS JOIN unnest(%(roles)s::text[]) AS r (role)
 WHERE has_server_privilege(r.role, f.oid, 'USAGE')
UNION ALL
SELECT 'subscription', quote_ident(subname), pg_get_userbyid(subowner)::text
  FROM pg_subscription
 WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND pg_get_userbyid(subowner) = ANY (%(roles)s)
UNION ALL
SELECT 'publication of everything', quote_ident(pubname), pg_get_userbyid(pubowner)::text
  FROM pg_publication WHERE puballtables AND pg_get_userbyid(pubowner) = ANY (%(roles)s)
UNION ALL
-- Whoever may replace its function has it run by whoever makes or drops something there: by a superuser, too.
SELECT 'event trigger', quote_ident(t.evtname), pg_get_userbyid(p.proowner)::text
  FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid
 WHERE pg_get_userbyid(p.proowner) = ANY (%(roles)s) OR pg_get_userbyid(t.evtowner) = ANY (%(roles)s)
UNION ALL
SELECT 'extension', quote_ident(extname), pg_get_userbyid(extowner)::text
  FROM pg_extension
 WHERE extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'plpython3u', 'plperlu', 'pltclu', 'plsh', 'pg_cron',
                   'http', 'pg_net', 'pageinspect', 'pg_surgery')
UNION ALL
-- It runs with its owner's rights, and whoever may call it has them.
SELECT 'routine with another''s rights', p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosecdef AND pg_get_userbyid(p.proowner) <> ALL (%(roles)s)
   AND EXISTS (SELECT FROM unnest(%(roles)s::text[]) AS r (role) WHERE has_function_privilege(r.role, p.oid, 'EXECUTE'))
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
UNION ALL
SELECT 'function in an untrusted language', p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT l.lanpltrusted
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype IN ('e', 'i'))
   AND l.lanname <> 'internal'

-- name: targets
-- What attempts are made on, where it is there: a table and a column that can be written, a schema, a sequence …
SELECT (SELECT format('%%I.%%I', n.nspname, c.relname) || E'\n' || quote_ident(a.attname)
          FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND pg_get_userbyid(c.relowner) = %(owner)s AND a.attnum > 0
           AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
         ORDER BY c.relkind DESC, c.oid, a.attnum LIMIT 1) AS table,
       (SELECT quote_ident(nspname) FROM pg_namespace
         WHERE pg_get_userbyid(nspowner) = %(owner)s ORDER BY nspname = 'public', oid LIMIT 1) AS schema,
       (SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname = 'public') AS public,
       (SELECT format('%%I.%%I', n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND pg_get_userbyid(c.relowner) = %(owner)s ORDER BY c.oid LIMIT 1) AS sequence,
       (SELECT format('%%I.%%I', n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'm' AND pg_get_userbyid(c.relowner) = %(owner)s ORDER BY c.oid LIMIT 1) AS matview,
       (SELECT min(oid)::text FROM pg_largeobject_metadata
         WHERE pg_get_userbyid(lomowner) = %(owner)s) AS large_object,
       (SELECT quote_ident(e.name)
          FROM pg_available_extensions e
          JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
         WHERE e.name IN ('tcn', 'fuzzystrmatch', 'citext') AND v.trusted AND e.installed_version IS NULL
         ORDER BY e.name DESC LIMIT 1) AS extension

-- name: same
-- What each of `roles` may, as one figure for each kind of thing: two roles with the same figures may the same.
SELECT r.role, k.kind, k.figure
  FROM unnest(%(roles)s::text[]) AS r (role)
 CROSS JOIN LATERAL (
    SELECT 'databases' AS kind,
           (SELECT md5(string_agg(concat(oid, has_database_privilege(r.role, oid, 'CONNECT'),
                                         has_database_privilege(r.role, oid, 'CREATE'),
                                         has_database_privilege(r.role, oid, 'TEMPORARY')), ',' ORDER BY oid))
              FROM pg_database) AS figure
    UNION ALL
    SELECT 'schemas',
           (SELECT md5(string_agg(concat(oid, has_schema_privilege(r.role, oid, 'USAGE'),
                                         has_schema_privilege(r.role, oid, 'CREATE')), ',' ORDER BY oid))
              FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_')
    UNION ALL
    SELECT 'tables',
           (SELECT md5(string_agg(concat(oid, has_table_privilege(r.role, oid, 'SELECT'), has_table_privilege(r.role, oid, 'INSERT'),
                                         has_table_privilege(r.role, oid, 'UPDATE'), has_table_privilege(r.role, oid, 'DELETE'),
                                         has_table_privilege(r.role, oid, 'TRUNCATE'),
                                         has_table_privilege(r.role, oid, 'REFERENCES'),
                                         has_table_privilege(r.role, oid, 'TRIGGER'),
                                         has_any_column_privilege(r.role, oid, 'SELECT, INSERT, UPDATE, REFERENCES')), ',' ORDER BY oid))
              FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relpersistence <> 't')
    UNION ALL
    SELECT 'sequences',
           (SELECT md5(string_agg(concat(oid, has_sequence_privilege(r.role, oid, 'USAGE'), has_sequence_privilege(r.role, oid, 'SELECT'),
                                         has_sequence_privilege(r.role, oid, 'UPDATE')), ',' ORDER BY oid))
              FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't')
    UNION ALL
    SELECT 'routines', (SELECT md5(string_agg(concat(oid, has_function_privilege(r.role, oid, 'EXECUTE')), ',' ORDER BY oid)) FROM pg_proc)
    UNION ALL
    SELECT 'types', (SELECT md5(string_agg(concat(oid, has_type_privilege(r.role, oid, 'USAGE')), ',' ORDER BY oid)) FROM pg_type
                      WHERE typacl IS NOT NULL)
    UNION ALL
    SELECT 'languages', (SELECT md5(string_agg(concat(oid, has_language_privilege(r.role, oid, 'USAGE')), ',' ORDER BY oid)) FROM pg_language)
    UNION ALL
    SELECT 'foreign data wrappers and servers',
           (SELECT md5(concat((SELECT string_agg(concat(oid, has_foreign_data_wrapper_privilege(r.role, oid, 'USAGE')), ',' ORDER BY oid)
                                 FROM pg_foreign_data_wrapper),
                              (SELECT string_agg(concat(oid, has_server_privilege(r.role, oid, 'USAGE')), ',' ORDER BY oid)
                                 FROM pg_foreign_server))))
    UNION ALL
    SELECT 'tablespaces', (SELECT md5(string_agg(concat(oid, has_tablespace_privilege(r.role, oid, 'CREATE')), ',' ORDER BY oid)) FROM pg_tablespace)
    UNION ALL
    SELECT 'large objects',
           (SELECT md5(string_agg(concat(l.acl, x.privilege_type), ',' ORDER BY l.acl, x.privilege_type))
              FROM (SELECT DISTINCT lomacl::text AS acl FROM pg_largeobject_metadata WHERE lomacl IS NOT NULL) l
             CROSS JOIN LATERAL aclexplode(l.acl::aclitem[]) x
             WHERE CASE WHEN x.grantee = 0 THEN true ELSE pg_has_role(r.role, x.grantee, 'USAGE') END)) k
