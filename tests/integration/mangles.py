"""Ways to spoil an app, as SQL that a superuser (or, after SET ROLE, somebody else) might run.

Names in braces: {gate}, {owner}, {rw}, {ro}, {user}, {user2}, {reader}, {reader2} are the app's roles,
{db} its database, {stranger} and {other} roles that are not its own, {elsewhere} another app's database.
The first word says where each runs: `server` (the maintenance database) or `inside` (the app's).
"""

ATTRIBUTES = [
    f"server: ALTER ROLE {{{role}}} {word}"
    for role in ("gate", "owner", "rw", "ro", "user", "user2", "reader", "reader2")
    for word in ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "NOINHERIT", "LOGIN", "NOLOGIN")
] + [
    "server: ALTER ROLE {user} CONNECTION LIMIT 0",
    "server: ALTER ROLE {reader} CONNECTION LIMIT -1",
    "server: ALTER ROLE {user} VALID UNTIL '2001-01-01'",
]

MEMBERSHIPS = [
    "server: GRANT {owner} TO {stranger}",
    "server: GRANT {owner} TO {other} WITH ADMIN OPTION",
    "server: GRANT {ro} TO {stranger} WITH ADMIN OPTION; SET ROLE {stranger}; GRANT {ro} TO {other}; RESET ROLE",
    "server: GRANT {owner} TO {reader}",
    "server: GRANT {rw} TO {reader2} WITH ADMIN OPTION",
    "server: GRANT {owner} TO {user} WITH ADMIN OPTION; SET ROLE {user}; GRANT {owner} TO {stranger}; RESET ROLE",
    "server: GRANT pg_read_all_data TO {reader}",
    "server: GRANT pg_write_all_data TO {ro}",
    "server: GRANT pg_execute_server_program TO {user}",
    "server: GRANT {other} TO {user}",
    "server: GRANT {gate} TO {stranger}",
    "server: REVOKE {gate} FROM {ro}",
    "server: REVOKE {gate} FROM {owner}",
    "server: REVOKE {owner} FROM {user}",
    "server: REVOKE {ro} FROM {reader}",
    "server: GRANT {ro} TO {user}; REVOKE {owner} FROM {user}",
]

SETTINGS = [
    "server: ALTER ROLE {user} IN DATABASE {db} RESET role",
    "server: ALTER ROLE {user} IN DATABASE {db} RESET ALL",
    "server: ALTER ROLE {user2} IN DATABASE {db} SET role = {ro}",
    "server: ALTER ROLE {reader} IN DATABASE {db} SET role = {owner}",
    "server: ALTER ROLE {reader} IN DATABASE {db} SET default_transaction_read_only = off",
    "server: ALTER ROLE {reader} IN DATABASE {db} RESET ALL",
]

DATABASE = [
    "server: ALTER DATABASE {db} OWNER TO {user}",
    "server: ALTER DATABASE {db} OWNER TO {owner}",
    "server: ALTER DATABASE {db} OWNER TO {stranger}",
    "server: ALTER DATABASE {db} OWNER TO {owner}; REVOKE ALL ON DATABASE {db} FROM {owner}",
    "server: ALTER DATABASE {db} CONNECTION LIMIT 1",
    "server: ALTER DATABASE {db} IS_TEMPLATE true",
    "server: ALTER DATABASE {db} ALLOW_CONNECTIONS false",
    "server: ALTER DATABASE {db} ALLOW_CONNECTIONS false; GRANT ALL ON DATABASE {db} TO PUBLIC",
    "server: REVOKE ALL ON DATABASE {db} FROM {gate}",
    "server: REVOKE ALL ON DATABASE {db} FROM {owner}, {rw}",
    "server: GRANT ALL ON DATABASE {db} TO PUBLIC",
    "server: GRANT CONNECT ON DATABASE {db} TO PUBLIC",
    "server: GRANT TEMPORARY ON DATABASE {db} TO {ro}",
    "server: GRANT CREATE ON DATABASE {db} TO {reader} WITH GRANT OPTION",
    "server: GRANT CONNECT ON DATABASE {db} TO {stranger} WITH GRANT OPTION; "
    "SET ROLE {stranger}; GRANT CONNECT ON DATABASE {db} TO {other}; RESET ROLE",
    "server: GRANT CONNECT ON DATABASE {db} TO {gate} WITH GRANT OPTION",
    "server: REVOKE CONNECT ON DATABASE {db} FROM {gate}; "
    "GRANT CONNECT ON DATABASE {db} TO {owner} WITH GRANT OPTION; "
    "SET ROLE {owner}; GRANT CONNECT ON DATABASE {db} TO {gate}; RESET ROLE",
    # The second leaves an entry whose grantor can't grant any more: the REVOKE doesn't cascade while the owner
    # has the option through the gate.
    "server: GRANT CONNECT ON DATABASE {db} TO {owner} WITH GRANT OPTION; "
    "SET ROLE {owner}; GRANT CONNECT ON DATABASE {db} TO {gate}; RESET ROLE; "
    "GRANT CONNECT ON DATABASE {db} TO {gate} WITH GRANT OPTION",
    "server: GRANT CONNECT ON DATABASE {db} TO {owner} WITH GRANT OPTION; "
    "SET ROLE {owner}; GRANT CONNECT ON DATABASE {db} TO {gate}; RESET ROLE; "
    "GRANT CONNECT ON DATABASE {db} TO {gate} WITH GRANT OPTION; "
    "REVOKE CONNECT ON DATABASE {db} FROM {owner} CASCADE; "
    "REVOKE GRANT OPTION FOR CONNECT ON DATABASE {db} FROM {gate} CASCADE",
    "server: GRANT CONNECT ON DATABASE {elsewhere} TO {user}",
    "server: GRANT ALL ON DATABASE postgres TO {ro} WITH GRANT OPTION",
    "server: GRANT CONNECT ON DATABASE howdah TO {gate}",
]

