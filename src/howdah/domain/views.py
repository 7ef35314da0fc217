"""What howdah shows: answers of the services, as the door hands them out. No secret but in `IssuedLogin.url`,
`ShortLivedSession.password` and `CreatedToken.token`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from howdah.domain.differences import GENERAL_LIMITS
from howdah.domain.specs import Access, Purpose


@dataclass(frozen=True)
class IssuedLogin:
    """A login with the URL that carries its password; `url` is None where an answer is repeated.

    `purpose` is that of the database it is for.
    """

    name: str
    access: Access
    url: str | None = field(repr=False)
    purpose: Purpose = Purpose.MAIN


@dataclass(frozen=True)
class CreatedApp:
    """`database` is the app's main one; `databases` are those that were made now."""

    app: str
    instance: str
    database: str
    databases: list[str]
    logins: list[IssuedLogin]
    operation: str
    resumed: bool = False
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class IssuedPassword:
    app: str
    database: str
    logins: list[IssuedLogin]
    sessions_ended: int
    operation: str


@dataclass(frozen=True)
class AddedLogin:
    """A login that was added, or opened again, with its URL."""

    app: str
    database: str
    logins: list[IssuedLogin]
    expires_at: datetime | None
    reason: str | None
    operation: str


@dataclass(frozen=True)
class RevokedLogin:
    """`gone` says that the role was dropped; else `notices` say why not."""

    app: str
    login: str
    sessions_ended: int
    gone: bool
    notices: list[str]
    operation: str


@dataclass(frozen=True)
class PlannedStatement:
    """A statement as people may see it: its secret is masked."""

    description: str
    sql: str
    database: str
    secret: bool


@dataclass(frozen=True)
class PlannedApp:
    app: str
    statements: list[PlannedStatement]


@dataclass(frozen=True)
class DroppedApp:
    """An app that is closed, and deleted after `purge_after` unless it is undropped before."""

    app: str
    databases: list[str]
    dropped_at: datetime
    purge_after: datetime
    operation: str


@dataclass(frozen=True)
class RenamedApp:
    """`was` is the app's earlier name; `logins` has new URLs, where they were asked for."""

    app: str
    was: str
    database: str
    databases: list[str]
    logins: list[IssuedLogin]
    operation: str


@dataclass(frozen=True)
class ScheduledJob:
    """Something that howdah does now and then. `result`: done, failed or running; None before it first ran."""

    job: str
    about: str
    due_at: datetime | None
    last_run_at: datetime | None
    took_ms: float | None
    result: str | None
    error: dict[str, object] | None


@dataclass(frozen=True)
class PurgedApp:
    app: str
    databases: list[str]
    statements: list[PlannedStatement]
    operation: str


@dataclass(frozen=True)
class PlannedInstance:
    instance: str
    statements: list[PlannedStatement]


@dataclass(frozen=True)
class RepairedApp:
    """`statements` are those that had an effect. What had none or was refused comes with the server's reason:

    `limits` are those of the instance, known since it was added; `unmended` is drift that is still there.
    """

    app: str
    statements: list[PlannedStatement]
    limits: list[str]
    unmended: list[str]
    operation: str


@dataclass(frozen=True)
class DatabaseSummary:
    """One database of an app. `connection_limit` is -1 for none; what the server says is None where it didn't answer.

    `state`: ready, creating, closed (the gate is shut), missing (no such database any more), replaced (another
    database bears its name), dropped, full (its app has used up its room), or unreachable (its instance doesn't
    answer).
    """

    database: str
    purpose: Purpose
    size_bytes: int | None
    connections: int | None
    connection_limit: int
    logins: list[str]
    state: str


@dataclass(frozen=True)
class AppSummary:
    """An app; size, connections and state are its main database's. `purge_after` is set for one that is dropped."""

    app: str
    instance: str
    database: str
    size_bytes: int | None
    connections: int | None
    connection_limit: int
    logins: list[str]
    state: str
    created_at: datetime
    purge_after: datetime | None
    databases: Sequence[DatabaseSummary]


@dataclass(frozen=True)
class SettingView:
    """A setting of the database (`login` None), of a login in it, or of a login everywhere."""

    login: str | None
    name: str
    value: str
    everywhere: bool


@dataclass(frozen=True)
class ExtensionView:
    name: str
    version: str
    schema: str


@dataclass(frozen=True)
class LoginView:
    """A role that can log in. `password`: set, missing or unknown (where howdah can't read pg_authid).

    `state`: open, retiring (its twin took its place, and it goes when nobody uses it), or revoked, which is listed
    for as long as its role is there. An added login has a `label`, its name within the app.

    Of an instance that doesn't answer there are the app's logins on record, and `open_sessions` is None.
    """

    login: str
    instance: str
    app: str | None
    database: str | None
    purpose: Purpose | None
    access: Access | None
    attributes: list[str]
    member_of: list[str]
    connection_limit: int
    valid_until: datetime | None
    password: str
    password_changed_at: datetime | None
    open_sessions: int | None
    state: str = "open"
    label: str | None = None
    reason: str | None = None
    added_by: str | None = None


