-- What only a connection to the database can tell. Members of extensions are left out everywhere: they belong
-- to whoever made the extension. Privileges come as [[grantee, privilege, grantor, grantable], …], PUBLIC as ''.

-- name: schemas
SELECT 'SCHEMA' AS kind, quote_ident(n.nspname) AS identity, o.rolname AS owner,
       true AS own_owner, NULL::text AS col, coalesce(n.nspacl, acldefault('n', n.nspowner))::text AS acl
  FROM pg_namespace n
  JOIN pg_roles o ON o.oid = n.nspowner
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
 ORDER BY n.nspname

-- name: relations
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                      WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
       format('%I.%I', n.nspname, c.relname) AS identity, o.rolname AS owner,
       -- The owner of a serial or identity column's sequence follows the table's.
       NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend t WHERE t.classid = 'pg_class'::regclass AND t.objid = c.oid
            AND t.refclassid = 'pg_class'::regclass AND t.refobjsubid > 0 AND t.deptype IN ('a', 'i'))) AS own_owner,
       NULL::text AS col,
       coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))::text AS acl
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles o ON o.oid = c.relowner
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY n.nspname, c.relname

-- name: columns
SELECT 'TABLE' AS kind, format('%I.%I', n.nspname, c.relname) AS identity, o.rolname AS owner,
       false AS own_owner, quote_ident(a.attname) AS col, a.attacl::text AS acl
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles o ON o.oid = c.relowner
 WHERE a.attacl IS NOT NULL AND cardinality(a.attacl) > 0 AND NOT a.attisdropped
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY n.nspname, c.relname, a.attnum

-- name: routines
-- regprocedure's text names the input arguments, qualified where need be: ALTER and GRANT … ON ROUTINE take it.
SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS identity, o.rolname AS owner,
       true AS own_owner, NULL::text AS col, coalesce(p.proacl, acldefault('f', p.proowner))::text AS acl,
       p.prosecdef AS definer
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_roles o ON o.oid = p.proowner
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
   -- A range type's constructors are its own.
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'i')
 ORDER BY p.oid

-- name: types
SELECT 'TYPE' AS kind, format('%I.%I', n.nspname, t.typname) AS identity, o.rolname AS owner,
       true AS own_owner, NULL::text AS col, NULL::text AS acl
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  JOIN pg_roles o ON o.oid = t.typowner
  LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
 ORDER BY n.nspname, t.typname

-- name: large_objects
-- There may be millions, and nearly all are alike: one row for up to 500 of the same owner and privileges.
SELECT 'LARGE OBJECT' AS kind, string_agg(l.oid::text, ', ' ORDER BY l.oid) AS identity, o.rolname AS owner,
       true AS own_owner, NULL::text AS col, l.acl
  FROM (SELECT oid, lomowner, coalesce(lomacl, acldefault('L', lomowner))::text AS acl,
               row_number() OVER (PARTITION BY lomowner, lomacl::text ORDER BY oid) / 500 AS chunk
          FROM pg_largeobject_metadata) l
  JOIN pg_roles o ON o.oid = l.lomowner
 GROUP BY o.rolname, l.acl, l.chunk
 ORDER BY min(l.oid)

-- name: writers
-- Built-in functions that write without any privilege on a table.
SELECT 'ROUTINE' AS kind, format('pg_catalog.%s', p.oid::regprocedure) AS identity, o.rolname AS owner,
       false AS own_owner, NULL::text AS col, coalesce(p.proacl, acldefault('f', p.proowner))::text AS acl
  FROM pg_proc p
  JOIN pg_roles o ON o.oid = p.proowner
 WHERE p.pronamespace = 'pg_catalog'::regnamespace
   AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
 ORDER BY 2

-- name: guard
-- The parts of the guard that are as they should be; %(body)s is its function's.
WITH guard AS (
    SELECT p.oid AS function, t.oid AS trigger, t.evtenabled IN ('O', 'A') AS enabled,
           p.prosrc = %(body)s AND NOT p.prosecdef AND p.proconfig = '{search_path=pg_catalog}' AS sound
      FROM pg_proc p
      LEFT JOIN pg_event_trigger t ON t.evtname = 'howdah_guard' AND t.evtfoid = p.oid
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = 'howdah_guard'),
members AS (
    SELECT d.classid, d.objid
      FROM pg_depend d
      JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
     WHERE d.deptype = 'e' AND e.extname = 'plpgsql')
SELECT array_remove(ARRAY[
           CASE WHEN sound THEN 'function' END,
           CASE WHEN trigger IS NOT NULL THEN 'trigger' END,
           CASE WHEN enabled THEN 'enabled' END,
           CASE WHEN EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = function)
                THEN 'function in plpgsql' END,
           CASE WHEN EXISTS (SELECT FROM members WHERE classid = 'pg_event_trigger'::regclass AND objid = trigger)
                THEN 'trigger in plpgsql' END], NULL)
  FROM guard

-- name: default_privileges
SELECT r.rolname AS creator, n.nspname AS schema,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
                            WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END AS kind,
       d.defaclacl::text AS acl
  FROM pg_default_acl d
  JOIN pg_roles r ON r.oid = d.defaclrole
  LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
 WHERE r.rolname = ANY (%(roles)s)
 ORDER BY 1, 2, 3

-- name: explode
-- The distinct lists of the other queries, each taken apart once: thousands of tables share a handful.
SELECT a.acl, json_agg(json_build_array(coalesce(ge.rolname, ''), x.privilege_type, gr.rolname, x.is_grantable)) AS grants
  FROM unnest(%(acls)s::text[]) AS a (acl)
 CROSS JOIN LATERAL aclexplode(a.acl::aclitem[]) x
  LEFT JOIN pg_roles ge ON ge.oid = x.grantee
  LEFT JOIN pg_roles gr ON gr.oid = x.grantor
 GROUP BY a.acl

-- name: owners
-- Every role of ours that owns anything here, of whatever kind (default privileges "belong" to who set them).
SELECT DISTINCT r.rolname
  FROM pg_shdepend s
  JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND s.classid <> 'pg_default_acl'::regclass
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND r.rolname = ANY (%(roles)s)
