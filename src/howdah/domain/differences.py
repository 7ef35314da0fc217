"""Where servers differ, by release and by what howdah's admin may: the one place that says so, and why.

A `Difference` is something that PostgreSQL has, or lets howdah do, on some servers only. The diffs ask
`Server.has(…)`; `limit` is what an admin is told where a server doesn't have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from howdah.domain.server import Server

# The minor releases of 14 November 2024, as server_version_num has them.
IGNORE_SET_ROLE = frozenset({130017, 140014, 150009, 160005, 170001})


@dataclass(frozen=True)
class Difference:
    """`where` says in words what `there` decides. `remedy` is what an admin can do about the `limit`."""

    what: str
    where: str
    there: Callable[[Server], bool] = field(repr=False, compare=False)
    reason: str
    limit: str | None = None
    remedy: str | None = None


MEMBERSHIP_OPTIONS = Difference(
    "memberships are granted WITH INHERIT and SET, and revoked as their grantor",
    "16 and newer",
    lambda server: server.major >= 16,
    "16 gave each membership options of its own and a grantor that counts. Before, ADMIN was the only option, one "
    "grant stood for all, and any member could SET ROLE.",
)
SELF_GRANTS = Difference(
    "the control role makes itself a member of every role of an app, with SET on the owner group",
    "an admin who is no superuser",
    lambda server: not server.superuser,
    "CREATEROLE lets it make roles, not act for them: giving away objects, changing default privileges and ending "
    "sessions all need membership. From 16 on its own membership comes with ADMIN and nothing else.",
)
PUBLIC_SCHEMA_SHUT = Difference(
    "nobody but the owner creates objects in schema public",
    "15 and newer; before, a superuser, or a template1 whose schema public the control role owns",
    lambda server: server.major >= 15 or server.superuser or server.template == "template1",
    "15 took CREATE on public from PUBLIC and gave the schema to pg_database_owner. Before, it is the bootstrap "
    "superuser's in every database from template0, where another admin's REVOKE succeeds and does nothing.",
    limit="every login of an app, read-only ones too, can create objects in its schema public",
    remedy="Have a superuser run in template1: ALTER SCHEMA public OWNER TO {control_role}; "
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC. It holds for apps made afterwards.",
)
LOCALE_PROVIDERS = Difference(
    "a loaded database is made with the provider of its locale named",
    "15 and newer",
    lambda server: server.major >= 15,
    "15 gave each database a provider, ICU besides the C library, and 17 its own. Before, all are the C library's.",
)
COUNTED_AT_EXIT = Difference(
    "what a session wrote is in the statistics before the session is gone",
    "15 and newer",
    lambda server: server.major >= 15,
    "Until 14 a process of its own collects them, from messages that come late or get lost: there, `howdah drift` "
    "looks into every database every time.",
)
TABLE_MAINTAIN = Difference(
    "default privileges speak of MAINTAIN",
    "17 and newer",
    lambda server: server.major >= 17,
    "17 added the table privilege.",
)
LARGE_OBJECT_DEFAULTS = Difference(
    "the groups get their privileges on new large objects by default privileges",
    "18 and newer",
    lambda server: server.major >= 18,
    "ALTER DEFAULT PRIVILEGES knows large objects from 18 on.",
    limit="a large object belongs to its maker alone until the app grants it to others",
)
SCRAM_BY_DEFAULT = Difference(
    "a password that a login sets itself is stored as SCRAM",
    "14 and newer",
    lambda server: server.major >= 14,
    "Before 14, password_encryption is md5 by default. howdah's own passwords travel as SCRAM verifiers everywhere.",
    limit="a login that sets its own password stores it as md5",
    remedy="Set password_encryption to scram-sha-256 on the server.",
)
SESSION_COUNTS = Difference(
    "a session that came and went between two looks counts as activity",
    "14 and newer",
    lambda server: server.major >= 14,
    "pg_stat_database counts sessions from 14 on.",
    limit="last activity misses sessions of less than ten seconds",
)
SET_ROLE_HONOURED = Difference(
    "owner logins act as the owner group from their first statement",
    "every release but 13.17, 14.14, 15.9, 16.5 and 17.1",
    lambda server: server.version_num not in IGNORE_SET_ROLE,
    "Those minor releases, of 14 November 2024, ignore ALTER ROLE … SET role; a week later it was undone.",
    limit="what an app's login makes belongs to the login instead of the owner group, until `howdah repair`",
    remedy="Install a newer minor release.",
)
NO_SELF_ADMIN = Difference(
    "a login can't make others members of itself",
    "15 and newer",
    lambda server: server.major >= 15,
    "Until 14 a role counts as its own admin in a session of its own: `GRANT myapp_user TO other_user` by an app's "
    "login opens the app to another's.",
    limit="a login of an app can make another app's login a member of itself, until `howdah repair`",
)
SUPERUSER_WALLS = Difference(
    "PUBLIC can't call the functions that make large objects and WAL messages",
    "a superuser",
    lambda server: server.superuser,
    "They are the bootstrap superuser's: nobody else's REVOKE on them has an effect.",
    limit="a read-only login can make large objects of its own and write messages into the WAL",
)
GUARD = Difference(
    "an event trigger keeps DROP OWNED and ALTER DEFAULT PRIVILEGES from logins that own nothing",
    "a superuser",
    lambda server: server.superuser,
    "Only a superuser can make event triggers.",
    limit="a read-only login can strike its own group from the app's default privileges with DROP OWNED, until "
    "`howdah repair`",
)
SILENT_PASSWORDS = Difference(
    "a statement with a SCRAM verifier is kept out of the server's log and its statistics",
    "a superuser",
    lambda server: server.superuser,
    "log_statement, pg_stat_statements.track and their like are settings that only a superuser changes.",
    limit="a server that logs DDL, or counts it with pg_stat_statements, has the SCRAM verifiers of new passwords "
    "there",
)
PASSWORDS_SEEN = Difference(
    "howdah knows whether a login has a password",
    "a superuser",
    lambda server: server.superuser,
    "pg_authid is closed to everyone else.",
    limit="whether a login has a password isn't known",
)

DIFFERENCES = (
    *(MEMBERSHIP_OPTIONS, SELF_GRANTS, PUBLIC_SCHEMA_SHUT, TABLE_MAINTAIN, LARGE_OBJECT_DEFAULTS, SCRAM_BY_DEFAULT),
    *(SESSION_COUNTS, SET_ROLE_HONOURED, SUPERUSER_WALLS, GUARD, SILENT_PASSWORDS, PASSWORDS_SEEN, COUNTED_AT_EXIT),
    *(LOCALE_PROVIDERS, NO_SELF_ADMIN),
)

# What can be said of any server, without a name of anything on it.
GENERAL_LIMITS = frozenset(each.limit for each in DIFFERENCES if each.limit)


def limits(server: Server) -> list[tuple[str, str | None]]:
    """What can't be had on `server`, each with what an admin can do about it."""
    return [
        (each.limit, each.remedy.format(control_role=server.control_role) if each.remedy else None)
        for each in DIFFERENCES
        if each.limit and not each.there(server)
    ]
