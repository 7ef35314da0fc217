-- What an app might call as PostgreSQL calls its own. Run as the app's owner. Parameters: functions (text[]), schema.

-- name: schema
SELECT nspname::text FROM pg_namespace
 WHERE nspname = 'public' AND has_schema_privilege(oid, 'CREATE')

-- name: statements
-- Functions that fit a call better than the built-in ones, whose arguments are of other types: PostgreSQL takes the
-- best fit of all schemas that it looks into, before the first one. Of operators, those for pairs of common types.
WITH called AS (
    SELECT DISTINCT p.proname, p.pronargs
      FROM pg_proc p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (%(functions)s) AND p.pronargs BETWEEN 1 AND 4),
types (type) AS (VALUES ('text'), ('name')),
functions AS (
    SELECT format('%%I.%%I(%%s)', %(schema)s::text, c.proname,
                  array_to_string(array_fill(t.type, ARRAY[c.pronargs::int]), ', ')) AS signature
      FROM called c CROSS JOIN types t)
SELECT format('CREATE FUNCTION %%s RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE ''poisoned'' USING ERRCODE = ''HWDAH''; END$$',
              f.signature)
  FROM functions f
 WHERE to_regprocedure(f.signature) IS NULL
UNION ALL
SELECT format('CREATE FUNCTION %%I.howdah_x_poison(%%s, %%s) RETURNS boolean LANGUAGE plpgsql AS '
              '$$BEGIN RAISE ''poisoned'' USING ERRCODE = ''HWDAH''; END$$', %(schema)s::text, l.type, r.type)
  FROM (VALUES ('text'), ('name'), ('oid')) AS l (type) CROSS JOIN (VALUES ('text'), ('name'), ('oid')) AS r (type)

-- name: operators
WITH types (type) AS (VALUES ('text'), ('name'), ('oid')),
operators (name) AS (VALUES ('='), ('<>'), ('~'), ('!~'), ('||'))
SELECT format('CREATE OPERATOR %%I.%%s (LEFTARG = %%s, RIGHTARG = %%s, FUNCTION = %%I.howdah_x_poison)',
              %(schema)s::text, o.name, l.type, r.type, %(schema)s::text)
  FROM operators o CROSS JOIN types l CROSS JOIN types r
 WHERE NOT EXISTS (SELECT FROM pg_operator e
                    WHERE e.oprname = o.name AND e.oprleft = l.type::regtype AND e.oprright = r.type::regtype
                      AND e.oprnamespace = to_regnamespace(%(schema)s::text))

-- name: searched
SELECT current_schemas(true)::text
