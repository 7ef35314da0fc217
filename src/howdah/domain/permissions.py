"""Who may do what: the one table that the door asks, and nothing else decides.

A route names a permission. The caller's scope and this table say whether it is granted; whoever adds a route adds
a row here, or the control plane doesn't start.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from howdah.domain.errors import HowdahError
from howdah.domain.names import check_app_name


class ScopeKind(StrEnum):
    """How far a token reaches. `NONE` is a caller without a token."""

    ADMIN = "admin"
    READ = "read"
    APP = "app"
    MEMBER = "member"
    NONE = "none"


class Role(StrEnum):
    """What a person is in a team; each may what the one before may."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    OWNER = "owner"

    def covers(self, other: "Role") -> bool:
        """Whether who is this may what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Scope:
    """`app` is set for ScopeKind.APP alone; a member's `teams` and `roles` say what they are in each, on each app."""

    kind: ScopeKind
    app: str | None = None
    person: str | None = None
    teams: tuple[tuple[str, Role], ...] = ()
    roles: tuple[tuple[str, Role], ...] = ()

    def __str__(self) -> str:
        if self.kind is ScopeKind.MEMBER:
            return f"member:{self.person}"
        return f"app:{self.app}" if self.kind is ScopeKind.APP else str(self.kind)

    @property
    def apps(self) -> frozenset[str] | None:
        """The apps that whoever has it may know of; None: all."""
        if self.kind is ScopeKind.MEMBER:
            return frozenset(app for app, _ in self.roles)
        return frozenset([self.app]) if self.app is not None else None


ADMIN = Scope(ScopeKind.ADMIN)
READ = Scope(ScopeKind.READ)
NOBODY = Scope(ScopeKind.NONE)


def parse_scope(text: str) -> Scope:
    """`admin`, `read`, `app:NAME` or `member:PERSON`; raises HowdahError `invalid_input`, `invalid_name`."""
    kind, colon, app = text.partition(":")
    if kind == ScopeKind.MEMBER and colon:
        return Scope(ScopeKind.MEMBER, person=app)
    if kind == ScopeKind.APP and colon:
        return Scope(ScopeKind.APP, check_app_name(app))
    if not colon and kind in (ScopeKind.ADMIN, ScopeKind.READ):
        return Scope(ScopeKind(kind))
    raise HowdahError(
        "invalid_input", "that is no scope of a token", hint="A scope is admin, read, app:NAME or member:PERSON."
    )


@dataclass(frozen=True)
class Caller:
    """Who asks: `actor` is what audit events call them; `remote` where they came over TCP from `address`."""

    actor: str
    scope: Scope
    remote: bool = False
    address: str = ""


