"""Teams: who owns which apps, who is in them, and what their owners may do of their own."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.permissions import Caller, Permission, Role, ScopeKind
from howdah.domain.teams import (
    Allowance,
    RemovedMember,
    TeamView,
    Whoami,
    check_person,
    check_team_name,
)
from howdah.services.core import Core
from howdah.services.operations import Operations
from howdah.services.tokens import Tokens
from howdah.store import teams as team_store
from howdah.store.teams import TeamRecord


class Teams:
    """What can be done with teams; what a member may is asked of them."""

    def __init__(self, core: Core, operations: Operations, tokens: Tokens):
        self._core = core
        self._operations = operations
        self._tokens = tokens
        # A team's creates go one after another, so that two at once don't both take the last place.
        self._creating: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def create(self, name: str, allowance: Allowance, actor: str) -> TeamView:
        """Make a team without members; raises HowdahError `invalid_name`, `team_exists`."""
        check_team_name(name)
        with self._operations.run("team.create", None, actor, about=name) as operation:
            operation.audited = vars(allowance)
            with self._core.store.connect() as stored:
                if not team_store.add_team(stored, name, allowance):
                    raise HowdahError("team_exists", f'team "{name}" already exists')
        return self.show(name)

    def change(self, name: str, given: dict[str, Any], actor: str) -> TeamView:
        """Change what a team's owners may; what isn't `given` stays. Raises HowdahError `team_not_found`."""
        known = self._find(name)
        before = {"may_create": known.may_create, "max_connections": known.max_connections}
        allowance = Allowance(**{**before, "max_storage": known.max_storage, **given})
        with self._operations.run("team.change", None, actor, about=name) as operation:
            operation.audited = vars(allowance)
            with self._core.store.connect() as stored:
                team_store.set_allowance(stored, name, allowance)
        return self.show(name)

    def remove(self, name: str, actor: str) -> None:
        """Forget a team that owns no app. Raises HowdahError `team_not_found`, `team_in_use`."""
        known = self._find(name)
        people = [member.person for member in self.show(name).members]
        with (
            self._operations.run("team.remove", None, actor, about=name) as operation,
            self._core.store.connect() as stored,
            stored.transaction(),
        ):
            if known.apps or not team_store.remove_team(stored, name):
                raise HowdahError(
                    "team_in_use",
                    f'team "{name}" still owns {", ".join(known.apps) or "an app"}',
                    hint="`howdah team give APP --to TEAM` (or --to none) gives an app away.",
                )
            operation.audited = {"tokens": [t for who in people for t in team_store.end_tokens(stored, who)]}

    def list(self, caller: Caller) -> list[TeamView]:
        """Every team that the caller may know of."""
        with self._core.store.connect() as stored:
            records = team_store.list_teams(stored)
            members = team_store.list_members(stored)
        mine = dict(caller.scope.teams) if caller.scope.kind is ScopeKind.MEMBER else None
        return [
            TeamView(**vars(record), members=[each for each in members if each.team == record.name])
            for record in records
            if mine is None or record.name in mine
        ]

    def show(self, name: str) -> TeamView:
        """One team; raises HowdahError `team_not_found`."""
        record = self._find(name)
        with self._core.store.connect() as stored:
            return TeamView(**vars(record), members=team_store.list_members(stored, team=name))

    def give(self, app: str, team: str | None, actor: str) -> None:
        """Say whose an app is. Raises HowdahError `app_not_found`, `team_not_found`."""
        self._core.app(app)
        if team is not None:
            self._find(team)
        with self._operations.run("team.give", app, actor) as operation:
            operation.audited = {"team": team}
            with self._core.store.connect() as stored:
                team_store.set_team(stored, app, team)

    def add_member(self, team: str, person: str, role: Role, caller: Caller) -> TeamView:
        """Take somebody into a team, or give them another role. Raises HowdahError `team_not_found`."""
        check_person(person)
        self._check_owner(team, caller, Permission.MEMBER_ADD)
        with self._operations.run("member.add", None, caller.actor, about=team) as operation:
            operation.audited = {"person": person, "role": role}
            with self._core.store.connect() as stored:
                team_store.add_member(stored, team, person, role, caller.actor)
        return self.show(team)

    def remove_member(self, team: str, person: str, caller: Caller) -> RemovedMember:
        """Take somebody out of a team; who is in no other loses their tokens. Raises `member_not_found`."""
        self._check_owner(team, caller, Permission.MEMBER_REMOVE)
        with self._operations.run("member.remove", None, caller.actor, about=team) as operation:
            with self._core.store.connect() as stored, stored.transaction():
                if not team_store.remove_member(stored, team, person):
                    raise HowdahError("member_not_found", f'"{person}" is not in team "{team}"')
                ended = team_store.end_tokens(stored, person)
            operation.audited = {"person": person, "tokens": ended}
        return RemovedMember(team, person, ended)

    def whoami(self, caller: Caller) -> Whoami:
        """Who asks, and what they may know of."""
        scope = caller.scope
        apps = dict(scope.roles) if scope.kind is ScopeKind.MEMBER else None
        if scope.app is not None:
            apps = {scope.app: Role.OWNER}
        return Whoami(caller.actor, str(scope), dict(scope.teams), apps)

    @contextmanager
    def creating(self, app: str, team: str | None, instance: str | None, caller: Caller) -> Iterator[str | None]:
        """Around a create by a member: within what their team may, and what is made is the team's.

        Yields the team's name; None where it is no member who asks. Raises HowdahError `team_not_found`,
        `team_needed` for somebody who owns several, and `team_full`.
        """
        if caller.scope.kind is not ScopeKind.MEMBER:
            if team is not None:
                self._find(team)
            yield team
            if team is not None:
                self._take(app, team)
            return
        name = self._own_team(team, caller)
        with self._creating[name]:
            record = self._find(name)
            there = self._core.exists(app)
            self.check_new(app, instance, caller)
            if not there and len(record.apps) >= record.may_create:
                raise HowdahError(
                    "team_full",
                    f'team "{name}" may have {record.may_create} apps, and has {len(record.apps)}',
                    detail="Dropped apps count until they are deleted.",
                    hint="An admin allows more: `howdah team change`.",
                )
            try:
                yield name
            finally:
                # Also what was only begun: it is the team's to finish.
                if not there and self._core.exists(app):
                    self._take(app, name)

    def check_new(self, app: str, instance: str | None, caller: Caller) -> None:
        """Refuse a member an app of somebody else's name, telling no more of it, or one elsewhere.

        One of theirs gets a database more. Raises HowdahError `app_exists`, `team_limit`.
        """
        if caller.scope.kind is not ScopeKind.MEMBER:
            return
        if (app, Role.OWNER) not in caller.scope.roles and self._core.exists(app):
            raise HowdahError("app_exists", f'app "{app}" can\'t be created', hint="Choose another app name.")
        if instance not in (None, HOME_INSTANCE):
            raise HowdahError(
                "team_limit", "where an app is made is not yours to say", hint="An admin makes it there for you."
            )

    def check_limits(self, app: str, caller: Caller, given: dict[str, object]) -> None:
        """Raise HowdahError `team_limit` for a limit that a member may not set so."""
        if caller.scope.kind is not ScopeKind.MEMBER:
            return
        with self._core.store.connect() as stored:
            team = team_store.team_of(stored, app)
        record = self._find(team or "")
        allowed = {"connections": record.max_connections, "storage_bytes": record.max_storage}
        for name, value in given.items():
            if name == "access":
                continue
            most = allowed.get(name)
            # 0 lifts a limit.
            if most is None or not isinstance(value, int) or not 0 < value <= most:
                shown = name.removesuffix("_bytes").removesuffix("_s").replace("_", " ")
                raise HowdahError(
                    "team_limit",
                    f"{shown} is not yours to set so",
                    detail=f'Team "{record.name}" may set it to at most {most}.'
                    if most is not None
                    else f'Team "{record.name}" may not set it.',
                    hint="An admin does it, or allows more: `howdah team change`.",
                )

    def _take(self, app: str, team: str) -> None:
        with self._core.store.connect() as stored:
            team_store.set_team(stored, app, team)

    def _own_team(self, team: str | None, caller: Caller) -> str:
        mine = [name for name, role in caller.scope.teams if role is Role.OWNER]
        if team is not None:
            if team not in mine:
                raise self._tokens.refuse_hidden(caller, Permission.APP_CREATE, team, team_not_found(team))
            return team
        if len(mine) != 1:
            raise HowdahError(
                "team_needed",
                "you are an owner of several teams",
                hint=f"Say which the app is for: --team {' or --team '.join(mine)}",
            )
        return mine[0]

    def _check_owner(self, team: str, caller: Caller, permission: Permission) -> None:
        if caller.scope.kind is ScopeKind.MEMBER and (team, Role.OWNER) not in caller.scope.teams:
            raise self._tokens.refuse_hidden(caller, permission, team, team_not_found(team))
        self._find(team)

    def _find(self, name: str) -> TeamRecord:
        with self._core.store.connect() as stored:
            found = team_store.list_teams(stored, name)
        if not found:
            raise team_not_found(name)
        return found[0]


def team_not_found(name: str) -> HowdahError:
    """The error for a team that isn't there, or that the caller may not know of."""
    return HowdahError("team_not_found", f'team "{name}" does not exist', hint="`howdah team list` shows the teams.")
