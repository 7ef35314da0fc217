-- Where there is room in tables of a full database.

-- name: settings
SELECT set_config('lock_timeout', %(lock_timeout)s, false), set_config('statement_timeout', '0', false)

-- name: deleted
SELECT schemaname::text, relname::text FROM pg_stat_user_tables
 WHERE n_dead_tup > 0 OR n_mod_since_analyze > 0
 ORDER BY n_dead_tup DESC
 LIMIT 100

-- name: loose
-- Tables of 1 MB or more that are twice as long as their rows, as far as ANALYZE knows: a row has a header of 24 bytes
-- and a pointer of 4.
SELECT n.nspname::text, c.relname::text
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%%'
   AND c.reltuples >= 0 AND pg_relation_size(c.oid) > 1048576
   AND pg_relation_size(c.oid) > 2 * c.reltuples * (
       28 + coalesce((SELECT sum(s.avg_width) FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname), 0))
 ORDER BY pg_relation_size(c.oid) DESC
 LIMIT 20