class Permission(StrEnum):
    """What can be asked of the door. The words are the actions of the audit trail."""

    HEALTH = "health.show"
    SCHEMA = "schema.show"
    INSTANCE_ADD = "instance.add"
    INSTANCE_LIST = "instance.list"
    INSTANCE_SHOW = "instance.show"
    INSTANCE_REMOVE = "instance.remove"
    APP_CREATE = "database.create"
    APP_LIST = "app.list"
    APP_SHOW = "app.show"
    APP_REPAIR = "database.repair"
    APP_ADOPT = "database.adopt"
    APP_DROP = "database.drop"
    APP_UNDROP = "database.undrop"
    APP_PURGE = "database.purge"
    APP_RENAME = "app.rename"
    APP_DUMP = "database.dump"
    APP_LOAD = "database.load"
    APP_IMPORT = "app.import"
    APP_RESTORE = "app.restore"
    EXECUTE_GRANT = "execute.grant"
    EXECUTE_LIST = "execute.list"
    EXTENSION_LIST = "extension.list"
    EXTENSION_ENABLE = "extension.enable"
    EXTENSION_ALLOWED = "extension.allowed"
    EXTENSION_ALLOW = "extension.allow"
    LIMITS_SHOW = "limits.show"
    LIMITS_CHANGE = "limits.change"
    MARK_ADD = "app.mark"
    MARK_LIST = "mark.list"
    AUDIT_LIST = "audit.list"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_EXPORT = "audit.export"
    AUDIT_SEND = "audit.send"
    BACKUP_LIST = "backup.list"
    BACKUP_TAKE = "backup.take"
    BACKUP_VERIFY = "backup.verify"
    BACKUP_EXPIRE = "backup.expire"
    BACKUP_SCHEDULE = "backup.schedule"
    BACKUP_DRILL = "backup.drill"
    PLAN = "plan.show"
    PROVE = "app.prove"
    PROOF_SHOW = "proof.show"
    DRIFT_SHOW = "drift.show"
    TABLE_LIST = "table.list"
    LOGIN_LIST = "login.list"
    LOGIN_PASSWORD = "login.password"  # noqa: S105
    LOGIN_ADD = "login.add"
    LOGIN_REVOKE = "login.revoke"
    LOGIN_ENABLE = "login.enable"
    LOGIN_ROTATE = "login.rotate"
    LOGIN_ROTATE_ALL = "login.rotate_all"
    LOGIN_RETIRE = "login.retire"
    LOGIN_REOPEN = "login.reopen"
    LOGIN_SCHEDULE = "login.schedule"
    ROTATION_LIST = "rotation.list"
    HANDOFF_CREATE = "handoff.create"
    HANDOFF_LIST = "handoff.list"
    HANDOFF_REVOKE = "handoff.revoke"
    HANDOFF_OPEN = "handoff.open"
    SESSION_OPEN = "session.open"
    SESSION_RENEW = "session.renew"
    SESSION_END = "session.end"
    OPERATION_LIST = "operation.list"
    OPERATION_SHOW = "operation.show"
    SCHEDULE_LIST = "schedule.list"
    TEAM_CREATE = "team.create"
    TEAM_LIST = "team.list"
    TEAM_CHANGE = "team.change"
    TEAM_REMOVE = "team.remove"
    TEAM_GIVE = "team.give"
    MEMBER_ADD = "member.add"
    MEMBER_REMOVE = "member.remove"
    WHOAMI = "whoami.show"
    TOKEN_CREATE = "token.create"  # noqa: S105
    TOKEN_LIST = "token.list"  # noqa: S105
    TOKEN_REVOKE = "token.revoke"  # noqa: S105


class Reach(Enum):
    """What a scope `app:NAME` gets of a permission."""

    NO = "nothing"
    YES = "all of it; it says nothing of any app"
    OWN = "for its own app, which the route names in its path"
    NARROWED = "its own app's part, to which the route narrows its answer"


@dataclass(frozen=True)
class _Row:
    read: bool
    app: Reach
    anybody: bool = False


