-- Adopted instances, and apps with more than one database.

ALTER TABLE howdah.instances
    -- libpq's connection parameters, never a password: that is in a file of its own in the home.
    ADD COLUMN parameters        jsonb,
    ADD COLUMN control_role      text,
    ADD COLUMN public_host       text,
    ADD COLUMN public_port       integer,
    -- What initdb gave the cluster: two names for one server would be two owners of its roles.
    ADD COLUMN system_identifier text UNIQUE,
    ADD CHECK ((kind = 'adopted') = (parameters IS NOT NULL AND control_role IS NOT NULL));

-- Each database is made, and its URLs are handed out, on its own.
ALTER TABLE howdah.databases
    ADD COLUMN purpose      text NOT NULL DEFAULT 'main' CHECK (purpose IN ('main', 'test', 'shadow')),
    ADD COLUMN state        text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'ready')),
    -- When its URLs first went out; until then a repeated create mints new passwords.
    ADD COLUMN delivered_at timestamptz,
    ADD UNIQUE (app_id, purpose);
UPDATE howdah.databases d SET state = a.state, delivered_at = a.delivered_at FROM howdah.apps a WHERE a.id = d.app_id;
ALTER TABLE howdah.apps DROP COLUMN state, DROP COLUMN delivered_at;
