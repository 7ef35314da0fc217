"""What a read-only login may not do. It has switched read-only transactions off: that default is no wall."""

from howdah.domain.attempts.attempt import DENIED, NOT_GRANTED, Attempt
from howdah.domain.differences import GUARD, PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS

_SELECT = "the readonly group has SELECT and nothing else"
_NO_CREATE = "the readonly group has no CREATE, and PUBLIC has none"
_NO_TEMP = "the readonly group has no TEMPORARY on the database, and PUBLIC has none"
_OWNERSHIP = "the object belongs to the owner group"
_GUARD = "the guard refuses it"
_WRITERS = "the functions that write without a table aren't PUBLIC's"
_NO_MEMBERSHIP = "a read-only login is a member of the readonly group alone"

# {table} is a table of the app and {column} one of its columns, {schema} one of its schemas.
READONLY = (
    Attempt("INSERT", "INSERT INTO {table} ({column}) SELECT {column} FROM {table} WHERE false", _SELECT),
    Attempt("UPDATE", "UPDATE {table} SET {column} = {column} WHERE false", _SELECT),
    Attempt("DELETE", "DELETE FROM {table} WHERE false", _SELECT),
    Attempt("TRUNCATE", "TRUNCATE {table}", _SELECT),
    Attempt("MERGE", "MERGE INTO {table} USING (SELECT 1) AS s ON false WHEN MATCHED THEN DELETE", _SELECT, since=15),
    Attempt("COPY FROM", "COPY {table} ({column}) FROM STDIN", _SELECT),
    Attempt("DELETE in a WITH", "WITH gone AS (DELETE FROM {table} WHERE false RETURNING 1) TABLE gone", _SELECT),
    Attempt("EXPLAIN ANALYZE", "EXPLAIN ANALYZE DELETE FROM {table} WHERE false", _SELECT),
    Attempt("PREPARE", "PREPARE tried AS DELETE FROM {table} WHERE false; EXECUTE tried", _SELECT),
    Attempt("DO", "DO $$ BEGIN DELETE FROM {table} WHERE false; END $$", _SELECT),
    Attempt("SELECT FOR UPDATE", "SELECT FROM {table} WHERE false FOR UPDATE", _SELECT),
    Attempt("SELECT FOR KEY SHARE", "SELECT FROM {table} WHERE false FOR KEY SHARE", _SELECT),
    Attempt("LOCK", "LOCK TABLE {table} IN ROW EXCLUSIVE MODE NOWAIT", _SELECT),
    Attempt("nextval", "SELECT nextval({sequence_text})", _SELECT),
    Attempt("GRANT on a table", "GRANT ALL ON {table} TO {me}", _SELECT, (DENIED, NOT_GRANTED)),
    Attempt("ALTER TABLE", "ALTER TABLE {table} ADD howdah_x_tried int", _OWNERSHIP),
    Attempt("ALTER TABLE: owner", "ALTER TABLE {table} OWNER TO {me}", _OWNERSHIP),
    Attempt("DROP TABLE", "DROP TABLE {table}", _OWNERSHIP),
    Attempt("CREATE INDEX", "CREATE INDEX howdah_x_tried ON {table} ({column})", _OWNERSHIP),
    Attempt("CREATE POLICY", "CREATE POLICY howdah_x_tried ON {table} USING (true)", _OWNERSHIP),
    Attempt("ALTER SEQUENCE", "ALTER SEQUENCE {sequence} RESTART", _OWNERSHIP),
    Attempt("REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW {matview} WITH NO DATA", _OWNERSHIP),
    Attempt("DROP SCHEMA", "DROP SCHEMA {schema}", _OWNERSHIP),
    Attempt("GRANT on a schema", "GRANT CREATE ON SCHEMA {schema} TO {me}", _NO_CREATE, (DENIED, NOT_GRANTED)),
    Attempt("writing a large object", "SELECT lo_put({large_object}, 0, '')", _SELECT),
    Attempt("deleting a large object", "SELECT lo_unlink({large_object})", _OWNERSHIP),
    Attempt("CREATE TABLE", "CREATE TABLE {schema}.howdah_x_tried (n int)", _NO_CREATE),
    *(
        Attempt(f"{what} in schema public", f"{sql}", _NO_CREATE, unless=PUBLIC_SCHEMA_SHUT)
        for what, sql in {
            "CREATE TABLE": "CREATE TABLE {public}.howdah_x_tried (n int)",
            "CREATE TABLE AS": "CREATE TABLE {public}.howdah_x_tried AS SELECT 1 AS n",
            "SELECT INTO": "SELECT 1 AS n INTO {public}.howdah_x_tried",
            "CREATE VIEW": "CREATE VIEW {public}.howdah_x_tried AS SELECT 1 AS n",
            "CREATE MATERIALIZED VIEW": "CREATE MATERIALIZED VIEW {public}.howdah_x_tried AS SELECT 1 AS n",
            "CREATE FUNCTION": "CREATE FUNCTION {public}.howdah_x_tried() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE SEQUENCE": "CREATE SEQUENCE {public}.howdah_x_tried",
            "CREATE TYPE": "CREATE TYPE {public}.howdah_x_tried AS (n int)",
            "CREATE DOMAIN": "CREATE DOMAIN {public}.howdah_x_tried AS int",
        }.items()
    ),
    Attempt("CREATE SCHEMA", "CREATE SCHEMA howdah_x_tried", _NO_CREATE),
    Attempt("CREATE EXTENSION", "CREATE EXTENSION hstore", _NO_CREATE, (DENIED, "0A000", "58P01", "22023", "42710")),
    Attempt("CREATE PUBLICATION", "CREATE PUBLICATION howdah_x_tried", _NO_CREATE),
    Attempt("CREATE TEMPORARY TABLE", "CREATE TEMPORARY TABLE howdah_x_tried (n int)", _NO_TEMP),
    Attempt("a temporary table by its schema", "CREATE TABLE pg_temp.howdah_x_tried (n int)", _NO_TEMP),
    Attempt("a temporary view", "CREATE TEMPORARY VIEW howdah_x_tried AS SELECT 1 AS n", _NO_TEMP),
    Attempt("a temporary sequence", "CREATE TEMPORARY SEQUENCE howdah_x_tried", _NO_TEMP),
    Attempt(
        "a temporary function",
        "CREATE FUNCTION pg_temp.howdah_x_tried() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        _NO_TEMP,
    ),
    Attempt("GRANT TEMPORARY", "GRANT TEMPORARY ON DATABASE {db} TO {me}", _NO_TEMP, (DENIED, NOT_GRANTED)),
    Attempt("lo_creat", "SELECT lo_creat(-1)", _WRITERS, unless=SUPERUSER_WALLS),
    Attempt("lo_create", "SELECT lo_create(0)", _WRITERS, unless=SUPERUSER_WALLS),
    Attempt("lo_from_bytea", "SELECT lo_from_bytea(0, 'x')", _WRITERS, unless=SUPERUSER_WALLS),
    Attempt(
        "a message in the WAL",
        "SELECT pg_logical_emit_message(true, 'howdah_x_tried', 'x')",
        _WRITERS,
        unless=SUPERUSER_WALLS,
    ),
    Attempt("SET ROLE to the owner group", "SET ROLE {owner}", _NO_MEMBERSHIP),
    Attempt("SET ROLE to the readwrite group", "SET ROLE {rw}", _NO_MEMBERSHIP),
    Attempt("SET ROLE to the app's login", "SET ROLE {user}", _NO_MEMBERSHIP),
    Attempt("set_config of the role", "SELECT set_config('role', {owner_text}, true)", _NO_MEMBERSHIP),
    Attempt("GRANT itself the owner group", "GRANT {owner} TO {me}", _NO_MEMBERSHIP),
    Attempt("GRANT its own group to the app's login", "GRANT {ro} TO {user}", _NO_MEMBERSHIP),
    Attempt("DROP OWNED of the owner group", "DROP OWNED BY {owner}", _NO_MEMBERSHIP),
    Attempt("REASSIGN OWNED of the owner group", "REASSIGN OWNED BY {owner} TO {me}", _NO_MEMBERSHIP),
    Attempt("DROP OWNED of itself", "DROP OWNED BY {me}", _GUARD, unless=GUARD),
    Attempt("DROP OWNED of its group", "DROP OWNED BY {ro}", _GUARD, unless=GUARD),
    Attempt("DROP OWNED of the gate", "DROP OWNED BY {gate}", _GUARD, unless=GUARD),
    Attempt(
        "ALTER DEFAULT PRIVILEGES of the owner group",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO {me}",
        _NO_MEMBERSHIP,
    ),
    Attempt(
        "ALTER DEFAULT PRIVILEGES of its group",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {ro} GRANT ALL ON TABLES TO {me}",
        _GUARD,
        unless=GUARD,
    ),
    Attempt(
        "ALTER DEFAULT PRIVILEGES of itself",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        _GUARD,
        unless=GUARD,
    ),
)
