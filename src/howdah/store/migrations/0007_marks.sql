-- Moments of an app that somebody gave a name, so that it can be brought back to them.

CREATE TABLE howdah.marks (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id  bigint NOT NULL REFERENCES howdah.apps ON DELETE CASCADE,
    name    text NOT NULL,
    lsn     pg_lsn NOT NULL,
    made_at timestamptz NOT NULL,
    made_by text NOT NULL,
    UNIQUE (app_id, name)
);
