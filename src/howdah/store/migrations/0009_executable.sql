-- Functions that read-only logins may call, as PostgreSQL writes them: schema.name(argument types).

ALTER TABLE howdah.databases ADD COLUMN executable text[] NOT NULL DEFAULT '{}';