# The scope `admin`, which is also whoever can open the Unix socket, has every permission.
_TABLE: dict[Permission, _Row] = {
    Permission.HEALTH: _Row(read=True, app=Reach.YES, anybody=True),
    Permission.SCHEMA: _Row(read=True, app=Reach.YES),
    Permission.INSTANCE_ADD: _Row(read=False, app=Reach.NO),
    Permission.INSTANCE_LIST: _Row(read=True, app=Reach.NO),
    Permission.INSTANCE_SHOW: _Row(read=True, app=Reach.NARROWED),
    Permission.INSTANCE_REMOVE: _Row(read=False, app=Reach.NO),
    Permission.APP_CREATE: _Row(read=False, app=Reach.NO),
    Permission.APP_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.APP_SHOW: _Row(read=True, app=Reach.OWN),
    Permission.APP_REPAIR: _Row(read=False, app=Reach.OWN),
    Permission.APP_ADOPT: _Row(read=False, app=Reach.NO),
    Permission.APP_DROP: _Row(read=False, app=Reach.NO),
    Permission.APP_UNDROP: _Row(read=False, app=Reach.NO),
    Permission.APP_PURGE: _Row(read=False, app=Reach.NO),
    Permission.APP_RENAME: _Row(read=False, app=Reach.NO),
    Permission.DRIFT_SHOW: _Row(read=True, app=Reach.NARROWED),
    # All of the data, past row security: more than a reader is shown.
    Permission.APP_DUMP: _Row(read=False, app=Reach.OWN),
    Permission.APP_LOAD: _Row(read=False, app=Reach.NO),
    Permission.APP_IMPORT: _Row(read=False, app=Reach.NO),
    # A restore makes an app.
    Permission.APP_RESTORE: _Row(read=False, app=Reach.NO),
    Permission.EXECUTE_GRANT: _Row(read=False, app=Reach.OWN),
    Permission.EXECUTE_LIST: _Row(read=True, app=Reach.OWN),
    Permission.EXTENSION_LIST: _Row(read=True, app=Reach.OWN),
    Permission.EXTENSION_ENABLE: _Row(read=False, app=Reach.OWN),
    Permission.EXTENSION_ALLOWED: _Row(read=True, app=Reach.NO),
    Permission.EXTENSION_ALLOW: _Row(read=False, app=Reach.NO),
    Permission.LIMITS_SHOW: _Row(read=True, app=Reach.OWN),
    Permission.LIMITS_CHANGE: _Row(read=False, app=Reach.NO),
    Permission.MARK_ADD: _Row(read=False, app=Reach.OWN),
    Permission.MARK_LIST: _Row(read=True, app=Reach.OWN),
    Permission.AUDIT_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.AUDIT_VERIFY: _Row(read=True, app=Reach.NO),
    Permission.AUDIT_EXPORT: _Row(read=False, app=Reach.NO),
    Permission.AUDIT_SEND: _Row(read=False, app=Reach.NO),
    Permission.BACKUP_LIST: _Row(read=True, app=Reach.NO),
    Permission.BACKUP_TAKE: _Row(read=False, app=Reach.NO),
    Permission.BACKUP_VERIFY: _Row(read=False, app=Reach.NO),
    Permission.BACKUP_EXPIRE: _Row(read=False, app=Reach.NO),
    Permission.BACKUP_SCHEDULE: _Row(read=False, app=Reach.NO),
    Permission.BACKUP_DRILL: _Row(read=False, app=Reach.NO),
    Permission.PLAN: _Row(read=False, app=Reach.NARROWED),
    # It names other apps, and what of them could be reached.
    Permission.PROVE: _Row(read=False, app=Reach.NO),
    Permission.PROOF_SHOW: _Row(read=True, app=Reach.NO),
    Permission.TABLE_LIST: _Row(read=True, app=Reach.OWN),
    Permission.LOGIN_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.LOGIN_PASSWORD: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_ADD: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_REVOKE: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_ENABLE: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_ROTATE: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_ROTATE_ALL: _Row(read=False, app=Reach.NO),
    Permission.LOGIN_RETIRE: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_REOPEN: _Row(read=False, app=Reach.OWN),
    Permission.LOGIN_SCHEDULE: _Row(read=False, app=Reach.OWN),
    Permission.ROTATION_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.HANDOFF_CREATE: _Row(read=False, app=Reach.OWN),
    Permission.HANDOFF_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.HANDOFF_REVOKE: _Row(read=False, app=Reach.NARROWED),
    # Whoever has a link; the link itself is what lets them.
    Permission.HANDOFF_OPEN: _Row(read=False, app=Reach.YES, anybody=True),
    Permission.SESSION_OPEN: _Row(read=False, app=Reach.OWN),
    Permission.SESSION_RENEW: _Row(read=False, app=Reach.OWN),
    Permission.SESSION_END: _Row(read=False, app=Reach.OWN),
    Permission.OPERATION_LIST: _Row(read=True, app=Reach.NARROWED),
    Permission.OPERATION_SHOW: _Row(read=True, app=Reach.NARROWED),
    Permission.SCHEDULE_LIST: _Row(read=True, app=Reach.NO),
    Permission.TEAM_CREATE: _Row(read=False, app=Reach.NO),
    Permission.TEAM_LIST: _Row(read=True, app=Reach.NO),
    Permission.TEAM_CHANGE: _Row(read=False, app=Reach.NO),
    Permission.TEAM_REMOVE: _Row(read=False, app=Reach.NO),
    Permission.TEAM_GIVE: _Row(read=False, app=Reach.NO),
    Permission.MEMBER_ADD: _Row(read=False, app=Reach.NO),
    Permission.MEMBER_REMOVE: _Row(read=False, app=Reach.NO),
    Permission.WHOAMI: _Row(read=True, app=Reach.YES),
    Permission.TOKEN_CREATE: _Row(read=False, app=Reach.NO),
    Permission.TOKEN_LIST: _Row(read=True, app=Reach.NO),
    Permission.TOKEN_REVOKE: _Row(read=False, app=Reach.NO),
}


