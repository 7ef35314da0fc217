"""What no login of an app may do on its server and in its own database."""

from howdah.domain.attempts.attempt import DENIED, NOT_GRANTED, Attempt

_NOT_THERE = ("0A000", "58P01", "22023")  # the extension's files aren't on that server
_NO_SUCH_FUNCTION = "42883"
_OWNER_ONLY = "the database belongs to howdah's control role"
_NO_ATTRIBUTES = "an app's roles have no attribute but LOGIN"
_NO_MEMBERSHIPS = "a login is a member of its own group alone, without ADMIN"
_SHUT_CATALOG = "the function or view isn't PUBLIC's"
_NO_WAY_OUT = "only a superuser makes extensions that aren't trusted"
_SETTING = "only a superuser sets it"

# Since when there is each of the roles that the server has for its own powers.
_PREDEFINED = {
    "pg_execute_server_program": 13,
    "pg_read_server_files": 13,
    "pg_write_server_files": 13,
    "pg_signal_backend": 13,
    "pg_monitor": 13,
    "pg_read_all_settings": 13,
    "pg_read_all_stats": 13,
    "pg_stat_scan_tables": 13,
    "pg_read_all_data": 14,
    "pg_write_all_data": 14,
    "pg_checkpoint": 15,
    "pg_create_subscription": 16,
    "pg_use_reserved_connections": 16,
    "pg_maintain": 17,
    "pg_signal_autovacuum_worker": 18,
}

