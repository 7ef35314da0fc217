-- What is due when: written by the control plane that leads, read when the next one starts.

CREATE TABLE howdah.jobs (
    name        text PRIMARY KEY,
    due_at      timestamptz NOT NULL,
    last_run_at timestamptz,
    took_ms     double precision,
    result      text CHECK (result IN ('done', 'failed')),
    failures    integer NOT NULL DEFAULT 0,
    error       jsonb
);
