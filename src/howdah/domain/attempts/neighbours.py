"""What no login may do to another app, to a session of one, and to a database that is nobody's."""

from howdah.domain.attempts.attempt import DENIED, NO_ROWS, NOT_GRANTED, Attempt
from howdah.domain.differences import NO_SELF_ADMIN

_ROLES = "no role of an app is a member of another app's"
_OWNER = "a database belongs to howdah's control role"

# To each other database of an app; {me} is who tries, the words with other_ are the other's.
NEIGHBOURS = (
    *(
        Attempt(f"SET ROLE to another app's {what}", f"SET ROLE {{{word}}}", _ROLES)
        for what, word in {
            "owner group": "other_owner",
            "readwrite group": "other_rw",
            "readonly group": "other_ro",
            "gate": "other_gate",
            "login": "other_user",
            "read-only login": "other_reader",
        }.items()
    ),
    Attempt("SET SESSION AUTHORIZATION to another app's login", "SET SESSION AUTHORIZATION {other_user}", _ROLES),
    Attempt("GRANT itself another app's owner group", "GRANT {other_owner} TO {me}", _ROLES),
    Attempt("GRANT itself another app's gate", "GRANT {other_gate} TO {me}", _ROLES),
    Attempt("GRANT itself another app's login", "GRANT {other_user} TO {me}", _ROLES),
    Attempt("GRANT another app its own gate", "GRANT {gate} TO {other_user}", _ROLES),
    Attempt("GRANT another app its own owner group", "GRANT {owner} TO {other_user}", _ROLES),
    Attempt("GRANT another app itself", "GRANT {me} TO {other_user}", _ROLES, unless=NO_SELF_ADMIN),
    Attempt("ALTER ROLE of another app's login", "ALTER ROLE {other_user} CONNECTION LIMIT -1", _ROLES),
    Attempt("DROP OWNED of another app", "DROP OWNED BY {other_owner}", _ROLES),
    Attempt("REASSIGN OWNED of another app", "REASSIGN OWNED BY {other_owner} TO {owner}", _ROLES),
)

# To each other database, another app's or nobody's.
SHELLS = (
    Attempt(
        "GRANT itself CONNECT on another database",
        "GRANT CONNECT ON DATABASE {other_db} TO {me}",
        _OWNER,
        (DENIED, NOT_GRANTED),
    ),
    Attempt("ALTER DATABASE of another: limit", "ALTER DATABASE {other_db} CONNECTION LIMIT -1", _OWNER),
    Attempt("ALTER DATABASE of another SET", "ALTER DATABASE {other_db} SET work_mem = '1MB'", _OWNER),
    Attempt("COMMENT on another database", "COMMENT ON DATABASE {other_db} IS 'tried'", _OWNER),
    Attempt(
        "another database's size",
        "SELECT pg_database_size({other_db_text})",
        "its size is for those who may connect",
        of_closed=True,
    ),
)

# To a session of another login, which is there for it.
SESSIONS = (
    Attempt("ending another's session", "SELECT pg_terminate_backend({other_pid})", _ROLES),
    Attempt("cancelling another's query", "SELECT pg_cancel_backend({other_pid})", _ROLES),
    Attempt("having another's memory logged", "SELECT pg_log_backend_memory_contexts({other_pid})", _ROLES, since=14),
    Attempt(
        "reading another's query",
        "SELECT FROM pg_stat_activity WHERE pid = {other_pid} AND query <> '<insufficient privilege>'",
        "what a session does is for members of its role",
        (NO_ROWS,),
    ),
    Attempt(
        "another's address",
        "SELECT FROM pg_stat_activity WHERE pid = {other_pid} AND (client_addr IS NOT NULL OR state IS NOT NULL)",
        "what a session does is for members of its role",
        (NO_ROWS,),
    ),
)
