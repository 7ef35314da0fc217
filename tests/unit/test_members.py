"""What a member of a team may: nothing of others' apps, and never less with more of a role."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.domain.errors import HowdahError
from howdah.domain.permissions import READ, Permission, Role, Scope, ScopeKind, Verdict, decide
from howdah.domain.teams import check_person, check_team_name

EVERYBODYS = {Permission.HEALTH, Permission.HANDOFF_OPEN, Permission.SCHEMA, Permission.WHOAMI}
# Each was decided on: whoever adds a permission says here whether members have it, and from which role on.
VIEWER = {
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
}
DEVELOPER = {
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
}
OWNER = {
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
}
ROLES = {Role.VIEWER: VIEWER, Role.DEVELOPER: VIEWER | DEVELOPER, Role.OWNER: VIEWER | DEVELOPER | OWNER}


def member(role: Role, *others: tuple[str, Role]) -> Scope:
    apps = (("mine", role), *others)
    return Scope(ScopeKind.MEMBER, person="ana", teams=(("team", role),), roles=apps)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_the_table(role: Role, permission: Permission) -> None:
    granted = decide(member(role), permission, "mine") is Verdict.GRANTED
    assert granted == (permission in ROLES[role] | EVERYBODYS)
    if permission in VIEWER:
        # What a viewer sees, a reader of everything sees as well.
        assert decide(READ, permission, "mine") is Verdict.GRANTED


@given(st.sampled_from(Role), st.sampled_from(Permission), st.sampled_from(Role))
def test_nothing_of_an_app_of_somebody_elses(role: Role, permission: Permission, other: Role) -> None:
    verdict = decide(member(role, ("second", other)), permission, "theirs")
    assert verdict is (Verdict.GRANTED if permission in EVERYBODYS else Verdict.HIDDEN)


@given(st.sampled_from(Permission), st.sampled_from(Role), st.sampled_from(Role))
def test_the_role_is_that_on_the_app(permission: Permission, here: Role, there: Role) -> None:
    scope = Scope(
        ScopeKind.MEMBER, person="ana", teams=(("a", here), ("b", there)), roles=(("mine", here), ("yours", there))
    )
    for app, role in (("mine", here), ("yours", there)):
        granted = decide(scope, permission, app) is Verdict.GRANTED
        assert granted == (permission in ROLES[role] | EVERYBODYS)


@pytest.mark.parametrize("permission", Permission)
def test_in_no_team_there_is_nothing(permission: Permission) -> None:
    nobody = Scope(ScopeKind.MEMBER, person="ana")
    assert (decide(nobody, permission) is Verdict.GRANTED) == (permission in EVERYBODYS)


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 41, "x/y"])
def test_what_is_no_team(name: str) -> None:
    with pytest.raises(HowdahError):
        check_team_name(name)


@pytest.mark.parametrize("person", ["", "Ana", "ana@", "@example.com", "a b", "ana@exa mple", "x\n"])
def test_what_is_nobody(person: str) -> None:
    with pytest.raises(HowdahError):
        check_person(person)


def test_who_is_somebody() -> None:
    for person in ("ana", "a", "ana.b+c@mail.example.com"):
        assert check_person(person) == person
