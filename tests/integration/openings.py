"""Ways to take a wall down, each with what `prove` must say of it and what puts the wall up again.

The SQL is as in `mangles.py`: the first word says where it runs (`elsewhere` is the neighbour's database).
Where `undo` is empty, `howdah repair` puts the wall up.
"""

from typing import NamedTuple


class Opening(NamedTuple):
    """`named` is a regular expression for the name of a hole, `tried` for that of an attempt that went through."""

    sql: str
    named: str
    tried: str | None = None
    undo: str = ""
    since: int = 13


OPENINGS = [
    # Attributes
    Opening("server: ALTER ROLE {user} SUPERUSER", "{user} has SUPERUSER"),
    Opening("server: ALTER ROLE {reader} CREATEROLE", "{reader} has CREATEROLE", "CREATE ROLE"),
    Opening("server: ALTER ROLE {user} CREATEDB", "{user} has CREATEDB", "CREATE DATABASE"),
    Opening("server: ALTER ROLE {reader} REPLICATION", "{reader} has REPLICATION", "replication slot"),
    Opening("server: ALTER ROLE {owner} BYPASSRLS", "{owner} has BYPASSRLS"),
    Opening("server: ALTER ROLE {owner} LOGIN", "{owner} may log in"),
    Opening("server: ALTER ROLE {user2} LOGIN", "{user2} may log in"),
    # Memberships
    Opening("server: GRANT {owner} TO {reader}", "{reader} is a member of {owner}", "SET ROLE to the owner group"),
    Opening("server: GRANT {owner} TO {stranger}", "{stranger} is a member of {owner}"),
    Opening(
        "server: GRANT {owner} TO {user} WITH ADMIN OPTION",
        "{user} may make others members of {owner}",
        "GRANT itself the owner group with ADMIN",
    ),
    Opening("server: GRANT {gate} TO {stranger}", "{stranger} may connect to database {db}"),
    Opening(
        "server: GRANT pg_read_all_data TO {reader}",
        "{reader} is a member of pg_read_all_data",
        "pg_authid",
        since=14,
    ),
    Opening(
        "server: GRANT pg_execute_server_program TO {user}",
        "{user} is a member of pg_execute_server_program",
        "COPY TO PROGRAM",
    ),
    Opening(
        "server: GRANT pg_read_server_files TO {owner}",
        "{owner} is a member of pg_read_server_files",
        "COPY FROM a file",
    ),
    Opening("server: GRANT pg_signal_backend TO {user}", "{user} is a member", "ending another's session"),
    Opening("server: GRANT pg_read_all_stats TO {reader}", "{reader} is a member", "reading another's query"),
    Opening("server: GRANT howdah TO {user}", "{user} is a member of howdah", "SET ROLE to howdah"),
    Opening("server: GRANT {other} TO {user}", "{user} is a member of {other}", "SET ROLE to another app's login"),
    # Settings
    Opening("server: ALTER ROLE {reader} IN DATABASE {db} SET role = {owner}", "role is set for {reader}"),
    Opening("server: ALTER ROLE {user} IN DATABASE {db} RESET role", "role isn't set", "acting as the owner group"),
    Opening(
        "server: ALTER ROLE {reader} IN DATABASE {db} RESET ALL",
        "default_transaction_read_only isn't set",
        "beginning read-only",
    ),
    Opening(
        "server: ALTER ROLE {reader} SET session_replication_role = replica",
        "session_replication_role is set for {reader}",
        undo="server: ALTER ROLE {reader} RESET session_replication_role",
    ),
    Opening(
        "server: ALTER DATABASE {db} SET lo_compat_privileges = on",
        "lo_compat_privileges is set for database {db}",
        "large object",
        undo="server: ALTER DATABASE {db} RESET lo_compat_privileges",
    ),
    # Databases
    Opening("server: GRANT CONNECT ON DATABASE {db} TO PUBLIC", "PUBLIC has CONNECT on database {db}"),
    Opening("server: GRANT CONNECT ON DATABASE {db} TO {stranger}", "{stranger} has CONNECT on database {db}"),
    Opening("server: GRANT CONNECT ON DATABASE {elsewhere} TO {user}", "{user} may connect to database {elsewhere}"),
    Opening(
        "server: GRANT CONNECT ON DATABASE postgres TO PUBLIC",
        "PUBLIC may connect to database postgres",
        "another database's size",
        undo="server: REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
    ),
    Opening(
        "server: GRANT CONNECT ON DATABASE howdah TO {gate}",
        "{reader} may connect to database howdah",
        "another database's size",
    ),
    Opening(
        "server: GRANT TEMPORARY ON DATABASE {db} TO {ro}",
        "{ro} has TEMPORARY on database {db}",
        "CREATE TEMPORARY TABLE",
    ),
    Opening(
        "server: GRANT CREATE ON DATABASE {db} TO {reader} WITH GRANT OPTION",
        "{reader} has CREATE on database {db}, and may grant it",
    ),
    Opening(
        "server: ALTER DATABASE {db} OWNER TO {owner}", "database {db} belongs to {owner}", "ALTER DATABASE: limit"
    ),
    Opening("server: ALTER DATABASE {db} IS_TEMPLATE true", "database {db} is a template"),
    Opening(
        "server: REVOKE CONNECT ON DATABASE {db} FROM {gate}",
        "{user} may not connect to its own database",
        "connecting to its own database",
    ),
    Opening(
        "server: GRANT CREATE ON TABLESPACE pg_default TO {ro}",
        "{ro} has CREATE on tablespace pg_default",
        undo="server: REVOKE CREATE ON TABLESPACE pg_default FROM {ro}",
    ),
    Opening(
        "server: GRANT SET ON PARAMETER log_statement TO {user}",
        "{user} has SET on parameter log_statement",
        undo="server: REVOKE SET ON PARAMETER log_statement FROM {user}",
        since=15,
    ),
    Opening(
        "elsewhere: GRANT SELECT ON data.things TO {user}",
        "{user} has privileges on 1 thing in database {elsewhere}",
        undo="elsewhere: REVOKE SELECT ON data.things FROM {user}",
    ),
    # Owners
    Opening("inside: ALTER TABLE data.things OWNER TO {stranger}", "table data.things belongs to {stranger}"),
    Opening("inside: ALTER TABLE data.things OWNER TO {reader}", "table data.things belongs to {reader}"),
    Opening("inside: ALTER VIEW data.seen OWNER TO howdah", "view data.seen belongs to howdah"),
    Opening("inside: ALTER LARGE OBJECT 4711 OWNER TO {ro}", "large object 4711 belongs to {ro}"),
    Opening("inside: ALTER SCHEMA public OWNER TO {stranger}", "schema public belongs to {stranger}"),
    # Privileges
    Opening("inside: GRANT INSERT ON data.things TO {ro}", "{ro} has INSERT on table data.things", "INSERT"),
    Opening("inside: GRANT ALL ON data.things TO PUBLIC", "PUBLIC has DELETE on table data.things", "DELETE"),
    Opening("inside: GRANT TRUNCATE ON data.things TO {reader}", "{reader} has TRUNCATE on table data.things"),
    Opening("inside: GRANT SELECT ON data.things TO {stranger}", "{stranger} has SELECT on table data.things"),
    Opening("inside: GRANT UPDATE (name) ON data.things TO {ro}", "{ro} has UPDATE on column name of table"),
    Opening("inside: GRANT USAGE ON SEQUENCE data.free_numbers TO {ro}", "{ro} has USAGE on sequence"),
    Opening("inside: GRANT CREATE ON SCHEMA data TO {ro}", "{ro} has CREATE on schema data", "CREATE TABLE"),
    Opening("inside: GRANT ALL ON SCHEMA public TO PUBLIC", "PUBLIC has CREATE on schema public", "in schema public"),
    Opening("inside: GRANT EXECUTE ON FUNCTION data.answer() TO PUBLIC", "PUBLIC has EXECUTE on routine data.answer"),
    Opening(
        "inside: GRANT SELECT, UPDATE ON LARGE OBJECT 4711 TO {ro}",
        "{ro} has UPDATE on large object 4711",
        "large object",
    ),
    Opening(
        "inside: GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC",
        r"the read-only login has EXECUTE on routine pg_catalog.lo_create\(oid\)",
        "lo_create",
    ),
    Opening("inside: REVOKE SELECT ON data.things FROM {ro}", "the read-only login can't read data.things"),
    Opening(
        "inside: GRANT SELECT ON pg_catalog.pg_authid TO {owner}",
        "{owner} has SELECT on table pg_catalog.pg_authid",
        "pg_authid",
        undo="inside: REVOKE SELECT ON pg_catalog.pg_authid FROM {owner}",
    ),
    Opening(
        "inside: GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO PUBLIC",
        "PUBLIC has SELECT on column rolpassword of table pg_catalog.pg_authid",
        "pg_authid",
        undo="inside: REVOKE SELECT (rolpassword) ON pg_catalog.pg_authid FROM PUBLIC",
    ),
    Opening(
        "inside: GRANT UPDATE ON pg_catalog.pg_database TO {ro}",
        "{ro} has UPDATE on table pg_catalog.pg_database",
        undo="inside: REVOKE UPDATE ON pg_catalog.pg_database FROM {ro}",
    ),
    Opening(
        "inside: GRANT CREATE ON SCHEMA pg_catalog TO {user}",
        "{user} has CREATE on schema pg_catalog",
        undo="inside: REVOKE CREATE ON SCHEMA pg_catalog FROM {user}",
    ),
    Opening(
        "inside: GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC",
        r"PUBLIC has EXECUTE on routine pg_catalog.pg_read_file\(text\)",
        "pg_read_file",
        undo="inside: REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM PUBLIC",
    ),
    Opening(
        "inside: GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {rw}",
        r"{rw} has EXECUTE on routine pg_catalog.pg_reload_conf\(\)",
        undo="inside: REVOKE EXECUTE ON FUNCTION pg_reload_conf() FROM {rw}",
    ),
    # Tomorrow's objects
    Opening(
        "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT ON TABLES TO {ro}",
        "{ro} will have INSERT on tables that {owner} makes",
        "its readers see what it makes tomorrow",
    ),
    Opening(
        "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE SELECT ON TABLES FROM {ro}",
        "{ro} won't have SELECT on tables that {owner} makes",
        "its readers see what it makes tomorrow",
    ),
    Opening(
        "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT EXECUTE ON ROUTINES TO PUBLIC",
        "PUBLIC will have EXECUTE on routines",
    ),
    Opening(
        "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA data GRANT UPDATE ON TABLES TO {reader}",
        "{reader} will have UPDATE on tables that {owner} makes in schema data",
    ),
    # The guard
    Opening("inside: ALTER EVENT TRIGGER howdah_guard DISABLE", "DROP OWNED of itself", "DROP OWNED of itself"),
    # Ways out
    Opening(
        "inside: UPDATE pg_language SET lanpltrusted = true WHERE lanname = 'c'",
        "untrusted language called trusted: c",
        undo="inside: UPDATE pg_language SET lanpltrusted = false WHERE lanname = 'c'",
    ),
    Opening(
        "inside: CREATE EXTENSION dblink SCHEMA data",
        "extension: dblink",
        "CREATE EXTENSION dblink",
        undo="inside: DROP EXTENSION dblink",
    ),
    Opening(
        "inside: CREATE FOREIGN DATA WRAPPER nowhere; GRANT USAGE ON FOREIGN DATA WRAPPER nowhere TO {owner}",
        r"foreign data wrapper: nowhere \({owner}\)",
        undo="inside: DROP FOREIGN DATA WRAPPER nowhere",
    ),
    Opening(
        "inside: CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER there FOREIGN DATA WRAPPER nowhere; "
        "GRANT USAGE ON FOREIGN SERVER there TO PUBLIC",
        r"foreign server: there \({reader}\)",
        undo="inside: DROP FOREIGN DATA WRAPPER nowhere CASCADE",
    ),
    Opening(
        "inside: CREATE FUNCTION data.fires() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "ALTER FUNCTION data.fires() OWNER TO {owner}; CREATE EVENT TRIGGER theirs ON ddl_command_end "
        "WHEN TAG IN ('CREATE COLLATION') EXECUTE FUNCTION data.fires()",
        "event trigger: theirs",
        undo="inside: DROP FUNCTION data.fires() CASCADE",
    ),
    Opening(
        "inside: CREATE FUNCTION pg_catalog.borrowed() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "routine with another's rights: borrowed",
        undo="inside: DROP FUNCTION pg_catalog.borrowed()",
    ),
    Opening(
        "inside: CREATE FUNCTION data.machine() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'",
        "function in an untrusted language: data.machine",
        undo="inside: DROP FUNCTION data.machine()",
    ),
]
