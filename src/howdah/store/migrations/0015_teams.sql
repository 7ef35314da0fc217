-- Teams that own apps, and the people in them.

CREATE TABLE howdah.teams (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- What an owner of the team may do of their own: how many apps there may be of it, and how far limits may go.
    may_create      integer NOT NULL DEFAULT 0 CHECK (may_create >= 0),
    max_connections integer CHECK (max_connections > 0),
    max_storage     bigint CHECK (max_storage > 0)
);

CREATE TABLE howdah.members (
    team_id  bigint NOT NULL REFERENCES howdah.teams ON DELETE CASCADE,
    person   text NOT NULL,
    role     text NOT NULL CHECK (role IN ('owner', 'developer', 'viewer')),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, person)
);
CREATE INDEX ON howdah.members (person);

ALTER TABLE howdah.apps ADD COLUMN team_id bigint REFERENCES howdah.teams;
CREATE INDEX ON howdah.apps (team_id);

ALTER TABLE howdah.tokens DROP CONSTRAINT tokens_scope_check;
ALTER TABLE howdah.tokens
    ADD COLUMN person text,
    ADD CONSTRAINT tokens_scope_check CHECK (scope IN ('admin', 'read', 'app', 'member')),
    ADD CHECK ((scope = 'member') = (person IS NOT NULL));
