-- name: add
INSERT INTO howdah.operations (id, kind, app, actor, idempotency_key)
VALUES (%(id)s, %(kind)s, %(app)s, %(actor)s, %(key)s)
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id

-- name: by_key
SELECT id, kind, app, actor, state, started_at, finished_at, error, answer
  FROM howdah.operations WHERE idempotency_key = %(key)s

-- name: restart
UPDATE howdah.operations SET state = 'running', error = NULL, finished_at = NULL, started_at = now() WHERE id = %(id)s

-- name: finish
UPDATE howdah.operations
   SET state = %(state)s, answer = %(answer)s, error = %(error)s, finished_at = now()
 WHERE id = %(id)s

-- name: interrupt_running
-- Whatever nobody works on is no longer running: its control plane ended, or its end couldn't be recorded.
UPDATE howdah.operations SET state = 'interrupted', finished_at = now() WHERE state = 'running' AND id <> ALL (%(active)s)

-- name: list
SELECT id, kind, app, actor, state, started_at, finished_at, error, answer
  FROM howdah.operations
 WHERE (%(app)s::text IS NULL OR app = %(app)s) AND (%(id)s::uuid IS NULL OR id = %(id)s)
 ORDER BY started_at DESC
 LIMIT %(limit)s