OWNERS = [
    "inside: ALTER SCHEMA public OWNER TO {stranger}",
    "inside: ALTER SCHEMA public OWNER TO {user}",
    "inside: ALTER TABLE data.things OWNER TO {stranger}",
    "inside: ALTER TABLE data.things OWNER TO {user2}",
    "inside: ALTER TABLE data.things OWNER TO howdah",
    "inside: ALTER VIEW data.seen OWNER TO {rw}",
    "inside: ALTER SEQUENCE data.free_numbers OWNER TO {ro}",
    "inside: ALTER FUNCTION data.answer() OWNER TO {stranger}",
    "inside: ALTER FUNCTION data.answer() OWNER TO howdah",
    "inside: ALTER PROCEDURE data.act(int) OWNER TO {user}",
    "inside: ALTER TYPE data.mood OWNER TO {stranger}",
    "inside: ALTER DOMAIN data.positive OWNER TO {user}",
    "inside: ALTER LARGE OBJECT 4711 OWNER TO {stranger}",
    "inside: ALTER LARGE OBJECT 4711 OWNER TO {user}",
    "inside: SET SESSION AUTHORIZATION {user}; SET ROLE NONE; CREATE SCHEMA IF NOT EXISTS stray; "
    "CREATE TABLE stray.t (id serial PRIMARY KEY, x text); CREATE FUNCTION stray.f() RETURNS int "
    "LANGUAGE sql AS 'SELECT 1'; RESET SESSION AUTHORIZATION",
    "inside: CREATE SCHEMA IF NOT EXISTS admins; CREATE TABLE admins.t (id int); "
    "CREATE VIEW admins.v AS SELECT 1 AS one",
    "inside: DROP SCHEMA public CASCADE",
    "inside: DROP SCHEMA IF EXISTS stray CASCADE; DROP SCHEMA IF EXISTS admins CASCADE; "
    "CREATE SCHEMA IF NOT EXISTS public",
]

