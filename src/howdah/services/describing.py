"""Describing an instance: what its server says, what the admin may do there, and what can't be had."""

from dataclasses import replace

from howdah.domain.differences import limits
from howdah.domain.errors import HowdahError, sentence
from howdah.domain.server import Server
from howdah.domain.sql import ident
from howdah.domain.views import Capabilities, InstanceInfo, InstanceSummary, LimitView
from howdah.instances.adopted import AdoptedServer
from howdah.instances.releases import ServerVersion, notice
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.probe import check_maker, probe_login, probe_offers, risky_members
from howdah.services.core import Instance

# Said of every server that isn't howdah's own.
ONLY_WALL = "an app's gate is its only wall: pg_hba.conf there isn't howdah's"
_UNKNOWN: catalog.Row = dict.fromkeys(
    ("version", "version_num", "started_at", "max_connections", "connections", "tls"), None
)


def describe(instance: Instance, apps: int) -> InstanceInfo:
    """An instance as its server says now. Raises HowdahError `server_down`."""
    with instance.session() as connection:
        row = catalog.server(connection)
        lacking = _lacking(connection, instance.server)
        with instance.connector.connect_as_login() as admin:
            capabilities = _capabilities(instance.server, admin)
            members, revokes = risky_members(admin, instance.server.control_role)
    info = _info(instance, apps, row)
    if instance.kind == "embedded":
        return replace(info, capabilities=capabilities, limits=_limits(instance.server))
    exposed = [LimitView(lacking.message, lacking.hint)] if lacking else []
    if members and instance.server.superuser:
        who = f'whoever is a member of control role "{instance.server.control_role}" can act as a superuser'
        exposed.append(LimitView(f"{who}: {', '.join(members)}", f"Have a superuser run: {revokes}"))
    return replace(
        info,
        tls=capabilities.tls,
        capabilities=capabilities,
        limits=[*exposed, *_limits(instance.server), *_limits_of_adopted(instance, capabilities)],
        notices=_notices(instance, row["version_num"], capabilities),
    )


def describe_unreachable(instance: Instance, apps: int, why: HowdahError) -> InstanceInfo:
    """What is on record of an instance whose server doesn't answer."""
    said = " ".join(sentence(part) for part in (why.message, why.detail, why.hint) if part)
    return replace(_info(instance, apps, _UNKNOWN), state="unreachable", notices=[said])


def summary(info: InstanceInfo) -> InstanceSummary:
    """The part of a description that a list shows."""
    return InstanceSummary(
        info.name,
        info.kind,
        info.state,
        info.version,
        info.host,
        info.port,
        info.admin,
        info.control_role,
        info.apps,
        info.notices,
    )


def _info(instance: Instance, apps: int, row: catalog.Row) -> InstanceInfo:
    ways = instance.ways
    return InstanceInfo(
        name=instance.name,
        kind=instance.kind,
        state="ready",
        version=row["version"],
        host=ways.url_host,
        port=ways.url_port,
        admin=instance.connector.login,
        control_role=instance.connector.role or instance.connector.login,
        apps=apps,
        version_num=row["version_num"],
        bind=[],
        public_host=ways.public_host,
        tls=bool(row["tls"]),
        data_directory=None,
        socket_directory=None,
        api_socket=None,
        started_at=row["started_at"],
        max_connections=row["max_connections"],
        connections=row["connections"],
        capabilities=None,
        limits=[],
        notices=[],
    )


def _capabilities(server: Server, admin: Connection) -> Capabilities:
    login, offers = probe_login(admin), probe_offers(admin)
    return Capabilities(
        superuser=login.superuser,
        create_role=login.superuser or login.create_role,
        create_db=login.superuser or login.create_db,
        replication=login.replication,
        pg_hba=offers.pg_hba,
        tls=login.tls,
        provider=server.provider,
        predefined_roles=offers.predefined_roles,
        app_extensions=offers.trusted_extensions,
        extensions=offers.other_extensions,
        open_databases=offers.open_databases,
    )


def _lacking(connection: Connection, server: Server) -> HowdahError | None:
    try:
        check_maker(connection, server)
    except HowdahError as error:
        return error
    return None


def _limits(server: Server) -> list[LimitView]:
    return [LimitView(*each) for each in limits(server)]


def _limits_of_adopted(instance: Instance, capabilities: Capabilities) -> list[LimitView]:
    found = [
        LimitView(
            f'every login of an app may connect to database "{name}"',
            "Where its users don't need PUBLIC for that: "
            f"{_keep_a_way_in(instance, name)}REVOKE CONNECT, TEMPORARY ON DATABASE {ident(name)} FROM PUBLIC.",
        )
        for name in capabilities.open_databases
    ]
    return [*found, LimitView(ONLY_WALL, None)]


def _keep_a_way_in(instance: Instance, database: str) -> str:
    """Where howdah itself may be there as one of PUBLIC only: the databases that it works in."""
    if instance.server.superuser or database not in (instance.connector.maintenance, "template1"):
        return ""
    return f"GRANT CONNECT ON DATABASE {ident(database)} TO {ident(instance.server.control_role)}; "


def _notices(instance: Instance, version_num: int, capabilities: Capabilities) -> list[str]:
    said = []
    if old := notice(ServerVersion(version_num // 10000, version_num % 10000), own=False):
        said.append(old)
    if not capabilities.tls and isinstance(instance.ways, AdoptedServer) and not instance.ways.address.local:
        said.append("howdah connects to it without TLS (sslmode).")
    return said
