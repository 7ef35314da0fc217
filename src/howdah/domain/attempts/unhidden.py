"""What PostgreSQL shows to every login of a server: no attempt is made at it, and it counts as no pass."""

UNHIDDEN = (
    "The names of all databases and roles of the server, who is a member of what, and when each last changed "
    "(pg_database, pg_roles, pg_auth_members).",
    "Settings and comments of databases and roles (pg_db_role_setting, pg_shdescription): no secret belongs there.",
    "That another login has a session, in which database, with which application_name (pg_stat_activity); never its "
    "query, address or state.",
    "Counters of other databases: transactions, rows, sessions (pg_stat_database).",
    "A login can set its own password and its own settings; nothing keeps it from that.",
)
