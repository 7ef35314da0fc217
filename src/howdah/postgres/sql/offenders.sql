-- Sessions of limited logins that are over their time. A login can set these timeouts to anything: what counts here
-- is what the server says of the session. Times are in seconds; NULL is no limit.

-- name: active
SELECT DISTINCT usename::text FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND usename IS NOT NULL AND state IS DISTINCT FROM 'idle'

-- name: offenders
SELECT a.pid, a.usename::text, a.datname::text, o.limit_name, extract(epoch FROM o.since)::float8 AS seconds,
       coalesce(a.query_start, a.backend_start)::text AS began
  FROM unnest(%(logins)s::text[], %(statement)s::int[], %(idle)s::int[], %(transaction)s::int[], %(lock)s::int[])
       AS l (login, statement, idle, transaction, lock)
  JOIN pg_stat_activity a ON a.usename = l.login AND a.backend_type = 'client backend'
 CROSS JOIN LATERAL (VALUES
       ('transaction_timeout', l.transaction, clock_timestamp() - a.xact_start),
       ('idle_in_transaction_session_timeout', l.idle,
        CASE WHEN a.state LIKE 'idle in transaction%%' THEN clock_timestamp() - a.state_change END),
       ('statement_timeout', l.statement,
        CASE WHEN a.state IN ('active', 'fastpath function call') THEN clock_timestamp() - a.query_start END),
       ('lock_timeout', l.lock, CASE WHEN a.wait_event_type = 'Lock' THEN {waited} END)
       ) AS o (limit_name, most, since)
 WHERE extract(epoch FROM o.since) > o.most + %(grace)s

-- name: waited
-- Since PostgreSQL 14.
(SELECT clock_timestamp() - min(k.waitstart) FROM pg_locks k WHERE k.pid = a.pid AND NOT k.granted)

-- name: cancel
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
 WHERE pid = %(pid)s AND usename = %(login)s AND coalesce(query_start, backend_start)::text = %(began)s

-- name: end
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = %(pid)s AND usename = %(login)s AND coalesce(query_start, backend_start)::text = %(began)s

-- name: sessions
SELECT usename::text, count(*)::int FROM pg_stat_activity WHERE usename = ANY (%(logins)s) GROUP BY 1
