"""What each access must be able to do: a wall that also keeps an app from its own work is none that stands long."""

from howdah.domain.attempts.attempt import Needed
from howdah.domain.differences import SET_ROLE_HONOURED
from howdah.domain.specs import Access

_OWNER, _READONLY = Access.OWNER, Access.READONLY
# They fail, with a division by zero, where what they ask isn't so.
_IS_OWNER = "SELECT 1 / (current_user = {owner_text})::int"
_READABLE = "SELECT 1 / has_table_privilege({ro_text}, 'howdah_x_tried.t', 'SELECT')::int"
_SEEN = "SELECT 1 / has_schema_privilege({ro_text}, 'howdah_x_tried', 'USAGE')::int"
_NOT_WRITABLE = (
    "SELECT 1 / (NOT has_table_privilege({ro_text}, 'howdah_x_tried.t', "
    "'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))::int"
)
_NOT_RUNNABLE = "SELECT 1 / (NOT has_function_privilege({ro_text}, 'howdah_x_tried.f()', 'EXECUTE'))::int"
_SCHEMA = "CREATE SCHEMA howdah_x_tried"
_TABLE = "CREATE TABLE howdah_x_tried.t (id bigserial PRIMARY KEY, v jsonb DEFAULT '[]', w text)"
_FUNCTION = "CREATE FUNCTION howdah_x_tried.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"

NEEDED = (
    Needed("acting as the owner group", _OWNER, (_IS_OWNER,), unless=SET_ROLE_HONOURED),
    Needed(
        "making and changing tables",
        _OWNER,
        (
            _SCHEMA,
            _TABLE,
            "ALTER TABLE howdah_x_tried.t ADD x int, ALTER w SET NOT NULL",
            "CREATE INDEX ON howdah_x_tried.t (w)",
            "COMMENT ON TABLE howdah_x_tried.t IS 'mine'",
            "INSERT INTO howdah_x_tried.t (w) VALUES ('one'), ('two')",
            "UPDATE howdah_x_tried.t SET x = 1",
            "DELETE FROM howdah_x_tried.t WHERE w = 'two'",
            "SELECT 1 / (count(*) = 1)::int FROM howdah_x_tried.t",
            "TRUNCATE howdah_x_tried.t RESTART IDENTITY",
            "ALTER TABLE howdah_x_tried.t RENAME TO u",
            "DROP TABLE howdah_x_tried.u",
            "DROP SCHEMA howdah_x_tried",
        ),
    ),
    Needed(
        "making views, types, sequences, functions, triggers and policies",
        _OWNER,
        (
            _SCHEMA,
            _TABLE,
            "CREATE VIEW howdah_x_tried.seen AS SELECT id FROM howdah_x_tried.t",
            "CREATE MATERIALIZED VIEW howdah_x_tried.stored AS SELECT id FROM howdah_x_tried.t",
            "REFRESH MATERIALIZED VIEW howdah_x_tried.stored",
            "CREATE TYPE howdah_x_tried.mood AS ENUM ('calm')",
            "CREATE DOMAIN howdah_x_tried.positive AS int CHECK (VALUE > 0)",
            "CREATE SEQUENCE howdah_x_tried.numbers",
            "SELECT nextval('howdah_x_tried.numbers')",
            _FUNCTION,
            "SELECT howdah_x_tried.f()",
            "CREATE FUNCTION howdah_x_tried.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER fires BEFORE INSERT ON howdah_x_tried.t FOR EACH ROW "
            "EXECUTE FUNCTION howdah_x_tried.fires()",
            "INSERT INTO howdah_x_tried.t (w) VALUES ('one')",
            "ALTER TABLE howdah_x_tried.t ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY see ON howdah_x_tried.t USING (true)",
        ),
    ),
    Needed("making tables in schema public", _OWNER, ("CREATE TABLE {public}.howdah_x_tried (n int)",)),
    Needed("temporary tables", _OWNER, ("CREATE TEMPORARY TABLE howdah_x_tried (n int)",)),
    Needed("large objects", _OWNER, ("SELECT lo_unlink(lo_from_bytea(0, 'x'))",)),
    Needed("a trusted extension", _OWNER, ("CREATE EXTENSION {extension}",)),
    Needed("LISTEN, NOTIFY and advisory locks", _OWNER, ("LISTEN howdah_x", "SELECT pg_advisory_xact_lock(1)")),
    Needed("the catalogs", _OWNER, ("SELECT FROM pg_roles", "SELECT FROM pg_settings")),
    Needed(
        "its readers see what it makes tomorrow, and can't change it",
        _OWNER,
        (_SCHEMA, _TABLE, _FUNCTION, _SEEN, _READABLE, _NOT_WRITABLE, _NOT_RUNNABLE),
    ),
    Needed("beginning read-only", _READONLY, ("SELECT 1 / (current_setting('transaction_read_only') = 'on')::int",)),
    Needed("reading a table", _READONLY, ("SELECT FROM {table} LIMIT 1",)),
    Needed("the catalogs", _READONLY, ("SELECT FROM pg_roles", "SELECT FROM pg_stat_user_tables")),
)
