-- Links that hand over a URL once. Until one is opened, there is no password that it could give away.

CREATE TABLE howdah.handoffs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id      bigint NOT NULL REFERENCES howdah.apps ON DELETE CASCADE,
    -- Either one of a pair that is there, or what is to be made when the link is opened.
    login       text,
    label       text,
    access      text CHECK (access IN ('owner', 'readwrite', 'readonly')),
    login_lives interval,
    -- Of the link's secret, which has 256 random bits.
    hash        bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- Of the passphrase, salted and slow.
    salt        bytea,
    passphrase  bytea,
    failures    integer NOT NULL DEFAULT 0,
    addressee   text,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    opened_at   timestamptz,
    opened_from text,
    -- The login whose URL was shown.
    gave        text,
    revoked_at  timestamptz,
    CHECK ((login IS NULL) = (label IS NOT NULL)),
    CHECK ((label IS NULL) = (access IS NULL)),
    CHECK ((salt IS NULL) = (passphrase IS NULL))
);
CREATE INDEX ON howdah.handoffs (app_id);
