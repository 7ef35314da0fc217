-- Renames, and databases that are prepared for apps to come.

ALTER TABLE howdah.apps
    -- From here on the names on record are the wanted ones: the server's are found by OID, and changed.
    ADD COLUMN renaming boolean NOT NULL DEFAULT false,
    -- Set for what is no app yet: what it was made by. What was made by something else is never handed out.
    ADD COLUMN prepared text;
