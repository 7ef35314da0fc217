-- What a copy of a whole cluster depends on. Needs no privilege, but for the size.

-- name: cluster
SELECT (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = session_user),
       (SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1),
       ARRAY(SELECT spcname::text FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1),
       current_setting('synchronous_standby_names'),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
       coalesce(current_setting('summarize_wal', true) = 'on', false)

-- name: size
SELECT sum(pg_database_size(oid)) FROM pg_database

-- name: keepalives
-- A session whose other end is gone without a word is found out within a minute or so.
SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
       set_config('tcp_keepalives_count', '3', false), set_config('statement_timeout', '20s', false)

-- name: reserve
SELECT pg_create_physical_replication_slot(%(name)s, true, true)

-- name: advance
SELECT pg_replication_slot_advance(%(name)s, %(lsn)s::pg_lsn)
