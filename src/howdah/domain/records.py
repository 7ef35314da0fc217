"""What the store keeps: what belongs to what, and what is wanted. The catalogs decide what is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from howdah.domain.errors import HowdahError
from howdah.domain.limits import NO_LIMITS, AppLimits
from howdah.domain.names import DatabaseNames, names_for
from howdah.domain.observed import ObservedDatabase
from howdah.domain.specs import (
    DEFAULT_CONNECTION_LIMITS,
    DEFAULT_DATABASE_CONNECTION_LIMIT,
    Access,
    DatabaseSpec,
    LoginSpec,
    Purpose,
)


class RoleKind(StrEnum):
    """What a recorded role is for."""

    GATE = "gate"
    OWNER = "owner"
    READWRITE = "readwrite"
    READONLY = "readonly"
    LOGIN = "login"


@dataclass(frozen=True)
class RoleRecord:
    """A role of an app. `oid` is None until it was made; `twin_of` names the login whose twin it is.

    An added login has a `label`, its name within the app. A `retiring` one is still open though its twin has taken
    its place; one that is `revoked` has no password any more. A short-lived one that is `renewed` lives for as long
    as somebody says that it is needed, used or not.
    """

    name: str
    kind: RoleKind
    oid: int | None = None
    access: Access | None = None
    enabled: bool = False
    connection_limit: int = -1
    valid_until: datetime | None = None
    short_lived: bool = False
    twin_of: str | None = None
    password_changed_at: datetime | None = None
    label: str | None = None
    reason: str | None = None
    added_by: str | None = None
    revoked: bool = False
    retiring: bool = False
    renewed: bool = False

    @property
    def is_standard(self) -> bool:
        """Whether it is one of the logins that an app is made with."""
        return self.kind is RoleKind.LOGIN and not self.short_lived and self.label is None


@dataclass(frozen=True)
class DatabaseRecord:
    """A database of an app with its roles.

    `state` is `creating` or `ready`; `delivered` says that its URLs went out once. Of a `dropped` app's it is wanted
    that nobody gets in; what is recorded of its logins is what they get back. Of its functions, read-only logins may
    call those that are `executable`. `limits` are the app's.
    """

    name: str
    roles: tuple[RoleRecord, ...]
    connection_limit: int
    purpose: Purpose = Purpose.MAIN
    state: str = "creating"
    delivered: bool = False
    is_open: bool = True
    dropped: bool = False
    oid: int | None = None
    last_activity_at: datetime | None = None
    executable: tuple[str, ...] = ()
    limits: AppLimits = NO_LIMITS

    @property
    def full(self) -> bool:
        """Whether the app has used up its room."""
        return self.limits.full

    def group(self, kind: RoleKind) -> str:
        """The name of the gate, owner, readwrite or readonly group."""
        return next(role.name for role in self.roles if role.kind is kind)

    @property
    def logins(self) -> tuple[RoleRecord, ...]:
        return tuple(role for role in self.roles if role.kind is RoleKind.LOGIN)

    def handed_out(self, access: Access) -> RoleRecord | None:
        """The login of that access whose URL the app uses: an open one that isn't about to go."""
        enabled = [r for r in self.logins if r.access is access and r.enabled and r.is_standard]
        return min(enabled, key=lambda role: (role.retiring, role.twin_of is not None), default=None)

    def pair_of(self, login: RoleRecord) -> tuple[RoleRecord, RoleRecord | None]:
        """A login and its twin, whichever of them `login` is; an added one may have none yet."""
        first = login.twin_of or login.name
        base = next(role for role in self.logins if role.name == first)
        return base, next((role for role in self.logins if role.twin_of == first), None)

    def spec(
        self,
        *,
        verifiers: Mapping[str, str] | None = None,
        retired: tuple[str, ...] = (),
        lifted: frozenset[str] = frozenset(),
    ) -> DatabaseSpec:
        """What is wanted of this database.

        `verifiers` are passwords to set now, `retired` logins to drop, `lifted` settings that limited logins so far.
        """
        verifiers = verifiers or {}
        return DatabaseSpec(
            name=self.name,
            owner=self.group(RoleKind.OWNER),
            readwrite=self.group(RoleKind.READWRITE),
            readonly=self.group(RoleKind.READONLY),
            logins=tuple(
                _login(role, verifiers.get(role.name), self.limits, closed=self.dropped)
                for role in self.logins
                if role.name not in retired
            ),
            connection_limit=self.connection_limit,
            open=self.is_open and not self.dropped,
            retired=retired,
            executable=frozenset(self.executable),
            full=self.limits.full,
            lifted=lifted,
        )

    def without_short_lived(self) -> "DatabaseRecord":
        """The same without logins that live for a session."""
        return replace(self, roles=tuple(role for role in self.roles if not role.short_lived))

    def as_dropped(self, dropped: bool) -> "DatabaseRecord":
        """The same of an app that is dropped, or isn't."""
        return replace(self, dropped=dropped)

    def renamed(self, names: DatabaseNames) -> "DatabaseRecord":
        """The same under other names. Short-lived logins keep theirs."""
        groups = {
            RoleKind.GATE: names.gate,
            RoleKind.OWNER: names.owner,
            RoleKind.READWRITE: names.readwrite,
            RoleKind.READONLY: names.readonly,
        }
        pairs = {Access.OWNER: names.user_logins, Access.READONLY: names.readonly_logins}

        def role(old: RoleRecord) -> RoleRecord:
            if old.kind is not RoleKind.LOGIN:
                return replace(old, name=groups[old.kind])
            if old.label is not None:
                first, twin = names.added_logins(old.label)
            elif old.short_lived or old.access not in pairs:
                return old
            else:
                first, twin = pairs[old.access]
            return replace(old, name=first) if old.twin_of is None else replace(old, name=twin, twin_of=first)

        return replace(self, name=names.database, roles=tuple(map(role, self.roles)))

    def check_identity(self, app: str, observed: ObservedDatabase, control_role: str) -> None:
        """Refuse to touch a role or database that bears a recorded name and isn't the one on record.

        A database without a recorded OID is this one's if it belongs to the control role and takes no
        connections: howdah's death just after CREATE DATABASE leaves it so, and nothing else does.
        Raises HowdahError `name_in_use` or `identity_changed`.
        """
        for role in self.roles:
            state = observed.roles.get(role.name)
            if state is not None and state.oid != role.oid:
                raise stranger("role", app, role.name, role.oid)
        state_of = observed.database
        if state_of is None or state_of.oid == self.oid:
            return
        half_made = state_of.owner == control_role and not state_of.allow_connections
        if self.oid is not None or not half_made:
            raise stranger("database", app, self.name, self.oid)


