-- Databases of apps whose place a restored one took, kept for a while under another name.

CREATE TABLE howdah.replacements (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id      bigint NOT NULL REFERENCES howdah.apps ON DELETE CASCADE,
    -- What the app's database is called, whichever of the two it is.
    database    text NOT NULL,
    -- The one that is kept, and its name; the one in its place.
    kept_oid    oid NOT NULL,
    kept_name   text NOT NULL,
    present_oid oid NOT NULL,
    -- The record of what was prepared to take the place, until its own roles are gone.
    prepared    text,
    -- False while the two still change places: it is gone on with wherever it was cut short.
    settled     boolean NOT NULL DEFAULT false,
    target      text NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT now(),
    purge_after timestamptz NOT NULL
);
CREATE INDEX ON howdah.replacements (app_id);
