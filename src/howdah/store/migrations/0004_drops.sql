-- Apps that were dropped: closed, and deleted for good only after a while.

ALTER TABLE howdah.apps
    ADD COLUMN dropped_at  timestamptz,
    ADD COLUMN purge_after timestamptz,
    -- From here on there is no way back: the purge goes on wherever it was cut short.
    ADD COLUMN purging     boolean NOT NULL DEFAULT false,
    ADD CHECK ((dropped_at IS NULL) = (purge_after IS NULL)),
    ADD CHECK (dropped_at IS NOT NULL OR NOT purging);
