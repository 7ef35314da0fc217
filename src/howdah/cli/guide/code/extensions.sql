-- extensions.sql: which ones this login may create
SELECT available.name, available.comment
FROM pg_available_extensions AS available
JOIN pg_available_extension_versions AS version
  ON version.name = available.name AND version.version = available.default_version
WHERE version.trusted
ORDER BY available.name;
