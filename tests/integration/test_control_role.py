"""The control role of an adopted server: who may be a member of it, and that apps keep theirs."""

from collections.abc import Iterator
from typing import Any

import pytest

from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN


@pytest.fixture
def reports(platform: Platform) -> Iterator[ForeignServer]:
    """A server that `reports` may be adopted from; forgotten afterwards."""
    with foreign_server(SERVER_BIN) as server:
        with server.as_superuser() as root:
            root.execute(f"CREATE ROLE chief LOGIN SUPERUSER PASSWORD '{server.password}'".encode())
        yield server
        with platform.store.connect() as stored:
            stored.execute(
                "DELETE FROM howdah.apps a USING howdah.instances i WHERE i.id = instance_id AND i.name = 'reports'"
            )
        if "reports" in platform._core.instances:
            platform.instances.remove("reports", "test")


def add(
    platform: Platform, server: ForeignServer, admin: str = "boss", role: str | None = None, *, replace: bool = False
) -> None:
    conninfo = server.conninfo.replace("boss@", f"{admin}@")
    platform.instances.add("reports", conninfo, server.password, "test", control_role=role, replace=replace)


def refused(
    platform: Platform, server: ForeignServer, admin: str = "boss", role: str | None = None, *, replace: bool = False
) -> HowdahError:
    conninfo = server.conninfo.replace("boss@", f"{admin}@")
    with pytest.raises(HowdahError) as planned:
        platform.instances.plan_add("reports", conninfo, server.password, role)
    with pytest.raises(HowdahError) as caught:
        add(platform, server, admin, role, replace=replace)
    assert str(planned.value) == str(caught.value)
    return caught.value


def run(server: ForeignServer, *statements: str) -> None:
    with server.as_superuser() as root:
        for statement in statements:
            root.execute(statement.encode())


def is_superuser(server: ForeignServer, role: str) -> bool:
    with server.as_superuser() as root:
        row = root.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    assert row is not None
    return bool(row[0])


def advised(error: HowdahError) -> list[str]:
    """The statements that a HINT says to run."""
    assert error.hint
    said = error.hint.partition("run: ")[2]
    return [statement for statement in said.split(";")[:-1] if statement.strip()]


def test_no_member_becomes_a_superuser(platform: Platform, reports: ForeignServer) -> None:
    """The admin from before is a member of the role that the next one, a superuser, would make a superuser."""
    add(platform, reports)
    error = refused(platform, reports, "chief", replace=True)
    assert error.code == "instance_unsuitable"
    assert error.message == 'control role "howdah" would make superusers of its members: boss'
    assert not is_superuser(reports, "howdah")
    # The way in from before still stands.
    platform.apps.delivered(platform.apps.create("membered", "test", instance="reports"))
    run(reports, *advised(error))
    add(platform, reports, "chief", replace=True)
    assert is_superuser(reports, "howdah")
    assert platform.repairs.repair("membered", "test").limits == []
    assert platform.apps.list("membered")[0].state == "ready"


@pytest.mark.parametrize("kind", ["CREATEROLE CREATEDB", "SUPERUSER"])
def test_a_role_that_was_there_with_members(platform: Platform, reports: ForeignServer, kind: str) -> None:
    run(
        reports,
        f"CREATE ROLE howdah {kind}",
        "CREATE ROLE insiders",
        'CREATE ROLE "Second\'s" SUPERUSER',
        'GRANT howdah TO insiders, "Second\'s", chief',
        "GRANT insiders TO boss",
    )
    error = refused(platform, reports, "chief")
    assert (error.code, error.message.partition(": ")[2]) == ("instance_unsuitable", "insiders")
    assert is_superuser(reports, "howdah") is (kind == "SUPERUSER")
    add(platform, reports, "chief", "howdah_too")
    assert is_superuser(reports, "howdah_too")
    assert is_superuser(reports, "howdah") is (kind == "SUPERUSER")


def test_a_role_that_is_somebody_elses(platform: Platform, reports: ForeignServer) -> None:
    run(reports, "CREATE ROLE taken LOGIN", "CREATE ROLE idle")
    for role in ("taken", "idle"):
        error = refused(platform, reports, role=role)
        assert (error.code, "is no control role" in error.message) == ("name_in_use", True)


def test_what_is_advised_takes_every_way_in(platform: Platform, reports: ForeignServer) -> None:
    """Since 16 each grantor's grant stands by itself."""
    run(
        reports,
        "CREATE ROLE howdah CREATEROLE CREATEDB",
        "CREATE ROLE clerk",
        "GRANT howdah TO chief WITH ADMIN OPTION",
        "GRANT howdah TO boss WITH ADMIN OPTION",
        "SET ROLE boss",
        "GRANT howdah TO clerk",
        "RESET ROLE",
        "GRANT howdah TO clerk",
    )
    error = refused(platform, reports, "chief")
    assert error.message.endswith(": boss, clerk")
    run(reports, *advised(error))
    add(platform, reports, "chief")
    assert is_superuser(reports, "howdah")