# The least role that has a permission on an app of the person's own team; what isn't named, no member has. Where a
# route names no app, its answer is narrowed to theirs, or the service asks whose the team is.
_MEMBERS: dict[Permission, Role] = {
    **dict.fromkeys(
        (
            Permission.INSTANCE_SHOW,
            Permission.APP_LIST,
            Permission.APP_SHOW,
            Permission.DRIFT_SHOW,
            Permission.EXECUTE_LIST,
            Permission.EXTENSION_LIST,
            Permission.LIMITS_SHOW,
            Permission.MARK_LIST,
            Permission.TABLE_LIST,
            Permission.LOGIN_LIST,
            Permission.ROTATION_LIST,
            Permission.HANDOFF_LIST,
            Permission.OPERATION_LIST,
            Permission.OPERATION_SHOW,
            Permission.AUDIT_LIST,
            Permission.TEAM_LIST,
        ),
        Role.VIEWER,
    ),
    **dict.fromkeys(
        (
            Permission.EXECUTE_GRANT,
            Permission.MARK_ADD,
            Permission.PLAN,
            Permission.LOGIN_PASSWORD,
            Permission.LOGIN_ROTATE,
            Permission.LOGIN_RETIRE,
            Permission.LOGIN_REOPEN,
            Permission.SESSION_OPEN,
            Permission.SESSION_RENEW,
            Permission.SESSION_END,
        ),
        Role.DEVELOPER,
    ),
    **dict.fromkeys(
        (
            Permission.APP_CREATE,
            Permission.APP_REPAIR,
            Permission.APP_DROP,
            Permission.APP_UNDROP,
            Permission.APP_DUMP,
            Permission.EXTENSION_ENABLE,
            Permission.LIMITS_CHANGE,
            Permission.LOGIN_ADD,
            Permission.LOGIN_REVOKE,
            Permission.LOGIN_ENABLE,
            Permission.LOGIN_SCHEDULE,
            Permission.HANDOFF_CREATE,
            Permission.HANDOFF_REVOKE,
            Permission.MEMBER_ADD,
            Permission.MEMBER_REMOVE,
        ),
        Role.OWNER,
    ),
}


class Verdict(Enum):
    """`HIDDEN`: refused as if the app didn't exist, so that nobody learns which apps there are."""

    GRANTED = "granted"
    FORBIDDEN = "forbidden"
    HIDDEN = "hidden"


def names_its_app(permission: Permission) -> bool:
    """Whether a route with this permission has to name the app in its path."""
    return _TABLE[permission].app is Reach.OWN


def decide(scope: Scope, permission: Permission, app: str | None = None) -> Verdict:
    """Whether `scope` has `permission`, on `app` where the request is about one."""
    row = _TABLE[permission]
    if scope.kind is ScopeKind.ADMIN or row.anybody:
        return Verdict.GRANTED
    if scope.kind is ScopeKind.READ:
        return Verdict.GRANTED if row.read else Verdict.FORBIDDEN
    if scope.kind is ScopeKind.MEMBER:
        return _decide_for_member(scope, permission, app)
    if scope.kind is not ScopeKind.APP or row.app is Reach.NO:
        return Verdict.FORBIDDEN
    if app is None:
        # Without a name there is nothing to hold against the scope: only what is narrowed may go on.
        return Verdict.FORBIDDEN if row.app is Reach.OWN else Verdict.GRANTED
    return Verdict.GRANTED if row.app is Reach.YES or app == scope.app else Verdict.HIDDEN


def _decide_for_member(scope: Scope, permission: Permission, app: str | None) -> Verdict:
    if _TABLE[permission].app is Reach.YES:
        return Verdict.GRANTED
    least = _MEMBERS.get(permission)
    if app is not None:
        role = dict(scope.roles).get(app)
        if role is None:
            return Verdict.HIDDEN
        return Verdict.GRANTED if least is not None and role.covers(least) else Verdict.FORBIDDEN
    if least is None or names_its_app(permission):
        return Verdict.FORBIDDEN
    return Verdict.GRANTED if any(role.covers(least) for _, role in scope.teams) else Verdict.FORBIDDEN