def new_database(app: str, purpose: Purpose = Purpose.MAIN) -> DatabaseRecord:
    """A database of a new app: four groups, and two logins with an idle twin each.

    A test or shadow database has nothing to read: it gets no read-only login. Raises HowdahError `invalid_name`.
    """
    return database_called(names_for(app, purpose), purpose)


def database_called(names: DatabaseNames, purpose: Purpose = Purpose.MAIN) -> DatabaseRecord:
    """The same under given names."""
    groups = {
        RoleKind.GATE: names.gate,
        RoleKind.OWNER: names.owner,
        RoleKind.READWRITE: names.readwrite,
        RoleKind.READONLY: names.readonly,
    }
    logins = []
    wanted = {Access.OWNER: names.user_logins, Access.READONLY: names.readonly_logins}
    if purpose is not Purpose.MAIN:
        del wanted[Access.READONLY]
    for access, (first, twin) in wanted.items():
        limit = DEFAULT_CONNECTION_LIMITS[access]
        logins.append(RoleRecord(first, RoleKind.LOGIN, access=access, enabled=True, connection_limit=limit))
        logins.append(RoleRecord(twin, RoleKind.LOGIN, access=access, connection_limit=limit, twin_of=first))
    return DatabaseRecord(
        name=names.database,
        roles=(*(RoleRecord(name, kind) for kind, name in groups.items()), *logins),
        connection_limit=DEFAULT_DATABASE_CONNECTION_LIMIT,
        purpose=purpose,
    )