def test_the_control_role_stays_while_apps_are_there(platform: Platform, reports: ForeignServer) -> None:
    add(platform, reports, role="keeper")
    platform.apps.delivered(platform.apps.create("kept", "test", instance="reports"))
    error = refused(platform, reports, role="other", replace=True)
    assert error.code == "instance_in_use"
    assert error.hint
    assert "keeper" in error.hint
    # Without a word about it, it is the one on record.
    add(platform, reports, replace=True)
    assert platform.instances.show("reports").control_role == "keeper"
    platform.logins.new_password("kept", None, False, "test")
    with platform.store.connect() as stored:
        stored.execute("DELETE FROM howdah.apps WHERE name = 'kept'")
    add(platform, reports, role="other", replace=True)
    assert platform.instances.show("reports").control_role == "other"


def test_what_a_replacement_leaves_out_stays(platform: Platform, reports: ForeignServer) -> None:
    """A new password is all that `--replace` is given as a rule: the URLs of the apps there stay as they are."""

    def add_with(**ways: Any) -> tuple[str, int]:
        info = platform.instances.add("reports", reports.conninfo, reports.password, "test", **ways)
        return info.host, info.port

    assert add_with(public_host="db.example.com", public_port=6432) == ("db.example.com", 6432)
    assert add_with(replace=True) == ("db.example.com", 6432)
    assert add_with(replace=True, public_host="127.0.0.1", public_port=reports.port) == ("127.0.0.1", reports.port)


def test_members_that_a_superuser_let_in_are_shown(platform: Platform, reports: ForeignServer) -> None:
    add(platform, reports, "chief")
    assert not [each for each in platform.instances.show("reports").limits if "superuser" in each.limit]
    run(reports, "GRANT howdah TO boss")
    [said] = [each for each in platform.instances.show("reports").limits if "superuser" in each.limit]
    assert said.limit == 'whoever is a member of control role "howdah" can act as a superuser: boss'
    assert said.remedy
    run(reports, *said.remedy.partition("run: ")[2].split(";")[:-1])
    assert not [each for each in platform.instances.show("reports").limits if "superuser" in each.limit]


def test_the_grant_that_another_admin_lacks_is_said(platform: Platform, reports: ForeignServer) -> None:
    add(platform, reports)
    run(reports, f"CREATE ROLE heir LOGIN CREATEROLE CREATEDB PASSWORD '{reports.password}'")
    with reports.as_superuser() as root:
        since_16 = root.info.server_version >= 160000
    if since_16:
        with pytest.raises(HowdahError) as caught:
            add(platform, reports, "heir", replace=True)
        assert caught.value.code == "instance_unsuitable"
        assert caught.value.message == 'the admin "heir" can\'t act as the control role "howdah"'
        run(reports, *advised(caught.value))
    add(platform, reports, "heir", replace=True)
    assert platform.instances.show("reports").admin == "heir"


def test_a_superusers_control_role_is_for_no_other_admin(platform: Platform, reports: ForeignServer) -> None:
    add(platform, reports, "chief")
    error = refused(platform, reports, "boss", replace=True)
    assert error.code == "instance_unsuitable"
    assert error.message == 'control role "howdah" is a superuser, and the admin "boss" is none'
    assert error.hint
    assert "GRANT" not in error.hint


def test_what_the_control_role_may_not_is_shown(platform: Platform, reports: ForeignServer) -> None:
    add(platform, reports)
    run(reports, "ALTER ROLE howdah NOCREATEROLE NOCREATEDB")
    first = platform.instances.show("reports").limits[0]
    assert first.limit == 'the control role "howdah" lacks CREATEROLE and CREATEDB'
    assert first.remedy
    run(reports, first.remedy.partition("run: ")[2])
    assert "lacks" not in platform.instances.show("reports").limits[0].limit


def test_what_the_admin_alone_may_not_stops_nothing(platform: Platform, reports: ForeignServer) -> None:
    """It is the control role that makes roles and databases; what is shown of the admin is what was probed."""
    add(platform, reports)
    reports.prepare_template()
    run(reports, "ALTER ROLE boss NOCREATEDB NOCREATEROLE")
    able = platform.instances.show("reports").capabilities
    assert able
    assert (able.superuser, able.create_role, able.create_db) == (False, False, False)
    platform.apps.delivered(platform.apps.create("delegated", "test", instance="reports"))
    assert platform.repairs.repair("delegated", "test").limits == []
