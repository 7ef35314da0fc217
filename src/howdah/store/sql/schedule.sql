-- name: jobs
-- Times are seconds from now, by the store's clock.
SELECT name, extract(epoch FROM due_at - now())::float8, extract(epoch FROM now() - last_run_at)::float8, took_ms,
       result, failures, error
  FROM howdah.jobs

-- name: save
INSERT INTO howdah.jobs (name, due_at, last_run_at, took_ms, result, failures, error)
VALUES (%(name)s, now() + make_interval(secs => %(due_in)s), now() - make_interval(secs => %(run_ago)s), %(took_ms)s,
        %(result)s, %(failures)s, %(error)s)
ON CONFLICT (name) DO UPDATE
   SET due_at = excluded.due_at, last_run_at = excluded.last_run_at, took_ms = excluded.took_ms,
       result = excluded.result, failures = excluded.failures, error = excluded.error

-- name: lead
SELECT pg_try_advisory_lock(%(namespace)s, %(leader)s)
