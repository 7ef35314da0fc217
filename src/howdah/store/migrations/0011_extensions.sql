-- Extensions that take a superuser and that apps of an instance may have all the same.

CREATE TABLE howdah.allowed_extensions (
    instance_id bigint NOT NULL REFERENCES howdah.instances ON DELETE CASCADE,
    name        text NOT NULL,
    allowed_at  timestamptz NOT NULL DEFAULT now(),
    allowed_by  text NOT NULL,
    PRIMARY KEY (instance_id, name)
);
