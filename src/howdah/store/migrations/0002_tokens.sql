-- Tokens: what lets a program in over TCP. Only a token's SHA-256 is here: it is made of 256 random bits, so that
-- nothing is gained by a slow hash.

CREATE TABLE howdah.tokens (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL,
    hash            bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    scope           text NOT NULL CHECK (scope IN ('admin', 'read', 'app')),
    -- The app itself, not its name: a later app of the same name is another one.
    app_id          bigint REFERENCES howdah.apps ON DELETE CASCADE,
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,
    last_used_at    timestamptz,
    -- A revoked token stays on record, so that whoever still uses it is told why and named in the audit trail.
    revoked_at      timestamptz,
    idempotency_key text,
    CHECK ((scope = 'app') = (app_id IS NOT NULL))
);
CREATE UNIQUE INDEX ON howdah.tokens (name) WHERE revoked_at IS NULL;
CREATE INDEX ON howdah.tokens (app_id);
