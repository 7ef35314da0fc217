"""Where servers differ: each predicate against the releases and admins that its words name."""

from dataclasses import replace

import pytest

from howdah.domain import differences
from howdah.domain.differences import DIFFERENCES, IGNORE_SET_ROLE, Difference, limits
from howdah.domain.server import Server

# By the first release that has it, or None where it is a matter of who the admin is.
SINCE = {
    differences.LOCALE_PROVIDERS: 15,
    differences.MEMBERSHIP_OPTIONS: 16,
    differences.TABLE_MAINTAIN: 17,
    differences.LARGE_OBJECT_DEFAULTS: 18,
    differences.SCRAM_BY_DEFAULT: 14,
    differences.SESSION_COUNTS: 14,
    differences.COUNTED_AT_EXIT: 15,
    differences.NO_SELF_ADMIN: 15,
}
SUPERUSERS = (
    differences.SUPERUSER_WALLS,
    differences.GUARD,
    differences.SILENT_PASSWORDS,
    differences.PASSWORDS_SEEN,
)


def server(major: int, *, superuser: bool = True, minor: int = 2) -> Server:
    return Server(major * 10000 + minor, superuser, "howdah", "root_role")


@pytest.mark.parametrize("difference", SINCE, ids=lambda each: each.where)
@pytest.mark.parametrize("superuser", [True, False])
def test_by_release(difference: Difference, superuser: bool) -> None:
    since = SINCE[difference]
    assert f"{since} and newer" == difference.where
    for major in range(13, 19):
        assert server(major, superuser=superuser).has(difference) is (major >= since)


@pytest.mark.parametrize("difference", SUPERUSERS, ids=lambda each: each.what[:30])
def test_by_admin(difference: Difference) -> None:
    for major in range(13, 19):
        assert server(major).has(difference)
        assert not server(major, superuser=False).has(difference)


def test_the_others() -> None:
    shut = differences.PUBLIC_SCHEMA_SHUT
    assert [server(major, superuser=False).has(shut) for major in (13, 14, 15, 18)] == [False, False, True, True]
    assert server(13).has(shut)
    assert replace(server(13, superuser=False), template="template1").has(shut)
    assert server(18, superuser=False).has(differences.SELF_GRANTS)
    assert not server(18).has(differences.SELF_GRANTS)
    broken = {(number // 10000, number % 10000) for number in IGNORE_SET_ROLE}
    assert broken == {(13, 17), (14, 14), (15, 9), (16, 5), (17, 1)}
    for major, minor in broken:
        assert not server(major, minor=minor).has(differences.SET_ROLE_HONOURED)
        assert server(major, minor=minor + 1).has(differences.SET_ROLE_HONOURED)
    named = {*SINCE, *SUPERUSERS, shut, differences.SELF_GRANTS, differences.SET_ROLE_HONOURED}
    assert named == set(DIFFERENCES)


def test_limits_are_said_where_they_hold() -> None:
    assert limits(server(18)) == []
    said = dict(limits(server(13, superuser=False)))
    remedy = next(remedy for limit, remedy in said.items() if "schema public" in limit)
    assert remedy is not None
    assert "ALTER SCHEMA public OWNER TO howdah" in remedy
    assert len(limits(server(18, superuser=False))) == 4