PRIVILEGES = [
    "inside: GRANT ALL ON SCHEMA public TO PUBLIC",
    "inside: GRANT CREATE ON SCHEMA data TO {ro}",
    "inside: REVOKE USAGE ON SCHEMA data FROM {ro}, {rw}",
    "inside: REVOKE ALL ON ALL TABLES IN SCHEMA data FROM {ro}, {rw}",
    "inside: GRANT ALL ON ALL TABLES IN SCHEMA data TO PUBLIC",
    "inside: GRANT INSERT, UPDATE ON data.things TO {ro}",
    "inside: GRANT SELECT ON data.things TO {stranger}",
    "inside: GRANT TRUNCATE ON data.things TO {reader} WITH GRANT OPTION",
    "inside: GRANT SELECT ON data.things TO {ro} WITH GRANT OPTION; "
    "SET ROLE {ro}; GRANT SELECT ON data.things TO {stranger}; RESET ROLE",
    "inside: REVOKE SELECT ON data.things FROM {ro}; GRANT SELECT ON data.things TO {rw} WITH GRANT OPTION; "
    "SET ROLE {rw}; GRANT SELECT ON data.things TO {ro}; RESET ROLE",
    "inside: GRANT UPDATE (name) ON data.things TO {ro}",
    "inside: GRANT INSERT (name), SELECT (name) ON data.things TO PUBLIC",
    'inside: GRANT UPDATE ("Odd ""column") ON data."Odd ""table" TO {reader}',
    'inside: GRANT ALL ON data."Odd ""table" TO {ro}',
    "inside: GRANT USAGE, UPDATE ON SEQUENCE data.free_numbers TO {ro}",
    "inside: REVOKE ALL ON SEQUENCE data.things_id_seq FROM {rw}",
    "inside: GRANT EXECUTE ON FUNCTION data.answer() TO PUBLIC",
    "inside: GRANT EXECUTE ON PROCEDURE data.act(int) TO {ro} WITH GRANT OPTION",
    "inside: REVOKE EXECUTE ON FUNCTION data.answer() FROM {rw}",
    "inside: GRANT UPDATE ON LARGE OBJECT 4711 TO {ro}",
    "inside: GRANT ALL ON LARGE OBJECT 4711 TO PUBLIC",
    "inside: GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC",
    "inside: GRANT EXECUTE ON FUNCTION pg_catalog.lo_from_bytea(oid, bytea) TO {ro}",
    "inside: REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(int) FROM {owner}",
]

GUARD = [
    "inside: ALTER EVENT TRIGGER howdah_guard DISABLE",
    "inside: ALTER EXTENSION plpgsql DROP EVENT TRIGGER howdah_guard; DROP EVENT TRIGGER howdah_guard",
    "inside: ALTER EXTENSION plpgsql DROP FUNCTION pg_catalog.howdah_guard()",
    "inside: CREATE OR REPLACE FUNCTION pg_catalog.howdah_guard() RETURNS event_trigger "
    "LANGUAGE plpgsql AS 'BEGIN END'",
    "inside: ALTER EXTENSION plpgsql DROP EVENT TRIGGER howdah_guard; "
    "ALTER EXTENSION plpgsql DROP FUNCTION pg_catalog.howdah_guard(); "
    "DROP FUNCTION pg_catalog.howdah_guard() CASCADE",
    "inside: GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text{flush}) TO PUBLIC",
]

DEFAULTS = [
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE ALL ON TABLES FROM {ro}, {rw}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO {ro}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT ON TABLES TO PUBLIC",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT EXECUTE ON ROUTINES TO PUBLIC",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {user} REVOKE SELECT ON SEQUENCES FROM {ro}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {user2} REVOKE ALL ON TABLES FROM {owner}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {ro} WITH GRANT OPTION",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA data GRANT UPDATE ON TABLES TO {reader}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA data GRANT ALL ON SEQUENCES TO PUBLIC",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {reader} GRANT SELECT ON TABLES TO {stranger}",
    "inside: ALTER DEFAULT PRIVILEGES FOR ROLE {ro} REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
]

MISSING = [
    "inside: REASSIGN OWNED BY {user} TO howdah; DROP OWNED BY {user}; DROP ROLE {user}",
    "inside: REASSIGN OWNED BY {reader2} TO howdah; DROP OWNED BY {reader2}; DROP ROLE {reader2}",
    "inside: REASSIGN OWNED BY {owner} TO howdah; DROP OWNED BY {owner}; DROP ROLE {owner}",
    "inside: REASSIGN OWNED BY {ro} TO howdah; DROP OWNED BY {ro}; DROP ROLE {ro}",
    "inside: REASSIGN OWNED BY {rw} TO howdah; DROP OWNED BY {rw}; DROP ROLE {rw}",
    "inside: REASSIGN OWNED BY {gate} TO howdah; DROP OWNED BY {gate}; DROP ROLE {gate}",
]

ALL = [
    *ATTRIBUTES,
    *MEMBERSHIPS,
    *SETTINGS,
    *DATABASE,
    *OWNERS,
    *PRIVILEGES,
    *GUARD,
    *DEFAULTS,
    *MISSING,
]

# What only a superuser can set up, and therefore isn't there to be spoiled where the admin is none.
SUPERUSERS = [mangle for mangle in ALL if "howdah_guard" in mangle or "FUNCTION pg_" in mangle]
