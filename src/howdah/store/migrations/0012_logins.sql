-- Logins that somebody added, logins that were revoked, and pairs of which one takes the other's place.

ALTER TABLE howdah.roles
    -- What an added login is called within its app; those that an app is made with have none.
    ADD COLUMN label      text,
    ADD COLUMN reason     text,
    ADD COLUMN added_by   text,
    -- It has no password any more, and gets in only after somebody enables it.
    ADD COLUMN revoked_at timestamptz,
    -- Its twin has taken its place: it goes when nobody has used it for a while.
    ADD COLUMN retiring   boolean NOT NULL DEFAULT false,
    -- A short-lived one that lives for as long as somebody says again and again that it is needed.
    ADD COLUMN renewed    boolean NOT NULL DEFAULT false,
    -- How often it is rotated without being asked, and when next; a twin has the same.
    ADD COLUMN rotate_every interval,
    ADD COLUMN rotate_at  timestamptz,
    -- A revoked one's password and sessions are gone from the server.
    ADD COLUMN closed     boolean NOT NULL DEFAULT false;

-- Each time a login's twin took its place.
CREATE TABLE howdah.rotations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id       bigint NOT NULL REFERENCES howdah.apps ON DELETE CASCADE,
    old_id       bigint NOT NULL REFERENCES howdah.roles ON DELETE CASCADE,
    new_id       bigint NOT NULL REFERENCES howdah.roles ON DELETE CASCADE,
    actor        text NOT NULL,
    grace        interval NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    -- How many seconds howdah has watched the old one without seeing a session of it.
    unused_s     double precision NOT NULL DEFAULT 0,
    -- When a session of either was last seen.
    old_seen_at  timestamptz,
    new_seen_at  timestamptz,
    retired_at   timestamptz,
    retired_by   text,
    -- Attempts to log in as the old one since, where the server's log can be read.
    attempts     integer NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    attempted_from text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX ON howdah.rotations (app_id);
-- One at a time for each login.
CREATE UNIQUE INDEX ON howdah.rotations (old_id) WHERE retired_at IS NULL;