ANYONE = (
    # Roles
    Attempt("CREATE ROLE", "CREATE ROLE howdah_x_tried", _NO_ATTRIBUTES),
    *(
        Attempt(f"ALTER ROLE of itself: {word}", f"ALTER ROLE {{me}} {word}", _NO_ATTRIBUTES)
        for word in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS", "CONNECTION LIMIT -1")
    ),
    Attempt("ALTER ROLE of itself: VALID UNTIL", "ALTER ROLE {me} VALID UNTIL 'infinity'", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE of the app's login", "ALTER ROLE {user} NOLOGIN", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE of the login's twin", "ALTER ROLE {user2} LOGIN", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE of the read-only login", "ALTER ROLE {reader} CONNECTION LIMIT -1", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE of the owner group", "ALTER ROLE {owner} LOGIN", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE of howdah", "ALTER ROLE {control} CONNECTION LIMIT -1", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE ALL", "ALTER ROLE ALL SET work_mem = '1MB'", _NO_ATTRIBUTES),
    Attempt("ALTER ROLE ALL in its database", "ALTER ROLE ALL IN DATABASE {db} SET work_mem = '1MB'", _OWNER_ONLY),
    Attempt("DROP ROLE of the read-only login", "DROP ROLE {reader}", _NO_ATTRIBUTES),
    Attempt("SET ROLE to howdah", "SET ROLE {control}", _NO_MEMBERSHIPS),
    Attempt("SET ROLE to howdah's admin", "SET ROLE {admin}", _NO_MEMBERSHIPS),
    Attempt("SET ROLE to the bootstrap superuser", "SET ROLE {bootstrap}", _NO_MEMBERSHIPS),
    Attempt("SET SESSION AUTHORIZATION to howdah", "SET SESSION AUTHORIZATION {control}"),
    Attempt("SET SESSION AUTHORIZATION to the app's login", "SET SESSION AUTHORIZATION {user}"),
    Attempt("GRANT itself howdah", "GRANT {control} TO {me}", _NO_MEMBERSHIPS),
    Attempt("GRANT itself the owner group with ADMIN", "GRANT {owner} TO {me} WITH ADMIN OPTION", _NO_MEMBERSHIPS),
    Attempt("GRANT itself the gate", "GRANT {gate} TO {me}", _NO_MEMBERSHIPS),
    *(
        Attempt(f"SET ROLE {role}", f"SET ROLE {role}", _NO_MEMBERSHIPS, since=since)
        for role, since in _PREDEFINED.items()
    ),
    *(
        Attempt(f"GRANT itself {role}", f"GRANT {role} TO {{me}}", _NO_MEMBERSHIPS, since=since)
        for role, since in _PREDEFINED.items()
    ),
    Attempt("DROP OWNED of howdah", "DROP OWNED BY {control}", _NO_MEMBERSHIPS),
    Attempt("REASSIGN OWNED of howdah", "REASSIGN OWNED BY {control} TO {me}", _NO_MEMBERSHIPS),
    Attempt(
        "ALTER DEFAULT PRIVILEGES of howdah",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {control} GRANT ALL ON TABLES TO PUBLIC",
        _NO_MEMBERSHIPS,
    ),
    # Databases
    Attempt("CREATE DATABASE", "CREATE DATABASE howdah_x_tried TEMPLATE howdah_x_none", _NO_ATTRIBUTES, alone=True),
    Attempt("CREATE TABLESPACE", "CREATE TABLESPACE howdah_x_tried LOCATION 'nowhere'", alone=True),
    Attempt("ALTER DATABASE: owner", "ALTER DATABASE {db} OWNER TO {owner}", _OWNER_ONLY),
    Attempt("ALTER DATABASE: limit", "ALTER DATABASE {db} CONNECTION LIMIT -1", _OWNER_ONLY),
    Attempt("ALTER DATABASE: template", "ALTER DATABASE {db} IS_TEMPLATE true", _OWNER_ONLY),
    Attempt("ALTER DATABASE SET", "ALTER DATABASE {db} SET work_mem = '1MB'", _OWNER_ONLY),
    Attempt("COMMENT on its database", "COMMENT ON DATABASE {db} IS 'tried'", _OWNER_ONLY),
    Attempt(
        "GRANT CONNECT on its database to all",
        "GRANT CONNECT ON DATABASE {db} TO PUBLIC",
        _OWNER_ONLY,
        (DENIED, NOT_GRANTED),
    ),
    Attempt(
        "GRANT CREATE on its database",
        "GRANT CREATE ON DATABASE {db} TO {ro}",
        _OWNER_ONLY,
        (DENIED, NOT_GRANTED),
    ),
    # The machine
    Attempt("COPY TO PROGRAM", "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'"),
    Attempt("COPY FROM PROGRAM", "COPY {table} FROM PROGRAM 'true'"),
    Attempt("COPY TO a file", "COPY (SELECT 1) TO '/howdah/nowhere'"),
    Attempt("COPY FROM a file", "COPY {table} FROM '/howdah/nowhere'"),
    Attempt("pg_read_file", "SELECT pg_read_file('PG_VERSION')", _SHUT_CATALOG),
    Attempt("pg_read_binary_file", "SELECT pg_read_binary_file('PG_VERSION')", _SHUT_CATALOG),
    Attempt("pg_stat_file", "SELECT pg_stat_file('PG_VERSION')", _SHUT_CATALOG),
    Attempt("pg_ls_dir", "SELECT pg_ls_dir('.')", _SHUT_CATALOG),
    Attempt("pg_ls_logdir", "SELECT pg_ls_logdir()", _SHUT_CATALOG),
    Attempt("pg_ls_waldir", "SELECT pg_ls_waldir()", _SHUT_CATALOG),
    Attempt("pg_current_logfile", "SELECT pg_current_logfile()", _SHUT_CATALOG),
    Attempt("lo_import", "SELECT lo_import('PG_VERSION')", _SHUT_CATALOG),
    Attempt("lo_export", "SELECT lo_export(0, '/howdah/nowhere')", _SHUT_CATALOG),
    # The server
    Attempt("ALTER SYSTEM", "ALTER SYSTEM SET howdah_x_none = 'tried'", alone=True),
    Attempt("LOAD", "LOAD '/howdah/nowhere'"),
    Attempt("pg_reload_conf", "SELECT pg_reload_conf()", _SHUT_CATALOG),
    Attempt("pg_rotate_logfile", "SELECT pg_rotate_logfile()", _SHUT_CATALOG),
    Attempt("pg_create_restore_point", "SELECT pg_create_restore_point(repeat('x', 70))", _SHUT_CATALOG),
    Attempt("pg_stat_reset", "SELECT pg_stat_reset_single_table_counters(0)", _SHUT_CATALOG),
    Attempt(
        "pg_stat_statements_reset",
        "SELECT pg_stat_statements_reset(0, 0, 1)",
        _SHUT_CATALOG,
        (DENIED, _NO_SUCH_FUNCTION),
    ),
    Attempt(
        "a replication slot",
        "SELECT pg_create_physical_replication_slot('howdah_x_tried', false, true)",
        _NO_ATTRIBUTES,
    ),
    Attempt("dropping a replication slot", "SELECT pg_drop_replication_slot('howdah_x_none')", _NO_ATTRIBUTES),
    Attempt("SET session_replication_role", "SET session_replication_role = replica", _SETTING),
    Attempt("SET log_statement", "SET log_statement = 'all'", _SETTING),
    Attempt("SET temp_file_limit", "SET temp_file_limit = -1", _SETTING),
    Attempt("SET session_preload_libraries", "SET session_preload_libraries = 'nowhere'", _SETTING),
    Attempt("GRANT of a parameter", "GRANT SET ON PARAMETER log_statement TO {me}", since=15),
    # The catalogs
    Attempt("pg_authid", "SELECT rolpassword FROM pg_authid LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_shadow", "SELECT passwd FROM pg_shadow LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_user_mapping", "SELECT umoptions FROM pg_user_mapping LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_statistic", "SELECT stavalues1 FROM pg_statistic LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_largeobject", "SELECT data FROM pg_largeobject LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_subscription", "SELECT subconninfo FROM pg_subscription LIMIT 0", _SHUT_CATALOG),
    Attempt("pg_hba_file_rules", "SELECT FROM pg_hba_file_rules", _SHUT_CATALOG),
    Attempt("pg_file_settings", "SELECT FROM pg_file_settings", _SHUT_CATALOG),
    Attempt("UPDATE of a catalog", "UPDATE pg_database SET datacl = NULL WHERE false"),
    Attempt("DELETE from a catalog", "DELETE FROM pg_auth_members WHERE false"),
    Attempt("CREATE in pg_catalog", "CREATE TABLE pg_catalog.howdah_x_tried (n int)"),
    Attempt("CREATE in information_schema", "CREATE TABLE information_schema.howdah_x_tried (n int)"),
    Attempt("ALTER of a built-in function", "ALTER FUNCTION pg_catalog.pg_sleep(double precision) SECURITY DEFINER"),
    Attempt(
        "GRANT of a built-in function",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO {me}",
        refused=(DENIED, NOT_GRANTED),
    ),
    Attempt(
        "GRANT of the functions that write",
        "GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC",
        refused=(DENIED, NOT_GRANTED),
    ),
    # Code, and ways to other servers
    *(
        Attempt(f"CREATE EXTENSION {name}", f"CREATE EXTENSION {name}", _NO_WAY_OUT, (DENIED, *_NOT_THERE))
        for name in ("dblink", "postgres_fdw", "file_fdw", "pageinspect", "plpython3u", "plperlu")
    ),
    Attempt("a language", "CREATE LANGUAGE howdah_x_tried HANDLER plpgsql_call_handler"),
    Attempt(
        "a function in C",
        "CREATE FUNCTION pg_temp.howdah_x_tried() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'x'",
        "the language isn't trusted",
    ),
    Attempt(
        "an internal function",
        "CREATE FUNCTION pg_temp.howdah_x_tried() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
        "the language isn't trusted",
    ),
    Attempt("a base type", "CREATE TYPE {schema}.howdah_x_tried (INPUT = int4in, OUTPUT = int4out)"),
    Attempt(
        "an event trigger",
        "CREATE EVENT TRIGGER howdah_x_tried ON ddl_command_end EXECUTE FUNCTION pg_catalog.event_trigger_in()",
        refused=(DENIED, _NO_SUCH_FUNCTION),
    ),
    Attempt("a foreign data wrapper", "CREATE FOREIGN DATA WRAPPER howdah_x_tried"),
    Attempt("a publication of everything", "CREATE PUBLICATION howdah_x_tried FOR ALL TABLES"),
    Attempt(
        "a subscription",
        "CREATE SUBSCRIPTION howdah_x_tried CONNECTION '' PUBLICATION x WITH (connect = false)",
    ),
)
