-- What an app may use: limits of its logins by access, room for its databases in bytes, and whether that is full.

ALTER TABLE howdah.apps
    ADD COLUMN login_limits jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN storage_limit bigint CHECK (storage_limit > 0),
    ADD COLUMN is_full boolean NOT NULL DEFAULT false,
    ADD COLUMN cleanup_until timestamptz;
