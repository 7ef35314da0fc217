"""What a team's owner may make of their own, also when several ask in the same moment."""

import threading

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.permissions import ADMIN, Caller, Role, Scope, ScopeKind
from howdah.domain.teams import Allowance
from howdah.services.platform import Platform

ROOT = Caller("root", ADMIN)


@pytest.fixture(scope="module")
def olga(platform: Platform) -> Caller:
    platform.teams.create("sewing", Allowance(may_create=2), "root")
    platform.teams.add_member("sewing", "olga", Role.OWNER, ROOT)
    return Caller("token:olga", Scope(ScopeKind.MEMBER, person="olga", teams=(("sewing", Role.OWNER),)))


def test_of_many_at_once_as_many_are_made_as_are_allowed(platform: Platform, olga: Caller) -> None:
    barrier = threading.Barrier(6)
    codes: list[str] = []

    def create(app: str) -> None:
        barrier.wait(10)
        try:
            with platform.teams.creating(app, None, None, olga):
                platform.apps.delivered(platform.apps.create(app, olga.actor))
            codes.append("done")
        except HowdahError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=create, args=(f"sewn{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == ["done", "done", *["team_full"] * 4]
    assert len(platform.teams.show("sewing").apps) == 2


def test_one_that_failed_half_way_is_the_teams_to_finish(platform: Platform, olga: Caller) -> None:
    platform.teams.change("sewing", {"may_create": 3}, "root")

    def dies() -> None:
        with platform.teams.creating("sewnhalf", None, None, olga):
            platform.apps.delivered(platform.apps.create("sewnhalf", olga.actor))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    assert "sewnhalf" in platform.teams.show("sewing").apps
