-- The audit trail becomes a chain: each event's hash covers what it says and the hash of the event before
-- (domain/chain.py makes the same hashes). What an event says of its place and time is the server's alone.

-- However many events there are.
SET LOCAL statement_timeout = 0;

CREATE TABLE howdah.audit_head (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    howdah   uuid NOT NULL DEFAULT gen_random_uuid(),
    seq      bigint NOT NULL,
    hash     bytea NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO howdah.audit_head (howdah, seq, hash)
SELECT howdah, 0, sha256(convert_to(howdah::text, 'UTF8')) FROM gen_random_uuid() AS howdah;

ALTER TABLE howdah.audit_events
    ADD COLUMN seq bigint,
    ADD COLUMN prev bytea CHECK (length(prev) = 32),
    ADD COLUMN hash bytea CHECK (length(hash) = 32);

-- Netstrings, so that no two events read alike; the time in one form, whatever the session's settings are.
CREATE FUNCTION howdah.audit_hash(event howdah.audit_events) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(event.prev || convert_to(string_agg(
               CASE WHEN part IS NULL THEN '-' ELSE octet_length(part)::text || ':' || part || ',' END, ''
               ORDER BY place), 'UTF8'))
      FROM unnest(ARRAY[
               event.seq::text, to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               event.actor, event.action, event.object, event.phase, event.result, event.operation::text,
               event.detail::text]) WITH ORDINALITY AS parts(part, place)
$$;

-- As the owner of the store: the login that writes may insert events and touch nothing else.
CREATE FUNCTION howdah.chain_audit_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head howdah.audit_head;
BEGIN
    -- One at a time, until the end of the transaction: no event may be missing between two others.
    SELECT * INTO STRICT head FROM howdah.audit_head FOR UPDATE;
    NEW.seq := head.seq + 1;
    NEW.at := clock_timestamp();
    NEW.prev := head.hash;
    NEW.hash := howdah.audit_hash(NEW);
    UPDATE howdah.audit_head SET seq = NEW.seq, hash = NEW.hash;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION howdah.audit_hash(howdah.audit_events), howdah.chain_audit_event() FROM PUBLIC;

DO $$
DECLARE
    head  howdah.audit_head;
    event howdah.audit_events;
BEGIN
    SELECT * INTO STRICT head FROM howdah.audit_head;
    FOR event IN SELECT * FROM howdah.audit_events ORDER BY id LOOP
        event.seq := head.seq + 1;
        event.prev := head.hash;
        head.seq := event.seq;
        head.hash := howdah.audit_hash(event);
        UPDATE howdah.audit_events SET seq = event.seq, prev = event.prev, hash = head.hash WHERE id = event.id;
    END LOOP;
    UPDATE howdah.audit_head SET seq = head.seq, hash = head.hash;
END
$$;

ALTER TABLE howdah.audit_events
    DROP COLUMN id,
    ALTER COLUMN at DROP DEFAULT,
    ALTER COLUMN seq SET NOT NULL,
    ALTER COLUMN prev SET NOT NULL,
    ALTER COLUMN hash SET NOT NULL,
    ADD PRIMARY KEY (seq);
CREATE INDEX ON howdah.audit_events USING brin (at);

CREATE TRIGGER chain BEFORE INSERT ON howdah.audit_events
    FOR EACH ROW EXECUTE FUNCTION howdah.chain_audit_event();
ALTER TABLE howdah.audit_events ENABLE ALWAYS TRIGGER chain;