@dataclass(frozen=True)
class DatabaseInfo(DatabaseSummary):
    owner: str | None
    encoding: str | None
    locale: str | None
    settings: list[SettingView]
    extensions: list[ExtensionView]
    last_activity: datetime | None


@dataclass(frozen=True)
class AppInfo(AppSummary):
    """Facts of a database are the main one's; `databases` has all. `drift` is what `repair` would do, in words."""

    owner: str | None
    encoding: str | None
    locale: str | None
    settings: list[SettingView]
    extensions: list[ExtensionView]
    last_activity: datetime | None
    databases: Sequence[DatabaseInfo]
    login_details: list[LoginView]
    drift: list[str]


@dataclass(frozen=True)
class TableView:
    """`rows_estimate` is None for what was never vacuumed or analyzed, and for views."""

    schema: str
    table: str
    kind: str
    rows_estimate: int | None
    size_bytes: int
    owner: str


@dataclass(frozen=True)
class ShortLivedSession:
    """A short-lived login for `howdah psql`.

    `file` is where its connection service file belongs; None for a client on another machine.
    `server_major` is the server's major release: an older psql's backslash commands may not fit its catalogs.
    """

    login: str
    password: str = field(repr=False)
    host: str
    port: int
    database: str
    expires_at: datetime
    file: str | None
    server_major: int


@dataclass(frozen=True)
class OperationView:
    """`step` is what a long one is at; `notices` is what one that is done wants said."""

    id: str
    kind: str
    app: str | None
    actor: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    error: dict[str, str | None] | None
    step: str | None = None
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Capabilities:
    """What howdah's admin may do on a server, and what the server offers.

    `predefined_roles` are PostgreSQL's own that the admin is a member of. `app_extensions` are the ones that an app's
    owner may install (trusted), `extensions` those that only a superuser may. `open_databases` lets everyone in.
    """

    superuser: bool
    create_role: bool
    create_db: bool
    replication: bool
    pg_hba: bool
    tls: bool
    provider: str | None
    predefined_roles: list[str]
    app_extensions: list[str]
    extensions: list[str]
    open_databases: list[str]


@dataclass(frozen=True)
class LimitView:
    """What can't be had on an instance, and what an admin can do about it."""

    limit: str
    remedy: str | None


@dataclass(frozen=True)
class InstanceSummary:
    """`state`: ready or unreachable. What the server says is None where it doesn't answer.

    `admin` is the login that howdah uses, `control_role` the role it acts as. `notices` is what an admin should know.
    """

    name: str
    kind: str
    state: str
    version: str | None
    host: str
    port: int
    admin: str | None
    control_role: str | None
    apps: int | None
    notices: list[str]


@dataclass(frozen=True)
class InstanceInfo(InstanceSummary):
    """The instance: where it is, what it runs, and what its admin should know (`limits`)."""

    version_num: int | None
    bind: list[str]
    public_host: str | None
    tls: bool
    data_directory: str | None
    socket_directory: str | None
    api_socket: str | None
    started_at: datetime | None
    max_connections: int | None
    connections: int | None
    capabilities: Capabilities | None
    limits: list[LimitView]

    def for_an_app(self) -> "InstanceInfo":
        """What someone with a token of one app may know: nothing of the machine's files, nor of the other apps.

        Limits that are the release's or the admin's hold for the app; others can name databases.
        """
        return replace(
            self,
            admin=None,
            control_role=None,
            bind=[],
            data_directory=None,
            socket_directory=None,
            api_socket=None,
            connections=None,
            apps=None,
            capabilities=None,
            limits=[LimitView(each.limit, None) for each in self.limits if each.limit in GENERAL_LIMITS],
            notices=[],
        )


@dataclass(frozen=True)
class TokenView:
    """A token without itself. `scope`: admin, read or app:NAME; `state`: valid or expired."""

    name: str
    scope: str
    state: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class CreatedToken:
    """A new token; `expires_at` None: it lives until it is revoked."""

    name: str
    scope: str
    expires_at: datetime | None
    token: str = field(repr=False)


@dataclass(frozen=True)
class DriftedApp:
    """An app that isn't as wanted: what `repair` would do, and what it would refuse to work on."""

    app: str
    instance: str
    statements: Sequence[PlannedStatement]
    problems: Sequence[str]


@dataclass(frozen=True)
class DriftReport:
    """`apps` are those with drift. Of the databases `checked`, some were `looked_into`; the others stood still."""

    apps: Sequence[DriftedApp]
    checked: int
    looked_into: int
    unreachable: Sequence[str]
