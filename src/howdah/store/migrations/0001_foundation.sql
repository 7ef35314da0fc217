-- howdah's own tables. The catalogs say what is; these say what belongs to what, what is wanted, and what no catalog holds.

CREATE SCHEMA howdah;

CREATE TABLE howdah.instances (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text NOT NULL UNIQUE,
    kind                 text NOT NULL CHECK (kind IN ('embedded', 'adopted')),
    maintenance_database text NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE howdah.apps (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id  bigint NOT NULL REFERENCES howdah.instances,
    name         text NOT NULL UNIQUE,
    state        text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'ready')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- When its URLs first went out; until then a repeated create mints new passwords.
    delivered_at timestamptz
);

CREATE TABLE howdah.databases (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id           bigint NOT NULL REFERENCES howdah.apps ON DELETE CASCADE,
    instance_id      bigint NOT NULL REFERENCES howdah.instances,
    name             text NOT NULL,
    oid              oid,
    connection_limit integer NOT NULL,
    is_open          boolean NOT NULL DEFAULT true,
    last_activity_at timestamptz,
    UNIQUE (instance_id, name)
);
CREATE INDEX ON howdah.databases (app_id);

CREATE TABLE howdah.roles (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database_id         bigint NOT NULL REFERENCES howdah.databases ON DELETE CASCADE,
    instance_id         bigint NOT NULL REFERENCES howdah.instances,
    name                text NOT NULL,
    oid                 oid,
    kind                text NOT NULL CHECK (kind IN ('gate', 'owner', 'readwrite', 'readonly', 'login')),
    access              text CHECK (access IN ('owner', 'readwrite', 'readonly')),
    enabled             boolean NOT NULL DEFAULT false,
    connection_limit    integer NOT NULL DEFAULT -1,
    valid_until         timestamptz,
    short_lived         boolean NOT NULL DEFAULT false,
    twin_of             text,
    password_changed_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (instance_id, name),
    CHECK ((kind = 'login') = (access IS NOT NULL))
);
CREATE INDEX ON howdah.roles (database_id);

-- Units of work: rows that change while the work goes on. `answer` never holds a secret.
CREATE TABLE howdah.operations (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL,
    app             text,
    actor           text NOT NULL,
    state           text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
    idempotency_key text UNIQUE,
    answer          jsonb,
    error           jsonb,
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz
);
CREATE INDEX ON howdah.operations (started_at DESC);

-- What happened: rows that are only ever inserted, by a login that can do nothing else.
-- A superuser could still rewrite them.
CREATE TABLE howdah.audit_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor     text NOT NULL,
    action    text NOT NULL,
    object    text NOT NULL,
    phase     text NOT NULL CHECK (phase IN ('started', 'finished')),
    result    text CHECK (result IN ('done', 'failed', 'refused')),
    operation uuid,
    detail    jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON howdah.audit_events (object, at);

REVOKE ALL ON SCHEMA howdah FROM PUBLIC;
GRANT USAGE ON SCHEMA howdah TO howdah_audit;
GRANT INSERT ON howdah.audit_events TO howdah_audit;