def _login(role: RoleRecord, verifier: str | None, limits: AppLimits, *, closed: bool) -> LoginSpec:
    assert role.access is not None
    return LoginSpec(
        name=role.name,
        access=role.access,
        enabled=role.enabled and not closed,
        connection_limit=role.connection_limit,
        valid_until=role.valid_until,
        short_lived=role.short_lived,
        verifier=verifier,
        settings=() if role.short_lived else limits.settings(role.access),
    )


def stranger(what: str, app: str, name: str, recorded: int | None) -> HowdahError:
    """What bears a recorded name and isn't what is on record."""
    if recorded is None:
        return name_in_use(what, name)
    return HowdahError(
        "identity_changed",
        f'{what} "{name}" is not the one that howdah made',
        detail=f"It bears the recorded name, but its OID isn't {recorded}: it was dropped and made anew.",
        hint=f"If it is a restored one, `howdah repair {app} --adopt` takes it over; else rename or drop it.",
    )


def name_in_use(what: str, name: str) -> HowdahError:
    """A role or database in the way that isn't on record: a conflict, never taken over."""
    return HowdahError(
        "name_in_use",
        f"{what} \"{name}\" already exists and isn't howdah's",
        detail="howdah never takes over what it didn't make.",
        hint=f"Choose another app name, or rename that {what}.",
    )


@dataclass(frozen=True)
class AppRecord:
    """An app, on the instance of that name.

    A dropped one is closed, and purged after `purge_after`; `purging` says that this has begun. While it is
    `renaming`, the server may still have its databases and roles under other names. One that is `prepared` is no
    app yet: it waits, closed, for one to take it, and the text says what it was made by.
    """

    name: str
    instance: str
    created_at: datetime
    databases: tuple[DatabaseRecord, ...]
    dropped_at: datetime | None = None
    purge_after: datetime | None = None
    purging: bool = False
    renaming: bool = False
    prepared: str | None = None
    limits: AppLimits = NO_LIMITS

    def check_live(self) -> None:
        """Raise HowdahError `app_dropped` for one that is dropped."""
        if self.dropped_at is None:
            return
        assert self.purge_after is not None
        if self.purging:
            raise HowdahError(
                "app_dropped",
                f'app "{self.name}" is being deleted',
                hint=f"`howdah purge {self.name}` finishes that.",
            )
        raise HowdahError(
            "app_dropped",
            f'app "{self.name}" is dropped',
            detail=f"Nothing of it is lost: it can be undropped until {self.purge_after:%Y-%m-%d %H:%M %Z}.",
            hint=f"`howdah undrop {self.name}` brings it back; `howdah purge {self.name}` deletes it now.",
        )

    def check_settled(self) -> None:
        """Raise HowdahError `busy` for one whose renaming isn't through."""
        if self.renaming and all(database.state == "ready" for database in self.databases):
            raise HowdahError(
                "busy",
                f'app "{self.name}" is being renamed',
                hint="That goes on by itself: try again in a moment.",
            )

    @property
    def database(self) -> DatabaseRecord:
        """The app's main database, the one that DATABASE_URL names."""
        return self.databases[0]

    def for_purpose(self, purpose: Purpose) -> DatabaseRecord:
        """Its database of that purpose; raises HowdahError `database_not_found`."""
        for database in self.databases:
            if database.purpose is purpose:
                return database
        raise HowdahError(
            "database_not_found",
            f'app "{self.name}" has no {purpose} database',
            hint=f"`howdah create {self.name} --{purpose}-db` adds one.",
        )

    def called(self, database: str) -> DatabaseRecord:
        """Its database of that name, which must be on record."""
        return next(each for each in self.databases if each.name == database)

    def login(self, name: str | None, access: Access = Access.OWNER) -> tuple[DatabaseRecord, RoleRecord]:
        """The login called `name` with its database, or the main one of `access`; raises `login_not_found`."""
        logins = [(d, r) for d in self.databases for r in d.logins if r.enabled and not r.short_lived]
        handed_out = self.database.handed_out(access)
        found = next(
            ((d, r) for d, r in logins if (r is handed_out if name is None else r.name == name)),
            None,
        )
        if found is None:
            known = ", ".join(role.name for _, role in logins)
            raise HowdahError(
                "login_not_found",
                f'app "{self.name}" has no login "{name}"' if name else f'app "{self.name}" has no {access} login',
                hint=f"Its logins are {known}.",
            )
        return found
