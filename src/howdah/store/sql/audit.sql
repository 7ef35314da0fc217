-- name: head
-- In one snapshot with what is really there.
SELECT seq, encode(hash, 'hex'), to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       howdah::text, (SELECT coalesce(max(seq), 0) FROM howdah.audit_events)
  FROM howdah.audit_head

-- name: list
SELECT e.seq, e.at, e.actor, e.action, e.object, e.phase, e.result, e.operation::text, e.detail
  FROM howdah.audit_events e
 WHERE (%(app)s::text IS NULL OR e.object = %(app)s)
   AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR e.at < %(until)s)
   AND (%(actor)s::text IS NULL OR e.actor = %(actor)s)
   AND (%(action)s::text IS NULL OR e.action = %(action)s)
   AND (%(result)s::text IS NULL OR e.result = %(result)s)
   -- An object may be called as an app and be none: a token, an instance.
   AND (NOT %(own)s OR e.action = 'limit.enforce'
        OR EXISTS (SELECT FROM howdah.operations o WHERE o.id = e.operation AND o.app = e.object))
 ORDER BY e.seq DESC
 LIMIT %(limit)s

-- name: first_since
SELECT min(seq) FROM howdah.audit_events WHERE at >= %(since)s

-- name: hash_before
SELECT coalesce((SELECT hash FROM howdah.audit_events WHERE seq = %(seq)s - 1),
                (SELECT prev FROM howdah.audit_events WHERE seq = %(seq)s))

-- name: chained
SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor, action, object, phase, result,
       operation::text, detail::text, prev, hash
  FROM howdah.audit_events
 WHERE seq > %(after)s AND seq <= %(last)s
 ORDER BY seq
 LIMIT %(limit)s
