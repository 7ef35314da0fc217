"""Who may do what: the table, and that every route of the door asks it."""

import re
from typing import Any

import pytest
from fastapi import APIRouter

from howdah.api.app import ROUTERS, create_app
from howdah.api.permission import check_permissions, may, permissions_of
from howdah.domain.errors import HowdahError
from howdah.domain.permissions import (
    ADMIN,
    NOBODY,
    READ,
    Permission,
    Scope,
    ScopeKind,
    Verdict,
    decide,
    names_its_app,
    parse_scope,
)

MINE = Scope(ScopeKind.APP, "mine")
CHANGES = {
    Permission.APP_CREATE,
    Permission.APP_REPAIR,
    Permission.APP_ADOPT,
    Permission.PLAN,
    Permission.LOGIN_PASSWORD,
    Permission.LOGIN_ADD,
    Permission.LOGIN_REVOKE,
    Permission.LOGIN_ENABLE,
    Permission.LOGIN_ROTATE,
    Permission.LOGIN_ROTATE_ALL,
    Permission.LOGIN_RETIRE,
    Permission.LOGIN_REOPEN,
    Permission.LOGIN_SCHEDULE,
    Permission.HANDOFF_CREATE,
    Permission.HANDOFF_REVOKE,
    Permission.SESSION_OPEN,
    Permission.SESSION_RENEW,
    Permission.SESSION_END,
    Permission.TEAM_CREATE,
    Permission.TEAM_CHANGE,
    Permission.TEAM_REMOVE,
    Permission.TEAM_GIVE,
    Permission.MEMBER_ADD,
    Permission.MEMBER_REMOVE,
    Permission.TOKEN_CREATE,
    Permission.TOKEN_REVOKE,
    Permission.INSTANCE_ADD,
    Permission.INSTANCE_REMOVE,
    Permission.APP_DROP,
    Permission.APP_RENAME,
    Permission.APP_UNDROP,
    Permission.APP_PURGE,
    # It changes nothing, and is more than a reader is shown.
    Permission.APP_DUMP,
    Permission.APP_LOAD,
    Permission.APP_IMPORT,
    Permission.APP_RESTORE,
    Permission.MARK_ADD,
    Permission.EXECUTE_GRANT,
    Permission.LIMITS_CHANGE,
    Permission.EXTENSION_ENABLE,
    Permission.EXTENSION_ALLOW,
    Permission.AUDIT_EXPORT,
    Permission.AUDIT_SEND,
    Permission.BACKUP_TAKE,
    Permission.BACKUP_VERIFY,
    Permission.BACKUP_EXPIRE,
    Permission.BACKUP_SCHEDULE,
    Permission.BACKUP_DRILL,
    Permission.PROVE,
}
# Never an app's own business, whatever it is about.
PLATFORM = {
    Permission.EXTENSION_ALLOWED,
    Permission.EXTENSION_ALLOW,
    Permission.LIMITS_CHANGE,
    Permission.APP_CREATE,
    Permission.APP_ADOPT,
    Permission.TOKEN_CREATE,
    Permission.TOKEN_LIST,
    Permission.TOKEN_REVOKE,
    Permission.APP_DROP,
    Permission.APP_RENAME,
    Permission.APP_UNDROP,
    Permission.APP_PURGE,
    Permission.APP_LOAD,
    Permission.INSTANCE_ADD,
    Permission.INSTANCE_LIST,
    Permission.INSTANCE_REMOVE,
    Permission.SCHEDULE_LIST,
    Permission.APP_IMPORT,
    Permission.APP_RESTORE,
    Permission.AUDIT_VERIFY,
    Permission.AUDIT_EXPORT,
    Permission.AUDIT_SEND,
    Permission.BACKUP_LIST,
    Permission.BACKUP_TAKE,
    Permission.BACKUP_VERIFY,
    Permission.BACKUP_EXPIRE,
    Permission.BACKUP_SCHEDULE,
    Permission.BACKUP_DRILL,
    Permission.PROVE,
    Permission.PROOF_SHOW,
    Permission.LOGIN_ROTATE_ALL,
    Permission.TEAM_CREATE,
    Permission.TEAM_LIST,
    Permission.TEAM_CHANGE,
    Permission.TEAM_REMOVE,
    Permission.TEAM_GIVE,
    Permission.MEMBER_ADD,
    Permission.MEMBER_REMOVE,
}
# Whoever knocks: one says whether howdah is well, the other wants a link's own secret.
ANYBODY = {Permission.HEALTH, Permission.HANDOFF_OPEN}


@pytest.mark.parametrize("permission", Permission)
def test_the_table(permission: Permission) -> None:
    assert decide(ADMIN, permission, "any") is Verdict.GRANTED
    assert decide(ADMIN, permission) is Verdict.GRANTED
    assert (decide(NOBODY, permission, "any") is Verdict.GRANTED) == (permission in ANYBODY)
    assert (decide(READ, permission, "any") is Verdict.GRANTED) == (permission not in CHANGES)
    own, others = decide(MINE, permission, "mine"), decide(MINE, permission, "theirs")
    if permission in PLATFORM:
        assert (own, others) == (Verdict.FORBIDDEN, Verdict.FORBIDDEN)
    elif permission in (*ANYBODY, Permission.SCHEMA, Permission.WHOAMI):
        assert (own, others) == (Verdict.GRANTED, Verdict.GRANTED)
    else:
        assert (own, others) == (Verdict.GRANTED, Verdict.HIDDEN)
    if names_its_app(permission):
        assert decide(MINE, permission) is Verdict.FORBIDDEN


@pytest.mark.parametrize("text", ["", "root", "app", "app:", "app:No", "admin:x", "read:x", "app:pg_x", "none"])
def test_what_is_no_scope(text: str) -> None:
    with pytest.raises(HowdahError):
        parse_scope(text)


def test_scopes_are_written_as_they_are_read() -> None:
    assert [str(parse_scope(text)) for text in ("admin", "read", "app:mine")] == ["admin", "read", "app:mine"]


def test_every_route_names_its_permission() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    assert all(len(permissions_of(route)) == 1 for route in routes)
    # As many as the door really has, but for the description itself, which doesn't describe itself.
    platform: Any = object()
    app = create_app(platform)
    described = [(path, method) for path, methods in app.openapi()["paths"].items() for method in methods]
    assert len(described) == len(routes) - 1
    # What reads is open to a reader, what changes isn't.
    for route in routes:
        [permission] = permissions_of(route)
        reads = route.methods == {"GET"} or permission in ANYBODY  # type: ignore[attr-defined]
        assert (decide(READ, permission, "any") is Verdict.GRANTED) == reads, permission


def test_every_path_of_the_door_is_one_of_those_routes() -> None:
    platform: Any = object()
    app = create_app(platform)
    direct = [route for route in app.routes if hasattr(route, "path")]
    known = {
        re.sub(r"^/api/v1", "", str(getattr(route, "path", ""))) for router in ROUTERS for route in router.routes
    }
    assert {re.sub(r"^/api/v1", "", route.path) for route in direct} <= known


def test_a_route_without_a_permission_is_found() -> None:
    router = APIRouter()

    @router.get("/open")
    def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="/open names 0 permissions"):
        check_permissions([router])


def test_a_route_that_does_not_name_its_app_is_found() -> None:
    router = APIRouter()

    @router.get("/tables", dependencies=[may(Permission.TABLE_LIST)])
    def wrong() -> None: ...

    with pytest.raises(RuntimeError, match=r"needs an \{app\}"):
        check_permissions([router])
