-- What a database's tables hold, so that two servers can be compared. Read by a superuser, in databases of apps.
-- Nothing of an app's is run: `row::text` would go through a cast that its owner may have made, record_out doesn't.

-- name: tables
-- Those with rows on disk, by OID, which a physical copy keeps. Counters are NULL-free; `columns` leaves out what is
-- computed when it is read.
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relpersistence = 'u' AS unlogged,
       coalesce(pg_relation_filenode(c.oid), 0) AS filenode,
       pg_stat_get_tuples_inserted(c.oid) AS inserted,
       pg_stat_get_tuples_updated(c.oid) AS updated,
       pg_stat_get_tuples_deleted(c.oid) AS deleted,
       pg_relation_size(c.oid) AS size,
       ARRAY(SELECT a.attname FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
              ORDER BY a.attnum)::text[] AS columns
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm')
   AND (c.relkind = 'r' OR c.relispopulated)
   AND c.relpersistence <> 't'
   AND (%(only)s::oid IS NULL OR c.oid = %(only)s::oid)
   AND (n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') OR c.oid = 'pg_largeobject'::regclass)
 ORDER BY n.nspname, c.relname;

-- name: form
-- How values look as text must not depend on what a database or a role was set to.
SELECT set_config('statement_timeout', '0', true), set_config('timezone', 'UTC', true),
       set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
       set_config('lc_monetary', 'C', true), set_config('quote_all_identifiers', 'off', true),
       set_config('xmlbinary', 'base64', true), set_config('row_security', 'off', true);

-- name: waiting
-- Whether somebody waits for what the session holds.
SELECT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted AND %(pid)s = ANY (pg_blocking_pids(l.pid)));

-- name: in_use
-- Whether a session that is still there may have changed something in the database that it hasn't reported yet.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
     WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND pid <> pg_backend_pid() AND backend_type = 'client backend'
       AND (xact_start IS NOT NULL OR state_change > %(since)s));
